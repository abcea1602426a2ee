"""The interrupt remapping domain (Linux drivers/iommu/intel/irq_remapping.c).

A device's message names an entry of a table in memory, and the entry says where the interrupt
goes. So an interrupt moves without its device, and a device that sends another's message, or one
with the requester id of another, interrupts nobody.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..indices import Indices
from ..transport import Message
from .domain import AllocInfo, IrqDomain
from .errors import IrqError
from .irqdesc import IrqChip, IrqData, IrqDesc, SetMask, VcpuData
from .irte import IRTE_BYTES, PDA_UNIT_LOG2, Irte, remappable_message
from .matrix import CpuMask
from .vector import irqd_cfg

if TYPE_CHECKING:
    from .system import IrqSystem

TABLE_ENTRIES_LOG2 = 16
TABLE_ENTRIES = 1 << TABLE_ENTRIES_LOG2

USABLE = 32749
"""A prime: entries that are used, the last of the table but a few."""

FIRST = TABLE_ENTRIES // 2
SCATTER, SPLIT = 20261, 12345


def subhandle(index: int) -> int:
    """The part of an index that goes into the data of its message.

    Linux leaves it 0. Here neither address nor data is that of another entry, so a message made of
    one's address and another's data leads to a third entry, which most often is not present.
    """
    return (index - FIRST) * SPLIT % USABLE


@dataclass(eq=False)
class IntelIrData:
    """What the table says of an interrupt (Linux struct intel_ir_data)."""

    index: int
    irte: Irte
    posted: VcpuData | None = None


class RemappingDomain(IrqDomain):
    """The level between the vectors and the devices' domains.

    Indices are handed out all over the table and come back into use as late as possible, so that
    a stale message finds an entry that is not present.

    Members
    -------
    table
        The remapping table.
    used
        Entries that are allocated.
    """

    def __init__(self, system: "IrqSystem", parent: IrqDomain) -> None:
        super().__init__(system, "INTEL-IR", parent)
        self._machine = system.machine
        self.table = self._machine.allocate_physical(IRTE_BYTES * TABLE_ENTRIES)
        self._indices = Indices(FIRST, FIRST + USABLE, SCATTER)
        self._machine.set_remapping_table(self.table.address, TABLE_ENTRIES_LOG2, extended=True)
        self._machine.invalidate_interrupt_entries()
        self.chip = IrqChip(
            "INTEL-IR",
            irq_compose_msi_msg=self._compose,
            irq_set_affinity=self._set_affinity,
            irq_set_vcpu_affinity=self._set_vcpu_affinity,
        )

    @property
    def used(self) -> int:
        return USABLE - len(self._indices)

    def _alloc(self, desc: IrqDesc, info: AllocInfo, below: IrqData | None) -> IrqData:
        assert below is not None
        self.system.failslab.step("the remapping domain's data", errno.ENOMEM)
        cfg = irqd_cfg(below)
        index = self._alloc_irte()
        irte = Irte(cfg.cfg_vector, cfg.dest_apicid, info.devid)
        return IrqData(desc, self, self.chip, index, IntelIrData(index, irte), below)

    def _free(self, data: IrqData) -> None:
        self._free_irte(data.chip_data.index)

    async def _activate(self, data: IrqData, *, reserve: bool) -> None:
        self._reconfigure(data)

    async def _deactivate(self, data: IrqData) -> None:
        self._write(data.chip_data.index, None)

    def _alloc_irte(self) -> int:
        self.system.failslab.step("an entry of the remapping table", errno.ENOMEM)
        if not len(self._indices):
            raise IrqError(
                errno.ENOMEM,
                f"all {USABLE} entries of the remapping table are in use; free interrupts",
            )
        return self._indices.take()

    def _free_irte(self, index: int) -> None:
        self._write(index, None)
        self._indices.give(index)

    def _write(self, index: int, irte: Irte | None) -> None:
        """Store an entry and have the unit forget what it knew of it (modify_irte)."""
        entry = bytes(IRTE_BYTES) if irte is None else irte.encode()
        self.table.write(entry, IRTE_BYTES * index)
        self._machine.invalidate_interrupt_entries(index)

    def _reconfigure(self, data: IrqData) -> None:
        cfg, ir = irqd_cfg(data), data.chip_data
        ir.irte = Irte(cfg.cfg_vector, cfg.dest_apicid, ir.irte.sid)
        self._write(ir.index, self._effective(ir))

    @staticmethod
    def _effective(ir: IntelIrData) -> Irte:
        if ir.posted is None:
            return ir.irte
        return ir.irte.posted(ir.posted.pi_desc_addr, ir.posted.vector)

    # The chip

    def _compose(self, data: IrqData) -> Message:
        index = data.chip_data.index
        return remappable_message(self._machine.message_base, index, subhandle(index))

    async def _set_affinity(self, data: IrqData, mask: CpuMask) -> SetMask:
        """Move to another processor: the entry changes, the device's message does not."""
        below = data.parent
        assert below is not None and below.chip.irq_set_affinity is not None
        await below.chip.irq_set_affinity(below, mask)
        self._reconfigure(data)
        self.force_complete_move(data)
        return SetMask.DONE

    def _set_vcpu_affinity(self, data: IrqData, vcpu: VcpuData | None) -> None:
        """Post the interrupt to a descriptor in memory, or remap it again (VT-d §5.2)."""
        if vcpu is not None and vcpu.pi_desc_addr % (1 << PDA_UNIT_LOG2):
            raise IrqError(
                errno.EINVAL,
                f"a posted-interrupt descriptor is aligned to 64 bytes, not {vcpu.pi_desc_addr:#x}",
            )
        data.chip_data.posted = vcpu
        self._write(data.chip_data.index, self._effective(data.chip_data))

    @contextmanager
    def reindexed(self, data: IrqData) -> Iterator[None]:
        """Lead to the same place through another entry, whose message the block gives the device.

        The old entry is free when the change is effective; if the block fails, the new one is.
        """
        ir = data.chip_data
        old, new = ir.index, self._alloc_irte()
        self._write(new, self._effective(ir))
        self._rename(data, new)
        try:
            yield
        except BaseException:
            self._rename(data, old)
            self._free_irte(new)
            raise
        data.desc.after_sync.append(partial(self._free_irte, old))

    def _rename(self, data: IrqData, index: int) -> None:
        del self.revmap[data.hwirq]
        data.hwirq = data.chip_data.index = index
        self.revmap[index] = data
