"""Occupancy interrupts: when a queue tells of room, and when not (DSA §9.2.24)."""

import pytest

from hw.queues.occupancy import OccupancyInterrupts
from hw.regs.bar0 import QUEUE_CONFIG
from hw.regs.commands import Command

from .queues_bench import CONFIG, QueuesBench
from .streams import simulate
from .work_bench import descriptor

WORD = descriptor(pasid=3)
LAYOUT = {item.name: item for item in QUEUE_CONFIG}
GENERATED = LAYOUT["status"].pack(occupancy_interrupt=1)


def run(scenario, config=CONFIG, **options):
    bench = QueuesBench(config, **options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


async def configure(ctx, bench, queue, handle, *, ims=1):
    word = LAYOUT["occupancy_handle"].pack(handle=handle, ims=ims)
    await bench.write(ctx, bench.queue_offset(queue, "occupancy_handle"), word, 4)


async def ask(ctx, bench, queue, limit, *, enable=1):
    word = LAYOUT["occupancy_limit"].pack(limit=limit, enable=enable)
    await bench.write(ctx, bench.queue_offset(queue, "occupancy_limit"), word, 4)


async def acknowledge(ctx, bench, queue):
    await bench.write(ctx, bench.queue_offset(queue, "status"), GENERATED, 4)


async def generated(ctx, bench, queue):
    return (await bench.queue(ctx, queue, "status"))["occupancy_interrupt"]


async def settle(ctx):
    await ctx.tick().repeat(4 * CONFIG.queues + 20)


async def full(ctx, bench, queue, count):
    """Let a queue hold so many descriptors."""
    await bench.stop(ctx, queue, WORD)
    for _ in range(count):
        assert await bench.submit(ctx, queue, WORD) == 1


async def let_go(ctx, bench, count):
    """Let the engine take so many descriptors."""
    bench.extra = count
    await bench.wait_taken(ctx, len(bench.taken) + count)
    await settle(ctx)


@pytest.mark.parametrize("ims, handle", [(1, 200), (0, 3)])
def test_queue_that_falls_to_its_limit_rings_once(ims, handle):
    async def scenario(ctx, bench):
        await configure(ctx, bench, 2, handle, ims=ims)
        await bench.bring_up(ctx, None, None, {"size": 8})
        await full(ctx, bench, 2, 5)
        await ask(ctx, bench, 2, 2)
        await settle(ctx)
        assert bench.events() == [] and not await generated(ctx, bench, 2)
        while await bench.occupancy(ctx, 2) > 3:
            await let_go(ctx, bench, 1)
        assert bench.events() == []
        await let_go(ctx, bench, 1)
        assert await bench.occupancy(ctx, 2) == 2
        assert bench.events() == [(ims, handle)]
        assert await generated(ctx, bench, 2)
        await let_go(ctx, bench, 2)
        assert await bench.submit(ctx, 2, WORD) == 1
        await let_go(ctx, bench, 1)
        assert len(bench.events()) == 1

    run(scenario)


def test_queue_at_its_limit_rings_as_soon_as_software_asks():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 1, 7)
        await bench.bring_up(ctx, {"size": 4}, {"size": 4})
        await full(ctx, bench, 1, 3)
        await ask(ctx, bench, 1, 3)
        await settle(ctx)
        assert bench.events() == [(1, 7)]

    run(scenario)


def test_acknowledged_queue_rings_again_while_it_is_at_its_limit():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await bench.bring_up(ctx, {"size": 4})
        await ask(ctx, bench, 0, 1)
        await settle(ctx)
        for count in range(1, 4):
            assert len(bench.events()) == count
            await acknowledge(ctx, bench, 0)
            await settle(ctx)
        await ask(ctx, bench, 0, 0, enable=0)
        await acknowledge(ctx, bench, 0)
        await settle(ctx)
        assert len(bench.events()) == 4
        assert not await generated(ctx, bench, 0)

    run(scenario)


def test_acknowledged_queue_rings_when_it_falls_again():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await bench.bring_up(ctx, {"size": 4})
        await ask(ctx, bench, 0, 1)
        await full(ctx, bench, 0, 2)
        await acknowledge(ctx, bench, 0)
        await settle(ctx)
        assert len(bench.events()) == 1
        await let_go(ctx, bench, 1)
        assert len(bench.events()) == 2

    run(scenario)


@pytest.mark.parametrize(
    "place, word, size",
    [
        ("status", 0, 4),
        ("status", GENERATED ^ 0xFFFFFFFF, 4),
        ("occupancy_limit", 1 << 16 | 4, 4),
        ("threshold", 0xFFFF_FFFF, 4),
    ],
)
def test_nothing_but_writing_one_acknowledges(place, word, size):
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await bench.bring_up(ctx, {"size": 4}, {"size": 4})
        await ask(ctx, bench, 0, 4)
        await settle(ctx)
        await bench.write(ctx, bench.queue_offset(0, place), word, size)
        await acknowledge(ctx, bench, 1)
        # The bytes beside that of the bit.
        for byte in (0, 1, 3):
            await bench.write(ctx, bench.queue_offset(0, "status") + byte, 0xFF, 1)
        await settle(ctx)
        assert await generated(ctx, bench, 0)
        assert len(bench.events()) == 1

    run(scenario)


def test_fall_to_the_limit_is_noticed_however_short():
    dut = OccupancyInterrupts(CONFIG)

    async def bench(ctx):
        entry = {"enable": 1, "limit": 2, "handle": 9, "ims": 1}
        ctx.set(dut.enabled, 0b10)
        ctx.set(dut.left_entry, entry)
        ctx.set(dut.left_queue, 1)
        for count, rung in ((5, 0), (4, 0), (3, 0b10)):
            ctx.set(dut.occupancy[1], count)
            ctx.set(dut.left, 1)
            await ctx.tick()
            ctx.set(dut.left, 0)
            ctx.set(dut.occupancy[1], 3)
            await ctx.tick()
            assert ctx.get(dut.generated) == rung
        ctx.set(dut.entry, entry)
        ctx.set(dut.scanned, 1)
        await ctx.tick().repeat(2 * CONFIG.queues)
        event = ctx.get(dut.o_event.payload)
        assert (event.index, ctx.get(dut.o_event.valid)) == (9, 1)

    simulate(dut, bench)


def test_disabled_queue_does_not_ring():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await ask(ctx, bench, 0, 4)
        await settle(ctx)
        assert bench.events() == [] and not await generated(ctx, bench, 0)

    run(scenario)


def test_every_queue_rings_with_its_own_handle():
    async def scenario(ctx, bench):
        for queue in range(CONFIG.queues):
            await configure(ctx, bench, queue, 10 + queue)
        await bench.bring_up(ctx, *[{"size": 2}] * CONFIG.queues)
        bench.bells_held = True
        await settle(ctx)
        for queue in range(CONFIG.queues):
            await ask(ctx, bench, queue, 2)
        await settle(ctx)
        bench.bells_held = False
        await settle(ctx)
        assert sorted(bench.events()) == [(1, 10 + queue) for queue in range(CONFIG.queues)]

    run(scenario)


def test_vector_0_says_why_it_rang():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 2})
        await ask(ctx, bench, 0, 2)
        await settle(ctx)
        assert bench.log == [("own",)]
        assert (await bench.get(ctx, "intcause"))["occupancy"]

    run(scenario)


def test_interrupt_asked_for_while_disabled_comes_when_the_queue_is_enabled():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await ask(ctx, bench, 0, 2)
        await bench.bring_up(ctx, {"size": 2})
        await settle(ctx)
        assert bench.events() == [(1, 9)]

    run(scenario)


def test_drain_waits_for_the_interrupt_to_be_taken():
    async def scenario(ctx, bench):
        await configure(ctx, bench, 0, 9)
        await bench.bring_up(ctx, {"size": 2})
        bench.bells_held = True
        await ask(ctx, bench, 0, 2)
        await ask(ctx, bench, 0, 2, enable=0)
        await acknowledge(ctx, bench, 0)
        await ask(ctx, bench, 0, 2)
        await settle(ctx)
        await bench.start(ctx, Command.DISABLE_QUEUE, 1)
        await ctx.tick().repeat(200)
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.bells_held = False
        assert await bench.finish(ctx) == (0, 0)

    run(scenario)


def test_reset_of_the_queue_clears_the_bit():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 2}, {"size": 2})
        for queue in range(2):
            await ask(ctx, bench, queue, 2)
        await settle(ctx)
        assert await bench.command(ctx, Command.RESET_QUEUE, 1) == (0, 0)
        assert [await generated(ctx, bench, queue) for queue in range(2)] == [0, 1]
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert [await generated(ctx, bench, queue) for queue in range(2)] == [0, 0]

    run(scenario)
