"""Queue and group configuration: what can be written when, and what is read back (DSA §9.2.24)."""

import random

from hw.queues.table import DEFINED_OPERATIONS
from hw.regs.bar0 import GROUP_CONFIG, QUEUE_CONFIG
from hw.regs.commands import Command
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED
from hw.regs.schema import Access

from .queues_bench import CONFIG, QueuesBench

ONES = (1 << 64) - 1
LAYOUT = {item.name: item for item in QUEUE_CONFIG}


def run(scenario, **options):
    bench = QueuesBench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


async def words(ctx, bench, queue):
    base = bench.space.table("wqcfg").entry(queue)
    return [await bench.read(ctx, base + 8 * word) for word in range(8)]


async def write_everywhere(ctx, bench, queue, value):
    base = bench.space.table("wqcfg").entry(queue)
    for word in range(8):
        await bench.write(ctx, base + 8 * word, value)


def expected_words(values):
    """The words of an entry with these values of its registers."""
    entry = 0
    for name, value in values.items():
        entry |= value << 8 * LAYOUT[name].offset
    return [entry >> 64 * word & ONES for word in range(8)]


WRITABLE = {name: item.mask(Access.RW) for name, item in LAYOUT.items()}
ALL_SET = WRITABLE | {"operations": DEFINED_OPERATIONS, "status": 1 << 29}


def test_initial_values():
    async def scenario(ctx, bench):
        for queue in range(CONFIG.queues):
            values = {"operations": OPERATIONS_IMPLEMENTED, "status": 1 << 29}
            assert await words(ctx, bench, queue) == expected_words(values)

    run(scenario)


def test_every_writable_bit_reads_back_and_no_other():
    async def scenario(ctx, bench):
        for queue in range(CONFIG.queues):
            await write_everywhere(ctx, bench, queue, ONES)
            assert await words(ctx, bench, queue) == expected_words(ALL_SET)
        await write_everywhere(ctx, bench, 2, 0)
        assert await words(ctx, bench, 1) == expected_words(ALL_SET)

    run(scenario)


def test_occupancy_limit_is_locked_while_its_interrupt_is_enabled():
    async def scenario(ctx, bench):
        place = bench.queue_offset(0, "occupancy_limit")
        await bench.write(ctx, place, 1 << 16 | 0x1234, 4)
        await bench.write(ctx, place, 1 << 16 | 0x5678, 4)
        assert await bench.read(ctx, place, 4) == 1 << 16 | 0x1234
        await bench.write(ctx, place, 0x9999, 4)
        assert await bench.read(ctx, place, 4) == 0x1234
        await bench.write(ctx, place, 0x9999, 4)
        assert await bench.read(ctx, place, 4) == 0x9999

    run(scenario)


def test_accesses_of_every_size_and_place():
    async def scenario(ctx, bench):
        rng = bench.rng
        base = bench.space.table("wqcfg").entry(1)
        entry = sum(word << 64 * k for k, word in enumerate(await words(ctx, bench, 1)))
        mask = sum(word << 64 * k for k, word in enumerate(expected_words(ALL_SET)))
        mask &= ~(LAYOUT["status"].mask() << 8 * LAYOUT["status"].offset)
        mask &= ~(LAYOUT["occupancy_limit"].mask() << 8 * LAYOUT["occupancy_limit"].offset)
        for _ in range(150):
            size = rng.choice((1, 2, 4, 8))
            place = rng.randrange(64 // size) * size
            if place // 8 == 2:
                continue
            value = rng.getrandbits(8 * size)
            await bench.write(ctx, base + place, value, size)
            lanes = ((1 << 8 * size) - 1) << 8 * place & mask
            entry = entry & ~lanes | value << 8 * place & lanes
            size = rng.choice((1, 2, 4, 8))
            place = rng.randrange(64 // size) * size
            shown = entry >> 8 * place & ((1 << 8 * size) - 1)
            assert await bench.read(ctx, base + place, size) == shown, (place, size)

    run(scenario, seed=2)


def test_sizes_and_groups_are_locked_while_the_device_is_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 3})
        group = bench.space.table("grpcfg").offset
        before = [await bench.read(ctx, group + offset) for offset in range(0, 64, 8)]
        for queue in (0, 1):
            await bench.write(ctx, bench.queue_offset(queue, "size"), 5, 4)
        for offset in range(0, 64, 8):
            await bench.write(ctx, group + offset, ONES)
        assert (await bench.queue(ctx, 0, "size"))["size"] == 3
        assert (await bench.queue(ctx, 1, "size"))["size"] == 0
        assert [await bench.read(ctx, group + offset) for offset in range(0, 64, 8)] == before
        assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
        await bench.write(ctx, bench.queue_offset(0, "size"), 5, 4)
        assert (await bench.queue(ctx, 0, "size"))["size"] == 5

    run(scenario)


def test_enabled_queue_is_locked_but_for_threshold_and_occupancy_interrupt():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 3, "threshold": 1})
        before = await words(ctx, bench, 0)
        await write_everywhere(ctx, bench, 0, ONES)
        after = await words(ctx, bench, 0)
        assert after[0] == 0xFFFF << 32 | 3
        assert after[1] == before[1]
        assert after[2] == 0x1FFFF << 32
        # An empty queue is at its limit, so its interrupt is generated.
        assert after[3] == before[3] | LAYOUT["status"]["occupancy_interrupt"].mask
        assert after[4:] == before[4:]
        # A disabled queue of the enabled device is not locked but for its size.
        await write_everywhere(ctx, bench, 1, ONES)
        assert await words(ctx, bench, 1) == expected_words(ALL_SET | {"size": 0})

    run(scenario)


def test_rewriting_all_that_was_read_is_harmless():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {"size": 3}, {"size": 2, "dedicated": 1, "pasid": 9})
        tables = bench.space.table("grpcfg").offset, bench.space.table("wqcfg").end
        before = [await bench.read(ctx, place) for place in range(*tables, 8)]
        for place in range(*tables, 4):
            await bench.write(ctx, place, await bench.read(ctx, place, 4), 4)
        assert [await bench.read(ctx, place) for place in range(*tables, 8)] == before

    run(scenario)


def test_groups_read_back_what_they_have():
    async def scenario(ctx, bench):
        table = bench.space.table("grpcfg")
        flags = GROUP_CONFIG[2].mask()
        queues, engines = (1 << CONFIG.queues) - 1, (1 << CONFIG.engines) - 1
        for number in range(CONFIG.groups):
            group = table.entry(number)
            for offset in range(0, 64, 8):
                await bench.write(ctx, group + offset, ONES)
            read = [await bench.read(ctx, group + offset) for offset in range(0, 64, 8)]
            assert read == [queues, 0, 0, 0, engines, flags, 0, 0]
            await bench.write(ctx, group + 44, 0, 4)
            assert await bench.read(ctx, group + 40) == flags & 0xFFFFFFFF
            await bench.write(ctx, group + 32, 0)
            assert await bench.read(ctx, group) == queues
        for number in range(CONFIG.groups):
            assert await bench.read(ctx, table.entry(number) + 40) == flags & 0xFFFFFFFF
        assert await bench.read(ctx, table.end) == 0

    run(scenario)


def test_writes_during_a_reset_of_queues_lose_to_it_or_come_after_it():
    async def scenario(ctx, bench):
        for queue in range(CONFIG.queues):
            await bench.configure_queue(ctx, queue, size=1, priority=7)
        rng = random.Random(4)
        for _ in range(20):
            await bench.start(ctx, Command.RESET_QUEUE, 0xF)
            await ctx.tick().repeat(rng.randrange(1, 20))
            await bench.write(ctx, bench.queue_offset(1, "mode"), 0xFFFFFFFF, 4)
            assert await bench.finish(ctx) == (0, 0)
            mode = await bench.read(ctx, bench.queue_offset(1, "mode"), 4)
            assert mode in (0, WRITABLE["mode"])
            assert (await bench.queue(ctx, 1, "size"))["size"] == 1
            assert not any((await bench.queue(ctx, 0, "mode")).values())

    run(scenario)
