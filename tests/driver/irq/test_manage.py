"""Requesting, freeing, disabling: who may, and what an interrupt then does."""

import asyncio
import errno

import pytest

from driver.irq import (
    IrqError,
    IrqReturn,
    VcpuData,
    disable_irq,
    enable_irq,
    free_irq,
    irq_set_affinity,
    irq_set_vcpu_affinity,
    pci_ims_free_irq,
    pci_irq_vector,
    request_irq,
    request_threaded_irq,
    synchronize_irq,
)
from driver.irq.domain import irq_chip_compose_msi_msg

from .rig import Calls, Rig, run


async def one(rig: Rig, *calls, **more) -> tuple[int, int]:
    """An interrupt with these handlers; its index and number."""
    place = await rig.ims()
    for each in calls:
        await request_irq(
            rig.system, place.virq, each, name="test", dev_id=each, shared=len(calls) > 1
        )
    return place.index, place.virq


def refused(work, code: int, sentence: str):
    with pytest.raises(IrqError, match=sentence) as caught:
        run(work)
    assert caught.value.errno == code


def test_number_that_is_not_allocated_gives_einval():
    rig = Rig()
    refused(request_irq(rig.system, 9, Calls(), name="x"), errno.EINVAL, "9 is not allocated")
    refused(free_irq(rig.system, 9), errno.EINVAL, "9 is not allocated")


def test_sharing_without_a_dev_id_gives_einval():
    async def play():
        rig = Rig()
        _, irq = await one(rig)
        await request_irq(rig.system, irq, Calls(), name="test", shared=True)

    refused(play(), errno.EINVAL, "has to give a dev_id")


def test_neither_handler_nor_thread_gives_einval():
    async def play():
        rig = Rig()
        _, irq = await one(rig)
        await request_threaded_irq(rig.system, irq, None, None, name="test")

    refused(play(), errno.EINVAL, "needs a handler or a thread")


@pytest.mark.parametrize("shared", [True, False])
def test_interrupt_of_somebody_who_does_not_share_gives_ebusy(shared):
    async def play():
        rig = Rig()
        _, irq = await one(rig, Calls())
        await request_irq(rig.system, irq, Calls(), name="b", dev_id=rig, shared=shared)

    refused(play(), errno.EBUSY, "is test's; both would have to share it")


def test_shared_interrupt_calls_all_and_ends_with_the_last():
    async def play():
        rig, first, second = Rig(), Calls(IrqReturn.NONE), Calls()
        index, irq = await one(rig, first, second)
        assert rig.table.ring(index) and (first.count, second.count) == (1, 1)
        await free_irq(rig.system, irq, first)
        assert rig.table.ring(index) and (first.count, second.count) == (1, 2)
        with pytest.raises(IrqError, match="has no handler of this dev_id") as caught:
            await free_irq(rig.system, irq, first)
        assert caught.value.errno == errno.EINVAL
        assert "mask" not in rig.table.log
        await free_irq(rig.system, irq, second)
        assert rig.table.log[-2:] == ["mask", "blank"]

    run(play())


def test_free_that_the_device_does_not_allow_frees_nothing():
    async def play():
        rig, calls = Rig(), Calls()
        _index, irq = await one(rig, calls)
        before = rig.counts()
        rig.table.refuse["mask"] = RuntimeError("no")
        with pytest.raises(RuntimeError):
            await free_irq(rig.system, irq, calls)
        assert rig.counts() == before
        rig.table.refuse.clear()
        await free_irq(rig.system, irq, calls)
        assert rig.counts()["present"] == 0

    run(play())


def test_disabled_interrupt_masks_its_device_and_comes_back_with_the_event():
    async def play():
        rig, calls = Rig(), Calls()
        index, irq = await one(rig, calls)
        await disable_irq(rig.system, irq)
        assert rig.table.log[-1] == "mask" and not rig.table.ring(index) and calls.count == 0
        await enable_irq(rig.system, irq)
        assert calls.count == 1

    run(play())


def test_disable_is_counted():
    async def play():
        rig, calls = Rig(), Calls()
        index, irq = await one(rig, calls)
        await disable_irq(rig.system, irq)
        await disable_irq(rig.system, irq)
        await enable_irq(rig.system, irq)
        assert not rig.table.ring(index)
        await enable_irq(rig.system, irq)
        assert calls.count == 1
        with pytest.raises(IrqError, match="more often than disabled") as caught:
            await enable_irq(rig.system, irq)
        assert caught.value.errno == errno.EINVAL

    run(play())


def test_lazily_disabled_interrupt_is_masked_by_its_next_event_which_is_not_lost():
    async def play():
        rig, calls = Rig(unlazy=False), Calls()
        index, irq = await one(rig, calls)
        await disable_irq(rig.system, irq)
        assert rig.table.log == ["write", "unmask"]
        assert rig.table.ring(index) and calls.count == 0
        await asyncio.sleep(0)
        assert rig.table.log[-1] == "mask" and not rig.table.ring(index)
        await enable_irq(rig.system, irq)
        assert calls.count == 2, "one that came while it was disabled, one while it was masked"

    run(play())


def test_interrupt_enabled_before_it_was_masked_stays_unmasked():
    async def play():
        rig, calls = Rig(unlazy=False), Calls()
        index, irq = await one(rig, calls)
        await disable_irq(rig.system, irq)
        rig.table.ring(index)
        await enable_irq(rig.system, irq)
        await asyncio.sleep(0)
        assert "mask" not in rig.table.log and calls.count == 1 and rig.table.ring(index)

    run(play())


def test_event_that_came_while_disabled_dies_with_its_owner():
    async def play():
        rig, calls, heir = Rig(unlazy=False), Calls(), Calls()
        index, irq = await one(rig, calls)
        await disable_irq(rig.system, irq)
        rig.table.ring(index)
        await free_irq(rig.system, irq, calls)
        await request_irq(rig.system, irq, heir, name="heir")
        await disable_irq(rig.system, irq)
        await enable_irq(rig.system, irq)
        assert (calls.count, heir.count) == (0, 0)
        assert rig.table.ring(index) and heir.count == 1

    run(play())


def test_thread_runs_once_for_what_came_before_it_began_and_is_waited_for():
    async def play():
        rig, ran = Rig(), []
        place = await rig.ims()

        async def thread():
            await asyncio.sleep(0.001)
            ran.append(rig)

        await request_threaded_irq(rig.system, place.virq, None, thread, name="test")
        rig.table.ring(place.index)
        rig.table.ring(place.index)
        assert not ran
        await synchronize_irq(rig.system, place.virq)
        assert len(ran) == 1
        rig.table.ring(place.index)
        await asyncio.sleep(0)
        rig.table.ring(place.index)
        await disable_irq(rig.system, place.virq)
        assert len(ran) == 3, "the second came while the thread was running"
        await enable_irq(rig.system, place.virq)
        rig.table.ring(place.index)
        await free_irq(rig.system, place.virq)
        assert len(ran) == 4

    run(play())


def test_chip_that_cannot_move_an_interrupt_gives_einval():
    async def play():
        rig = Rig()
        _, irq = await one(rig, Calls())
        rig.system.irq_to_desc(irq).chip.irq_set_affinity = None
        await irq_set_affinity(rig.system, irq, frozenset({1}))

    refused(play(), errno.EINVAL, "the chip of interrupt 24 cannot move it")


def test_interrupt_whose_levels_know_no_message_gives_enosys():
    async def play():
        rig = Rig()
        _, irq = await one(rig)
        data = rig.system.irq_to_desc(irq).irq_data
        data.parent = None
        irq_chip_compose_msi_msg(data)

    refused(play(), errno.ENOSYS, "no level of interrupt 24 composes messages")


def test_posting_without_remapping_gives_enosys():
    async def play():
        rig = Rig(remapping=False)
        await rig.claim()
        await irq_set_vcpu_affinity(rig.system, pci_irq_vector(rig.dev, 0), VcpuData(0, 0x40))

    refused(play(), errno.ENOSYS, "cannot be posted without remapping")


def test_two_tasks_change_an_interrupt_one_after_the_other():
    async def play():
        rig, calls = Rig(), Calls()
        _, irq = await one(rig, calls)
        rig.table.pause = True
        rig.table.log.clear()
        await asyncio.gather(
            disable_irq(rig.system, irq), disable_irq(rig.system, irq), enable_irq(rig.system, irq)
        )
        assert rig.table.log == ["mask"]

    run(play())


@pytest.mark.parametrize("first", ["request", "free"])
def test_request_and_free_at_once_end_with_one_of_them(first):
    async def play():
        rig = Rig()
        place = await rig.ims()
        desc = rig.system.irq_to_desc(place.virq)
        await desc.lock.__aenter__()
        work = {
            "request": request_irq(rig.system, place.virq, Calls(), name="test"),
            "free": pci_ims_free_irq(rig.dev, place),
        }
        tasks = {}
        for name in sorted(work, key=lambda each: each != first):
            tasks[name] = asyncio.create_task(work[name])
            for _ in range(3):
                await asyncio.sleep(0)
        await desc.lock.__aexit__(None, None, None)
        await tasks[first]
        sentence, code = {
            "request": ("call free_irq first", errno.EBUSY),
            "free": ("was freed meanwhile", errno.EINVAL),
        }[first]
        with pytest.raises(IrqError, match=sentence) as caught:
            await tasks["free" if first == "request" else "request"]
        assert caught.value.errno == code
        assert rig.counts()["present"] == rig.counts()["vectors"] == (first == "request")

    run(play())
