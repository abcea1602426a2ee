"""What the driver needs of the machine it runs on.

Driver code never knows whether a transport ends in the functional model, in RTL under simulation,
in a board on a serial line, or in a real slot. Everything that takes time is ``async``; time is
counted in clocks of the device.
"""

import enum
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from .machine import Machine


class Outcome(enum.Enum):
    """How a deferrable memory write (ENQCMD) ended."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    """Nothing happened; the same write may be tried again."""
    REJECTED = "rejected"
    """The device does not support it (UR or CA), or did not answer."""


@dataclass(frozen=True)
class Message:
    """What the device writes, and where, to interrupt the host."""

    address: int
    data: int


class Buffer(Protocol):
    """Host memory that the device can reach, and the CPU's view of it."""

    @property
    def address(self) -> int:
        """Where the device finds it, in the address space of its PASID."""
        ...

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes as the CPU sees them now; all of the rest if no size is given."""
        ...

    def write(self, data: bytes, offset: int = 0) -> None:
        """Store bytes as the CPU."""
        ...

    def free(self) -> None:
        """Unmap and give back; the device can no longer reach it."""
        ...


class Event(Protocol):
    """Something that happens, for others to wait for."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def is_set(self) -> bool: ...

    async def wait(self, timeout_cycles: int | None = None) -> bool:
        """Wait until set. Returns whether it was, before the time was up."""
        ...


class Task(Protocol):
    """A coroutine that runs beside its caller."""

    async def join(self) -> Any:
        """Wait until it returns; its result or its exception becomes the caller's."""
        ...


class Waiting(Protocol):
    """Time, and tasks that share it."""

    def now(self) -> int:
        """Clocks since the transport was opened."""
        ...

    async def sleep(self, cycles: int) -> None:
        """Let time pass."""
        ...

    def event(self) -> Event: ...

    def start(self, work: Coroutine[Any, Any, Any]) -> Task:
        """Run a coroutine beside the caller."""
        ...


class Transport(Waiting, Protocol):
    """An enumerated function with its BARs assigned, and the host around it."""

    @property
    def machine(self) -> Machine:
        """The host's processors and what interrupts them."""
        ...

    @property
    def requester_id(self) -> int:
        """With which the function sends its requests: bus, device and function number."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent to the device so far: configuration, memory and deferrable writes."""
        ...

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space; all ones if nobody answers."""
        ...

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        ...

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR (0 or 2), or 0 if there is none."""
        ...

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read 1 to 64 bytes as one request; all ones if the device refuses or does not answer."""
        ...

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Send 1 to 64 bytes as one posted write. Returns when it is under way."""
        ...

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        """Send 64 bytes as one deferrable memory write."""
        ...

    def allocate_pasid(self) -> int:
        """A PASID with an empty address space of its own."""
        ...

    def free_pasid(self, pasid: int) -> None:
        """Give a PASID and its address space back."""
        ...

    def allocate(self, size: int, *, pasid: int | None = None, align: int = 64) -> Buffer:
        """Memory in the address space of a PASID, or of the function itself."""
        ...
