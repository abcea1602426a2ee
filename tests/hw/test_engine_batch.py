"""Batches: members fetched from memory, fences, and what becomes of the batch."""

from dataclasses import replace

import pytest

from hw.regs.descriptor import DESCRIPTOR_BYTES, Flag, Opcode, Status

from .engine_bench import CONFIG, RECORD, EngineBench, descriptor

LIST = 0x4_0000
FENCE = Flag.FENCE
BATCH = 100
"""Number of the batch's own record."""


def run(scenario, **options):
    bench = EngineBench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


def no_op(number, *, flags=RECORD, **fields):
    return descriptor(number=number, flags=flags, **fields)


def move(number, size=64, *, flags=RECORD):
    return descriptor(
        Opcode.MEMORY_MOVE,
        number,
        flags=flags,
        source=0x10_0000 + 0x1_0000 * number,
        destination=0x80_0000 + 0x1_0000 * number,
        size_bytes=size,
    )


def wrong(number):
    return no_op(number, size_bytes=1)


def batch(bench, members, *, flags=RECORD, place=LIST, number=BATCH, count=None, **fields):
    """Lay out the members, and return the descriptor of the batch."""
    for index, word in enumerate(members):
        bench.fill(place + DESCRIPTOR_BYTES * index, word.to_bytes(DESCRIPTOR_BYTES, "little"))
    return descriptor(
        Opcode.BATCH,
        number,
        flags=flags,
        source=place,
        size_bytes=len(members) if count is None else count,
        **fields,
    )


def outcome(bench, number=BATCH):
    record = bench.record(number)
    return record["status"], record["bytes_completed"]


def statuses(bench, count):
    return [record and record["status"] for record in map(bench.record, range(count))]


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_members_are_executed_and_then_the_batch_is_done(pause):
    async def scenario(ctx, bench):
        bench.fill(0x12_0000, bytes(range(200)))
        members = [no_op(0), move(1), move(2, 200), no_op(3)] + [no_op(n) for n in range(4, 20)]
        word = batch(bench, members, flags=RECORD | Flag.REQUEST_INTERRUPT, handle=3)
        await bench.submit(ctx, word, queue=2)
        await bench.wait(ctx, 1)
        assert statuses(bench, 20) == [Status.SUCCESS] * 20
        assert outcome(bench) == (Status.SUCCESS, 20)
        assert bench.bytes_at(0x82_0000, 200) == bytes(range(200))
        assert bench.log[-3][1] == 0x1000 + 32 * BATCH
        assert bench.log[-2:] == [("event", 3), ("done", 2)]

    run(scenario, pause=pause)


def test_members_come_at_the_rate_of_descriptors():
    async def scenario(ctx, bench):
        bench.read_cycles = 125
        await bench.submit(ctx, batch(bench, [no_op(n) for n in range(32)]))
        await bench.wait(ctx, 1)
        times = bench.when("write")
        clocks = (times[31] - times[7]) / 24
        print(f"{clocks:.1f} clocks for a member")
        assert clocks <= 24

    run(scenario)


def test_failed_member_fails_the_batch_and_no_other_member():
    async def scenario(ctx, bench):
        await bench.submit(ctx, batch(bench, [no_op(0), wrong(1), no_op(2)]))
        await bench.wait(ctx, 1)
        assert statuses(bench, 3) == [1, Status.RESERVED_NOT_ZERO, 1]
        assert outcome(bench) == (Status.BATCH_FAILED, 3)
        assert bench.of("error") == []

    run(scenario)


def test_member_with_a_fence_waits_until_all_before_it_are_done():
    async def scenario(ctx, bench):
        bench.write_cycles = 100
        members = [no_op(0), move(1), no_op(2, flags=RECORD | FENCE), no_op(3)]
        await bench.submit(ctx, batch(bench, members))
        await bench.wait(ctx, 1)
        times = bench.when("write")
        assert times[3] >= times[2] + 100
        assert times[4] < times[3] + 100
        assert outcome(bench) == (Status.SUCCESS, 4)

    run(scenario)


def test_fence_after_a_failure_abandons_the_rest():
    async def scenario(ctx, bench):
        members = [no_op(0), wrong(1), no_op(2), no_op(3, flags=RECORD | FENCE), no_op(4)]
        await bench.submit(ctx, batch(bench, members))
        await bench.wait(ctx, 1)
        assert statuses(bench, 5) == [1, Status.RESERVED_NOT_ZERO, 1, None, None]
        assert outcome(bench) == (Status.BATCH_FAILED, 3)

    run(scenario)


@pytest.mark.parametrize("place", [0, 3, 15])
def test_member_that_cannot_be_read_ends_the_batch(place):
    async def scenario(ctx, bench):
        bench.broken.add(LIST + DESCRIPTOR_BYTES * place)
        await bench.submit(ctx, batch(bench, [no_op(n) for n in range(16)]))
        await bench.submit(ctx, no_op(40))
        await bench.wait(ctx, 2)
        assert statuses(bench, 16) == [1] * place + [None] * (16 - place)
        assert outcome(bench) == (Status.HARDWARE, place)
        assert bench.record(40)["status"] == 1

    run(scenario)


@pytest.mark.parametrize("opcode", [Opcode.BATCH, Opcode.DRAIN])
def test_member_must_not_be_a_batch_or_a_drain(opcode):
    async def scenario(ctx, bench):
        word = descriptor(opcode, 1)
        await bench.submit(ctx, batch(bench, [no_op(0), word, no_op(2)]))
        await bench.wait(ctx, 1)
        assert statuses(bench, 3) == [1, Status.BAD_OPCODE, 1]
        assert outcome(bench) == (Status.BATCH_FAILED, 3)
        assert bench.of("done") == [0]

    run(scenario)


def test_report_of_a_member_says_which_one_it_was():
    async def scenario(ctx, bench):
        bad = no_op(0, flags=0, size_bytes=1)
        await bench.submit(ctx, batch(bench, [no_op(0), no_op(1), bad], flags=0), queue=3)
        await bench.wait(ctx, 1)
        (error,) = bench.of("error")
        assert (error.code, error.queue) == (Status.RESERVED_NOT_ZERO, 3)
        assert (error.batch, error.batch_index) == (1, 2)

    run(scenario)


def test_descriptors_of_the_queues_take_turns_with_members():
    async def scenario(ctx, bench):
        await bench.submit(ctx, batch(bench, [no_op(n) for n in range(30)]), queue=1)
        for number in range(40, 45):
            await bench.submit(ctx, no_op(number), queue=2)
        await bench.wait(ctx, 6)
        order = [(address - 0x1000) // 32 for address in bench.of("write")]
        assert order.index(44) < order.index(20)
        # They are given back in the order in which they were handed out.
        assert bench.of("done") == [1, 2, 2, 2, 2, 2]

    run(scenario)


def test_second_batch_waits_for_the_first():
    async def scenario(ctx, bench):
        first = batch(bench, [no_op(n) for n in range(6)])
        second = batch(bench, [no_op(n + 10) for n in range(6)], place=0x5_0000, number=101)
        refused = batch(bench, [], place=0x5_0000, number=102)
        for queue, word in enumerate((first, second, refused, first)):
            await bench.submit(ctx, word, queue=queue)
        await bench.wait(ctx, 4)
        assert bench.of("done") == [0, 1, 2, 3]
        assert outcome(bench, 101) == (Status.SUCCESS, 6)
        assert outcome(bench, 102) == (Status.BAD_DESCRIPTOR_COUNT, 0)
        order = [(address - 0x1000) // 32 for address in bench.of("write")]
        assert order == [*range(6), 100, *range(10, 16), 101, 102, *range(6), 100]

    run(scenario)


def test_more_descriptors_beside_a_long_batch_than_can_be_held_do_no_harm():
    async def scenario(ctx, bench):
        members = [move(n % 4, 500) for n in range(32)]
        await bench.submit(ctx, batch(bench, members), queue=1)
        for number in range(40):
            await bench.submit(ctx, no_op(50 + number % 40), queue=2)
        await bench.wait(ctx, 41)
        assert bench.of("done") == [1] + [2] * 40
        assert outcome(bench) == (Status.SUCCESS, 32)

    run(scenario)


@pytest.mark.parametrize("wait", [1, 25, 60, 100, 200, 400])
def test_abandoned_batch_leaves_nothing_and_is_done(wait):
    async def scenario(ctx, bench):
        abandon = bench.dut.abandon
        await bench.submit(ctx, batch(bench, [move(n, 600) for n in range(16)]), queue=1)
        await bench.submit(ctx, no_op(40), queue=2)
        await ctx.tick().repeat(wait)
        ctx.set(abandon.affected, 0b10)
        ctx.set(abandon.valid, 1)
        await ctx.tick().repeat(100)
        before = len(bench.of("write"))
        await bench.wait(ctx, 2)
        assert all(a == 0x1000 + 32 * 40 for a in bench.of("write")[before:])
        assert bench.record(BATCH) is None and bench.record(15) is None
        assert bench.record(40)["status"] == 1
        assert sorted(bench.of("done")) == [1, 2]
        ctx.set(abandon.valid, 0)
        bench.log.clear()
        bench.times.clear()
        await bench.submit(ctx, batch(bench, [no_op(n) for n in range(3)]), queue=1)
        await bench.wait(ctx, 1)
        assert outcome(bench) == (Status.SUCCESS, 3)

    run(scenario)


@pytest.mark.parametrize("data_width", [128, 256])
def test_batches_pass_wider_beats(data_width):
    async def scenario(ctx, bench):
        await bench.submit(ctx, batch(bench, [no_op(0), move(1), no_op(2)]))
        await bench.wait(ctx, 1)
        assert outcome(bench) == (Status.SUCCESS, 3)

    run(scenario, config=replace(CONFIG, data_width=data_width))
