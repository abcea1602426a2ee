"""Commands of a virtual device, carried out by the composer (DSA §3.15, §7.5)."""

from typing import Protocol

from hw.regs.commands import Command, CommandError, DeviceState, QueueState

from ..errors import CommandFailed, DriverError, VectorsExhausted
from .msix import VirtualMsix
from .pasids import Pasids
from .queue import VirtualQueue

COMMANDS = sum(1 << command for command in Command)
_NO_OPERAND = frozenset(
    {
        Command.ENABLE_DEVICE,
        Command.DISABLE_DEVICE,
        Command.DRAIN_ALL,
        Command.ABORT_ALL,
        Command.RESET_DEVICE,
    }
)
_QUEUES = frozenset(
    {Command.DISABLE_QUEUE, Command.DRAIN_QUEUE, Command.ABORT_QUEUE, Command.RESET_QUEUE}
)


class Refused(Exception):  # noqa: N818
    """A command ends with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code:#04x}")
        self.code = code


class Commanded(Protocol):
    """What commands act on."""

    state: DeviceState
    msix: VirtualMsix
    queue: VirtualQueue
    pasids: Pasids

    @property
    def bus_master(self) -> bool: ...

    async def reset_device(self) -> None:
        """Everything that Reset Device clears."""
        ...


class VirtualCommands:
    """Carries out one command at a time, and says what CMDSTATUS is to hold then."""

    def __init__(self, device: Commanded) -> None:
        self._device = device
        self._handles: dict[int, int] = {}

    async def execute(self, word: int) -> tuple[int, int]:
        """Error code and result of the command that was written."""
        try:
            return CommandError.NONE, await self._execute(word)
        except Refused as refused:
            return refused.code, 0
        except CommandFailed as failed:
            return failed.error, 0
        except DriverError:
            return CommandError.HARDWARE, 0

    def forget(self) -> None:
        """No handles have been requested."""
        self._handles.clear()

    async def _execute(self, word: int) -> int:
        operand, code = word & 0xF_FFFF, word >> 20 & 0x1F
        if not COMMANDS >> code & 1:
            raise Refused(CommandError.INVALID_COMMAND)
        command = Command(code)
        if word >> 25 & 0x3F or (command in _NO_OPERAND and operand):
            raise Refused(CommandError.RESERVED_NOT_ZERO)
        if command is Command.ENABLE_QUEUE:
            await self._enable_queue(operand)
        elif command in _QUEUES:
            await self._act_on_queue(command, operand)
        elif command is Command.REQUEST_HANDLE:
            return await self._request_handle(operand)
        elif command is Command.RELEASE_HANDLE:
            self._release_handle(operand)
        else:
            await self._act_on_device(command, operand)
        return 0

    async def _act_on_device(self, command: Command, operand: int) -> None:
        device = self._device
        if command is Command.RESET_DEVICE:
            await device.reset_device()
        elif command is Command.ENABLE_DEVICE:
            if device.state is not DeviceState.DISABLED:
                raise Refused(CommandError.DEVICE_NOT_DISABLED)
            if not device.bus_master:
                raise Refused(CommandError.BUS_MASTER_DISABLED)
            device.state = DeviceState.ENABLED
        elif device.state is not DeviceState.ENABLED:
            raise Refused(CommandError.DISABLE_NOT_ENABLED)
        elif command is Command.DISABLE_DEVICE:
            await device.queue.disable()
            device.state = DeviceState.DISABLED
        elif command in (Command.DRAIN_PASID, Command.ABORT_PASID):
            await device.queue.quiesce(command, [device.pasids.host(operand)])
        else:
            drain = command is Command.DRAIN_ALL
            each = Command.DRAIN_PASID if drain else Command.ABORT_PASID
            await device.queue.quiesce(each, device.pasids.hosts)

    async def _enable_queue(self, operand: int) -> None:
        device = self._device
        if operand >> 8:
            raise Refused(CommandError.RESERVED_NOT_ZERO)
        if operand:
            raise Refused(CommandError.INVALID_QUEUE)
        if device.state is not DeviceState.ENABLED:
            raise Refused(CommandError.DEVICE_NOT_ENABLED)
        if device.queue.state is not QueueState.DISABLED:
            raise Refused(CommandError.QUEUE_NOT_DISABLED)
        await device.queue.enable()

    async def _act_on_queue(self, command: Command, operand: int) -> None:
        queue = self._device.queue
        if operand != 1:
            raise Refused(CommandError.INVALID_QUEUE)
        if command is Command.RESET_QUEUE:
            await queue.disable()
            queue.reset()
            return
        if self._device.state is not DeviceState.ENABLED:
            raise Refused(CommandError.DISABLE_NOT_ENABLED)
        if queue.state is not QueueState.ENABLED:
            raise Refused(CommandError.QUEUE_NOT_ENABLED)
        if command is Command.DISABLE_QUEUE:
            await queue.disable()
        else:
            drain = command is Command.DRAIN_QUEUE
            each = Command.DRAIN_PASID if drain else Command.ABORT_PASID
            await queue.quiesce(each, self._device.pasids.hosts)

    async def _request_handle(self, operand: int) -> int:
        """The index in the host's message storage is the handle."""
        msix = self._device.msix
        if operand >> 17:
            raise Refused(CommandError.RESERVED_NOT_ZERO)
        if not 1 <= operand < msix.interrupts.count:  # the bit that names IMS, too: there is none
            raise Refused(CommandError.HANDLE_INDEX)
        try:
            handle = await msix.back(operand)
        except VectorsExhausted as error:
            raise Refused(CommandError.HANDLE_NONE) from error
        self._handles[operand] = handle
        return handle

    def _release_handle(self, operand: int) -> None:
        if operand >> 17:
            raise Refused(CommandError.RESERVED_NOT_ZERO)
        number = next((n for n, handle in self._handles.items() if handle == operand), None)
        if number is None:
            raise Refused(CommandError.HANDLE_INDEX)
        del self._handles[number]
