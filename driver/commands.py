"""The command register (DSA §3.15, §9.2.12)."""

from hw.regs.bar0 import REGISTERS
from hw.regs.commands import Command

from .errors import CommandFailed, CommandTimeout, MissedBell
from .lock import Lock
from .registers import Registers
from .timeouts import Timeouts
from .transport import Transport

_CMDSTATUS = next(register for register in REGISTERS if register.name == "cmdstatus")

WAITING = frozenset(
    {
        Command.DISABLE_DEVICE,
        Command.DRAIN_ALL,
        Command.ABORT_ALL,
        Command.DISABLE_QUEUE,
        Command.DRAIN_QUEUE,
        Command.ABORT_QUEUE,
        Command.DRAIN_PASID,
        Command.ABORT_PASID,
    }
)
"""Commands that complete only when descriptors have; they get the drain timeout."""

FIRST_POLL_CYCLES, LAST_POLL_CYCLES = 16, 1024


class Commands:
    """Runs commands one at a time, in the order in which they were asked for.

    Until :attr:`interrupts` is set, completion is polled. After that the device interrupts, and
    whoever serves that interrupt calls :meth:`rung`.

    **Errors** :class:`~driver.errors.CommandFailed` names the error code of the device.
    :class:`~driver.errors.CommandTimeout` after a command that did not complete; later commands
    fail the same way until it has. A command whose task is cancelled goes on in the device; the
    next one waits for it. :class:`~driver.errors.MissedBell` after one that completed
    without its interrupt.
    """

    def __init__(self, transport: Transport, registers: Registers, timeouts: Timeouts) -> None:
        self.interrupts = False
        self._transport = transport
        self._registers = registers
        self._timeouts = timeouts
        self._lock = Lock(transport)
        self._done = transport.event()
        self._overdue: str | None = None
        self._deserted = False

    def rung(self) -> None:
        """Say that the device has interrupted because of a command."""
        self._done.set()

    async def execute(
        self, command: int, operand: int = 0, *, timeout_cycles: int | None = None
    ) -> int:
        """Run one command to its end, and return its result field."""
        if not 0 <= operand < 1 << 20:
            raise ValueError(f"a command's operand has 20 bits; {operand:#x} does not fit")
        if timeout_cycles is None:
            waits = command in WAITING
            timeout_cycles = self._timeouts.drain if waits else self._timeouts.command
        async with self._lock:
            await self._refuse_while_overdue()
            deadline = self._transport.now() + timeout_cycles
            if self._deserted:
                await self._status(deadline, "a command whose task was cancelled")
            self._done.clear()
            self._deserted = True
            interrupt = self.interrupts
            await self._registers.write_fields(
                "cmd", code=command, operand=operand, interrupt=int(interrupt)
            )
            name = f"command {command} with operand {operand:#x}"
            rang = not interrupt or await self._done.wait(timeout_cycles)
            status = await self._status(deadline, name)
            self._deserted = False
        if status["error"]:
            raise CommandFailed(command, operand, status["error"])
        if not rang:
            raise MissedBell(f"{name} completed, but its interrupt did not arrive")
        return status["result"]

    async def _refuse_while_overdue(self) -> None:
        if self._overdue is not None:
            if (await self._registers.fields("cmdstatus"))["active"]:
                raise CommandTimeout(f"the device is still busy with {self._overdue}")
            self._overdue = None

    async def _status(self, deadline: int, name: str) -> dict[str, int]:
        """CMDSTATUS once it is no longer active."""
        pause = FIRST_POLL_CYCLES
        while True:
            status = _CMDSTATUS.unpack(await self._registers.read("cmdstatus"))
            if not status["active"]:
                return status
            if self._transport.now() >= deadline:
                self._overdue, self._deserted = name, False
                raise CommandTimeout(f"{name} did not complete in time")
            await self._transport.sleep(pause)
            pause = min(2 * pause, LAST_POLL_CYCLES)
