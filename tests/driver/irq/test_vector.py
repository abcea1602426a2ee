"""Who takes an interrupt: promises, moves, and the vector that is left behind."""

import errno

import pytest

from driver.irq import (
    IrqAffinityDesc,
    IrqError,
    free_irq,
    irq_set_affinity,
    pci_irq_vector,
    request_irq,
)
from driver.irq.domain import AllocInfo, irq_domain_alloc_irqs, irq_domain_free_irqs
from driver.irq.vector import FIRST_EXTERNAL_VECTOR, SYSCALL_VECTOR, irqd_cfg

from .rig import REQUESTER, Calls, Rig, run


async def requested(rig: Rig, calls: Calls, **more) -> int:
    place = await rig.ims(**more)
    await request_irq(rig.system, place.virq, calls, name="test")
    return place.virq


def cfg_of(rig: Rig, irq: int):
    return irqd_cfg(rig.system.irq_to_desc(irq).irq_data)


def test_vector_is_only_promised_until_the_interrupt_is_requested():
    async def play():
        rig = Rig()
        place = await rig.ims()
        assert (rig.counts()["reserved"], rig.counts()["vectors"]) == (1, 0)
        await request_irq(rig.system, place.virq, Calls(), name="test")
        assert (rig.counts()["reserved"], rig.counts()["vectors"]) == (0, 1)

    run(play())


def test_vector_asked_for_on_a_processor_is_assigned_at_once():
    rig = Rig()
    info = AllocInfo(REQUESTER, mask=frozenset({2}))
    desc = irq_domain_alloc_irqs(rig.system.msi_parent, rig.clock, info)
    assert desc.effective_affinity == {2} and rig.counts()["vectors"] == 1
    irq_domain_free_irqs(desc)
    assert not any(rig.counts().values())


def test_request_spreads_interrupts_over_the_processors():
    async def play():
        rig = Rig()
        irqs = [await requested(rig, Calls()) for _ in range(8)]
        places = [(cfg_of(rig, irq).cpu, cfg_of(rig, irq).vector) for irq in irqs]
        assert len(set(places)) == 8
        assert sorted(cpu for cpu, _ in places) == [0, 0, 1, 1, 2, 2, 3, 3]
        assert all(vector >= FIRST_EXTERNAL_VECTOR for _, vector in places)

    run(play())


def test_system_call_vector_is_nobodys():
    async def play():
        rig = Rig(cpus=1, hwsize=250)
        irqs = [await requested(rig, Calls()) for _ in range(203)]
        assert SYSCALL_VECTOR not in {cfg_of(rig, irq).vector for irq in irqs}

    run(play())


def test_affinity_set_before_the_request_holds_from_the_start():
    async def play():
        rig = Rig()
        place = await rig.ims()
        await irq_set_affinity(rig.system, place.virq, frozenset({3}))
        assert rig.counts()["vectors"] == 0
        await request_irq(rig.system, place.virq, Calls(), name="test")
        assert rig.system.irq_to_desc(place.virq).effective_affinity == {3}

    run(play())


def test_affinity_of_an_allocation_is_kept():
    async def play():
        rig = Rig()
        irq = await requested(rig, Calls(), affdesc=IrqAffinityDesc(frozenset({1})))
        assert rig.system.irq_to_desc(irq).effective_affinity == {1}

    run(play())


def test_full_processor_sends_a_request_elsewhere():
    async def play():
        rig = Rig(cpus=2, hwsize=250)
        only = IrqAffinityDesc(frozenset({0}))
        irqs = [await requested(rig, Calls(), affdesc=only) for _ in range(204)]
        assert rig.system.irq_to_desc(irqs[-1]).effective_affinity == {1}

    run(play())


def test_move_within_the_mask_does_nothing():
    async def play():
        rig = Rig()
        irq = await requested(rig, Calls())
        here = rig.system.irq_to_desc(irq).effective_affinity
        vector = cfg_of(rig, irq).vector
        await irq_set_affinity(rig.system, irq, rig.system.online)
        assert rig.system.irq_to_desc(irq).effective_affinity == here
        assert cfg_of(rig, irq).vector == vector and rig.counts()["vectors"] == 1

    run(play())


@pytest.mark.parametrize("remapping", [True, False])
def test_moved_interrupt_arrives_at_its_new_processor_only(remapping):
    async def play():
        rig, calls = Rig(remapping=remapping), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, calls, name="test")
        old = cfg_of(rig, irq)
        place = old.cpu, old.vector
        for cpu in (3, 1, 2):
            await irq_set_affinity(rig.system, irq, frozenset({cpu}))
            assert rig.table.ring(0)
            assert rig.system.proc_interrupts()[0].counts[cpu] == 1
            assert rig.counts()["vectors"] == 1, "the old vector was not given back"
        assert calls.count == 3
        assert not rig.system.interrupt(*place) and rig.system.errors == 1

    run(play())


def test_remapped_interrupt_moves_without_its_device():
    async def play():
        rig = Rig()
        irq = await requested(rig, Calls())
        rig.table.log.clear()
        for cpu in (3, 1, 2):
            await irq_set_affinity(rig.system, irq, frozenset({cpu}))
        assert rig.table.log == []

    run(play())


def test_interrupt_without_remapping_moves_by_its_message():
    async def play():
        rig = Rig(remapping=False)
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, Calls(), name="test")
        rig.table.log.clear()
        await irq_set_affinity(rig.system, irq, frozenset({3}))
        assert rig.table.log == ["write"]
        message = rig.table.messages[0]
        assert message.address == 0xFEE0_0000 | rig.host.apic_ids[3] << 12
        assert message.data == cfg_of(rig, irq).vector

    run(play())


@pytest.mark.parametrize("remapping", [True, False])
def test_silent_interrupt_moves_as_often_as_it_is_told(remapping):
    async def play():
        rig = Rig(remapping=remapping)
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, Calls(), name="test")
        for cpu in (3, 1, 2, 0, 3):
            await irq_set_affinity(rig.system, irq, frozenset({cpu}))
            assert rig.system.irq_to_desc(irq).effective_affinity == {cpu}
            assert rig.counts()["vectors"] == 1

    run(play())


def test_interrupt_that_still_moves_gives_ebusy_until_it_has_occurred():
    async def play():
        rig, calls = Rig(remapping=False), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, calls, name="test")
        data = rig.system.irq_to_desc(irq).irq_data.parent
        old = cfg_of(rig, irq).cpu, cfg_of(rig, irq).vector
        others = sorted(rig.system.online - {old[0]})
        move = data.chip.irq_set_affinity
        await move(data, frozenset({others[0]}))
        with pytest.raises(IrqError, match="is still moving from processor") as caught:
            await move(data, frozenset({others[1]}))
        assert caught.value.errno == errno.EBUSY
        assert rig.system.interrupt(*old), "the old vector went before its last interrupt"
        assert rig.counts()["vectors"] == 2
        assert rig.system.interrupt(others[0], cfg_of(rig, irq).vector)
        assert rig.counts()["vectors"] == 1 and not rig.system.interrupt(*old)
        await move(data, frozenset({others[1]}))
        assert calls.count == 2

    run(play())


def test_processors_that_are_all_offline_give_einval():
    async def play():
        rig = Rig()
        irq = await requested(rig, Calls())
        with pytest.raises(IrqError, match="none is online") as caught:
            await irq_set_affinity(rig.system, irq, frozenset({77}))
        assert caught.value.errno == errno.EINVAL

    run(play())


def test_full_processor_refuses_a_move():
    async def play():
        rig = Rig(cpus=2, hwsize=250)
        only = IrqAffinityDesc(frozenset({0}))
        irqs = [await requested(rig, Calls(), affdesc=only) for _ in range(204)]
        with pytest.raises(IrqError) as caught:
            await irq_set_affinity(rig.system, irqs[-1], frozenset({0}))
        assert caught.value.errno == errno.ENOSPC
        await free_irq(rig.system, irqs[0])
        # Its vector stays its own while it is allocated: it is no reservation.
        assert rig.counts()["vectors"] == 204

    run(play())


def test_msix_vector_is_only_promised_again_after_it_was_freed():
    async def play():
        rig = Rig()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        for _ in range(3):
            await request_irq(rig.system, irq, Calls(), name="test")
            assert (rig.counts()["reserved"], rig.counts()["vectors"]) == (0, 1)
            await free_irq(rig.system, irq)
            assert (rig.counts()["reserved"], rig.counts()["vectors"]) == (1, 0)

    run(play())


def test_managed_interrupt_stays_on_its_processors():
    async def play():
        rig = Rig()
        managed = IrqAffinityDesc(frozenset({1, 2}), is_managed=True)
        irq = await requested(rig, Calls(), affdesc=managed)
        assert rig.counts()["managed"] == 2
        first = rig.system.irq_to_desc(irq).effective_affinity
        assert first < {1, 2}
        assert (rig.counts()["managed in use"], rig.counts()["unavailable"]) == (1, 2)
        await irq_set_affinity(rig.system, irq, frozenset({1, 2}) - first)
        assert rig.system.irq_to_desc(irq).effective_affinity == {1, 2} - first
        with pytest.raises(IrqError) as caught:
            await irq_set_affinity(rig.system, irq, frozenset({0}))
        assert caught.value.errno == errno.EINVAL
        assert rig.system.irq_to_desc(irq).affinity == {1, 2}

    run(play())


def test_move_to_where_it_is_does_nothing_to_a_managed_interrupt():
    async def play():
        rig = Rig()
        managed = IrqAffinityDesc(frozenset({1, 2}), is_managed=True)
        irq = await requested(rig, Calls(), affdesc=managed)
        vector = cfg_of(rig, irq).vector
        await irq_set_affinity(rig.system, irq, frozenset({1, 2}))
        assert cfg_of(rig, irq).vector == vector and rig.counts()["vectors"] == 1

    run(play())


def test_managed_interrupt_that_was_freed_keeps_its_vectors_aside():
    async def play():
        rig = Rig()
        managed = IrqAffinityDesc(frozenset({1, 2}), is_managed=True)
        irq = await requested(rig, Calls(), affdesc=managed)
        await free_irq(rig.system, irq)
        assert (rig.counts()["managed"], rig.counts()["vectors"]) == (2, 0)
        assert (rig.counts()["managed in use"], rig.counts()["unavailable"]) == (0, 2)

    run(play())


def test_inactive_interrupt_cannot_be_moved_by_its_chip():
    async def play():
        rig = Rig()
        place = await rig.ims()
        data = rig.system.irq_to_desc(place.virq).irq_data.parent.parent
        with pytest.raises(IrqError, match="request it first") as caught:
            await data.chip.irq_set_affinity(data, frozenset({0}))
        assert caught.value.errno == errno.EIO

    run(play())


def test_processor_beyond_what_a_plain_message_can_name_gives_einval():
    async def play():
        rig = Rig(cpus=200, remapping=False)
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await irq_set_affinity(rig.system, irq, frozenset({199}))
        before = rig.counts()
        with pytest.raises(IrqError, match="APIC 398 is beyond") as caught:
            await request_irq(rig.system, irq, Calls(), name="test")
        assert caught.value.errno == errno.EINVAL and rig.counts() == before

    run(play())
