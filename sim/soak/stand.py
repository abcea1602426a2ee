"""What a round of a soak run needs: a device, the host around it, and ways to be unkind."""

from typing import Protocol

from driver.transport import Transport
from hw.regs.config import Config

from ..host.platform import Host

QUICK_FAULTS = ("ur", "ca", "poison")
"""Ways for a read to fail; the fourth, ``"lost"``, costs a completion timeout each time."""


class Faults:
    """Decides which reads of the device fail.

    Members
    -------
    happened
        Reads that have failed because of it.
    """

    def __init__(self) -> None:
        self.happened = 0
        self._kind: str | None = None
        self._left = 0

    def arm(self, kind: str, after: int) -> None:
        """Let this happen to a read, after so many others."""
        self._kind, self._left = kind, after

    def disarm(self) -> None:
        """Let all reads go well."""
        self._kind = None

    def look(self) -> str | None:
        """To be called with every read: what happens to it, if anything."""
        self._left -= 1
        if self._kind is None or self._left >= 0:
            return None
        kind, self._kind = self._kind, None
        self.happened += 1
        return kind


class Stand(Protocol):
    """A device under test, enumerated.

    Members
    -------
    config, transport, host
        The device's parameters, the way to it, and the memory and interrupts around it.
    faults
        Which of its reads fail.
    """

    config: Config
    transport: Transport
    host: Host
    faults: Faults

    async def complaints(self) -> list[str]:
        """Everything the device did wrong, once it has come to rest."""
        ...
