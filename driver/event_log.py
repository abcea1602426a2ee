"""The event log: errors that the device writes to memory, one after another (DSA §5.9)."""

from hw.regs.bar0 import REGISTERS
from hw.regs.event_log import EVENT, EVENT_BYTES

from .discovery import Capabilities
from .errors import SettingsError
from .registers import Registers
from .reports import ErrorReport
from .transport import Buffer, Transport

LOG_ALIGN = 4096
FEWEST_ENTRIES, MOST_ENTRIES = 64, 0xFFFF

_EVLSTATUS = next(register for register in REGISTERS if register.name == "evlstatus")


class EventLog:
    """The ring of entries in host memory, and the reader of it.

    The device appends at the tail. It may append one entry fewer than there are; what does not fit
    is lost, and the software error register says so.
    """

    def __init__(
        self, transport: Transport, registers: Registers, capabilities: Capabilities
    ) -> None:
        self._transport = transport
        self._registers = registers
        self._capabilities = capabilities
        self._buffer: Buffer | None = None
        self._entries = 0

    @property
    def enabled(self) -> bool:
        """Whether there is a log for the device to write to."""
        return self._buffer is not None

    def check(self, entries: int) -> None:
        """Refuse a size that the device would refuse; 0 means no log."""
        if not entries:
            return
        if not self._capabilities.event_log:
            raise SettingsError("the device has no event log of 64-byte entries")
        if not FEWEST_ENTRIES <= entries <= MOST_ENTRIES:
            raise SettingsError(
                f"an event log has {FEWEST_ENTRIES} to {MOST_ENTRIES} entries, not {entries}"
            )

    async def configure(self, entries: int) -> None:
        """Allocate a log in the function's own memory and tell the device. It is disabled."""
        self.check(entries)
        self.free()
        if entries:
            self._buffer = self._transport.allocate(EVENT_BYTES * entries, align=LOG_ALIGN)
            self._entries = entries
            base = self._buffer.address // LOG_ALIGN
            await self._registers.write_fields("evlcfg", base=base, size=entries)

    async def collect(self) -> list[ErrorReport]:
        """Take the entries between head and tail, and move the head behind them."""
        reports: list[ErrorReport] = []
        while self._buffer is not None:
            status = _EVLSTATUS.unpack(await self._registers.read("evlstatus"))
            head, tail = status["head"], status["tail"]
            if max(head, tail) >= self._entries or (
                head == tail and not status["interrupt_pending"]
            ):
                break
            while head != tail:
                entry = self._buffer.read(EVENT_BYTES * head, EVENT_BYTES)
                fields = EVENT.unpack(int.from_bytes(entry, "little"))
                reports.append(ErrorReport.of(fields, logged=True))
                head = (head + 1) % self._entries
            await self._registers.write_fields("evlstatus", head=head, interrupt_pending=1)
        return reports

    def free(self) -> None:
        """Give the memory back. The device writes it no more."""
        if self._buffer is not None:
            self._buffer.free()
            self._buffer = None
