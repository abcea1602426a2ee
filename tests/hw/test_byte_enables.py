"""Length and byte enables of every kind of run."""

from amaranth.sim import Simulator

from hw.pcie.byte_enables import ByteEnables


def test_enables_mark_exactly_the_bytes():
    dut = ByteEnables()

    async def bench(ctx):
        for start in range(4):
            for length in (*range(1, 20), 511, 512, 513, 4093, 4094, 4095, 4096):
                if start + length > 4096:
                    continue
                ctx.set(dut.start, start)
                ctx.set(dut.length_bytes, length)
                await ctx.delay(1e-9)
                extent = ctx.get(dut.o)
                marks = [False] * start + [True] * length
                marks += [False] * (-len(marks) % 4)
                groups = [marks[k : k + 4] for k in range(0, len(marks), 4)]
                enables = [sum(bit << k for k, bit in enumerate(group)) for group in groups]
                assert extent.length_dw == len(enables)
                assert extent.first_be == enables[0]
                assert extent.last_be == (enables[-1] if len(enables) > 1 else 0)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
