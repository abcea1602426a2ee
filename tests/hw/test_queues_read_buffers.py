"""Read buffers: how many reads are in flight for a group, and who may have the next (DSA §4.3)."""

import random

import pytest

from hw.queues.read_buffers import ReadBuffers
from hw.regs import Config

from .streams import simulate

TOTAL = 16
CONFIG = Config(engines=4, groups=3, tags=TOTAL)


class Bench:
    """Engines that read whenever ``eager`` says so; ``flying`` counts what each has in flight."""

    def __init__(self, *groups, seed=0, pause=0.3):
        self.dut = ReadBuffers(CONFIG, 32)
        self.groups = groups
        self.rng, self.pause = random.Random(seed), pause
        print(f"seed {seed}")
        self.eager = [True] * CONFIG.engines
        self.flying = [0] * CONFIG.engines
        self.passed = [0] * CONFIG.engines
        self.most = [0] * len(groups)
        self.end = 0.0

    def used(self, group):
        return sum(self.flying[engine] for engine in self.groups[group][0])

    async def clocks(self, ctx, count):
        dut, rng = self.dut, self.rng
        for _ in range(count):
            for engine in range(CONFIG.engines):
                offered = dut.i[engine]
                if not ctx.get(offered.valid) and self.eager[engine] and rng.random() < 0.8:
                    ctx.set(offered.payload, engine << 24 | rng.getrandbits(24))
                    ctx.set(offered.valid, 1)
                ctx.set(dut.o[engine].ready, rng.random() >= self.pause)
            passing = [
                engine
                for engine in range(CONFIG.engines)
                if ctx.get(dut.o[engine].valid) and ctx.get(dut.o[engine].ready)
            ]
            for engine in passing:
                assert ctx.get(dut.i[engine].valid) and ctx.get(dut.i[engine].ready)
                assert ctx.get(dut.o[engine].payload) == ctx.get(dut.i[engine].payload)
            ended = sum(
                1 << engine
                for engine in range(CONFIG.engines)
                if self.flying[engine] and rng.random() < self.end
            )
            ctx.set(dut.ended, ended)
            before = [ctx.get(port.valid) for port in dut.o]
            await ctx.tick()
            for engine in range(CONFIG.engines):
                self.flying[engine] += (engine in passing) - (ended >> engine & 1)
                self.passed[engine] += engine in passing
                if engine in passing:
                    ctx.set(dut.i[engine].valid, 0)
                elif before[engine]:
                    assert ctx.get(dut.o[engine].valid), "valid fell before the transfer"
            ctx.set(dut.ended, 0)
            self.most = [max(most, self.used(g)) for g, most in enumerate(self.most)]

    def run(self, scenario):
        async def bench(ctx):
            for number, (engines, flags) in enumerate(self.groups):
                group = self.dut.groups[number]
                ctx.set(group.engines, sum(1 << engine for engine in engines))
                ctx.set(group.flags, flags)
            await ctx.tick().repeat(3)
            await scenario(ctx)

        simulate(self.dut, bench)


def flags(reserved, allowed):
    return {"read_buffers_reserved": reserved, "read_buffers_allowed": allowed}


@pytest.mark.parametrize("seed", range(3))
def test_group_never_has_more_than_allowed(seed):
    bench = Bench(([0, 2], flags(0, 7)), ([1], flags(2, 5)), ([3], flags(0, 4)), seed=seed)

    async def scenario(ctx):
        await bench.clocks(ctx, 150)
        assert [bench.used(group) for group in range(3)] == [7, 5, 4]
        bench.end = 0.1
        await bench.clocks(ctx, 600)
        for engine in range(CONFIG.engines):
            assert bench.passed[engine] > 20

    bench.run(scenario)
    assert all(most <= allowed for most, allowed in zip(bench.most, (7, 5, 4), strict=True))


def test_reserved_buffers_are_kept_free():
    bench = Bench(([0], flags(0, 0)), ([1, 2], flags(5, 0)), ([3], flags(3, 0)))

    async def scenario(ctx):
        bench.eager = [True, False, False, False]
        await bench.clocks(ctx, 150)
        assert bench.flying == [TOTAL - 8, 0, 0, 0]
        bench.eager = [True, True, True, False]
        await bench.clocks(ctx, 150)
        assert [bench.used(group) for group in range(3)] == [8, 5, 0]
        bench.eager = [True] * 4
        await bench.clocks(ctx, 150)
        assert [bench.used(group) for group in range(3)] == [8, 5, 3]

    bench.run(scenario)


def test_group_gets_beyond_its_own_what_is_reserved_for_nobody():
    bench = Bench(([0], flags(4, 0)), ([1], flags(6, 7)), ([], {}))

    async def scenario(ctx):
        bench.eager = [True, False, False, False]
        await bench.clocks(ctx, 150)
        assert bench.flying[0] == TOTAL - 6
        bench.eager = [False, True, False, False]
        bench.end = 0.0
        await bench.clocks(ctx, 150)
        assert bench.flying[:2] == [TOTAL - 6, 6]

    bench.run(scenario)


def test_default_flags_share_all_buffers():
    bench = Bench(([0, 1, 2, 3], {}), ([], {}), ([], {}))

    async def scenario(ctx):
        await bench.clocks(ctx, 200)
        assert bench.used(0) == TOTAL
        assert max(bench.flying) - min(bench.flying) <= 1, "engines take turns"

    bench.run(scenario)


def test_where_all_are_reserved_a_group_without_gets_one_at_a_time():
    bench = Bench(([0], flags(TOTAL, 0)), ([1], flags(0, 0)), ([2, 3], flags(0, 0)))

    async def scenario(ctx):
        await bench.clocks(ctx, 200)
        assert [bench.used(group) for group in range(3)] == [TOTAL, 1, 1]
        bench.end = 0.1
        await bench.clocks(ctx, 500)
        assert all(passed > 10 for passed in bench.passed)

    bench.run(scenario)


def test_engine_without_a_group_reads_nothing():
    bench = Bench(([0], {}), ([1], {}), ([3], {}))

    async def scenario(ctx):
        await bench.clocks(ctx, 200)
        assert bench.flying[2] == 0 and sum(bench.flying) == TOTAL

    bench.run(scenario)


def test_commands_pass_every_third_clock():
    bench = Bench(([0], {}), ([1], {}), ([2], {}), pause=0.0)

    async def scenario(ctx):
        bench.end = 1.0
        await bench.clocks(ctx, 100)
        assert sum(bench.passed) >= 30

    bench.run(scenario)
