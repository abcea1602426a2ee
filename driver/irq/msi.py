"""MSI domains, one for each table of a device (Linux kernel/irq/msi.c)."""

import enum
import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ..indices import Indices
from ..transport import Message
from .domain import AllocInfo, IrqDomain, irq_chip_compose_msi_msg
from .errors import IrqError
from .irqdesc import NO_MESSAGE, IrqAffinityDesc, IrqChip, IrqData, IrqDesc, SetMask
from .matrix import CpuMask
from .remapping import RemappingDomain

if TYPE_CHECKING:
    from .pci_dev import PciDev

MSI_ANY_INDEX = 0xFFFF_FFFF
"""The next free index."""


class MsiFlag(enum.Flag):
    """What a domain does and what its parent allows (MSI_FLAG_*)."""

    ALLOC_SIMPLE_MSI_DESCS = enum.auto()
    FREE_MSI_DESCS = enum.auto()
    ACTIVATE_EARLY = enum.auto()
    MUST_REACTIVATE = enum.auto()
    PCI_MSIX = enum.auto()
    PCI_MSIX_ALLOC_DYN = enum.auto()
    PCI_IMS = enum.auto()


class BusToken(enum.Enum):
    """Kinds of per-device domains (DOMAIN_BUS_*)."""

    PCI_DEVICE_MSIX = "PCI-MSIX"
    PCI_DEVICE_IMS = "PCI-IMS"


class MsiDomainId(enum.IntEnum):
    """A device's domains (MSI_DEFAULT_DOMAIN, MSI_SECONDARY_DOMAIN)."""

    DEFAULT = 0
    SECONDARY = 1


@dataclass(frozen=True)
class MsiInstanceCookie:
    """What is particular to one interrupt of a domain, for its chip (union msi_instance_cookie).

    Parameters
    ----------
    pasid
        Whose descriptors may cause it; None for those without a PASID.
    """

    pasid: int | None = None


@dataclass(eq=False)
class MsiDesc:
    """An index of a device's table that is in use (Linux struct msi_desc)."""

    msi_index: int
    affinity: IrqAffinityDesc | None = None
    icookie: MsiInstanceCookie | None = None
    irq_desc: IrqDesc | None = None
    msg: Message = NO_MESSAGE


@dataclass(frozen=True)
class MsiDomainTemplate:
    """What a device's domain is made of (Linux struct msi_domain_template).

    ``prepare_desc`` is called before anything is allocated for an index.
    """

    name: str
    chip: IrqChip
    bus_token: BusToken
    flags: MsiFlag
    prepare_desc: Callable[[MsiDesc], None] | None = None


class MsiDomain(IrqDomain):
    """The highest level: the device's table.

    Members
    -------
    store
        Descriptors by index.
    """

    def __init__(
        self, dev: "PciDev", parent: IrqDomain, template: MsiDomainTemplate, hwsize: int
    ) -> None:
        super().__init__(dev.system, template.name, parent)
        self.template = template
        self.hwsize = hwsize
        self.store: dict[int, MsiDesc] = {}
        self._free_indices = Indices(0, hwsize)
        chip = template.chip
        if chip.irq_set_affinity is None:
            chip = replace(chip, irq_set_affinity=self._set_affinity)
        self.chip = chip

    @property
    def free_indices(self) -> int:
        """How many more interrupts the table has room for."""
        return len(self._free_indices)

    def insert_desc(self, desc: MsiDesc) -> None:
        """Give a descriptor its index. **Errors** ERANGE, EBUSY."""
        self.system.failslab.step("a place for the MSI descriptor", errno.ENOMEM)
        if desc.msi_index == MSI_ANY_INDEX:
            if not len(self._free_indices):
                raise IrqError(
                    errno.EBUSY, f"all {self.hwsize} entries of {self.name} are in use; free some"
                )
            desc.msi_index = self._free_indices.take()
        elif not 0 <= desc.msi_index < self.hwsize:
            raise IrqError(
                errno.ERANGE,
                f"{self.name} has entries 0 to {self.hwsize - 1}, not {desc.msi_index}",
            )
        elif desc.msi_index in self.store:
            raise IrqError(errno.EBUSY, f"entry {desc.msi_index} of {self.name} is in use")
        else:
            self._free_indices.take(desc.msi_index)
        self.store[desc.msi_index] = desc

    def remove_desc(self, desc: MsiDesc) -> None:
        """Take a descriptor out of the table."""
        del self.store[desc.msi_index]
        self._free_indices.give(desc.msi_index)

    def _alloc(self, desc: IrqDesc, info: AllocInfo, below: IrqData | None) -> IrqData:
        assert info.desc is not None
        self.system.failslab.step("the MSI domain's data", errno.ENOMEM)
        return IrqData(desc, self, self.chip, info.desc.msi_index, None, below)

    async def _activate(self, data: IrqData, *, reserve: bool) -> None:
        await self._write(data, irq_chip_compose_msi_msg(data))

    async def _deactivate(self, data: IrqData) -> None:
        await self._write(data, NO_MESSAGE)

    async def _write(self, data: IrqData, message: Message) -> None:
        msi_desc, write = data.desc.msi_desc, self.chip.irq_write_msi_msg
        assert msi_desc is not None and write is not None
        await write(data, message)
        msi_desc.msg = message

    async def _set_affinity(self, data: IrqData, mask: CpuMask) -> SetMask:
        """Move the levels below, and write the message again if they say so.

        No message for the old place is under way when that has become effective.
        """
        below = data.parent
        assert below is not None and below.chip.irq_set_affinity is not None
        if await below.chip.irq_set_affinity(below, mask) is SetMask.OK:
            try:
                await self._write(data, irq_chip_compose_msi_msg(data))
            except BaseException:
                self.revert_affinity(data)
                raise
            data.desc.after_sync.append(partial(self.force_complete_move, data))
        return SetMask.DONE

    async def rewrite(self, data: IrqData) -> None:
        """Give the device another message that leads to the same handler, while it fires or not.

        Linux has no such call: there an interrupt moves without its device, or it moves with it.
        """
        below = data.parent
        assert below is not None
        if isinstance(below.domain, RemappingDomain):
            with below.domain.reindexed(below):
                await self._write(data, irq_chip_compose_msi_msg(data))
        else:
            elsewhere = self.system.online - data.desc.effective_affinity
            await self._set_affinity(data, elsewhere or self.system.online)
