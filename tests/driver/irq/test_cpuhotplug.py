"""Processors that go and come back under interrupts."""

import errno

import pytest

from driver.irq import (
    IrqAffinityDesc,
    IrqError,
    cpu_down,
    cpu_up,
    free_irq,
    irq_create_affinity_masks,
    irq_set_affinity,
    pci_alloc_irq_vectors,
    pci_free_irq_vectors,
    pci_ims_free_irq,
    pci_irq_vector,
    request_irq,
)

from .rig import Calls, Rig, run


async def requested(rig: Rig, calls: Calls, **more):
    place = await rig.ims(**more)
    await request_irq(rig.system, place.virq, calls, name="test", dev_id=calls)
    return place


def refused(work, code: int, sentence: str):
    with pytest.raises(IrqError, match=sentence) as caught:
        run(work)
    assert caught.value.errno == code


def test_interrupts_leave_a_processor_that_goes():
    async def play():
        rig, calls = Rig(hwsize=40), [Calls() for _ in range(40)]
        places = [await requested(rig, each) for each in calls]
        await cpu_down(rig.system, 2)
        assert not rig.system.vector_domain.vector_irq[2]
        assert all(rig.table.ring(place.index) for place in places)
        assert [each.count for each in calls] == [1] * 40
        await cpu_up(rig.system, 2)
        for place, each in zip(places, calls, strict=True):
            await free_irq(rig.system, place.virq, each)
            await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values())
        assert rig.system.vector_domain.matrix.global_available == 4 * 203

    run(play())


@pytest.mark.parametrize("remapping", [True, False])
def test_interrupt_that_may_only_be_there_goes_elsewhere_and_remembers(remapping):
    async def play():
        rig, calls = Rig(remapping=remapping), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await irq_set_affinity(rig.system, irq, frozenset({2}))
        await request_irq(rig.system, irq, calls, name="test")
        await cpu_down(rig.system, 2)
        desc = rig.system.irq_to_desc(irq)
        assert desc.affinity == {2} and desc.effective_affinity < {0, 1, 3}
        assert rig.table.ring(0) and calls.count == 1

    run(play())


def test_managed_interrupt_ends_with_its_last_processor_and_starts_again():
    async def play():
        rig, calls = Rig(), Calls()
        managed = IrqAffinityDesc(frozenset({1, 2}), is_managed=True)
        place = await requested(rig, calls, affdesc=managed)
        await cpu_down(rig.system, 1)
        assert rig.table.ring(place.index) and calls.count == 1
        await cpu_down(rig.system, 2)
        assert rig.system.irq_to_desc(place.virq).managed_shutdown
        assert not rig.table.ring(place.index) and rig.counts()["present"] == 0
        rig.table.held.clear()
        await cpu_up(rig.system, 2)
        assert rig.table.ring(place.index) and calls.count == 2
        await cpu_up(rig.system, 1)
        await free_irq(rig.system, place.virq, calls)
        await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values())

    run(play())


def test_managed_interrupt_that_has_ended_is_freed_without_its_device():
    async def play():
        rig, calls = Rig(), Calls()
        managed = IrqAffinityDesc(frozenset({2}), is_managed=True)
        place = await requested(rig, calls, affdesc=managed)
        rig.system.irq_to_desc(place.virq).chip.irq_shutdown = rig.table.irq_shutdown
        await cpu_down(rig.system, 2)
        assert rig.table.log[-2:] == ["shutdown", "blank"]
        rig.table.log.clear()
        await free_irq(rig.system, place.virq, calls)
        await pci_ims_free_irq(rig.dev, place)
        assert rig.table.log == []
        await cpu_up(rig.system, 2)
        assert not any(rig.counts().values())

    run(play())


def test_move_that_a_processor_leaves_behind_ends_with_it():
    async def play():
        rig, calls = Rig(remapping=False), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, calls, name="test")
        desc = rig.system.irq_to_desc(irq)
        (old,) = desc.effective_affinity
        below = desc.irq_data.parent
        await below.chip.irq_set_affinity(below, rig.system.online - {old})
        assert rig.counts()["vectors"] == 2
        await cpu_down(rig.system, old)
        assert rig.counts()["vectors"] == 1 and old not in desc.effective_affinity

    run(play())


def test_managed_interrupt_that_cannot_start_again_waits_for_the_next_processor():
    async def play():
        rig, calls = Rig(), Calls()
        managed = IrqAffinityDesc(frozenset({1, 2}), is_managed=True)
        place = await requested(rig, calls, affdesc=managed)
        for cpu in (1, 2):
            await cpu_down(rig.system, cpu)
        rig.table.refuse["write"] = IrqError(errno.EIO, "no")
        with pytest.raises(IrqError):
            await cpu_up(rig.system, 1)
        rig.table.refuse.clear()
        await cpu_up(rig.system, 2)
        assert rig.table.ring(place.index) and calls.count == 1

    run(play())


def test_last_processor_stays():
    async def play():
        rig = Rig(cpus=2)
        await cpu_down(rig.system, 0)
        await cpu_down(rig.system, 1)

    refused(play(), errno.EBUSY, "is the last one online")


def test_processor_goes_and_comes_only_when_it_can():
    rig = Rig()
    refused(cpu_down(rig.system, 9), errno.EINVAL, "9 is not online")
    refused(cpu_up(rig.system, 1), errno.EINVAL, "1 is online")


def test_processor_whose_interrupts_have_nowhere_to_go_stays():
    async def play():
        rig = Rig(cpus=2, hwsize=300)
        for _ in range(204):
            await requested(rig, Calls())
        await cpu_down(rig.system, 0)

    refused(play(), errno.ENOSPC, "processor 0 has 102 vectors, the others have 101 left")


@pytest.mark.parametrize(("vectors", "sizes"), [(2, [2, 2]), (3, [2, 1, 1]), (6, [1] * 6)])
def test_managed_vectors_share_the_processors_out(vectors, sizes):
    masks = irq_create_affinity_masks(vectors, frozenset(range(4)))
    assert [len(each.mask) for each in masks] == sizes
    assert frozenset().union(*(each.mask for each in masks)) == frozenset(range(4))
    assert all(each.is_managed for each in masks)


def test_managed_vectors_of_a_device_lie_on_different_processors():
    async def play():
        rig = Rig()
        masks = irq_create_affinity_masks(4, rig.system.possible)
        await pci_alloc_irq_vectors(rig.dev, rig.table.msix(), 8, 4, 4, masks)
        for index in range(4):
            irq = pci_irq_vector(rig.dev, index)
            await request_irq(rig.system, irq, Calls(), name="queue")
        lines = rig.system.proc_interrupts()
        places = [rig.system.irq_to_desc(line.irq).effective_affinity for line in lines]
        assert places == [{0}, {1}, {2}, {3}]
        for line in lines:
            await free_irq(rig.system, line.irq)
        await pci_free_irq_vectors(rig.dev)
        assert not any(rig.counts().values())

    run(play())
