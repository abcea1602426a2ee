"""What the interrupt subsystem needs of the machine: processors, memory, a remapping unit.

The machine is hardware and has no policy. Which vector belongs to whom, what the remapping table
says and where it lies is the business of :mod:`driver.irq`.
"""

from collections.abc import Sequence
from typing import Protocol


class HostMemory(Protocol):
    """Memory of the kernel's own, contiguous, which the device cannot reach."""

    @property
    def address(self) -> int:
        """Physical address, as the remapping unit finds it."""
        ...

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes as they are now; all of the rest if no size is given."""
        ...

    def write(self, data: bytes, offset: int = 0) -> None:
        """Store bytes; 16 aligned ones are seen whole or not at all."""
        ...

    def free(self) -> None:
        """Give back."""
        ...


class InterruptSystem(Protocol):
    """The operating system, as a processor enters it."""

    def interrupt(self, cpu: int, vector: int) -> bool:
        """A processor takes a vector. Returns whether it is anybody's."""
        ...


class Machine(Protocol):
    """Processors with local APICs, memory, and a unit that remaps interrupts.

    Members
    -------
    system
        Who is entered with each interrupt; None until an operating system has booted.
    """

    system: InterruptSystem | None

    @property
    def apic_ids(self) -> Sequence[int]:
        """The identifier of each processor's local APIC, by processor number."""
        ...

    @property
    def message_base(self) -> int:
        """Where the 1 MiB of interrupt message addresses starts."""
        ...

    @property
    def remapping(self) -> bool:
        """Whether there is a remapping unit."""
        ...

    def allocate_physical(self, size: int) -> HostMemory:
        """Zeroed memory, aligned to 4 KiB."""
        ...

    def set_remapping_table(
        self, address: int, entries_log2: int, *, extended: bool, compatibility: bool = False
    ) -> None:
        """Point the remapping unit at a table and turn it on (VT-d §11.4.8.1).

        ``extended`` has it take 32-bit APIC identifiers; otherwise they have 8 bits, and
        ``compatibility`` lets messages through that name no entry of the table.
        """
        ...

    def invalidate_interrupt_entries(self, index: int | None = None) -> None:
        """Drop what the unit has cached of one entry, or of all.

        When this returns, interrupts of the old contents have been taken (VT-d §6.5.2.7).
        """
        ...
