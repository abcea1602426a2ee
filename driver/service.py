"""MSI-X vector 0: the interrupt that the device itself rings (DSA §3.12, §9.2.11)."""

from collections.abc import Callable
from dataclasses import dataclass

from hw.regs.bar0 import REGISTERS
from hw.regs.commands import DeviceState, SoftwareError
from hw.regs.descriptor import Opcode, Status

from .registers import Registers
from .transport import Task, Transport

_NAMED = {register.name: register for register in REGISTERS}
_INTCAUSE = _NAMED["intcause"]


@dataclass(frozen=True)
class ErrorReport:
    """An error that had no completion record to go to (DSA §9.2.15), or a halt.

    Parameters
    ----------
    code
        A :class:`hw.regs.commands.SoftwareError` or :class:`hw.regs.descriptor.Status`; None for
        a halt without an error.
    queue, opcode, pasid
        Where it came from, as far as the device knows.
    info, address
        Interrupt handle or fault address, for errors that have one.
    overflow
        Whether more errors followed that were not captured.
    halted
        Whether the device has stopped because of it.
    """

    code: int | None
    queue: int | None = None
    opcode: int | None = None
    pasid: int | None = None
    info: int | None = None
    address: int = 0
    overflow: bool = False
    halted: bool = False

    @property
    def name(self) -> str:
        """The name of the code, or its number."""
        if self.code is None:
            return "HALT"
        for names in (SoftwareError, Status):
            if self.code in set(names):
                return names(self.code).name
        return f"{self.code:#04x}"

    def __str__(self) -> str:
        parts = [self.name]
        if self.queue is not None:
            parts.append(f"on queue {self.queue}")
        if self.opcode is not None:
            known = self.opcode in set(Opcode)
            parts.append(f"by {Opcode(self.opcode).name if known else hex(self.opcode)}")
            parts.append(f"of PASID {self.pasid}")
        if self.overflow:
            parts.append("and more that were not captured")
        if self.halted:
            parts.append("and the device has halted")
        return " ".join(parts)


class Service:
    """Finds out why vector 0 rang, and tells those whom it concerns.

    :meth:`ring` is the vector's handler. It starts a task that reads and clears the cause; bells
    that come meanwhile make it look again, so none is missed and there is never more than one.

    Parameters
    ----------
    on_command
        Called when a command has completed.
    on_error
        Called with every error and halt.
    """

    def __init__(
        self,
        transport: Transport,
        registers: Registers,
        on_command: Callable[[], None],
        on_error: Callable[[ErrorReport], None],
    ) -> None:
        self._transport = transport
        self._registers = registers
        self._on_command = on_command
        self._on_error = on_error
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
        described = bool(error["descriptor_valid"])
        self._on_error(
            ErrorReport(
                code=error["code"],
                queue=error["queue"] if error["queue_valid"] else None,
                opcode=error["opcode"] if described else None,
                pasid=error["pasid"] if described else None,
                info=error["info"] if error["info_valid"] else None,
                address=error["address"],
                overflow=bool(error["overflow"]),
                halted=halted,
            )
        )
        return False
