"""Domains of a device's tables: error codes, cookies, the order of calls."""

import errno

import pytest

from driver.errors import DeviceGone
from driver.irq import (
    MSI_ANY_INDEX,
    IrqError,
    MsiDomainId,
    MsiFlag,
    MsiInstanceCookie,
    MsiMap,
    free_irq,
    irq_rewrite_msi_msg,
    pci_ims_alloc_irq,
    pci_ims_free_irq,
    request_irq,
)
from driver.irq.msi_alloc import (
    msi_create_device_irq_domain,
    msi_domain_alloc_irq_at,
    msi_domain_alloc_irqs_range,
    msi_domain_free_irqs_range,
    msi_remove_device_irq_domain,
)
from driver.irq.remapping import USABLE
from driver.irq.vector import MANAGED_IRQ_SHUTDOWN_VECTOR

from .rig import HWSIZE, MSIX, Calls, Rig, run

SECONDARY = MsiDomainId.SECONDARY


def code(work) -> int:
    with pytest.raises(IrqError) as caught:
        run(work)
    return caught.value.errno


def test_device_without_a_domain_gives_enodev():
    rig = Rig(remapping=False)
    assert code(rig.ims()) == errno.ENODEV
    assert code(msi_domain_alloc_irqs_range(rig.dev, SECONDARY, 0, 1)) == errno.ENODEV


@pytest.mark.parametrize("index", [HWSIZE, MSI_ANY_INDEX - 1, -1])
def test_index_beyond_the_table_gives_erange(index):
    rig = Rig()
    assert code(msi_domain_alloc_irq_at(rig.dev, SECONDARY, index)) == errno.ERANGE
    assert not any(rig.counts().values())


def test_index_in_use_gives_ebusy():
    async def play():
        rig = Rig()
        await msi_domain_alloc_irq_at(rig.dev, SECONDARY, 3)
        before = rig.counts()
        with pytest.raises(IrqError, match="entry 3 of PAPER is in use") as caught:
            await msi_domain_alloc_irq_at(rig.dev, SECONDARY, 3)
        assert caught.value.errno == errno.EBUSY and rig.counts() == before
        assert caught.value.msi_map == MsiMap(-errno.EBUSY, 0)

    run(play())


def test_full_table_gives_ebusy():
    async def play():
        rig = Rig()
        places = [await rig.ims() for _ in range(HWSIZE)]
        assert sorted(place.index for place in places) == list(range(HWSIZE))
        with pytest.raises(IrqError, match="all 8 entries of PAPER are in use") as caught:
            await rig.ims()
        assert caught.value.errno == errno.EBUSY
        await pci_ims_free_irq(rig.dev, places[5])
        assert (await rig.ims()).index == 5

    run(play())


def test_full_remapping_table_gives_enospc():
    async def play():
        rig = Rig(hwsize=USABLE + 1)
        remapping = rig.system.remapping_domain
        while len(remapping._indices):
            remapping._indices.take()
        before = rig.counts()
        with pytest.raises(IrqError, match="entries of the remapping table are in use") as caught:
            await rig.ims()
        assert caught.value.errno == errno.ENOSPC and rig.counts() == before
        assert caught.value.__cause__.errno == errno.ENOMEM

    run(play())


def test_index_taken_by_name_is_not_handed_out_again():
    async def play():
        rig = Rig()
        for index in (1, 0, 4):
            await msi_domain_alloc_irq_at(rig.dev, SECONDARY, index)
        assert [(await rig.ims()).index for _ in range(5)] == [2, 3, 5, 6, 7]

    run(play())


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (3, 2), (0, HWSIZE)])
def test_impossible_range_gives_einval(first, last):
    rig = Rig()
    work = msi_domain_alloc_irqs_range(rig.dev, SECONDARY, first, last)
    assert code(work) == errno.EINVAL


def test_range_that_meets_an_index_in_use_takes_none():
    async def play():
        rig = Rig()
        await msi_domain_alloc_irq_at(rig.dev, SECONDARY, 4)
        before = rig.counts()
        with pytest.raises(IrqError) as caught:
            await msi_domain_alloc_irqs_range(rig.dev, SECONDARY, 2, 6)
        assert caught.value.errno == errno.EBUSY and rig.counts() == before
        await msi_domain_alloc_irqs_range(rig.dev, SECONDARY, 5, 7)
        await msi_domain_free_irqs_range(rig.dev, SECONDARY, 0, HWSIZE - 1)
        assert not any(rig.counts().values())

    run(play())


def test_requested_interrupt_is_not_freed():
    async def play():
        rig = Rig()
        place = await rig.ims()
        await request_irq(rig.system, place.virq, Calls(), name="test")
        before = rig.counts()
        with pytest.raises(IrqError, match="call free_irq first") as caught:
            await pci_ims_free_irq(rig.dev, place)
        assert caught.value.errno == errno.EBUSY and rig.counts() == before
        await free_irq(rig.system, place.virq)
        await pci_ims_free_irq(rig.dev, place)

    run(play())


def test_domain_is_made_once():
    rig = Rig()
    with pytest.raises(IrqError) as caught:
        msi_create_device_irq_domain(rig.dev, SECONDARY, rig.table.ims(), 8)
    assert caught.value.errno == errno.EEXIST
    msi_remove_device_irq_domain(rig.dev, SECONDARY)
    msi_create_device_irq_domain(rig.dev, SECONDARY, rig.table.ims(), 8)


def test_domain_that_the_machine_cannot_carry_gives_einval():
    rig = Rig(remapping=False)
    with pytest.raises(IrqError, match="VECTOR does not support") as caught:
        msi_create_device_irq_domain(rig.dev, SECONDARY, rig.table.ims(), 8)
    assert caught.value.errno == errno.EINVAL


def test_cookie_reaches_the_chip_before_anything_is_allocated():
    async def play():
        rig, seen = Rig(), []
        msi_remove_device_irq_domain(rig.dev, SECONDARY)

        def prepare(desc):
            seen.append((desc.msi_index, desc.icookie.pasid, len(rig.system.irq_descs)))

        template = rig.table.ims(prepare_desc=prepare)
        msi_create_device_irq_domain(rig.dev, SECONDARY, template, 8)
        await pci_ims_alloc_irq(rig.dev, MsiInstanceCookie(pasid=77))
        assert seen == [(0, 77, 0)]

    run(play())


def test_allocation_does_not_touch_the_device():
    async def play():
        rig = Rig()
        place = await rig.ims()
        assert rig.table.log == []
        await request_irq(rig.system, place.virq, Calls(), name="test")
        assert rig.table.log == ["write", "unmask"]
        await free_irq(rig.system, place.virq)
        assert rig.table.log == ["write", "unmask", "mask", "blank"]

    run(play())


@pytest.mark.parametrize("reserve", [MSIX, MSIX & ~MsiFlag.MUST_REACTIVATE])
def test_early_activation_writes_a_message_before_anybody_requests(reserve):
    async def play():
        rig = Rig()
        template = rig.table.msix(reserve | MsiFlag.ACTIVATE_EARLY)
        msi_create_device_irq_domain(rig.dev, MsiDomainId.DEFAULT, template, 4)
        place = await msi_domain_alloc_irq_at(rig.dev, MsiDomainId.DEFAULT, 0)
        assert rig.table.log == ["write"]
        reserved = MsiFlag.MUST_REACTIVATE in reserve
        counts = rig.counts()
        assert (counts["reserved"], counts["vectors"]) == ((1, 0) if reserved else (0, 1))
        irte = rig.system.remapping_domain.revmap
        (data,) = irte.values()
        assert (data.chip_data.irte.vector == MANAGED_IRQ_SHUTDOWN_VECTOR) is reserved
        await request_irq(rig.system, place.virq, Calls(), name="test")
        assert (rig.counts()["reserved"], rig.counts()["vectors"]) == (0, 1)
        await free_irq(rig.system, place.virq)
        await msi_domain_free_irqs_range(rig.dev, MsiDomainId.DEFAULT, 0, 0)
        assert not any(rig.counts().values())

    run(play())


def test_early_activation_that_fails_leaves_nothing():
    async def play():
        rig = Rig()
        template = rig.table.msix(MSIX | MsiFlag.ACTIVATE_EARLY)
        msi_create_device_irq_domain(rig.dev, MsiDomainId.DEFAULT, template, 4)
        rig.table.refuse["write"] = IrqError(errno.EIO, "no")
        with pytest.raises(IrqError) as caught:
            await msi_domain_alloc_irq_at(rig.dev, MsiDomainId.DEFAULT, 0)
        assert caught.value.errno == errno.ENOSPC
        rig.table.refuse["write"] = DeviceGone("it is gone")
        with pytest.raises(DeviceGone):
            await msi_domain_alloc_irq_at(rig.dev, MsiDomainId.DEFAULT, 0)
        assert not any(rig.counts().values())

    run(play())


def test_message_is_rewritten_only_where_there_is_one():
    async def play():
        rig = Rig()
        place = await rig.ims()
        with pytest.raises(IrqError, match="has no message; request it first") as caught:
            await irq_rewrite_msi_msg(rig.system, place.virq)
        assert caught.value.errno == errno.EINVAL

    run(play())
