"""What is reported as an error, and what is only a status (DSA §5.8.1)."""

from hw.regs.commands import Command
from hw.regs.descriptor import Flag, Opcode, Status

from .work_bench import CONFIG, WATCHDOG, Bench, descriptor

LIST = 0x8000


def test_failed_batch_without_a_record_is_no_error_of_its_own():
    bench = Bench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {"max_batch_log2": CONFIG.max_batch_log2})
        members = [descriptor(flags=0), descriptor(0x81, flags=0)]
        for number, word in enumerate(members):
            for k, byte in enumerate(word.to_bytes(64, "little")):
                bench.memory[LIST + 64 * number + k] = byte
        word = descriptor(Opcode.BATCH, flags=0, source=LIST, size_bytes=2, pasid=3)
        assert await bench.submit(ctx, 0, word) == 1
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        await ctx.tick().repeat(50)
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["overflow"]) == (1, 0)
        assert (error["code"], error["opcode"]) == (Status.BAD_OPCODE, 0x81)
        assert (error["batch"], error["batch_index"], error["pasid"]) == (1, 1, 3)

    bench.run(scenario)


async def report(ctx, bench):
    """The next error that the engine reports."""
    port = bench.dut.engine.o_error
    for _ in range(WATCHDOG):
        _, _, valid, ready, error = await ctx.tick().sample(port.valid, port.ready, port.payload)
        if valid and ready:
            return error
    raise AssertionError("no error came")


def test_report_of_a_handle_says_where_it_came_from():
    bench = Bench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {})
        bench.permit = lambda *asked: False
        word = descriptor(flags=Flag.REQUEST_INTERRUPT, handle=0x123)
        for portal, info in ((0, 0x1_0123), (2, 0x3_0123)):
            assert await bench.submit(ctx, 0, word, portal=portal) == 1
            assert (await report(ctx, bench)).info == info
        # The register has the handle only.
        assert (await bench.get(ctx, "swerror"))["info"] == 0x123

    bench.run(scenario)
