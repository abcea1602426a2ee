"""Interrupt message storage in the host's memory, against books about every vector."""

import pytest

from hw.pcie.records import ReadStatus
from hw.regs import Config

from .host_store_bench import IGNORE, MASK, Bench


def config(**changes) -> Config:
    sizes = {"host_vectors": 64, "host_cache_entries": 16, "host_cache_ways": 2, "host_fetches": 2}
    return Config(**sizes | changes)


def test_hit_is_sent_five_clocks_after_its_event_and_misses_are_fetched_once():
    bench = Bench(config(), latency=30)

    async def play(ctx):
        await bench.settle(ctx)
        await bench.ring(ctx, 5)
        await bench.ring(ctx, 5)
        await bench.settle(ctx)
        assert (bench.fetched, bench.books.messages) == ([5], 1)
        await bench.ring(ctx, 5)
        began = bench.clock
        await bench.settle(ctx)
        # The transfer, and five clocks to the message.
        assert bench.taken_at[-1] - began == 6
        assert bench.fetched == [5]

    bench.run(play)


def test_entries_that_share_a_set_take_each_others_place():
    bench = Bench(config())

    async def play(ctx):
        await bench.settle(ctx)
        for vector in (0, 8, 16, 24):
            await bench.ring(ctx, vector)
            await bench.settle(ctx)
        for vector in (24, 16, 0):
            await bench.ring(ctx, vector)
            await bench.settle(ctx)
        assert bench.fetched == [0, 8, 16, 24, 0]

    bench.run(play)


@pytest.mark.parametrize("flags", [MASK, IGNORE])
def test_what_an_entry_says_holds_whether_it_is_cached_or_not(flags):
    bench = Bench(config())

    async def play(ctx):
        await bench.settle(ctx)
        bench.books.write(9, flags)
        for _ in range(2):
            await bench.ring(ctx, 9, completion=True)
            await bench.settle(ctx)
        assert (bench.books.messages, bench.fetched) == (0, [9])
        bench.books.write(9, 0)
        held = await bench.sync(ctx, 9)
        await bench.settle(ctx)
        # A masked event was held; an ignored completion is gone.
        assert (held.completion, bench.books.messages) == ((1, 1) if flags == MASK else (0, 0))
        await bench.ring(ctx, 9, completion=True)
        await bench.settle(ctx)
        assert bench.books.messages == (2 if flags == MASK else 1)

    bench.run(play)


def test_ignore_spares_what_is_no_completion_even_if_both_waited_for_the_entry():
    bench = Bench(config(), latency=60)

    async def play(ctx):
        await bench.settle(ctx)
        bench.books.write(3, IGNORE)
        await bench.ring(ctx, 3, completion=True)
        await bench.ring(ctx, 3, completion=False)
        await bench.settle(ctx)
        assert bench.books.messages == 1

    bench.run(play)


def test_fetch_that_began_before_a_sync_is_not_used():
    bench = Bench(config(), latency=60)

    async def play(ctx):
        await bench.settle(ctx)
        await bench.ring(ctx, 4)
        await ctx.tick().repeat(20)
        bench.books.write(4, 0)
        await bench.sync(ctx, 4)
        await bench.settle(ctx)
        assert (bench.fetched, bench.books.messages) == ([4, 4], 1)

    bench.run(play)


@pytest.mark.parametrize(
    "status",
    [
        ReadStatus.UNSUPPORTED_REQUEST,
        ReadStatus.COMPLETER_ABORT,
        ReadStatus.POISONED,
        ReadStatus.TIMEOUT,
    ],
)
@pytest.mark.parametrize("every", [False, True])
def test_failed_fetch_is_reported_and_its_event_held_until_the_next_sync(status, every):
    bench = Bench(config(), latency=60)

    async def play(ctx):
        await bench.settle(ctx)
        bench.failing[7] = status
        await bench.ring(ctx, 7)
        for vector in range(20, 40):
            await bench.ring(ctx, vector)
        await bench.settle(ctx)
        assert bench.books.messages == 20
        (error,) = bench.errors.taken
        assert (error.index, error.status) == (7, status)
        del bench.failing[7]
        await ctx.tick().repeat(200)
        assert bench.books.messages == 20
        await bench.sync(ctx, None if every else 7)
        await bench.settle(ctx)
        assert bench.books.messages == 21

    bench.run(play)


def test_address_outside_of_the_window_is_as_good_as_no_entry():
    bench = Bench(config())

    async def play(ctx):
        await bench.settle(ctx)
        versions, bench.books.versions[2] = bench.books.versions[2], [_Astray(0, 0)]
        await bench.ring(ctx, 2)
        await bench.settle(ctx)
        assert (bench.books.messages, bench.errors.taken[0].status) == (0, ReadStatus.SUCCESS)
        bench.books.versions[2] = versions
        await bench.sync(ctx, 2)
        await bench.settle(ctx)
        assert bench.books.messages == 1

    bench.run(play)


class _Astray:
    """A version whose address lies a MiB too high."""

    def __init__(self, number, control):
        self.number, self.control = number, control

    def raw(self, vector):
        return 0xFEF0_0000


def test_vectors_beyond_the_count_ring_nobody_and_pass_no_check():
    bench = Bench(config())
    bench.count = 40

    async def play(ctx):
        await bench.settle(ctx)
        await bench.ring(ctx, 40)
        await bench.ring(ctx, 0x8000)
        assert not await bench.check(ctx, 40, None)
        await bench.settle(ctx)
        assert (bench.fetched, bench.books.messages) == ([], 0)

    bench.run(play)


@pytest.mark.parametrize("cached", [False, True])
def test_check_asks_whose_vector_it_is(cached):
    bench = Bench(config())

    async def play(ctx):
        await bench.settle(ctx)
        for vector, pasid, may in (
            (4, 1004, 1),
            (4, 1005, 0),
            (4, None, 0),
            (3, None, 1),
            (3, 1003, 0),
        ):
            if not cached:
                await bench.sync(ctx)
            assert await bench.check(ctx, vector, pasid) == may
        bench.failing[5] = ReadStatus.COMPLETER_ABORT
        assert not await bench.check(ctx, 5, 1005)
        del bench.failing[5]
        assert await bench.check(ctx, 5, 1005)

    bench.run(play)


def test_events_are_held_while_the_bus_master_is_off():
    bench = Bench(config())

    async def play(ctx):
        await bench.settle(ctx)
        await bench.ring(ctx, 1)
        await bench.settle(ctx)
        ctx.set(bench.dut.bus_master, 0)
        await ctx.tick().repeat(2)
        for vector in (1, 2, 60):
            await bench.ring(ctx, vector)
        await bench.settle(ctx)
        assert bench.books.messages == 1
        ctx.set(bench.dut.bus_master, 1)
        await bench.settle(ctx)
        await bench.settle(ctx)
        assert bench.books.messages == 4

    bench.run(play)


def test_clear_forgets_what_is_held_and_what_is_under_way():
    bench = Bench(config(), latency=60)

    async def play(ctx):
        await bench.settle(ctx)
        await bench.ring(ctx, 1)
        await ctx.tick().repeat(10)
        ctx.set(bench.dut.clear, 1)
        await ctx.tick()
        ctx.set(bench.dut.clear, 0)
        bench.books.owed[1] = False
        await bench.settle(ctx)
        await bench.ring(ctx, 1)
        await bench.settle(ctx)
        assert (bench.books.messages, bench.fetched) == (1, [1, 1])

    bench.run(play)


def test_sync_of_all_is_answered_although_everything_is_cleared_meanwhile():
    bench = Bench(config())

    async def clear(ctx):
        await bench.settle(ctx)
        while not ctx.get(bench.dut.i_sync.valid):
            await ctx.tick()
        await ctx.tick().repeat(4)
        ctx.set(bench.dut.clear, 1)
        await ctx.tick()
        ctx.set(bench.dut.clear, 0)

    async def play(ctx):
        await bench.settle(ctx)
        await ctx.tick()
        await bench.sync(ctx)
        await bench.settle(ctx)
        assert len(bench.answers.taken) == 1

    bench.run(play, clear)


@pytest.mark.parametrize(("seed", "width"), [(0, 64), (1, 128), (2, 256)])
def test_nothing_is_lost_or_doubled_whatever_happens_at_once(seed, width):
    bench = Bench(
        config(data_width=width), seed, pause=(0.0, 0.3, 0.6)[seed], latency=10 + 20 * seed
    )
    rng = bench.rng
    done = []

    async def events(ctx):
        await bench.settle(ctx)
        for _ in range(600):
            vector = rng.choice((rng.randrange(4), rng.randrange(bench.count)))
            await bench.ring(ctx, vector, completion=rng.random() < 0.5)
            await ctx.tick().repeat(rng.choice((1, 1, 10)))
        done.append(1)

    async def software(ctx):
        while not done:
            vector = rng.choice((rng.randrange(4), rng.randrange(bench.count)))
            if rng.random() < 0.2:
                bench.failing[vector] = ReadStatus.TIMEOUT
            else:
                bench.failing.pop(vector, None)
            bench.books.write(vector, rng.choice((0, MASK)))
            await bench.sync(ctx, vector if rng.random() < 0.9 else None)
            await ctx.tick().repeat(rng.randrange(1, 40))

    async def checks(ctx):
        await bench.settle(ctx)
        while not done:
            vector = rng.randrange(bench.count)
            owner = 1000 + vector if vector % 3 else None
            failed = set(bench.failing)
            right = rng.random() < 0.7
            verdict = await bench.check(ctx, vector, owner if right else 7)
            if verdict != right:
                assert right and vector in failed | set(bench.failing)

    async def switch(ctx):
        while not done:
            await ctx.tick().repeat(rng.randrange(20, 400))
            ctx.set(bench.dut.bus_master, rng.random() < 0.7)

    async def end(ctx):
        while not done:
            await ctx.tick()
        await ctx.tick().repeat(1000)
        ctx.set(bench.dut.bus_master, 1)
        bench.failing.clear()
        for vector in range(bench.count):
            bench.books.write(vector, 0)
        await bench.sync(ctx)
        await bench.settle(ctx)
        assert not any(bench.books.owed), [v for v, owed in enumerate(bench.books.owed) if owed]
        assert bench.books.messages > 100

    bench.run(events, software, checks, switch, end)
