"""What there is once on a machine (Linux kernel/irq/irqdesc.c, proc.c)."""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from ..indices import Indices
from ..machine import Machine
from ..transport import Waiting
from .domain import IrqDomain
from .errors import IrqError
from .failslab import Failslab
from .handle import handle_edge_irq
from .irqdesc import IrqAffinityDesc, IrqDesc
from .matrix import CpuMask
from .msi import MsiFlag
from .remapping import RemappingDomain
from .vector import FIRST_EXTERNAL_VECTOR, FIRST_SYSTEM_VECTOR, VectorDomain

FIRST_DYNAMIC_IRQ = 24
NR_IRQS = 1 << 17

VECTOR_FLAGS = (
    MsiFlag.ALLOC_SIMPLE_MSI_DESCS
    | MsiFlag.FREE_MSI_DESCS
    | MsiFlag.ACTIVATE_EARLY
    | MsiFlag.MUST_REACTIVATE
    | MsiFlag.PCI_MSIX
    | MsiFlag.PCI_MSIX_ALLOC_DYN
)

SystemHandler = Callable[[int], None]
"""Called with the processor that takes the vector."""


@dataclass(frozen=True)
class InterruptLine:
    """A line of /proc/interrupts.

    Parameters
    ----------
    irq, counts
        Its number; how often it has occurred, by processor, where it has.
    chip, hwirq, actions
        Who delivers it, as what, to whom.
    unhandled
        How often nobody wanted it, since it was last judged.
    """

    irq: int
    counts: dict[int, int]
    chip: str
    hwirq: int
    actions: tuple[str, ...]
    unhandled: int


class IrqSystem:
    """The interrupt subsystem. Made by :func:`boot`.

    Members
    -------
    machine
        What it runs on.
    possible, online
        Processors that there are, and those that take interrupts.
    vector_domain, remapping_domain
        The levels that all devices share; the second is None without a remapping unit.
    irq_descs
        Interrupts by number.
    failslab
        Makes allocations fail, for tests.
    strays
        Interrupts that occurred while nobody had requested them.
    errors
        Interrupts with a vector that is nobody's.
    complaints
        What the subsystem had to say.
    """

    def __init__(self, machine: Machine, *, remapping: bool = True) -> None:
        self.machine = machine
        self.failslab = Failslab()
        self.possible: CpuMask = frozenset(range(len(machine.apic_ids)))
        self.online = self.possible
        self.irq_descs: dict[int, IrqDesc] = {}
        self.strays = self.errors = 0
        self.complaints: list[str] = []
        self._numbers = Indices(FIRST_DYNAMIC_IRQ, NR_IRQS)
        self._system_vectors: dict[int, SystemHandler] = {}
        self.vector_domain = VectorDomain(self)
        for cpu in self.online:
            self.vector_domain.matrix.online(cpu)
        self.remapping_domain: RemappingDomain | None = None
        if remapping and machine.remapping:
            self.remapping_domain = RemappingDomain(self, self.vector_domain)

    @property
    def msi_parent(self) -> IrqDomain:
        """The domain below those of devices."""
        return self.remapping_domain or self.vector_domain

    @property
    def supported_flags(self) -> MsiFlag:
        """What the domain below allows domains of devices to do (Linux struct msi_parent_ops)."""
        return VECTOR_FLAGS | MsiFlag.PCI_IMS if self.remapping_domain else VECTOR_FLAGS

    def interrupt(self, cpu: int, vector: int) -> bool:
        """A processor takes a vector. Returns whether it is anybody's.

        It is not, although an interrupt once had it, when that has been freed or has moved away.
        """
        if vector in self._system_vectors:
            self._system_vectors[vector](cpu)
            return True
        desc = self.vector_domain.vector_irq[cpu].get(vector)
        if desc is None:
            self.errors += 1
            return False
        handle_edge_irq(self, desc, cpu, vector)
        return True

    def set_system_vector(self, vector: int, handler: SystemHandler | None) -> None:
        """Take a vector of every processor for the system, or None: give it back."""
        if not FIRST_SYSTEM_VECTOR <= vector < 256:
            raise IrqError(
                errno.EINVAL,
                f"system vectors are {FIRST_SYSTEM_VECTOR} to 255, not {vector}; devices have "
                f"those from {FIRST_EXTERNAL_VECTOR}",
            )
        self._system_vectors.pop(vector, None)
        if handler is not None:
            self._system_vectors[vector] = handler

    def irq_alloc_desc(self, transport: Waiting, affinity: IrqAffinityDesc | None) -> IrqDesc:
        """A number and its descriptor."""
        self.failslab.step("an interrupt descriptor", errno.ENOMEM)
        if not len(self._numbers):
            raise IrqError(errno.ENOSPC, f"all {NR_IRQS} interrupt numbers are in use; free some")
        irq = self._numbers.take()
        mask = affinity.mask if affinity else self.possible
        managed = affinity is not None and affinity.is_managed
        self.irq_descs[irq] = IrqDesc(irq, transport, mask, managed)
        return self.irq_descs[irq]

    def irq_free_desc(self, desc: IrqDesc) -> None:
        """Give a number back."""
        del self.irq_descs[desc.irq]
        self._numbers.give(desc.irq)

    def irq_to_desc(self, irq: int) -> IrqDesc:
        """The descriptor of a number. **Errors** EINVAL where it is not allocated."""
        desc = self.irq_descs.get(irq)
        if desc is None:
            raise IrqError(errno.EINVAL, f"interrupt {irq} is not allocated")
        return desc

    def proc_interrupts(self) -> list[InterruptLine]:
        """What /proc/interrupts shows of the interrupts that are requested."""
        return [
            InterruptLine(
                desc.irq,
                dict(desc.kstat_irqs),
                desc.chip.name,
                desc.irq_data.hwirq,
                tuple(action.name for action in desc.actions),
                desc.irqs_unhandled,
            )
            for desc in self.irq_descs.values()
            if desc.actions
        ]

    def counts(self) -> dict[str, int]:
        """How much of everything is in use; what is not 0 when nothing should be has leaked."""
        matrix = self.vector_domain.matrix
        return {
            "interrupts": len(self.irq_descs),
            "vectors": matrix.total_allocated,
            "reserved": matrix.global_reserved,
            "managed": sum(each.managed for each in matrix.maps),
            "owners": sum(map(len, self.vector_domain.vector_irq)),
            "entries": self.remapping_domain.used if self.remapping_domain else 0,
        }


def boot(machine: Machine, *, remapping: bool = True) -> IrqSystem:
    """The interrupt subsystem of a machine, which is started when it is first asked for.

    ``remapping`` off leaves a remapping unit unused, as ``intremap=off`` does; later calls do not
    change it.
    """
    if machine.system is None:
        machine.system = IrqSystem(machine, remapping=remapping)
    assert isinstance(machine.system, IrqSystem), "another operating system runs on the machine"
    return machine.system
