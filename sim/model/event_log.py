"""The event log in host memory (DSA §5.9)."""

from collections.abc import Callable
from typing import Protocol

from hw.regs.commands import SoftwareError
from hw.regs.event_log import EVENT, EVENT_BYTES

from .host import Host
from .registers import Registers


class Owner(Protocol):
    """What the event log asks of the device around it."""

    host: Host
    registers: Registers

    @property
    def logging(self) -> bool:
        """Whether errors go to the event log."""
        ...


class EventLog:
    """Appends errors to the log, or says in SWERROR that there was no room.

    Parameters
    ----------
    device
        Whose log it is.
    lost
        Called with the code of an error that only SWERROR can tell.
    cause
        Called to ring vector 0 for the event log.
    """

    def __init__(self, device: Owner, lost: Callable[[int], None], cause: Callable[[], None]):
        self._device = device
        self._lost = lost
        self._cause = cause

    def append(self, **fields: int) -> None:
        """Write an event (:data:`hw.regs.event_log.EVENT`) and interrupt, unless one is pending."""
        registers = self._device.registers
        size, tail = registers.get("evlcfg", "size"), registers.get("evlstatus", "tail")
        following = (tail + 1) % size
        if following == registers.get("evlstatus", "head"):
            self._lost(SoftwareError.EVENT_LOG_APPEND)
            return
        address = (registers.get("evlcfg", "base") << 12) + EVENT_BYTES * tail
        pasid = None
        if registers.get("evlcfg", "pasid_enable"):
            pasid = registers.get("evlcfg", "pasid")
        event = EVENT.pack(**fields).to_bytes(EVENT_BYTES, "little")
        self._device.host.dma_write(address % (1 << 64), event, pasid)
        registers.set("evlstatus", tail=following)
        wanted = registers.get("genctrl", "event_log_interrupt")
        if wanted and not registers.get("evlstatus", "interrupt_pending"):
            registers.set("evlstatus", interrupt_pending=1)
            self._cause()
