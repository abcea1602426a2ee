"""The processors of a virtual machine, and what interrupts them."""

from collections import deque
from collections.abc import Sequence

from ..machine import HostMemory, InterruptSystem, Machine
from ..transport import Message

MESSAGE_BASE = 0xFEE0_0000
DESTINATION_SHIFT, VECTOR_MASK = 12, 0xFF


class GuestMachine:
    """A :class:`driver.machine.Machine` without a remapping unit.

    Parameters
    ----------
    host
        The machine that it runs on.
    cpus
        How many virtual processors it has.

    Members
    -------
    system
        The guest's operating system.
    strays
        Messages that led to no vector of the guest's.
    """

    def __init__(self, host: Machine, cpus: int) -> None:
        self.system: InterruptSystem | None = None
        self.strays = 0
        self._host = host
        self._cpus = cpus
        self._waiting: deque[Message] = deque()
        self._running = True

    @property
    def apic_ids(self) -> Sequence[int]:
        """The identifier of each virtual processor's local APIC."""
        return range(self._cpus)

    @property
    def message_base(self) -> int:
        """Where interrupt messages go."""
        return MESSAGE_BASE

    @property
    def remapping(self) -> bool:
        """Whether there is a remapping unit: none."""
        return False

    def allocate_physical(self, size: int) -> HostMemory:
        """Zeroed memory of the guest's kernel."""
        return self._host.allocate_physical(size)

    def set_remapping_table(
        self, address: int, entries_log2: int, *, extended: bool, compatibility: bool = False
    ) -> None:
        """There is no unit to point at a table."""
        raise ValueError("the virtual machine has no remapping unit")

    def invalidate_interrupt_entries(self, index: int | None = None) -> None:
        """Nothing is cached."""

    def deliver(self, message: Message) -> None:
        """An interrupt message, in the format of machines without remapping (VT-d §5.1.2.1).

        While the processors do not run, their local APICs keep it.
        """
        if self._running:
            self._take(message)
        else:
            self._waiting.append(message)

    def pause(self) -> None:
        """Let the processors run no more."""
        self._running = False

    def run(self) -> None:
        """Let them run; what came meanwhile interrupts them now."""
        self._running = True
        while self._waiting:
            self._take(self._waiting.popleft())

    def _take(self, message: Message) -> None:
        cpu = message.address >> DESTINATION_SHIFT & 0xFF
        window = message.address >> 20 == MESSAGE_BASE >> 20
        vector = message.data & VECTOR_MASK
        known = window and cpu < self._cpus and self.system is not None
        if not known or not self.system.interrupt(cpu, vector):  # type: ignore[union-attr]
            self.strays += 1
