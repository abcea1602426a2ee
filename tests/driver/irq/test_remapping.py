"""The remapping table: what is in it when, and whom it keeps out."""

import pytest

from driver.irq import (
    IrqError,
    VcpuData,
    free_irq,
    irq_rewrite_msi_msg,
    irq_set_affinity,
    irq_set_vcpu_affinity,
    pci_ims_free_irq,
    request_irq,
)
from driver.irq.irte import IRTE_BYTES, Irte, remappable_message
from driver.irq.posted import PostedDescriptor
from driver.irq.remapping import FIRST, TABLE_ENTRIES, USABLE, subhandle
from driver.transport import Message
from sim.host.remapping import FaultReason

from .rig import REQUESTER, Calls, Rig, run

OTHER = 0x0200
NOTIFICATION = 0xF2


async def requested(rig: Rig, calls: Calls):
    place = await rig.ims()
    await request_irq(rig.system, place.virq, calls, name="test")
    return place


def entry_of(rig: Rig, irq: int) -> tuple[int, bytes]:
    data = rig.system.irq_to_desc(irq).irq_data.parent
    return data.hwirq, rig.system.remapping_domain.table.read(IRTE_BYTES * data.hwirq, IRTE_BYTES)


def test_entry_is_laid_out_as_specified():
    value = int.from_bytes(Irte(0x5A, 0x1234_5678, 0xABCD).encode(), "little")
    assert value == 0x0004_ABCD << 64 | 0x1234_5678 << 32 | 0x5A << 16 | 0b1001


def test_posted_entry_is_laid_out_as_specified():
    address = 0x1234_5678_9ABC_DEC0
    value = int.from_bytes(Irte(0, 0, 0xABCD).posted(address, 0x31).encode(), "little")
    assert value & 0xFFFF_FFFF == 0x31 << 16 | 1 << 15 | 1
    assert value >> 38 & (1 << 26) - 1 == (address & 0xFFFF_FFFF) >> 6
    assert value >> 32 & 0x3F == 0
    assert value >> 64 & 0xFFFF_FFFF == 0x0004_ABCD
    assert value >> 96 == address >> 32


def test_message_names_its_entry_as_specified():
    assert remappable_message(0xFEE0_0000, 0x9234, 0x0234) == Message(
        0xFEE0_0000 | 0x1000 << 5 | 1 << 4 | 1 << 3 | 1 << 2, 0x0234
    )


def test_no_two_messages_share_address_or_data():
    indices = range(FIRST, FIRST + USABLE)
    messages = [remappable_message(0, index, subhandle(index)) for index in indices]
    assert max(indices) < TABLE_ENTRIES
    assert all(0 <= message.data <= index for message, index in zip(messages, indices, strict=True))
    assert len({message.address for message in messages}) == USABLE
    assert len({message.data for message in messages}) == USABLE


def test_entry_is_present_only_while_the_interrupt_is_requested():
    async def play():
        rig = Rig()
        place = await rig.ims()
        index, entry = entry_of(rig, place.virq)
        assert entry == bytes(16)
        await request_irq(rig.system, place.virq, Calls(), name="test")
        assert entry_of(rig, place.virq)[1][0] & 1 and rig.host.interrupts.live == 1
        await free_irq(rig.system, place.virq)
        assert entry_of(rig, place.virq) == (index, bytes(16))

    run(play())


def test_entry_names_processor_vector_and_device():
    async def play():
        rig = Rig()
        place = await requested(rig, Calls())
        await irq_set_affinity(rig.system, place.virq, frozenset({3}))
        vector = next(iter(rig.system.vector_domain.vector_irq[3]))
        expected = Irte(vector, rig.host.apic_ids[3], REQUESTER)
        assert entry_of(rig, place.virq)[1] == expected.encode()

    run(play())


def test_message_of_another_requester_interrupts_nobody():
    async def play():
        rig, calls = Rig(), Calls()
        place = await requested(rig, calls)
        assert not rig.table.ring(place.index, requester=OTHER)
        assert calls.count == 0
        assert rig.host.interrupts.faults == {FaultReason.SOURCE_ID: 1}
        assert "0x0100's, not 0x0200's" in rig.host.check()[0]

    run(play())


def test_stale_message_interrupts_nobody_although_its_entry_was_used():
    """The unit has cached the entry; freeing it without invalidation would ring."""

    async def play():
        rig, calls = Rig(), Calls()
        place = await requested(rig, calls)
        assert rig.table.ring(place.index)
        message = rig.table.messages[place.index]
        await free_irq(rig.system, place.virq)
        await pci_ims_free_irq(rig.dev, place)
        assert not rig.host.message(message.address, message.data, REQUESTER)
        assert calls.count == 1 and rig.host.interrupts.faults == {FaultReason.NOT_PRESENT: 1}

    run(play())


def test_move_is_seen_by_a_unit_that_has_the_entry_cached():
    async def play():
        rig, calls = Rig(), Calls()
        place = await requested(rig, calls)
        assert rig.table.ring(place.index)
        here = rig.system.irq_to_desc(place.virq).effective_affinity
        await irq_set_affinity(rig.system, place.virq, rig.system.online - here)
        assert rig.table.ring(place.index) and calls.count == 2

    run(play())


def test_rewritten_message_leads_to_the_same_handler_through_another_entry():
    async def play():
        rig, calls = Rig(), Calls()
        place = await requested(rig, calls)
        old, before = rig.table.messages[place.index], rig.counts()
        cpus = rig.system.irq_to_desc(place.virq).effective_affinity
        await irq_rewrite_msi_msg(rig.system, place.virq)
        new = rig.table.messages[place.index]
        assert new.address != old.address and new.data != old.data
        assert rig.table.ring(place.index) and calls.count == 1
        assert rig.system.irq_to_desc(place.virq).effective_affinity == cpus
        assert not rig.host.message(old.address, old.data, REQUESTER)
        assert rig.counts() == before

    run(play())


def test_freed_entry_is_used_again_as_late_as_possible():
    async def play():
        rig = Rig()
        seen = set()
        for _ in range(1000):
            place = await rig.ims()
            seen.add(entry_of(rig, place.virq)[0])
            await pci_ims_free_irq(rig.dev, place)
        assert len(seen) == 1000

    run(play())


def posted(rig: Rig):
    descriptor = PostedDescriptor(rig.host, NOTIFICATION, rig.host.apic_ids[2])
    told: list[int] = []
    rig.system.set_system_vector(NOTIFICATION, told.append)
    return descriptor, told


def test_posted_interrupt_is_recorded_and_notified_once():
    async def play():
        rig, calls = Rig(), Calls()
        descriptor, told = posted(rig)
        places = [await requested(rig, calls) for _ in range(2)]
        for place, vector in zip(places, (0x31, 0xE0), strict=True):
            await irq_set_vcpu_affinity(
                rig.system, place.virq, VcpuData(descriptor.address, vector)
            )
        for place in places:
            assert rig.table.ring(place.index)
        assert told == [2] and calls.count == 0 and descriptor.outstanding
        assert descriptor.drain() == [0x31, 0xE0] and descriptor.drain() == []
        assert rig.table.ring(places[0].index)
        assert told == [2, 2] and descriptor.drain() == [0x31]
        assert rig.table.log == ["write", "unmask"] * 2, "the device was touched"

    run(play())


def test_suppressed_notification_leaves_the_record():
    async def play():
        rig = Rig()
        descriptor, told = posted(rig)
        place = await requested(rig, Calls())
        await irq_set_vcpu_affinity(rig.system, place.virq, VcpuData(descriptor.address, 0x40))
        descriptor.suppress(True)
        assert rig.table.ring(place.index) and told == []
        descriptor.suppress(False)
        assert descriptor.drain() == [0x40]
        assert rig.table.ring(place.index) and told == [2]

    run(play())


def test_posted_interrupt_stays_posted_when_it_is_moved_and_comes_back_where_it_was_moved_to():
    async def play():
        rig, calls = Rig(), Calls()
        descriptor, _ = posted(rig)
        place = await requested(rig, calls)
        await irq_set_vcpu_affinity(rig.system, place.virq, VcpuData(descriptor.address, 0x40))
        await irq_set_affinity(rig.system, place.virq, frozenset({3}))
        await irq_rewrite_msi_msg(rig.system, place.virq)
        assert rig.table.ring(place.index) and descriptor.drain() == [0x40]
        await irq_set_vcpu_affinity(rig.system, place.virq, None)
        assert rig.table.ring(place.index) and calls.count == 1
        assert rig.system.proc_interrupts()[0].counts == {3: 1}
        descriptor.free()

    run(play())


def test_crooked_descriptor_is_refused():
    async def play():
        rig = Rig()
        place = await requested(rig, Calls())
        with pytest.raises(IrqError, match="aligned to 64 bytes, not 0x1020"):
            await irq_set_vcpu_affinity(rig.system, place.virq, VcpuData(0x1020, 0x40))

    run(play())
