"""Interrupt descriptors, their data at each level, and chips (Linux include/linux/irq.h)."""

import enum
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..lock import Lock
from ..transport import Message, Task, Waiting
from .matrix import CpuMask

if TYPE_CHECKING:
    from .domain import IrqDomain
    from .msi import MsiDesc

NO_MESSAGE = Message(0, 0)
"""What an entry holds that is not in use."""


class SetMask(enum.Enum):
    """What a chip has done about an affinity (IRQ_SET_MASK_*)."""

    OK = "the message has to be written again"
    DONE = "nothing is left to do"


class IrqReturn(enum.Enum):
    """What a handler says of an interrupt; None, for handlers that have no doubt, is HANDLED."""

    NONE = "not from this device"
    HANDLED = "handled"
    WAKE_THREAD = "let the thread handle it"


@dataclass(frozen=True)
class IrqAffinityDesc:
    """Processors for one interrupt; a managed one never leaves them (Linux struct of this name)."""

    mask: CpuMask
    is_managed: bool = False


@dataclass(frozen=True)
class VcpuData:
    """Where to post an interrupt: a descriptor's address, and the virtual vector."""

    pi_desc_addr: int
    vector: int


@dataclass(eq=False)
class IrqData:
    """One level of an interrupt: what a domain and its chip know of it (Linux struct irq_data)."""

    desc: "IrqDesc"
    domain: "IrqDomain"
    chip: "IrqChip"
    hwirq: int
    chip_data: Any = None
    parent: "IrqData | None" = None

    @property
    def irq(self) -> int:
        return self.desc.irq


Operation = Callable[[IrqData], Awaitable[None]]


@dataclass
class IrqChip:
    """What can be done to an interrupt, as far as a level can do it (Linux struct irq_chip).

    ``irq_bus_lock`` and ``irq_bus_sync_unlock`` surround every change, for chips whose other
    operations only note what is to be done. ``unlazy`` has a disabled interrupt masked at once,
    not when it next occurs (IRQ_DISABLE_UNLAZY).
    """

    name: str
    irq_mask: Operation | None = None
    irq_unmask: Operation | None = None
    irq_shutdown: Operation | None = None
    irq_ack: Callable[[IrqData, int, int], None] | None = None
    irq_compose_msi_msg: Callable[[IrqData], Message] | None = None
    irq_write_msi_msg: Callable[[IrqData, Message], Awaitable[None]] | None = None
    irq_set_affinity: Callable[[IrqData, CpuMask], Awaitable[SetMask]] | None = None
    irq_set_vcpu_affinity: Callable[[IrqData, VcpuData | None], None] | None = None
    irq_bus_lock: Operation | None = None
    irq_bus_sync_unlock: Operation | None = None
    unlazy: bool = False


Handler = Callable[[], IrqReturn | None]


@dataclass(eq=False)
class IrqAction:
    """A handler that was requested, and its thread (Linux struct irqaction).

    ``woken`` says that the thread is to run once more, ``thread`` that it runs.
    """

    handler: Handler
    name: str
    dev_id: object
    shared: bool
    thread_fn: Callable[[], Coroutine[Any, Any, None]] | None = None
    woken: bool = False
    thread: Task | None = None


@dataclass(eq=False)
class IrqDesc:
    """An interrupt, by its number (Linux struct irq_desc, with irq_common_data in it).

    Members
    -------
    irq_data
        The level of the device; the others hang below.
    affinity, effective_affinity
        Where it may go, and where it goes.
    depth
        How often it was disabled; 1 before it is requested.
    pending
        An event came while it was disabled; it is handled when it is enabled.
    kstat_irqs
        Interrupts by processor.
    after_sync
        What to give back when no message from before a change can be under way any more.
    """

    irq: int
    transport: Waiting
    affinity: CpuMask
    managed: bool = False
    effective_affinity: CpuMask = frozenset()
    msi_desc: "MsiDesc | None" = None
    actions: list[IrqAction] = field(default_factory=list)
    depth: int = 1
    can_reserve: bool = True
    activated: bool = False
    started: bool = False
    disabled: bool = True
    masked: bool = True
    in_progress: bool = False
    pending: bool = False
    managed_shutdown: bool = False
    spurious_disabled: bool = False
    irq_count: int = 0
    irqs_unhandled: int = 0
    last_unhandled: int = 0
    kstat_irqs: Counter[int] = field(default_factory=Counter)
    after_sync: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lock = Lock(self.transport)
        self._irq_data: IrqData | None = None

    @property
    def irq_data(self) -> IrqData:
        assert self._irq_data is not None, "the interrupt is in no domain"
        return self._irq_data

    @irq_data.setter
    def irq_data(self, value: IrqData) -> None:
        self._irq_data = value

    @property
    def chip(self) -> IrqChip:
        """The chip of the device's level."""
        return self.irq_data.chip
