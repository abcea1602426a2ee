"""Groups of queues and engines: who gets what and when, and what a drain waits for (DSA §4.1)."""

import pytest

from hw.queues.outlet import PLACES
from hw.regs.commands import Command, CommandError
from hw.regs.descriptor import Opcode

from .queues_bench import CONFIG, QueuesBench
from .work_bench import descriptor


def numbered(number, **options):
    return descriptor(completion_address=0x1000 + 32 * number, **options)


def number_of(word):
    return ((word >> 64 & (1 << 64) - 1) - 0x1000) // 32


def engines_of(bench):
    """For each descriptor that was taken, the number of it and its engine."""
    return {number_of(word): engine for engine, _, word in bench.taken}


def run(scenario, config=CONFIG, **options):
    bench = QueuesBench(config, **options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


@pytest.mark.parametrize("seed", range(2))
def test_engines_serve_the_queues_of_their_group_in_order(seed):
    async def scenario(ctx, bench):
        print(f"seed {seed}")
        bench.work_cycles = 60
        await bench.group_up(ctx, ({0: {}, 2: {}}, [1]), ({1: {}, 3: {}}, [0, 2]))
        submitted = {queue: [] for queue in range(4)}
        for number in range(40):
            queue = bench.rng.randrange(4)
            for _ in range(2000):
                if await bench.submit(ctx, queue, numbered(number)):
                    break
            submitted[queue].append(number)
        await bench.wait_taken(ctx, 40)
        for engine, header, word in bench.taken:
            assert engine in ([1] if header.queue in (0, 2) else [0, 2])
            assert number_of(word) in submitted[header.queue]
        for queue in range(4):
            order = [number_of(word) for _, header, word in bench.taken if header.queue == queue]
            if queue in (0, 2):
                assert order == submitted[queue]
            assert sorted(order) == submitted[queue]
        assert {engine for engine, _, _ in bench.taken} == {0, 1, 2}

    run(scenario, seed=seed, pause=0.2)


def test_idle_engine_is_preferred():
    async def scenario(ctx, bench):
        bench.held = 0b001
        await bench.group_up(ctx, ({0: {}}, [0, 1, 2]))
        for number in range(9):
            assert await bench.submit(ctx, 0, numbered(number))
            await ctx.tick().repeat(60)
        assert [engine for engine, _, _ in bench.taken].count(0) == 1

    run(scenario)


def test_engine_that_takes_nothing_holds_up_nobody_else():
    async def scenario(ctx, bench):
        await bench.group_up(ctx, ({0: {}, 1: {}}, [0, 1]), ({2: {}}, [2]))
        bench.stalled = 0b001
        for number in range(30):
            while not await bench.submit(ctx, number % 3, numbered(number)):
                pass
        await ctx.tick().repeat(400)
        assert len(bench.taken) >= 30 - PLACES
        bench.stalled = 0b101
        for number in range(30, 40):
            while not await bench.submit(ctx, number % 2, numbered(number)):
                pass
        await bench.wait_taken(ctx, 40 - PLACES)
        bench.stalled = 0
        await bench.wait_taken(ctx, 40)

    run(scenario)


@pytest.mark.parametrize("engines", [1, 2, 3])
def test_a_descriptor_is_handed_out_at_least_every_sixteen_clocks(engines):
    async def scenario(ctx, bench):
        bench.work_cycles = 1
        queues = {queue: {"priority": queue + 1} for queue in range(4)}
        await bench.group_up(ctx, (queues, range(engines)))
        await bench.stop(ctx, 0, numbered(0))
        number = 1
        for queue in range(4):
            for _ in range(4):
                await bench.submit(ctx, queue, numbered(number))
                number += 1
        bench.stalled = 0
        await bench.wait_taken(ctx, 18)
        print(bench.times)
        assert (bench.times[17] - bench.times[3]) / 14 <= 16

    run(scenario)


def test_drain_descriptor_waits_until_no_engine_holds_any_of_its_queue():
    async def scenario(ctx, bench):
        bench.held = -1
        await bench.group_up(ctx, ({0: {}, 1: {}}, [0, 1]))
        for number in range(2):
            assert await bench.submit(ctx, 0, numbered(number))
        assert await bench.submit(ctx, 0, numbered(2, opcode=Opcode.DRAIN))
        assert await bench.submit(ctx, 0, numbered(3))
        await bench.wait_taken(ctx, 2)
        assert await bench.submit(ctx, 1, numbered(4))
        await bench.wait_taken(ctx, 3)
        await ctx.tick().repeat(100)
        assert [number_of(word) for _, _, word in bench.taken] == [0, 1, 4]
        assert engines_of(bench)[0] != engines_of(bench)[1]
        # One engine is not enough, and the other queue's descriptor does not matter.
        bench.held = 1 << engines_of(bench)[1]
        await ctx.tick().repeat(200)
        assert len(bench.taken) == 3
        assert await bench.occupancy(ctx, 0) == 2
        bench.held = 0
        await bench.wait_taken(ctx, 5)
        assert [number_of(word) for _, _, word in bench.taken[3:]] == [2, 3]

    run(scenario)


def test_drain_descriptor_of_an_idle_queue_does_not_wait():
    async def scenario(ctx, bench):
        bench.held = -1
        await bench.group_up(ctx, ({0: {}, 1: {}}, [0, 1]))
        assert await bench.submit(ctx, 1, numbered(0))
        assert await bench.submit(ctx, 0, numbered(1, opcode=Opcode.DRAIN))
        await bench.wait_taken(ctx, 2)

    run(scenario)


def test_abort_discards_a_drain_descriptor_that_waits():
    async def scenario(ctx, bench):
        bench.held = -1
        await bench.group_up(ctx, ({0: {}}, [0, 1]))
        assert await bench.submit(ctx, 0, numbered(0))
        assert await bench.submit(ctx, 0, numbered(1, opcode=Opcode.DRAIN))
        assert await bench.submit(ctx, 0, numbered(2))
        await bench.wait_taken(ctx, 1)
        await bench.start(ctx, Command.ABORT_QUEUE, 1)
        await ctx.tick().repeat(100)
        assert await bench.occupancy(ctx, 0) == 0
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.held = 0
        assert await bench.finish(ctx) == (0, 0)
        assert await bench.submit(ctx, 0, numbered(3))
        await bench.wait_taken(ctx, 2)
        assert [number_of(word) for _, _, word in bench.taken] == [0, 3]

    run(scenario)


def test_drain_waits_for_every_engine_and_for_nothing_later():
    async def scenario(ctx, bench):
        bench.held = -1
        await bench.group_up(ctx, ({0: {}}, [0]), ({1: {}}, [1, 2]))
        for number in range(3):
            assert await bench.submit(ctx, min(number, 1), numbered(number))
        await bench.wait_taken(ctx, 3)
        await bench.start(ctx, Command.DRAIN_ALL)
        await ctx.tick().repeat(50)
        for number in range(3, 6):
            assert await bench.submit(ctx, min(number - 3, 1), numbered(number))
        await bench.wait_taken(ctx, 6)
        for number in range(3):
            await ctx.tick().repeat(50)
            assert (await bench.get(ctx, "cmdstatus"))["active"]
            count = len(bench.finished)
            bench.held &= ~(1 << number)
            while len(bench.finished) == count:
                await ctx.tick()
            bench.held = -1
        assert await bench.finish(ctx) == (0, 0)
        assert sorted(bench.finished) == [0, 1, 2]

    run(scenario)


def test_drain_of_a_queue_waits_for_what_engines_held_first():
    async def scenario(ctx, bench):
        bench.stalled = bench.held = -1
        await bench.group_up(ctx, ({0: {}}, [0, 1]))
        for number in range(4):
            assert await bench.submit(ctx, 0, numbered(number))
        await bench.start(ctx, Command.DRAIN_QUEUE, 1)
        await ctx.tick().repeat(50)
        assert await bench.occupancy(ctx, 0) == 0
        # They stand ready for the engines, which have not even seen them.
        bench.held = 0
        await ctx.tick().repeat(100)
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.stalled = 0
        assert await bench.finish(ctx) == (0, 0)
        assert sorted(bench.finished) == [0, 0, 1, 1]

    run(scenario)


@pytest.mark.parametrize(
    "groups, error",
    [
        ([(1, 1), (1, 2)], CommandError.GROUP_QUEUES),
        ([(1, 1), (2, 1)], CommandError.GROUP_ENGINES),
        ([(3, 1), (0, 2)], CommandError.GROUP_INCOMPLETE),
        ([(3, 0), (0, 0)], CommandError.GROUP_INCOMPLETE),
        ([(1, 7), (0, 0)], CommandError.GROUP_QUEUES),
        ([(1, 4), (2, 3)], CommandError.NONE),
        ([(0, 0), (3, 7)], CommandError.NONE),
    ],
)
def test_groups_that_make_no_sense_keep_the_device_disabled(groups, error):
    async def scenario(ctx, bench):
        for queue in range(2):
            await bench.configure_queue(ctx, queue)
        for number, (queues, engines) in enumerate(groups):
            await bench.configure_group(ctx, queues, engines=engines, group=number)
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (error, 0)

    run(scenario)


@pytest.mark.parametrize("seed", range(2))
def test_commands_end_only_when_nothing_of_their_queues_is_left(seed):
    """Random work on three engines; drains, aborts and disables of one queue or both of a group."""

    def left(bench, queues):
        return [queue for inside in bench.inside for queue, _ in inside if queue in queues]

    async def scenario(ctx, bench):
        print(f"seed {seed}")
        rng, number, accepted, discarded = bench.rng, 0, 0, False
        await bench.group_up(ctx, ({0: {}, 1: {"priority": 3}}, [0, 2]), ({2: {}, 3: {}}, [1]))
        for _ in range(14):
            for _ in range(rng.randrange(12)):
                bench.work_cycles = rng.randrange(1, 150)
                bench.stalled = rng.choice((0, 0, 0b001, 0b110))
                drain = {"opcode": Opcode.DRAIN} if rng.random() < 0.2 else {}
                accepted += await bench.submit(ctx, rng.randrange(4), numbered(number, **drain))
                number += 1
            bench.stalled = 0
            queues = rng.choice(((0,), (1,), (0, 1), (2, 3)))
            code = rng.choice((Command.DRAIN_QUEUE, Command.ABORT_QUEUE, Command.DISABLE_QUEUE))
            discarded |= code is Command.ABORT_QUEUE
            operand = sum(1 << queue for queue in queues)
            assert await bench.command(ctx, code, operand) == (0, 0)
            assert left(bench, queues) == []
            for queue in queues:
                assert await bench.occupancy(ctx, queue) == 0
                if code is Command.DISABLE_QUEUE:
                    assert await bench.command(ctx, Command.ENABLE_QUEUE, queue) == (0, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        numbers = [number_of(word) for _, _, word in bench.taken]
        assert len(set(numbers)) == len(numbers) == len(bench.finished)
        assert len(numbers) <= accepted
        assert discarded or len(numbers) == accepted

    run(scenario, seed=seed, pause=0.1)
