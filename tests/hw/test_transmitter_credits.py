"""Credits are counted right, however often their totals wrap around."""

import random

import pytest

from hw.pcie.transmitter_credits import CreditGate

from .streams import simulate


@pytest.mark.parametrize("seed", [1, 2])
def test_gate_opens_exactly_when_both_credits_are_there(seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    dut = CreditGate()
    seen = {False: 0, True: 0}

    async def bench(ctx):
        granted, taken = [0, 0], [0, 0]
        # Grants as the gate knows them: two clocks late.
        known = [(0, 0)] * 3
        for _ in range(4000):
            for index, most in enumerate((127, 2047)):
                if rng.random() < 0.3:
                    room = most - (granted[index] - taken[index])
                    granted[index] += rng.randrange(min(room, 4 + 60 * index) + 1)
            ctx.set(dut.limit, {"header": granted[0] % 256, "data": granted[1] % 4096})
            need = rng.choice((0, 1, 16, 32, 256))
            ctx.set(dut.data_credits, need)
            header, data = known[-2]
            wanted = header - taken[0] >= 1 and data - taken[1] >= need
            enough = bool(ctx.get(dut.enough))
            assert enough == wanted
            seen[enough] += 1
            take = enough and rng.random() < 0.8
            ctx.set(dut.take, take)
            taken = [taken[0] + take, taken[1] + take * need]
            known = [*known[1:], tuple(granted)]
            await ctx.tick()
        assert granted[0] > 3 * 256 and granted[1] > 3 * 4096

    simulate(dut, bench)
    assert min(seen.values()) > 300


@pytest.mark.parametrize(("header", "data"), [(1, 0), (0, 1), (1, 1)])
def test_infinite_credits_are_not_counted(header, data):
    dut = CreditGate()

    async def bench(ctx):
        ctx.set(dut.limit, {"header_infinite": header, "data_infinite": data})
        ctx.set(dut.data_credits, 8)
        assert ctx.get(dut.enough) == (header and data)
        ctx.set(dut.limit.header, 1)
        ctx.set(dut.limit.data, 8)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.enough)
        ctx.set(dut.take, 1)
        await ctx.tick()
        ctx.set(dut.take, 0)
        assert ctx.get(dut.enough) == (header and data)

    simulate(dut, bench)
