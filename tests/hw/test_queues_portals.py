"""What becomes of a 64-byte write to a portal, rule by rule (DSA §5.3, §9.3)."""

import pytest

from hw.queues.outlet import PLACES
from hw.regs.bar2 import Portal
from hw.regs.commands import Command, SoftwareError
from hw.regs.descriptor import DESCRIPTOR

from .queues_bench import CONFIG, QueuesBench
from .work_bench import descriptor

SHARED = {"size": 4, "threshold": 2}
DEDICATED = {"size": 4, "dedicated": 1, "pasid": 5}
WORD = descriptor(pasid=3)


async def fill(ctx, bench, queue, count, *, deferrable):
    """Stop dispatch, then submit."""
    await bench.stop(ctx, queue, WORD, deferrable=deferrable)
    for _ in range(count):
        assert await bench.submit(ctx, queue, WORD, deferrable=deferrable) == 1


def place(engine, header, word):
    """Completion record address and PASID of a descriptor that an engine took."""
    return DESCRIPTOR.unpack(word)["completion_address"], header.tenant.pasid


async def no_error(ctx, bench):
    return not (await bench.get(ctx, "swerror"))["valid"]


@pytest.mark.parametrize("portal", range(4))
def test_deferrable_write_to_shared_queue_is_accepted(portal):
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        await fill(ctx, bench, 0, 0, deferrable=1)
        assert await bench.submit(ctx, 0, WORD, portal=portal) == 1
        assert await bench.occupancy(ctx, 0) == 1

    bench.run(scenario)


@pytest.mark.parametrize("portal", range(4))
def test_posted_write_to_dedicated_queue_is_accepted(portal):
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, DEDICATED)
        await fill(ctx, bench, 0, 0, deferrable=0)
        assert await bench.submit(ctx, 0, WORD, portal=portal, deferrable=0) == 1
        assert await bench.occupancy(ctx, 0) == 1

    bench.run(scenario)


def test_posted_write_to_shared_queue_is_ignored():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        await fill(ctx, bench, 0, 0, deferrable=1)
        assert await bench.submit(ctx, 0, WORD, deferrable=0) == 0
        assert await bench.occupancy(ctx, 0) == 0
        assert await no_error(ctx, bench)

    bench.run(scenario)


def test_deferrable_write_to_dedicated_queue_is_retried():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, DEDICATED)
        await fill(ctx, bench, 0, 0, deferrable=0)
        assert await bench.submit(ctx, 0, WORD, deferrable=1) == 0
        assert await bench.occupancy(ctx, 0) == 0
        assert await no_error(ctx, bench)

    bench.run(scenario)


@pytest.mark.parametrize("deferrable", [0, 1])
@pytest.mark.parametrize("options", [SHARED, DEDICATED], ids=["shared", "dedicated"])
def test_disabled_queue_accepts_nothing(options, deferrable):
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, options)
        assert await bench.command(ctx, Command.DISABLE_QUEUE, 1) == (0, 0)
        assert await bench.submit(ctx, 0, WORD, deferrable=deferrable) == 0
        assert await bench.occupancy(ctx, 0) == 0
        assert await no_error(ctx, bench)

    bench.run(scenario)


def test_write_to_queue_that_does_not_exist_is_refused():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        assert await bench.submit(ctx, CONFIG.queues, WORD) == 0
        assert await bench.submit(ctx, 63, WORD) == 0
        assert await bench.occupancy(ctx, 0) == 0

    bench.run(scenario)


def test_unlimited_portal_accepts_up_to_the_size():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        await fill(ctx, bench, 0, 4, deferrable=1)
        assert await bench.submit(ctx, 0, WORD) == 0
        assert await bench.occupancy(ctx, 0) == 4
        assert await no_error(ctx, bench)

    bench.run(scenario)


@pytest.mark.parametrize("portal", [Portal.LIMITED, Portal.LIMITED | Portal.IMS])
def test_limited_portal_accepts_up_to_the_threshold(portal):
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        await fill(ctx, bench, 0, 2, deferrable=1)
        assert await bench.submit(ctx, 0, WORD, portal=portal) == 0
        assert await bench.submit(ctx, 0, WORD, portal=0) == 1
        assert await bench.occupancy(ctx, 0) == 3

    bench.run(scenario)


def test_threshold_beyond_the_size_counts_as_the_size():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {"size": 3, "threshold": 0xFFFF})
        await fill(ctx, bench, 0, 3, deferrable=1)
        assert await bench.submit(ctx, 0, WORD, portal=Portal.LIMITED) == 0

    bench.run(scenario)


def test_threshold_of_zero_closes_limited_portals_only():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {"size": 3, "threshold": 0})
        assert await bench.submit(ctx, 0, WORD, portal=Portal.LIMITED) == 0
        assert await bench.submit(ctx, 0, WORD) == 1

    bench.run(scenario)


def test_threshold_does_not_concern_dedicated_queues():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, DEDICATED | {"threshold": 0})
        assert await bench.submit(ctx, 0, WORD, portal=Portal.LIMITED, deferrable=0) == 1

    bench.run(scenario)


def test_threshold_changes_while_the_queue_is_enabled():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {"size": 4, "threshold": 1})
        await fill(ctx, bench, 0, 1, deferrable=1)
        assert await bench.submit(ctx, 0, WORD, portal=Portal.LIMITED) == 0
        await bench.write(ctx, bench.queue_offset(0, "threshold"), 2, 4)
        assert await bench.submit(ctx, 0, WORD, portal=Portal.LIMITED) == 1

    bench.run(scenario)


def test_full_dedicated_queue_drops_and_reports():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, None, DEDICATED)
        await fill(ctx, bench, 1, 4, deferrable=0)
        assert await no_error(ctx, bench)
        assert await bench.submit(ctx, 1, WORD, deferrable=0) == 0
        assert await bench.occupancy(ctx, 1) == 4
        error = await bench.get(ctx, "swerror")
        assert error["valid"] and not error["overflow"]
        assert error["code"] == SoftwareError.QUEUE_FULL
        assert (error["queue_valid"], error["queue"]) == (1, 1)
        # A deferrable write is retried before room matters.
        assert await bench.submit(ctx, 1, WORD, deferrable=1) == 0
        assert not (await bench.get(ctx, "swerror"))["overflow"]

    bench.run(scenario)


def test_refused_submissions_leave_no_trace():
    bench = QueuesBench()

    async def scenario(ctx):
        await bench.bring_up(ctx, {"size": 3})
        await fill(ctx, bench, 0, 0, deferrable=1)
        for number in range(3):
            word = descriptor(pasid=number, completion_address=0x1000 + 64 * number)
            assert await bench.submit(ctx, 0, word) == 1
        for number in range(8):
            word = descriptor(pasid=99, completion_address=0x9000 + 64 * number)
            assert await bench.submit(ctx, 0, word) == 0
        bench.stalled = 0
        await bench.wait_taken(ctx, PLACES + 3)
        await ctx.tick().repeat(200)
        seen = [place(*taken) for taken in bench.taken[PLACES:]]
        assert seen == [(0x1000, 0), (0x1040, 1), (0x1080, 2)]

    bench.run(scenario)


def test_slots_of_every_queue_go_round_without_touching_others():
    bench = QueuesBench(seed=3)
    rng = bench.rng

    async def scenario(ctx):
        sizes = (3, 1, 7, 5)
        await bench.bring_up(ctx, *({"size": size} for size in sizes))
        expected, address = [], 0x1000
        for _ in range(8):
            bench.stalled = -1
            for queue, size in enumerate(sizes):
                for _ in range(rng.randrange(size + 1)):
                    pasid = rng.randrange(1 << 20)
                    word = descriptor(pasid=pasid, completion_address=address)
                    assert await bench.submit(ctx, queue, word) == 1
                    expected.append((address, pasid))
                    address += 32
            bench.stalled = 0
            assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        seen = [place(*taken) for taken in bench.taken]
        assert sorted(seen) == expected

    bench.run(scenario)
