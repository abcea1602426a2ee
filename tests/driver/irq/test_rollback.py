"""Whatever fails, and wherever: afterwards everything is as before."""

import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from driver.errors import DeviceGone
from driver.indices import Indices
from driver.irq import (
    IrqAffinityDesc,
    IrqError,
    free_irq,
    irq_rewrite_msi_msg,
    irq_set_affinity,
    pci_alloc_irq_vectors,
    pci_ims_free_irq,
    pci_irq_vector,
    pci_msix_alloc_irq_at,
    request_irq,
)

from .rig import Calls, Rig, run

LEVELS_OF_ALLOCATION = [
    "an MSI descriptor",
    "a place for the MSI descriptor",
    "an interrupt descriptor",
    "the vector domain's data",
    "the remapping domain's data",
    "an entry of the remapping table",
    "the MSI domain's data",
]


async def fail_each_step(
    rig: Rig, operation: Callable[[], Awaitable[Any]]
) -> list[tuple[str, int]]:
    """Let an operation fail at each step in turn; what failed, with what code, till it succeeds."""
    found: list[tuple[str, int]] = []
    while True:
        before = rig.counts()
        rig.system.failslab.arm(len(found))
        try:
            await operation()
        except IrqError as error:
            assert rig.system.failslab.failed is not None
            found.append((rig.system.failslab.failed, error.errno))
            assert rig.counts() == before, f"left over after {found[-1][0]} failed"
        else:
            rig.system.failslab.disarm()
            return found


def test_allocation_that_fails_at_any_level_leaves_nothing():
    async def play():
        rig = Rig()
        found = await fail_each_step(rig, rig.ims)
        assert [name for name, _ in found] == LEVELS_OF_ALLOCATION
        # What fails below the device's domain is a lack of space to it, as in Linux.
        assert [code for _, code in found] == [errno.ENOMEM] * 2 + [errno.ENOSPC] * 5
        assert rig.counts()["interrupts"] == 1

    run(play())


def test_request_that_finds_no_vector_leaves_an_allocated_interrupt():
    async def play():
        rig = Rig(cpus=1, hwsize=300)
        places = [await rig.ims() for _ in range(204)]
        for place in places[:-1]:
            await request_irq(rig.system, place.virq, Calls(), name="test")
        before = rig.counts()
        assert (before["vectors"], before["reserved"], before["present"]) == (203, 1, 203)
        with pytest.raises(IrqError, match="all 203 vectors of the processor") as caught:
            await request_irq(rig.system, places[-1].virq, Calls(), name="test")
        assert caught.value.errno == errno.ENOSPC and rig.counts() == before
        for place in places[:-1]:
            await free_irq(rig.system, place.virq)
        for place in places:
            await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values())

    run(play())


def test_static_vectors_are_claimed_whole_or_not_at_all():
    async def play():
        rig = Rig()
        found = await fail_each_step(rig, lambda: rig.claim(4))
        assert len(found) > 15 and {code for _, code in found} == {errno.ENOMEM, errno.ENOSPC}
        assert rig.counts()["interrupts"] == 4

    run(play())


def test_dynamic_vector_that_fails_leaves_the_static_ones():
    async def play():
        rig = Rig()
        await rig.claim(2)
        found = await fail_each_step(rig, lambda: pci_msix_alloc_irq_at(rig.dev))
        assert [name for name, _ in found] == LEVELS_OF_ALLOCATION
        assert pci_irq_vector(rig.dev, 1)

    run(play())


def test_managed_interrupt_that_fails_leaves_no_vector_set_aside():
    async def play():
        rig = Rig()
        managed = IrqAffinityDesc(frozenset({0, 2, 3}), is_managed=True)
        found = await fail_each_step(rig, lambda: rig.ims(affdesc=managed))
        assert [name for name, _ in found].count("a vector of the matrix") == 3
        assert rig.counts()["managed"] == 3

    run(play())


def test_move_that_finds_no_vector_stays_where_it_was():
    async def play():
        rig, calls = Rig(), Calls()
        place = await rig.ims()
        await request_irq(rig.system, place.virq, calls, name="test")
        before, here = rig.counts(), rig.system.irq_to_desc(place.virq).effective_affinity
        rig.system.failslab.arm(0)
        with pytest.raises(IrqError) as caught:
            await irq_set_affinity(rig.system, place.virq, rig.system.online - here)
        assert caught.value.errno == errno.ENOSPC
        assert rig.counts() == before and rig.table.ring(place.index) and calls.count == 1

    run(play())


def test_rewrite_that_finds_no_entry_keeps_the_old_message():
    async def play():
        rig, calls = Rig(), Calls()
        place = await rig.ims()
        await request_irq(rig.system, place.virq, calls, name="test")
        before, message = rig.counts(), rig.table.messages[place.index]
        rig.system.failslab.arm(0)
        with pytest.raises(IrqError) as caught:
            await irq_rewrite_msi_msg(rig.system, place.virq)
        assert caught.value.errno == errno.ENOMEM
        assert rig.counts() == before and rig.table.messages[place.index] == message
        assert rig.table.ring(place.index) and calls.count == 1

    run(play())


@pytest.mark.parametrize("operation", ["write", "unmask"])
@pytest.mark.parametrize("remapping", [True, False])
def test_device_that_fails_a_request_is_left_without_a_vector(operation, remapping):
    async def play():
        rig = Rig(remapping=remapping)
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        before = rig.counts()
        rig.table.refuse[operation] = DeviceGone("it is gone")
        with pytest.raises(DeviceGone):
            await request_irq(rig.system, irq, Calls(), name="test")
        assert rig.counts() == before
        rig.table.refuse.clear()
        await request_irq(rig.system, irq, Calls(), name="test")

    run(play())


@pytest.mark.parametrize("remapping", [True, False])
def test_device_that_fails_a_rewrite_keeps_its_vector(remapping):
    async def play():
        rig, calls = Rig(remapping=remapping), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, calls, name="test")
        before, here = rig.counts(), rig.system.irq_to_desc(irq).effective_affinity
        rig.table.refuse["write"] = DeviceGone("it is gone")
        with pytest.raises(DeviceGone):
            await irq_rewrite_msi_msg(rig.system, irq)
        assert rig.counts() == before
        assert rig.system.irq_to_desc(irq).effective_affinity == here
        assert rig.table.ring(0) and calls.count == 1

    run(play())


def test_device_that_fails_a_move_to_where_it_is_keeps_its_vector():
    async def play():
        rig, calls = Rig(remapping=False), Calls()
        await rig.claim()
        irq = pci_irq_vector(rig.dev, 0)
        await request_irq(rig.system, irq, calls, name="test")
        before = rig.counts()
        rig.table.refuse["write"] = DeviceGone("it is gone")
        with pytest.raises(DeviceGone):
            await irq_set_affinity(rig.system, irq, rig.system.online)
        assert rig.counts() == before and rig.table.ring(0) and calls.count == 1

    run(play())


def test_numbers_that_are_used_up_leave_nothing():
    async def play():
        rig = Rig()
        rig.system._numbers = Indices(24, 25)
        place = await rig.ims()
        before = rig.counts()
        with pytest.raises(IrqError, match="interrupt numbers are in use") as caught:
            await rig.ims()
        assert caught.value.errno == errno.ENOSPC and rig.counts() == before
        await pci_ims_free_irq(rig.dev, place)
        assert (await rig.ims()).virq == place.virq

    run(play())


def test_fewer_vectors_are_claimed_where_the_least_allows_it():
    async def play():
        rig = Rig()
        rig.system.failslab.arm(25)
        got = await pci_alloc_irq_vectors(rig.dev, rig.table.msix(), 8, 1, 8)
        assert 1 <= got < 8 and rig.counts()["interrupts"] == got

    run(play())
