"""One round of a soak run: a device set up at random, tenants at work, and a disturbance."""

from typing import Protocol

from driver import (
    Timeouts,
)
from driver.transport import Transport
from hw.regs.config import Config

from ..host.platform import Host

COMMAND_REGISTER, BUS_MASTER = 0x04, 1 << 2
SECTION_BYTES = 8192
KEPT_ERRORS = 10
FOREIGN_BYTES = 1 << 20
FAULT_KINDS = ("ur", "ca", "poison")
SLOW_FAULT_KIND = "lost"
"""Costs a completion timeout each time."""

PATIENT = Timeouts(operation=20_000_000, drain=20_000_000, submit=5_000_000)


class Stand(Protocol):
    """A device under test with the host around it, which can let reads fail."""

    config: Config
    transport: Transport
    host: Host
    happened: int
    """Reads that have failed so far because they were told to."""

    def arm(self, kind: str, after: int) -> None:
        """Let this happen to a read of the device, after so many others."""
        ...

    def disarm(self) -> None:
        """Let all reads go well from now on."""
        ...

    def complaints(self) -> list[str]:
        """Rules broken so far, as sentences."""
        ...
