"""A chip whose table is in memory: it notes what is to be done, and a command makes it so."""

import asyncio
from dataclasses import replace

import pytest

from driver.errors import DeviceGone
from driver.irq import (
    MsiDomainId,
    disable_irq,
    enable_irq,
    free_irq,
    irq_rewrite_msi_msg,
    irq_set_affinity,
    pci_create_ims_domain,
    pci_ims_free_irq,
    request_irq,
)
from driver.irq.msi_alloc import msi_remove_device_irq_domain

from .rig import Calls, Rig, run


class Shadow:
    """Changes go to a copy; the device sees them when the bus is unlocked, a little later."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.lock = asyncio.Lock()
        self.syncs = 0
        self.fail = False
        table = rig.table
        self.kept = self.device = {}, set()
        self.chip = replace(
            table.chip, irq_bus_lock=self.bus_lock, irq_bus_sync_unlock=self.bus_sync_unlock
        )
        msi_remove_device_irq_domain(rig.dev, MsiDomainId.SECONDARY)
        pci_create_ims_domain(rig.dev, rig.table.ims(chip=self.chip), 8)

    async def bus_lock(self, data) -> None:
        await self.lock.acquire()
        messages, unmasked = self.kept
        self.rig.table.messages, self.rig.table.open = messages.copy(), unmasked.copy()

    async def bus_sync_unlock(self, data) -> None:
        """Until the command is over, the device works with what it had."""
        table = self.rig.table
        self.kept = table.messages, table.open
        table.messages, table.open = self.device
        try:
            for index in list(table.open):
                assert table.ring(index), "what the device still uses leads nowhere"
            await asyncio.sleep(0)
            if self.fail:
                raise DeviceGone("the command did not end")
            table.messages, table.open = self.device = self.kept
            self.syncs += 1
            for index in list(table.held & table.open):
                table.held.discard(index)
                table.ring(index)
        finally:
            self.lock.release()


def test_every_change_is_effective_when_its_call_returns():
    async def play():
        rig, calls = Rig(), Calls()
        shadow = Shadow(rig)
        place = await rig.ims()
        assert shadow.syncs == 0
        await request_irq(rig.system, place.virq, calls, name="test")
        assert shadow.syncs == 1 and rig.table.ring(place.index) and calls.count == 1
        await disable_irq(rig.system, place.virq)
        before = calls.count
        assert shadow.syncs == 2 and not rig.table.ring(place.index) and calls.count == before
        await enable_irq(rig.system, place.virq)
        assert shadow.syncs == 3 and calls.count > before
        await free_irq(rig.system, place.virq)
        await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values()) and rig.host.interrupts.misdirected == 0

    run(play())


def test_old_message_leads_somewhere_until_the_change_is_effective():
    """The shadow rings what the device still has while the command is under way."""

    async def play():
        rig, calls = Rig(), Calls()
        Shadow(rig)
        place = await rig.ims()
        await request_irq(rig.system, place.virq, calls, name="test")
        for cpu in (3, 2, 1):
            await irq_rewrite_msi_msg(rig.system, place.virq)
            await irq_set_affinity(rig.system, place.virq, frozenset({cpu}))
        assert rig.table.ring(place.index) and calls.count > 3
        assert rig.host.interrupts.misdirected == 0
        assert rig.counts()["entries"] == 1

    run(play())


def test_command_that_fails_is_the_callers_to_know_and_leaks_nothing():
    async def play():
        rig, calls = Rig(), Calls()
        shadow = Shadow(rig)
        place = await rig.ims()
        await request_irq(rig.system, place.virq, calls, name="test")
        shadow.fail = True
        with pytest.raises(DeviceGone):
            await irq_rewrite_msi_msg(rig.system, place.virq)
        assert rig.counts()["entries"] == 2, "the device may still use the old one"
        shadow.fail = False
        await disable_irq(rig.system, place.virq)
        assert rig.counts()["entries"] == 1
        await irq_rewrite_msi_msg(rig.system, place.virq)
        await free_irq(rig.system, place.virq)
        await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values())

    run(play())


def test_request_and_free_whose_command_fails_can_be_made_again():
    async def play():
        rig, calls = Rig(), Calls()
        shadow = Shadow(rig)
        place = await rig.ims()
        before = rig.counts()
        shadow.fail = True
        with pytest.raises(DeviceGone):
            await request_irq(rig.system, place.virq, calls, name="test")
        # Its vector stays its own while it is allocated.
        assert rig.counts() | {"vectors": 0, "reserved": 1, "owners": 0, "unavailable": 0} == before
        shadow.fail = False
        await request_irq(rig.system, place.virq, calls, name="test")
        shadow.fail = True
        with pytest.raises(DeviceGone):
            await free_irq(rig.system, place.virq)
        assert rig.counts()["present"] == 1
        shadow.fail = False
        await free_irq(rig.system, place.virq)
        await pci_ims_free_irq(rig.dev, place)
        assert not any(rig.counts().values())

    run(play())


def test_second_handler_whose_command_fails_leaves_the_first():
    async def play():
        rig, first = Rig(), Calls()
        shadow = Shadow(rig)
        place = await rig.ims()
        await request_irq(rig.system, place.virq, first, name="a", dev_id=first, shared=True)
        shadow.fail = True
        second = Calls()
        with pytest.raises(DeviceGone):
            await request_irq(rig.system, place.virq, second, name="b", dev_id=second, shared=True)
        first.count = second.count = 0
        assert rig.table.ring(place.index) and (first.count, second.count) == (1, 0)
        assert rig.system.proc_interrupts()[0].actions == ("a",)

    run(play())


def test_two_interrupts_take_turns_on_the_bus():
    async def play():
        rig = Rig()
        shadow = Shadow(rig)
        places = [await rig.ims() for _ in range(4)]
        calls = [Calls() for _ in places]
        await asyncio.gather(
            *(
                request_irq(rig.system, place.virq, each, name="test")
                for place, each in zip(places, calls, strict=True)
            )
        )
        assert shadow.syncs == 4 and all(rig.table.ring(place.index) for place in places)

    run(play())
