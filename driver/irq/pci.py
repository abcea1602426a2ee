"""Interrupts of PCI devices: MSI-X and interrupt message storage (Linux drivers/pci/msi/)."""

import errno
from collections.abc import Sequence

from .errors import ENOTSUPP, IrqError, IrqShortage, MsiMap
from .irqdesc import IrqAffinityDesc
from .matrix import CpuMask
from .msi import (
    MSI_ANY_INDEX,
    BusToken,
    MsiDomain,
    MsiDomainId,
    MsiDomainTemplate,
    MsiFlag,
    MsiInstanceCookie,
)
from .msi_alloc import (
    msi_create_device_irq_domain,
    msi_domain_alloc_irq_at,
    msi_domain_alloc_irqs_range,
    msi_domain_free_irqs_range,
    msi_remove_device_irq_domain,
)
from .pci_dev import PciDev

SIMPLE_DESCS = MsiFlag.ALLOC_SIMPLE_MSI_DESCS | MsiFlag.FREE_MSI_DESCS


def irq_create_affinity_masks(vectors: int, cpus: CpuMask) -> list[IrqAffinityDesc]:
    """Managed interrupts that share the processors out among them (Linux kernel/irq/affinity.c)."""
    order = sorted(cpus)
    if vectors >= len(order):
        groups = [order[n % len(order) : n % len(order) + 1] for n in range(vectors)]
    else:
        groups = [order[n::vectors] for n in range(vectors)]
    return [IrqAffinityDesc(frozenset(group), is_managed=True) for group in groups]


async def pci_alloc_irq_vectors(
    dev: PciDev,
    template: MsiDomainTemplate,
    hwsize: int,
    min_vecs: int,
    max_vecs: int,
    affinity: Sequence[IrqAffinityDesc] | None = None,
) -> int:
    """Claim MSI-X vectors 0, 1, …: as many of ``max_vecs`` as can be had. Returns how many.

    ``template`` and ``hwsize`` are the device's MSI-X table.

    **Errors** ERANGE where ``min_vecs`` is more than ``max_vecs``; EINVAL where vectors were
    claimed before; ENOSPC where fewer than ``min_vecs`` can be had.
    """
    if not 1 <= min_vecs <= max_vecs:
        raise IrqError(errno.ERANGE, f"{min_vecs} to {max_vecs} vectors is no range; 1 is least")
    if dev.msix_enabled:
        raise IrqError(errno.EINVAL, "vectors were claimed before; add more with alloc_irq_at")
    vectors = min(max_vecs, hwsize)
    msi_create_device_irq_domain(dev, MsiDomainId.DEFAULT, template, hwsize)
    try:
        while vectors >= min_vecs:
            try:
                await msi_domain_alloc_irqs_range(
                    dev, MsiDomainId.DEFAULT, 0, vectors - 1, affinity
                )
            except IrqShortage as shortage:
                vectors = shortage.allocated
            else:
                dev.msix_enabled = True
                return vectors
        raise IrqError(errno.ENOSPC, f"{vectors} vectors can be had, {min_vecs} are needed")
    except BaseException:
        msi_remove_device_irq_domain(dev, MsiDomainId.DEFAULT)
        raise


async def pci_free_irq_vectors(dev: PciDev) -> None:
    """Give all MSI-X vectors back; nobody may have them requested. **Errors** EBUSY."""
    if not dev.msix_enabled:
        return
    last = dev.domains[MsiDomainId.DEFAULT].hwsize - 1
    await msi_domain_free_irqs_range(dev, MsiDomainId.DEFAULT, 0, last)
    msi_remove_device_irq_domain(dev, MsiDomainId.DEFAULT)
    dev.msix_enabled = False


def pci_irq_vector(dev: PciDev, index: int) -> int:
    """The number of an MSI-X vector. **Errors** EINVAL where it is not allocated."""
    domain = dev.domains.get(MsiDomainId.DEFAULT)
    desc = domain.store.get(index) if domain else None
    if desc is None or desc.irq_desc is None:
        raise IrqError(errno.EINVAL, f"MSI-X vector {index} is not allocated")
    return desc.irq_desc.irq


def pci_msix_can_alloc_dyn(dev: PciDev) -> bool:
    """Whether MSI-X vectors can be added after the first were claimed."""
    domain = dev.domains.get(MsiDomainId.DEFAULT)
    return domain is not None and MsiFlag.PCI_MSIX_ALLOC_DYN in domain.template.flags


async def pci_msix_alloc_irq_at(
    dev: PciDev, index: int = MSI_ANY_INDEX, affdesc: IrqAffinityDesc | None = None
) -> MsiMap:
    """Another MSI-X vector. **Errors** ENOTSUPP where none were claimed before or none can be
    added; otherwise those of :func:`~driver.irq.msi_alloc.msi_domain_alloc_irq_at`."""
    if not dev.msix_enabled or not pci_msix_can_alloc_dyn(dev):
        raise IrqError(ENOTSUPP, "MSI-X is not enabled, or its vectors have to be claimed at once")
    return await msi_domain_alloc_irq_at(dev, MsiDomainId.DEFAULT, index, affdesc)


async def pci_msix_free_irq(dev: PciDev, map_: MsiMap) -> None:
    """Give back what :func:`pci_msix_alloc_irq_at` returned."""
    await _free(dev, MsiDomainId.DEFAULT, map_)


def pci_create_ims_domain(dev: PciDev, template: MsiDomainTemplate, hwsize: int) -> MsiDomain:
    """A domain for interrupt message storage.

    **Errors** ENOTSUPP where the machine does not remap interrupts: its isolation needs that;
    EINVAL where the template is not one for message storage, or its chip lacks an operation, or
    has one that belongs to the levels below.
    """
    if MsiFlag.PCI_IMS not in dev.system.supported_flags:
        raise IrqError(ENOTSUPP, "message storage needs interrupt remapping; boot with it")
    chip = template.chip
    if template.bus_token is not BusToken.PCI_DEVICE_IMS or SIMPLE_DESCS not in template.flags:
        raise IrqError(
            errno.EINVAL,
            f"the template of a storage domain is for {BusToken.PCI_DEVICE_IMS.value} and lets "
            f"the core manage descriptors",
        )
    if not (chip.irq_mask and chip.irq_unmask and chip.irq_write_msi_msg):
        raise IrqError(errno.EINVAL, f"{chip.name} has to mask, unmask and write messages")
    if chip.irq_set_affinity:
        raise IrqError(errno.EINVAL, f"{chip.name} leaves affinity to the levels below")
    return msi_create_device_irq_domain(dev, MsiDomainId.SECONDARY, template, hwsize)


async def pci_ims_alloc_irq(
    dev: PciDev, icookie: MsiInstanceCookie, affdesc: IrqAffinityDesc | None = None
) -> MsiMap:
    """An interrupt in message storage; the index is the core's choice. **Errors** those of
    :func:`~driver.irq.msi_alloc.msi_domain_alloc_irq_at`."""
    return await msi_domain_alloc_irq_at(
        dev, MsiDomainId.SECONDARY, MSI_ANY_INDEX, affdesc, icookie
    )


async def pci_ims_free_irq(dev: PciDev, map_: MsiMap) -> None:
    """Give back what :func:`pci_ims_alloc_irq` returned."""
    await _free(dev, MsiDomainId.SECONDARY, map_)


async def _free(dev: PciDev, domid: MsiDomainId, map_: MsiMap) -> None:
    if map_.index < 0 or map_.virq <= 0:
        raise IrqError(errno.EINVAL, f"{map_} is the map of a failure; there is nothing to free")
    await msi_domain_free_irqs_range(dev, domid, map_.index, map_.index)
