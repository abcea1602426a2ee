"""Commands of the CMD register (DSA §3.15, §5.1, §5.2, §9.2.12)."""

from collections.abc import Callable, Iterator
from typing import Protocol

from hw.regs.bar0 import GROUP_CONFIG
from hw.regs.commands import (
    COMMANDS_IMPLEMENTED,
    Command,
    CommandError,
    DeviceState,
    QueueState,
)
from hw.regs.config import Config
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED
from hw.regs.event_log import EVENT_BYTES

from .config_space import Settings
from .messages import MessageStore
from .queues import Descriptor, WorkQueues

Affected = Callable[[Descriptor], bool]

LOG_ENTRIES = 64
"""An event log has at least this many."""

_FLAGS = {item.name: item for item in GROUP_CONFIG}["flags"]

#: Fields of the flags that GRPCAP denies.
_DENIED = ("global_limit", "work_limit", "batch_limit", "read_bandwidth", "write_bandwidth")

_NO_OPERAND = {
    Command.ENABLE_DEVICE,
    Command.DISABLE_DEVICE,
    Command.DRAIN_ALL,
    Command.ABORT_ALL,
    Command.RESET_DEVICE,
}


class RefusedError(Exception):
    """A command that ends with an error code."""

    def __init__(self, code: int):
        super().__init__(f"{code:#04x}")
        self.code = code


class Commanded(Protocol):
    """What commands act on."""

    config: Config
    state: DeviceState
    queues: WorkQueues
    store: MessageStore
    handles: set[tuple[bool, int]]

    @property
    def settings(self) -> Settings: ...

    def register(self, name: str, field: str) -> int:
        """A field of a control register."""
        ...

    def engaged(self, affected: Affected) -> bool:
        """Whether an engine works on a descriptor that is affected."""
        ...

    def abandon(self, affected: Affected) -> None:
        """Make the engines forget the descriptors that are affected."""
        ...

    def open_log(self) -> None:
        """The device has been enabled: an event log starts empty."""
        ...

    def reset_device(self) -> None:
        """Registers and tables to their initial values, but for those that Reset Device spares."""
        ...


class Commands:
    """Executes one command at a time.

    :meth:`start` takes a command; each :meth:`step` then advances it, and returns the error code
    and result once it is complete. A drain waits: its steps return None until nothing that it
    waits for is left in a queue or in the engine.

    Parameters
    ----------
    device
        What they act on.
    """

    def __init__(self, device: Commanded):
        self._device = device
        self._run: Iterator[int | None] | None = None
        self._waits: Affected | None = None

    @property
    def active(self) -> bool:
        """CMDSTATUS: a command is under way."""
        return self._run is not None

    @property
    def waiting(self) -> bool:
        """Whether the next step would find what it waits for still there."""
        return self._waits is not None and self._present(self._waits)

    def start(self, word: int) -> None:
        """Begin the command that was written to CMD."""
        self._waits = None
        self._run = self._execute(word)

    def cancel(self) -> None:
        """Function Level Reset: forget the command."""
        self._run = None

    def step(self) -> tuple[int, int] | None:
        """Advance. Returns error code and result when the command has completed."""
        assert self._run is not None
        try:
            result = next(self._run)
        except RefusedError as refused:
            self._run = None
            return refused.code, 0
        except StopIteration:
            self._run = None
            return CommandError.NONE, 0
        if result is None:
            return None
        self._run = None
        return CommandError.NONE, result

    def _execute(self, word: int) -> Iterator[int | None]:
        """Yields None while waiting, a result if there is one, and ends when complete."""
        operand, code = word & 0xF_FFFF, word >> 20 & 0x1F
        if not COMMANDS_IMPLEMENTED >> code & 1:
            raise RefusedError(CommandError.INVALID_COMMAND)
        command = Command(code)
        if self._device.state is DeviceState.HALTED and command is not Command.RESET_DEVICE:
            raise RefusedError(CommandError.DEVICE_HALTED)
        if word >> 25 & 0x3F or (command in _NO_OPERAND and operand):
            raise RefusedError(CommandError.RESERVED_NOT_ZERO)
        if command is Command.ENABLE_QUEUE and operand >> 8:
            raise RefusedError(CommandError.RESERVED_NOT_ZERO)
        if command in (Command.REQUEST_HANDLE, Command.RELEASE_HANDLE) and operand >> 17:
            raise RefusedError(CommandError.RESERVED_NOT_ZERO)
        match command:
            case Command.ENABLE_DEVICE:
                self._check_device()
                self._device.state = DeviceState.ENABLED
                self._device.open_log()
            case Command.ENABLE_QUEUE:
                self._enable_queue(operand)
            case Command.REQUEST_HANDLE:
                yield self._request_handle(operand)
            case Command.RELEASE_HANDLE:
                self._release_handle(operand)
            case Command.DISABLE_DEVICE:
                yield from self._disable_device()
            case Command.RESET_DEVICE:
                yield from self._reset_device()
            case Command.DRAIN_ALL | Command.ABORT_ALL:
                last = self._device.queues.sequence
                yield from self._clear(lambda d: d.sequence <= last, command is Command.ABORT_ALL)
            case Command.DRAIN_PASID | Command.ABORT_PASID:
                last = self._device.queues.sequence
                yield from self._clear(
                    lambda d: d.pasid == operand and d.sequence <= last,
                    command is Command.ABORT_PASID,
                )
            case _:
                yield from self._queues(command, operand)

    # Waiting

    def _present(self, affected: Affected) -> bool:
        return self._device.queues.holds(affected) or self._device.engaged(affected)

    def _clear(self, affected: Affected, abort: bool) -> Iterator[None]:
        """Wait until nothing affected is left, after having abandoned it if ``abort``."""
        if abort:
            self._device.queues.discard(affected)
            self._device.abandon(affected)
        self._waits = affected
        while self._present(affected):
            yield None
        self._waits = None
        if self._device.state is DeviceState.HALTED and not abort:
            raise RefusedError(CommandError.HARDWARE)

    # Device

    def _check_device(self) -> None:
        device = self._device
        if device.state is not DeviceState.DISABLED:
            raise RefusedError(CommandError.DEVICE_NOT_DISABLED)
        if not device.settings.bus_master:
            raise RefusedError(CommandError.BUS_MASTER_DISABLED)
        if sum(queue.size for queue in device.queues.queues) > device.config.queue_slots:
            raise RefusedError(CommandError.TOTAL_SIZE)
        self._check_groups()
        if device.register("gencfg", "event_log") and not self._log_fits():
            raise RefusedError(CommandError.EVENT_LOG)
        pasid = device.register("evlcfg", "pasid_enable")
        if pasid and not device.settings.pasid_enable:
            raise RefusedError(CommandError.PASID)
        if device.register("evlcfg", "privileged") and not (
            pasid and device.settings.pasid_privileged
        ):
            raise RefusedError(CommandError.PASID)

    def _log_fits(self) -> bool:
        """EVLCFG: enough entries, none of them beyond the end of memory (DSA §9.2.16)."""
        size = self._device.register("evlcfg", "size")
        base = self._device.register("evlcfg", "base") << 12
        return size >= LOG_ENTRIES and base + size * EVENT_BYTES <= 1 << 64

    def _check_groups(self) -> None:
        device, queues = self._device, self._device.queues
        members = [group["queues"] for group in queues.groups]
        engines = [group["engines"] for group in queues.groups]
        if any(bool(q) != bool(e) for q, e in zip(members, engines, strict=True)):
            raise RefusedError(CommandError.GROUP_INCOMPLETE)
        active = sum(1 << i for i, queue in enumerate(queues.queues) if queue.size)
        if _twice(members) or _union(members) != active:
            raise RefusedError(CommandError.GROUP_QUEUES)
        if _twice(engines) or _union(engines) >> device.config.engines:
            raise RefusedError(CommandError.GROUP_ENGINES)
        self._check_read_buffers()

    def _check_read_buffers(self) -> None:
        """GRPCFG flags (DSA §5.1, §9.2.23); Read Buffers Allowed of 0 is no limit of its own."""
        total = min(self._device.config.tags, 255)
        groups = [(group["engines"].bit_count(), group["flags"]) for group in self._groups]
        reserved = [_FLAGS.get(flags, "read_buffers_reserved") for _, flags in groups]
        spare = total - sum(reserved)
        wrong = spare < 0 or any(_FLAGS.get(flags, name) for _, flags in groups for name in _DENIED)
        for (engines, flags), own in zip(groups, reserved, strict=True):
            allowed = _FLAGS.get(flags, "read_buffers_allowed")
            fits = max(4 * engines, own) <= allowed <= own + spare
            if engines and allowed and not fits:
                wrong = True
        if wrong:
            raise RefusedError(CommandError.READ_BUFFERS)

    @property
    def _groups(self) -> list[dict[str, int]]:
        return self._device.queues.groups

    def _disable_device(self) -> Iterator[None]:
        device = self._device
        if device.state is not DeviceState.ENABLED:
            raise RefusedError(CommandError.DISABLE_NOT_ENABLED)
        device.state = DeviceState.DRAINING
        for queue in device.queues.queues:
            device.queues.close(queue)
        yield from self._clear(lambda d: True, abort=False)
        for queue in device.queues.queues:
            queue.state = QueueState.DISABLED
        device.state = DeviceState.DISABLED

    def _reset_device(self) -> Iterator[None]:
        device = self._device
        if device.state is not DeviceState.DISABLED:
            device.state = DeviceState.DRAINING
        for queue in device.queues.queues:
            device.queues.close(queue)
        yield from self._clear(lambda d: True, abort=True)
        device.state = DeviceState.DISABLED
        device.reset_device()

    # Queues

    def _enable_queue(self, number: int) -> None:
        device = self._device
        if device.state is not DeviceState.ENABLED:
            raise RefusedError(CommandError.DEVICE_NOT_ENABLED)
        if number >= len(device.queues.queues):
            raise RefusedError(CommandError.INVALID_QUEUE)
        queue, settings = device.queues.queues[number], device.settings
        if queue.state is not QueueState.DISABLED:
            raise RefusedError(CommandError.QUEUE_NOT_DISABLED)
        get = queue.get
        dedicated, pasid = queue.dedicated, queue.pasid_enable
        checks = {
            CommandError.QUEUE_SIZE_ZERO: not queue.size,
            CommandError.QUEUE_PRIORITY_ZERO: not get("mode", "priority"),
            CommandError.QUEUE_BLOCK_ON_FAULT: get("mode", "block_on_fault"),
            CommandError.QUEUE_PASID: (not pasid and not dedicated)
            or (pasid and not settings.pasid_enable),
            CommandError.QUEUE_BATCH: not 0
            < get("limits", "max_batch_log2")
            <= device.config.max_batch_log2,
            CommandError.QUEUE_TRANSFER: get("limits", "max_transfer_log2")
            > device.config.max_transfer_log2,
            CommandError.QUEUE_PRIVILEGED: dedicated
            and pasid
            and get("mode", "privileged")
            and not settings.pasid_privileged,
            CommandError.QUEUE_OCCUPANCY_HANDLE: not device.store.exists(
                bool(get("occupancy_handle", "ims")), get("occupancy_handle", "handle")
            ),
            CommandError.QUEUE_ATS: get("mode", "ats_disable"),
            CommandError.QUEUE_OPERATIONS: queue.values["operations"] & ~OPERATIONS_IMPLEMENTED,
            CommandError.QUEUE_PRS: get("mode", "prs_disable"),
        }
        for code, wrong in checks.items():
            if wrong:
                raise RefusedError(code)
        queue.state = QueueState.ENABLED
        device.queues.watch(number)

    def _queues(self, command: Command, operand: int) -> Iterator[None]:
        """Disable, drain, abort or reset the queues of a bitmap."""
        queues = self._device.queues.queues
        first = (operand >> 16) * 16
        numbers = {first + bit for bit in range(16) if operand >> bit & 1}
        if any(number >= len(queues) for number in numbers):
            raise RefusedError(CommandError.INVALID_QUEUE)
        chosen = [queues[number] for number in sorted(numbers)]
        reset = command is Command.RESET_QUEUE
        if not reset and any(queue.state is not QueueState.ENABLED for queue in chosen):
            raise RefusedError(CommandError.QUEUE_NOT_ENABLED)
        if command in (Command.DISABLE_QUEUE, Command.RESET_QUEUE):
            for queue in chosen:
                self._device.queues.close(queue)
        abort = command in (Command.ABORT_QUEUE, Command.RESET_QUEUE)
        yield from self._clear(lambda d: d.queue in numbers, abort)
        for queue in chosen:
            if reset:
                queue.reset(keep_size=True)
            elif command is Command.DISABLE_QUEUE:
                queue.state = QueueState.DISABLED

    # Handles

    def _vector(self, operand: int) -> tuple[bool, int]:
        """The table entry that an operand names. MSI-X entry 0 is the device's own."""
        ims, index = bool(operand >> 16), operand & 0xFFFF
        if not self._device.store.exists(ims, index) or (not ims and index == 0):
            raise RefusedError(CommandError.HANDLE_INDEX)
        return ims, index

    def _request_handle(self, operand: int) -> int:
        vector = self._vector(operand)
        self._device.handles.add(vector)
        return vector[1]

    def _release_handle(self, operand: int) -> None:
        vector = self._vector(operand)
        if vector not in self._device.handles:
            raise RefusedError(CommandError.HANDLE_INDEX)
        self._device.handles.remove(vector)


def _union(bitmaps: list[int]) -> int:
    union = 0
    for bitmap in bitmaps:
        union |= bitmap
    return union


def _twice(bitmaps: list[int]) -> bool:
    """Whether a bit is set in more than one."""
    return sum(bitmaps) != _union(bitmaps)
