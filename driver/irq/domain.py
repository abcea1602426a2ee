"""Interrupt domains, each with the one below it (Linux kernel/irq/irqdomain.c)."""

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..transport import Message, Waiting
from .errors import IrqError
from .irqdesc import IrqAffinityDesc, IrqData, IrqDesc
from .matrix import CpuMask

if TYPE_CHECKING:
    from .msi import MsiDesc
    from .system import IrqSystem


@dataclass
class AllocInfo:
    """What the levels need to know of an interrupt (Linux struct irq_alloc_info).

    Parameters
    ----------
    devid
        Requester id of the device.
    desc
        The MSI descriptor, if it is for one.
    mask
        Assign a vector on one of these processors at once; otherwise it is only reserved.
    """

    devid: int
    desc: "MsiDesc | None" = None
    mask: CpuMask | None = None


class IrqDomain:
    """A level that interrupts pass through.

    A kind of domain overrides :meth:`_alloc` and what else it has to do; calls go down the
    hierarchy in Linux's order: the parent allocates and activates first, and frees last.

    Members
    -------
    revmap
        Interrupts by hardware number.
    """

    def __init__(self, system: "IrqSystem", name: str, parent: "IrqDomain | None" = None) -> None:
        self.system = system
        self.name = name
        self.parent = parent
        self.revmap: dict[int, IrqData] = {}

    def alloc(self, desc: IrqDesc, info: AllocInfo) -> IrqData:
        """Everything that this level and those below need for an interrupt, or nothing."""
        below = self.parent.alloc(desc, info) if self.parent else None
        try:
            data = self._alloc(desc, info, below)
        except BaseException:
            if below is not None:
                below.domain.free(below)
            raise
        self.revmap[data.hwirq] = data
        return data

    def free(self, data: IrqData) -> None:
        """Give back what :meth:`alloc` took."""
        del self.revmap[data.hwirq]
        self._free(data)
        if data.parent is not None:
            data.parent.domain.free(data.parent)

    async def activate(self, data: IrqData, *, reserve: bool) -> None:
        """Bring the levels into use, the lowest first."""
        if data.parent is not None:
            await data.parent.domain.activate(data.parent, reserve=reserve)
        try:
            await self._activate(data, reserve=reserve)
        except BaseException:
            if data.parent is not None:
                await data.parent.domain.deactivate(data.parent)
            raise

    async def deactivate(self, data: IrqData) -> None:
        """Take the levels out of use, the highest first."""
        try:
            await self._deactivate(data)
        finally:
            if data.parent is not None:
                await data.parent.domain.deactivate(data.parent)

    def _alloc(self, desc: IrqDesc, info: AllocInfo, below: IrqData | None) -> IrqData:
        raise NotImplementedError

    def _free(self, data: IrqData) -> None:
        """What this level took is given back."""

    async def _activate(self, data: IrqData, *, reserve: bool) -> None:
        """This level comes into use."""

    async def _deactivate(self, data: IrqData) -> None:
        """This level goes out of use."""

    def revert_affinity(self, data: IrqData) -> None:
        """The device did not take the message of a new affinity: back to the old one."""
        assert data.parent is not None
        data.parent.domain.revert_affinity(data.parent)

    def force_complete_move(self, data: IrqData) -> None:
        """No message of the old affinity is under way any more."""
        assert data.parent is not None
        data.parent.domain.force_complete_move(data.parent)


def irq_domain_alloc_irqs(
    domain: IrqDomain,
    transport: Waiting,
    info: AllocInfo,
    affinity: IrqAffinityDesc | None = None,
) -> IrqDesc:
    """A number, and everything that the levels from ``domain`` down need for it."""
    system = domain.system
    desc = system.irq_alloc_desc(transport, affinity)
    desc.msi_desc = info.desc
    try:
        desc.irq_data = domain.alloc(desc, info)
    except BaseException:
        system.irq_free_desc(desc)
        raise
    return desc


def irq_domain_free_irqs(desc: IrqDesc) -> None:
    """Give back an interrupt that nobody has requested and that is not active."""
    data = desc.irq_data
    data.domain.free(data)
    data.domain.system.irq_free_desc(desc)


async def irq_domain_activate_irq(desc: IrqDesc, *, reserve: bool) -> None:
    """Bring all levels of an interrupt into use, unless they are."""
    if not desc.activated:
        await desc.irq_data.domain.activate(desc.irq_data, reserve=reserve)
        desc.activated = True


async def irq_domain_deactivate_irq(desc: IrqDesc) -> None:
    """Take all levels of an interrupt out of use, unless they are."""
    if desc.activated:
        desc.activated = False
        await desc.irq_data.domain.deactivate(desc.irq_data)


def irq_chip_compose_msi_msg(data: IrqData) -> Message:
    """The message of the highest level that knows what to say."""
    level: IrqData | None = data
    while level is not None:
        if level.chip.irq_compose_msi_msg is not None:
            return level.chip.irq_compose_msi_msg(level)
        level = level.parent
    raise IrqError(errno.ENOSYS, f"no level of interrupt {data.irq} composes messages")
