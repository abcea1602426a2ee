"""MSI-X vector 0: the interrupt that the device itself rings (DSA §3.12, §9.2.11)."""

from collections.abc import Callable

from hw.regs.bar0 import REGISTERS
from hw.regs.commands import DeviceState

from .event_log import EventLog
from .registers import Registers
from .reports import ErrorReport
from .transport import Task, Transport

_NAMED = {register.name: register for register in REGISTERS}
_INTCAUSE = _NAMED["intcause"]


class Service:
    """Finds out why vector 0 rang, and tells those whom it concerns.

    :meth:`ring` is the vector's handler. It starts a task that reads and clears the cause; bells
    that come meanwhile make it look again, so none is missed and there is never more than one.

    Parameters
    ----------
    event_log
        What the device has to say about several errors.
    on_command
        Called when a command has completed.
    on_error
        Called with every error and halt.
    on_revoked
        Called when interrupt handles are not valid any more (DSA §7.5.4).
    """

    def __init__(
        self,
        transport: Transport,
        registers: Registers,
        event_log: EventLog,
        on_command: Callable[[], None],
        on_error: Callable[[ErrorReport], None],
        on_revoked: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._registers = registers
        self._event_log = event_log
        self._on_command = on_command
        self._on_error = on_error
        self._on_revoked = on_revoked
        self._task: Task | None = None
        self._again = False

    def ring(self) -> None:
        """Look for the cause, now or once more."""
        self._again = True
        if self._task is None:
            self._task = self._transport.start(self._serve())

    async def settle(self) -> None:
        """Wait until the bells so far have been served."""
        while self._task is not None:
            await self._task.join()

    async def _serve(self) -> None:
        try:
            while self._again:
                self._again = False
                await self._look()
        finally:
            self._task = None

    async def _look(self) -> None:
        raw = await self._registers.read("intcause")
        if not raw:
            return
        await self._registers.write("intcause", raw)
        cause = _INTCAUSE.unpack(raw)
        if cause["command"]:
            self._on_command()
        if cause["handles_revoked"]:
            self._on_revoked()
        if cause["event_log"]:
            for report in await self._event_log.collect():
                self._on_error(report)
        halted = bool(cause["halt"])
        if cause["error"]:
            halted = await self._report_error(halted)
        if halted:
            self._on_error(ErrorReport(None, halted=True))

    async def _report_error(self, halted: bool) -> bool:
        """Report SWERROR and make room for the next; returns whether a halt is left to report."""
        error = await self._registers.fields("swerror")
        if not error["valid"]:
            return halted
        # An overflow that comes between the two accesses is left for the next report.
        await self._registers.write_fields("swerror", valid=1, overflow=error["overflow"])
        state = (await self._registers.fields("gensts"))["state"]
        halted = halted or state == DeviceState.HALTED
        self._on_error(ErrorReport.of(error, halted=halted))
        return False
