"""MSI-X and message storage as drivers of PCI devices ask for them."""

import errno
from dataclasses import replace

import pytest

from driver.irq import (
    ENOTSUPP,
    BusToken,
    IrqError,
    MsiFlag,
    MsiMap,
    SetMask,
    free_irq,
    pci_alloc_irq_vectors,
    pci_create_ims_domain,
    pci_free_irq_vectors,
    pci_ims_free_irq,
    pci_irq_vector,
    pci_msix_alloc_irq_at,
    pci_msix_can_alloc_dyn,
    pci_msix_free_irq,
    request_irq,
)

from .rig import MSIX, Calls, Rig, run


def code(work) -> int:
    with pytest.raises(IrqError) as caught:
        run(work)
    return caught.value.errno


@pytest.mark.parametrize(("least", "most"), [(0, 4), (5, 4)])
def test_impossible_numbers_of_vectors_give_erange(least, most):
    rig = Rig()
    work = pci_alloc_irq_vectors(rig.dev, rig.table.msix(), 8, least, most)
    assert code(work) == errno.ERANGE and not any(rig.counts().values())


def test_more_vectors_than_the_table_has_give_enospc():
    rig = Rig()
    work = pci_alloc_irq_vectors(rig.dev, rig.table.msix(), 8, 9, 20)
    assert code(work) == errno.ENOSPC and not rig.dev.msix_enabled


def test_as_many_vectors_as_there_are_can_be_claimed():
    rig = Rig()
    assert run(pci_alloc_irq_vectors(rig.dev, rig.table.msix(), 8, 2, 20)) == 8


def test_vectors_are_claimed_once():
    async def play():
        rig = Rig()
        await rig.claim()
        await rig.claim()

    assert code(play()) == errno.EINVAL


def test_vectors_come_back_when_nobody_has_them_requested():
    async def play():
        rig = Rig()
        await rig.claim(3)
        irq = pci_irq_vector(rig.dev, 2)
        await request_irq(rig.system, irq, Calls(), name="test")
        with pytest.raises(IrqError) as caught:
            await pci_free_irq_vectors(rig.dev)
        assert caught.value.errno == errno.EBUSY
        await free_irq(rig.system, irq)
        for _ in range(2):
            await pci_free_irq_vectors(rig.dev)
        assert not any(rig.counts().values())
        await rig.claim()

    run(play())


def test_vector_that_is_not_claimed_has_no_number():
    async def play():
        rig = Rig()
        await rig.claim(2)
        assert pci_irq_vector(rig.dev, 1) == pci_irq_vector(rig.dev, 0) + 1
        for index in (2, 99):
            with pytest.raises(IrqError) as caught:
                pci_irq_vector(rig.dev, index)
            assert caught.value.errno == errno.EINVAL

    run(play())
    with pytest.raises(IrqError):
        pci_irq_vector(Rig().dev, 0)


def test_vector_can_be_added_after_the_first_were_claimed():
    async def play():
        rig, calls = Rig(), Calls()
        await rig.claim()
        assert pci_msix_can_alloc_dyn(rig.dev)
        place = await pci_msix_alloc_irq_at(rig.dev, 5)
        assert place.index == 5 and pci_irq_vector(rig.dev, 5) == place.virq
        await request_irq(rig.system, place.virq, calls, name="test")
        assert rig.table.ring(5) and calls.count == 1
        assert (await pci_msix_alloc_irq_at(rig.dev)).index == 1
        await free_irq(rig.system, place.virq)
        await pci_msix_free_irq(rig.dev, place)
        await pci_free_irq_vectors(rig.dev)
        assert not any(rig.counts().values())

    run(play())


def test_no_vector_is_added_where_none_was_claimed_or_none_can_be():
    rig = Rig()
    assert not pci_msix_can_alloc_dyn(rig.dev)
    assert code(pci_msix_alloc_irq_at(rig.dev)) == ENOTSUPP

    async def play():
        template = rig.table.msix(MSIX & ~MsiFlag.PCI_MSIX_ALLOC_DYN)
        await pci_alloc_irq_vectors(rig.dev, template, 8, 1, 1)
        assert not pci_msix_can_alloc_dyn(rig.dev)
        await pci_msix_alloc_irq_at(rig.dev)

    assert code(play()) == ENOTSUPP


@pytest.mark.parametrize("free", [pci_msix_free_irq, pci_ims_free_irq])
@pytest.mark.parametrize("place", [MsiMap(-errno.ENOSPC, 0), MsiMap(3, 0)])
def test_map_of_a_failure_cannot_be_freed(free, place):
    assert code(free(Rig().dev, place)) == errno.EINVAL


def test_error_carries_the_map_that_linux_returns():
    async def play():
        rig = Rig(remapping=False)
        with pytest.raises(IrqError, match=r"\(-ENODEV\)$") as caught:
            await rig.ims()
        assert caught.value.msi_map == MsiMap(-errno.ENODEV, 0)

    run(play())


def test_message_storage_needs_remapping():
    rig = Rig(remapping=False)
    with pytest.raises(IrqError, match=r"needs interrupt remapping.*\(-ENOTSUPP\)") as caught:
        pci_create_ims_domain(rig.dev, rig.table.ims(), 8)
    assert caught.value.errno == ENOTSUPP


async def _set_affinity(data, mask) -> SetMask:
    return SetMask.DONE


@pytest.mark.parametrize(
    ("template", "chip", "sentence"),
    [
        ({"bus_token": BusToken.PCI_DEVICE_MSIX}, {}, "the template of a storage domain is for"),
        ({"flags": MsiFlag.ALLOC_SIMPLE_MSI_DESCS}, {}, "the core manage descriptors"),
        ({"flags": MsiFlag.FREE_MSI_DESCS}, {}, "the core manage descriptors"),
        ({}, {"irq_mask": None}, "has to mask, unmask and write messages"),
        ({}, {"irq_unmask": None}, "has to mask, unmask and write messages"),
        ({}, {"irq_write_msi_msg": None}, "has to mask, unmask and write messages"),
        ({}, {"irq_set_affinity": _set_affinity}, "leaves affinity to the levels below"),
    ],
)
def test_template_that_is_none_for_message_storage_gives_einval(template, chip, sentence):
    rig = Rig()
    rig.dev.domains.clear()
    good = rig.table.ims()
    with pytest.raises(IrqError, match=sentence) as caught:
        pci_create_ims_domain(
            rig.dev, replace(good, chip=replace(good.chip, **chip), **template), 8
        )
    assert caught.value.errno == errno.EINVAL and not rig.dev.domains
    pci_create_ims_domain(rig.dev, good, 8)
