"""The vector domain: who takes an interrupt, as what (Linux arch/x86/kernel/apic/vector.c).

A vector is only promised when an interrupt is allocated, and taken when it is requested. When an
interrupt moves, its old vector stays its own until no message for it can be under way.
"""

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..transport import Message
from .domain import AllocInfo, IrqDomain
from .errors import IrqError
from .irqdesc import IrqChip, IrqData, IrqDesc, SetMask
from .matrix import CpuMask, IrqMatrix

if TYPE_CHECKING:
    from .system import IrqSystem

FIRST_EXTERNAL_VECTOR = 0x20
SYSCALL_VECTOR = 0x80
FIRST_SYSTEM_VECTOR = 0xEC
MANAGED_IRQ_SHUTDOWN_VECTOR = 0xEF
"""Where an interrupt points that has no vector yet."""

DESTINATION_SHIFT = 12
COMPATIBILITY_APIC_IDS = 256


@dataclass(eq=False)
class ApicChipData:
    """Where an interrupt goes; vector 0 is none (Linux struct apic_chip_data).

    ``cfg_vector`` and ``dest_apicid`` are what the level above is to send to.
    """

    vector: int = 0
    cpu: int = 0
    prev_vector: int = 0
    prev_cpu: int = 0
    move_in_progress: bool = False
    is_managed: bool = False
    can_reserve: bool = False
    has_reserved: bool = False
    cfg_vector: int = 0
    dest_apicid: int = 0


def irqd_cfg(data: IrqData) -> ApicChipData:
    """The vector of an interrupt, from any level."""
    while data.parent is not None:
        data = data.parent
    cfg = data.chip_data
    assert isinstance(cfg, ApicChipData)
    return cfg


class VectorDomain(IrqDomain):
    """The lowest level.

    Members
    -------
    matrix
        The vectors of all processors.
    vector_irq
        By processor: the interrupt of each vector in use.
    """

    def __init__(self, system: "IrqSystem") -> None:
        super().__init__(system, "VECTOR")
        self._apic_ids = system.machine.apic_ids
        cpus = len(self._apic_ids)
        self.matrix = IrqMatrix(cpus, FIRST_EXTERNAL_VECTOR, FIRST_SYSTEM_VECTOR, system.failslab)
        self.matrix.assign_system(SYSCALL_VECTOR)
        self.vector_irq: list[dict[int, IrqDesc]] = [{} for _ in range(cpus)]
        self.chip = IrqChip(
            "APIC",
            irq_ack=self._ack,
            irq_compose_msi_msg=self._compose,
            irq_set_affinity=self._set_affinity,
        )

    def _alloc(self, desc: IrqDesc, info: AllocInfo, below: IrqData | None) -> IrqData:
        self.system.failslab.step("the vector domain's data", errno.ENOMEM)
        data = IrqData(desc, self, self.chip, desc.irq, ApicChipData())
        cfg = irqd_cfg(data)
        if desc.managed:
            self.matrix.reserve_managed(desc.affinity)
            cfg.is_managed = True
        elif info.mask is not None:
            self._assign(data, info.mask & self.system.online)
        else:
            self._reserve(data)
        return data

    def _free(self, data: IrqData) -> None:
        cfg = irqd_cfg(data)
        self._clear(data)
        if cfg.has_reserved:
            self.matrix.remove_reserved()
        if cfg.is_managed:
            self.matrix.remove_managed(data.desc.affinity)

    async def _activate(self, data: IrqData, *, reserve: bool) -> None:
        cfg, desc = irqd_cfg(data), data.desc
        if not cfg.can_reserve and not cfg.is_managed:
            self._assign_any(data)
        elif reserve or desc.managed_shutdown:
            self._point_nowhere(data)
        elif cfg.is_managed:
            self._assign_managed(data, desc.affinity & self.system.online)
        elif cfg.has_reserved:
            self._assign_any(data)
            cfg.has_reserved = False
            cfg.can_reserve = desc.can_reserve

    async def _deactivate(self, data: IrqData) -> None:
        cfg = irqd_cfg(data)
        if (not cfg.is_managed and not cfg.can_reserve) or cfg.has_reserved:
            return
        self._clear(data)
        if cfg.can_reserve:
            self._reserve(data)
        else:
            self._point_nowhere(data)

    # Choosing

    def _reserve(self, data: IrqData) -> None:
        cfg = irqd_cfg(data)
        self.matrix.reserve()
        cfg.can_reserve = cfg.has_reserved = True
        self._point_nowhere(data)

    def _point_nowhere(self, data: IrqData) -> None:
        self._update_cfg(data, MANAGED_IRQ_SHUTDOWN_VECTOR, min(self.system.online))

    def _assign_any(self, data: IrqData) -> None:
        """On the processors asked for if they have a vector left, else on any."""
        try:
            self._assign(data, data.desc.affinity & self.system.online)
        except IrqError:
            self._assign(data, self.system.online)

    def _assign(self, data: IrqData, dest: CpuMask) -> None:
        cfg = irqd_cfg(data)
        if cfg.vector and cfg.cpu in dest & self.system.online:
            return
        if cfg.move_in_progress:
            raise IrqError(
                errno.EBUSY,
                f"interrupt {data.irq} is still moving from processor {cfg.prev_cpu}; "
                f"try again after it has occurred",
            )
        cpu, vector = self.matrix.alloc(dest, reserved=cfg.has_reserved)
        self._update_vector(data, vector, cpu)

    def _assign_managed(self, data: IrqData, dest: CpuMask) -> None:
        cfg = irqd_cfg(data)
        dest &= data.desc.affinity
        if cfg.vector and cfg.cpu in dest:
            return
        cpu, vector = self.matrix.alloc_managed(dest)
        self._update_vector(data, vector, cpu)

    def _update_vector(self, data: IrqData, vector: int, cpu: int) -> None:
        cfg = irqd_cfg(data)
        if cfg.vector and cfg.cpu in self.system.online:
            cfg.move_in_progress = True
            cfg.prev_vector, cfg.prev_cpu = cfg.vector, cfg.cpu
        elif cfg.vector:
            self._release(data, cfg.cpu, cfg.vector)
        cfg.vector, cfg.cpu = vector, cpu
        self.vector_irq[cpu][vector] = data.desc
        self._update_cfg(data, vector, cpu)

    def _update_cfg(self, data: IrqData, vector: int, cpu: int) -> None:
        cfg = irqd_cfg(data)
        cfg.cfg_vector, cfg.dest_apicid = vector, self._apic_ids[cpu]
        data.desc.effective_affinity = frozenset((cpu,))

    # Giving back

    def _release(self, data: IrqData, cpu: int, vector: int) -> None:
        del self.vector_irq[cpu][vector]
        self.matrix.free(cpu, vector, managed=irqd_cfg(data).is_managed)

    def _clear(self, data: IrqData) -> None:
        cfg = irqd_cfg(data)
        if cfg.vector:
            self._release(data, cfg.cpu, cfg.vector)
            cfg.vector = 0
        self._free_moved(data)

    def _free_moved(self, data: IrqData) -> None:
        cfg = irqd_cfg(data)
        if cfg.prev_vector:
            self._release(data, cfg.prev_cpu, cfg.prev_vector)
            cfg.prev_vector, cfg.move_in_progress = 0, False

    def force_complete_move(self, data: IrqData) -> None:
        """The vector from before a move is free. A processor here has none waiting to be taken."""
        self._free_moved(data)

    def revert_affinity(self, data: IrqData) -> None:
        """Undo a move that did not get as far as the device."""
        cfg = irqd_cfg(data)
        if not cfg.move_in_progress:
            return
        self._release(data, cfg.cpu, cfg.vector)
        cfg.vector, cfg.cpu = cfg.prev_vector, cfg.prev_cpu
        cfg.prev_vector, cfg.move_in_progress = 0, False
        self._update_cfg(data, cfg.vector, cfg.cpu)

    # The chip

    async def _set_affinity(self, data: IrqData, mask: CpuMask) -> SetMask:
        if not data.desc.activated:
            raise IrqError(errno.EIO, f"interrupt {data.irq} is not active; request it first")
        if irqd_cfg(data).is_managed:
            self._assign_managed(data, mask & self.system.online)
        else:
            self._assign(data, mask & self.system.online)
        return SetMask.OK

    def _ack(self, data: IrqData, cpu: int, vector: int) -> None:
        """The first interrupt at its new place ends a move (irq_complete_move)."""
        cfg = irqd_cfg(data)
        if cfg.move_in_progress and (vector, cpu) == (cfg.vector, cfg.cpu):
            self._free_moved(data)

    def _compose(self, data: IrqData) -> Message:
        """The message in compatibility format (VT-d §5.1.2.1)."""
        cfg = irqd_cfg(data)
        if cfg.dest_apicid >= COMPATIBILITY_APIC_IDS:
            raise IrqError(
                errno.EINVAL,
                f"APIC {cfg.dest_apicid} is beyond what a message without remapping can name",
            )
        base = self.system.machine.message_base
        return Message(base | cfg.dest_apicid << DESTINATION_SHIFT, cfg.cfg_vector)
