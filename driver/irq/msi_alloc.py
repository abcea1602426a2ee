"""Allocating and freeing interrupts of a device's tables (Linux kernel/irq/msi.c)."""

import errno
from collections.abc import Sequence

from .chip import chip_bus_lock
from .domain import (
    AllocInfo,
    irq_domain_activate_irq,
    irq_domain_alloc_irqs,
    irq_domain_deactivate_irq,
    irq_domain_free_irqs,
)
from .errors import IrqError, IrqShortage, MsiMap
from .irqdesc import IrqAffinityDesc
from .manage import irq_get_desc_buslock
from .msi import (
    BusToken,
    MsiDesc,
    MsiDomain,
    MsiDomainId,
    MsiDomainTemplate,
    MsiFlag,
    MsiInstanceCookie,
)
from .pci_dev import PciDev
from .system import IrqSystem


def msi_create_device_irq_domain(
    dev: PciDev, domid: MsiDomainId, template: MsiDomainTemplate, hwsize: int
) -> MsiDomain:
    """A domain for one of a device's tables, below it the machine's.

    **Errors** EEXIST where the device has this domain; EINVAL where the machine's domain does not
    allow what the template asks for.
    """
    if domid in dev.domains:
        raise IrqError(errno.EEXIST, f"the device has {dev.domains[domid].name} in this place")
    parent = dev.system.msi_parent
    if template.flags & ~dev.system.supported_flags:
        missing = template.flags & ~dev.system.supported_flags
        raise IrqError(errno.EINVAL, f"{parent.name} does not support {missing}")
    dev.domains[domid] = MsiDomain(dev, parent, template, hwsize)
    return dev.domains[domid]


def msi_remove_device_irq_domain(dev: PciDev, domid: MsiDomainId) -> None:
    """Take a domain away, in which nothing is allocated."""
    domain = dev.domains.pop(domid)
    assert not domain.store, f"{domain.name} still has {len(domain.store)} interrupts"


async def msi_domain_alloc_irq_at(
    dev: PciDev,
    domid: MsiDomainId,
    index: int,
    affdesc: IrqAffinityDesc | None = None,
    icookie: MsiInstanceCookie | None = None,
) -> MsiMap:
    """An interrupt at an index, or at the next free one (``MSI_ANY_INDEX``).

    **Errors** ENODEV without such a domain; ENOMEM; ERANGE for an index beyond the table; EBUSY
    for one in use, or with none left; ENOSPC where a level below has no room. Nothing has changed.
    """
    async with dev.descs_lock:
        domain = _domain(dev, domid)
        dev.system.failslab.step("an MSI descriptor", errno.ENOMEM)
        desc = MsiDesc(index, affdesc, icookie)
        domain.insert_desc(desc)
        await _alloc_irqs(dev, domain, [desc])
        assert desc.irq_desc is not None
        return MsiMap(desc.msi_index, desc.irq_desc.irq)


async def msi_domain_alloc_irqs_range(
    dev: PciDev,
    domid: MsiDomainId,
    first: int,
    last: int,
    affinity: Sequence[IrqAffinityDesc] | None = None,
) -> None:
    """Interrupts at the indices from ``first`` to ``last``, inclusive.

    **Errors** EINVAL for a range beyond the table; otherwise as above. An
    :class:`~driver.irq.errors.IrqShortage` says how many could be had.
    """
    async with dev.descs_lock:
        domain = _domain(dev, domid)
        if not 0 <= first <= last < domain.hwsize:
            raise IrqError(
                errno.EINVAL,
                f"{domain.name} has entries 0 to {domain.hwsize - 1}, not {first} to {last}",
            )
        descs: list[MsiDesc] = []
        try:
            for index in range(first, last + 1):
                desc = MsiDesc(index, affinity[index - first] if affinity else None)
                domain.insert_desc(desc)
                descs.append(desc)
        except BaseException:
            for desc in descs:
                domain.remove_desc(desc)
            raise
        await _alloc_irqs(dev, domain, descs)


async def msi_domain_free_irqs_range(
    dev: PciDev, domid: MsiDomainId, first: int, last: int
) -> None:
    """Free the interrupts from ``first`` to ``last``, inclusive; nobody may have them requested.

    **Errors** EBUSY where somebody has; nothing was freed then.
    """
    async with dev.descs_lock:
        domain = _domain(dev, domid)
        descs = [domain.store[index] for index in range(first, last + 1) if index in domain.store]
        for desc in descs:
            _refuse_requested(desc)
        await _free_irqs(domain, descs)


async def irq_rewrite_msi_msg(system: IrqSystem, irq: int) -> None:
    """Give a device another message for an interrupt that may be firing; see
    :meth:`driver.irq.msi.MsiDomain.rewrite`. **Errors** EINVAL where it is not requested."""
    async with irq_get_desc_buslock(system, irq) as desc:
        domain = desc.irq_data.domain
        if not isinstance(domain, MsiDomain) or not desc.activated:
            raise IrqError(errno.EINVAL, f"interrupt {irq} has no message; request it first")
        await domain.rewrite(desc.irq_data)


def _domain(dev: PciDev, domid: MsiDomainId) -> MsiDomain:
    domain = dev.domains.get(domid)
    if domain is None:
        raise IrqError(errno.ENODEV, f"the device has no {domid.name.lower()} interrupt domain")
    return domain


async def _alloc_irqs(dev: PciDev, domain: MsiDomain, descs: list[MsiDesc]) -> None:
    """The levels below, for descriptors that are in the table; all of them or none."""
    for allocated, desc in enumerate(descs):
        try:
            await _alloc_irq(dev, domain, desc)
        except BaseException as error:
            await _free_irqs(domain, descs)
            if isinstance(error, IrqError):
                raise IrqShortage(allocated, f"{domain.name}: {error}") from error
            raise


async def _alloc_irq(dev: PciDev, domain: MsiDomain, desc: MsiDesc) -> None:
    template = domain.template
    if template.prepare_desc is not None:
        template.prepare_desc(desc)
    info = AllocInfo(dev.requester_id, desc)
    irq_desc = desc.irq_desc = irq_domain_alloc_irqs(domain, dev.transport, info, desc.affinity)
    irq_desc.can_reserve = (
        template.bus_token is BusToken.PCI_DEVICE_MSIX and MsiFlag.MUST_REACTIVATE in template.flags
    )
    if MsiFlag.ACTIVATE_EARLY in template.flags:
        async with chip_bus_lock(irq_desc):
            await irq_domain_activate_irq(irq_desc, reserve=irq_desc.can_reserve)
        # A reserved vector is made a real one when the interrupt is requested.
        irq_desc.activated = not irq_desc.can_reserve


async def _free_irqs(domain: MsiDomain, descs: list[MsiDesc]) -> None:
    for desc in descs:
        if desc.irq_desc is not None:
            async with chip_bus_lock(desc.irq_desc):
                _refuse_requested(desc)
                await irq_domain_deactivate_irq(desc.irq_desc)
            irq_domain_free_irqs(desc.irq_desc)
            desc.irq_desc = None
        domain.remove_desc(desc)


def _refuse_requested(desc: MsiDesc) -> None:
    if desc.irq_desc is not None and desc.irq_desc.actions:
        raise IrqError(
            errno.EBUSY, f"interrupt {desc.irq_desc.irq} is still requested; call free_irq first"
        )
