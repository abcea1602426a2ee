"""Staged submission: what becomes of descriptors that come in pieces of eight bytes."""

import random
from dataclasses import replace

import pytest

from hw.regs.commands import Command, SoftwareError

from .queues_bench import CONFIG, QueuesBench
from .work_bench import descriptor

DEDICATED = {"size": 4, "dedicated": 1, "pasid": 5}
PLACES = range(8)


def numbered(number):
    fill = random.Random(number).getrandbits(512) & ~((1 << 128) - 1)
    return descriptor(completion_address=0x1000 + 32 * number) | fill


def run(scenario, config=CONFIG, **options):
    bench = QueuesBench(config, **options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


async def turn(ctx, bench, on):
    await bench.write(ctx, bench.offset("ext_control"), int(on), 4)


async def piece(ctx, bench, word, place, *, queue=0, portal=0):
    """Write eight bytes to a portal."""
    header = {"queue": queue, "portal": portal, "piece": 1, "place": place}
    data = word >> 64 * place & (1 << 64) - 1
    data |= bench.rng.getrandbits(bench.config.data_width) << 64
    payload = {"header": header, "data": data & (1 << bench.config.data_width) - 1}
    await bench.offer(ctx, bench.dut.i_submission, payload | {"first": 1, "last": 1})
    return await bench.take(ctx, bench.dut.o_verdict)


async def stage(ctx, bench, word, places=PLACES, **options):
    for place in places:
        await piece(ctx, bench, word, place, **options)


def words(bench):
    return [word for _, _, word in bench.taken]


async def settle(ctx):
    await ctx.tick().repeat(100)


def test_extension_is_off_at_reset():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await stage(ctx, bench, numbered(1))
        await settle(ctx)
        assert bench.taken == []

    run(scenario)


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_eight_pieces_are_a_descriptor(data_width):
    config = replace(CONFIG, data_width=data_width)

    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED, DEDICATED)
        await turn(ctx, bench, True)
        expected = []
        for number in range(8):
            queue, portal = divmod(number, 4)
            order = bench.rng.sample(range(7), 7)
            await stage(ctx, bench, numbered(number), [*order, 7], queue=queue, portal=portal)
            expected.append((queue, portal >> 1, numbered(number)))
        await bench.wait_taken(ctx, 8)
        taken = [(header.queue, header.ims, word) for _, header, word in bench.taken]
        assert taken == expected
        assert {header.tenant.pasid for _, header, _ in bench.taken} == {5}

    run(scenario, config, pause=0.3)


def test_portals_do_not_share_their_buffers():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED, DEDICATED)
        await turn(ctx, bench, True)
        places = [(queue, portal) for queue in range(2) for portal in range(4)]
        for place in PLACES:
            for number, (queue, portal) in enumerate(places):
                await piece(ctx, bench, numbered(number), place, queue=queue, portal=portal)
        await bench.wait_taken(ctx, 8)
        assert sorted(words(bench)) == sorted(numbered(number) for number in range(8))

    run(scenario)


def test_piece_written_twice_has_its_later_value():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await turn(ctx, bench, True)
        await stage(ctx, bench, numbered(1), range(7))
        await stage(ctx, bench, numbered(2))
        await bench.wait_taken(ctx, 1)
        assert words(bench) == [numbered(2)]

    run(scenario)


@pytest.mark.parametrize("missing", range(7))
def test_missing_piece_submits_nothing_and_empties_the_buffer(missing):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await turn(ctx, bench, True)
        await stage(ctx, bench, numbered(1), [place for place in PLACES if place != missing])
        await stage(ctx, bench, numbered(2), [missing, 7])
        await settle(ctx)
        assert bench.taken == []
        await stage(ctx, bench, numbered(3))
        await stage(ctx, bench, numbered(4), [7])
        await settle(ctx)
        assert words(bench) == [numbered(3)]

    run(scenario)


def test_whole_descriptor_leaves_the_buffer_alone():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await turn(ctx, bench, True)
        await stage(ctx, bench, numbered(1), range(4))
        assert await bench.submit(ctx, 0, numbered(2), deferrable=0) == 1
        await stage(ctx, bench, numbered(1), range(4, 8))
        await bench.wait_taken(ctx, 2)
        assert words(bench) == [numbered(2), numbered(1)]

    run(scenario)


def test_order_is_that_of_the_writes_that_submit():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED | {"size": 16})
        await turn(ctx, bench, True)
        for portal in range(4):
            await stage(ctx, bench, numbered(portal), range(7), portal=portal)
        expected = []
        for number in (2, 0, 10, 3, 11, 1, 12):
            if number < 4:
                await piece(ctx, bench, numbered(number), 7, portal=number)
            else:
                assert await bench.submit(ctx, 0, numbered(number), deferrable=0) == 1
            expected.append(numbered(number))
        await bench.wait_taken(ctx, len(expected))
        assert words(bench) == expected

    run(scenario)


def test_shared_queue_takes_no_pieces():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 4})
        await turn(ctx, bench, True)
        await stage(ctx, bench, numbered(1))
        await settle(ctx)
        assert bench.taken == []
        assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario)


def test_full_queue_drops_and_reports_as_ever():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await turn(ctx, bench, True)
        await bench.stop(ctx, 0, numbered(0), deferrable=0)
        for number in range(4):
            await stage(ctx, bench, numbered(number))
        assert not (await bench.get(ctx, "swerror"))["valid"]
        await stage(ctx, bench, numbered(4))
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["overflow"]) == (1, 0)
        assert error["code"] == SoftwareError.QUEUE_FULL
        await stage(ctx, bench, numbered(5), [7])
        assert not (await bench.get(ctx, "swerror"))["overflow"]
        assert await bench.occupancy(ctx, 0) == 4

    run(scenario)


async def disable_and_enable(ctx, bench):
    assert await bench.command(ctx, Command.DISABLE_QUEUE, 1) == (0, 0)
    assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)


async def reset_and_enable(ctx, bench):
    assert await bench.command(ctx, Command.RESET_QUEUE, 1) == (0, 0)
    await bench.configure_queue(ctx, 0, **DEDICATED)
    assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)


async def restart(ctx, bench):
    assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
    assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
    for queue in range(2):
        assert await bench.command(ctx, Command.ENABLE_QUEUE, queue) == (0, 0)


async def turn_off_and_on(ctx, bench):
    await turn(ctx, bench, False)
    await turn(ctx, bench, True)


async def turn_on_again(ctx, bench):
    await turn(ctx, bench, True)


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (disable_and_enable, {1}),
        (reset_and_enable, {1}),
        (restart, set()),
        (turn_off_and_on, set()),
        (turn_on_again, {0, 1}),
    ],
)
def test_what_empties_the_buffers(event, kept):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED, DEDICATED)
        await turn(ctx, bench, True)
        for queue in range(2):
            await stage(ctx, bench, numbered(queue), range(7), queue=queue)
        await event(ctx, bench)
        for queue in range(2):
            await stage(ctx, bench, numbered(queue), [7], queue=queue)
        await settle(ctx)
        assert {header.queue for _, header, _ in bench.taken} == kept

    run(scenario)


def test_pieces_for_a_disabled_queue_are_forgotten():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, DEDICATED)
        await turn(ctx, bench, True)
        assert await bench.command(ctx, Command.DISABLE_QUEUE, 1) == (0, 0)
        await stage(ctx, bench, numbered(1), range(7))
        assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)
        await stage(ctx, bench, numbered(1), [7])
        await settle(ctx)
        assert bench.taken == []

    run(scenario)
