"""The device as a whole."""

from collections.abc import Callable

from hw.regs.commands import DeviceState, SoftwareError
from hw.regs.config import Config
from hw.regs.descriptor import Flag, Status

from .commands import Commands
from .completer import Completer, Outgoing
from .config_space import ConfigSpace, Settings
from .engine import Engine, Work
from .event_log import EventLog
from .host import Host
from .messages import MessageStore
from .queues import Descriptor, WorkQueue, WorkQueues
from .registers import Registers
from .tlp import Tlp
from .wire import decode


class Device:
    """A Tocsin device without time: requests in, completions out, work in steps between.

    :meth:`handle` answers a TLP at once and completely. What the device does by itself happens in
    :meth:`step`: one stage of the command under way, or one stage of the descriptor in an engine
    (its checks, a chunk of data, the completion record, the interrupt). :meth:`runnable` says
    which of them could go on now, so a test can interleave them as it likes.

    DMA and interrupt messages leave through ``host`` in the order in which the device's one
    transmit path would carry them.

    **Timing**: none; a request is handled entirely between two steps.

    **Errors**: as the specifications have it. Nothing raises.

    Parameters
    ----------
    config
        Parameters of the device.
    host
        The machine around it.
    strict_handles
        Interrupt handles are good only between Request and Release Interrupt Handle. Otherwise
        every index in range is a handle at all times, which the commands confirm.

    Members
    -------
    space : ConfigSpace
    store : MessageStore
    queues : WorkQueues
    engines : list[Engine]
    commands : Commands
    """

    def __init__(self, config: Config, host: Host, *, strict_handles: bool = False):
        self.config = config
        self.host = host
        self.strict_handles = strict_handles
        self.handles: set[tuple[bool, int]] = set()
        self.space = ConfigSpace(config)
        self.store = MessageStore(config, self._send)
        self.queues = WorkQueues(config, self._overflow, self._below)
        self.engines = [Engine(config, self, number) for number in range(config.engines)]
        self._next_engine = 0
        self.registers = Registers(config, self._command)
        self.log = EventLog(self, self._error, lambda: self._cause("event_log"))
        self._state = DeviceState.DISABLED
        self.commands = Commands(self)
        self._completer = Completer(config, self.space, self, self._configured)
        self._command_interrupt = False
        self._tables: list[tuple[range, MessageStore | WorkQueues]] = [
            *((window, self.store) for window in self.store.windows.values()),
            *((window, self.queues) for window in self.queues.windows.values()),
        ]
        self._tables.sort(key=lambda item: len(item[0]), reverse=True)
        self._before = self.space.settings

    # The wire

    def handle(self, tlp: Tlp) -> list[Outgoing]:
        """Take a TLP; return what is sent because of it: a completion, then an error message."""
        answer = self._completer.handle(tlp)
        if self.space.flr_requested:
            self._function_level_reset()
        return answer

    def handle_wire(self, data: bytes) -> list[Outgoing]:
        """As :meth:`handle`, for the bytes of a TLP."""
        return self.handle(decode(data))

    # Time

    def runnable(self) -> tuple[str, ...]:
        """What :meth:`step` could do: ``"command"``, ``"engine 0"`` and so on, or nothing."""
        engines = tuple(f"engine {number}" for number in self._ready_engines())
        return ("command", *engines) if self._command_ready else engines

    @property
    def idle(self) -> bool:
        """Nothing happens any more unless somebody sends a TLP."""
        return not self.runnable()

    def step(self, what: str | None = None) -> bool:
        """Do one unit of work. Returns whether there was any.

        Parameters
        ----------
        what
            One of :meth:`runnable`, or nothing happens; ``"engine"`` is the next engine in turn. If
            not given, the command first, then the next engine.
        """
        if what in (None, "command") and self._command_ready:
            self._step_command()
            return True
        ready = [] if what == "command" else self._ready_engines()
        if what not in (None, "engine"):
            ready = [number for number in ready if what == f"engine {number}"]
        if not ready:
            return False
        count = self.config.engines
        chosen = min(ready, key=lambda number: (number - self._next_engine) % count)
        self._next_engine = (chosen + 1) % count
        self.engines[chosen].step()
        return True

    def settle(self, limit: int = 1_000_000) -> int:
        """Step until nothing is left to do. Returns the number of steps."""
        for count in range(limit):
            if not self.step():
                return count
        raise RuntimeError(f"still busy after {limit} steps")

    @property
    def _command_ready(self) -> bool:
        return self.commands.active and not self.commands.waiting

    def _ready_engines(self) -> list[int]:
        if self.state is DeviceState.HALTED or not self.settings.bus_master:
            return []
        return [number for number, engine in enumerate(self.engines) if engine.ready]

    # BAR0

    def read_word(self, address: int) -> int:
        """The aligned 8-byte word of BAR0."""
        for window, table in self._tables:
            if address in window:
                return table.read(address)
        return self.registers.read(address)

    def write_word(self, address: int, data: int, lanes: int) -> None:
        """Write the bits in ``lanes`` of an aligned 8-byte word of BAR0."""
        disabled = self.state is DeviceState.DISABLED
        for window, table in self._tables:
            if address in window:
                if isinstance(table, MessageStore):
                    table.write(address, data, lanes)
                else:
                    table.write(address, data, lanes, device_disabled=disabled)
                return
        self.registers.write(address, data, lanes, device_disabled=disabled)
        self.queues.turn_staging(bool(self.register("ext_control", "staged_submission")))

    def submit(self, queue: int, portal: int, data: bytes, deferrable: bool) -> bool:
        """A 64-byte write to a portal. Returns whether it was accepted."""
        if self.state is not DeviceState.ENABLED:
            return False
        return self.queues.submit(queue, portal, data, deferrable=deferrable)

    def stage(self, queue: int, portal: int, place: int, data: bytes) -> None:
        """A posted write of 8 aligned bytes to a portal."""
        if self.state is DeviceState.ENABLED:
            self.queues.stage(queue, portal, place, data)

    # State

    @property
    def state(self) -> DeviceState:
        """GENSTS: device state."""
        return self._state

    @state.setter
    def state(self, value: DeviceState) -> None:
        self._state = value
        self.registers.set("gensts", state=value)

    @property
    def settings(self) -> Settings:
        return self.space.settings

    def register(self, name: str, field: str) -> int:
        """A field of a control register."""
        return self.registers.get(name, field)

    def _configured(self) -> None:
        """A configuration write has happened."""
        before, now = self._before, self.space.settings
        self._before = now
        self.store.settings(
            enable=now.msix_enable,
            function_mask=now.function_mask,
            bus_master=now.bus_master,
        )
        changed = any(
            getattr(before, name) != getattr(now, name)
            for name in ("bus_master", "pasid_enable", "pasid_privileged")
        )
        if changed and self.state in (DeviceState.ENABLED, DeviceState.DRAINING):
            self._halt()

    def _halt(self) -> None:
        """Unsupported change of configuration while enabled (DSA §5.7).

        Nothing leaves any more, so what was submitted is abandoned.
        """
        self.abandon(lambda descriptor: True)
        self.queues.discard(lambda descriptor: True)
        self.state = DeviceState.HALTED
        self._error(SoftwareError.ENABLE_CHANGED)
        if self.register("genctrl", "halt_interrupt"):
            self._cause("halt")

    def reset_device(self) -> None:
        """Registers and tables to their initial values, as Reset Device does."""
        self.registers.reset_device()
        self.state = DeviceState.DISABLED
        self.queues.reset()
        self.queues.turn_staging(False)
        self.store.reset_ims()
        self.handles.clear()

    def _function_level_reset(self) -> None:
        """Everything but what is sticky (PCIe Base 6.x §6.6.2)."""
        self.space.reset()
        self._before = self.space.settings
        self.abandon(lambda descriptor: True)
        self.commands.cancel()
        self.registers.reset()
        self.state = DeviceState.DISABLED
        self.queues.reset()
        self.queues.turn_staging(False)
        self.store.settings(enable=False, function_mask=False, bus_master=False)
        self.store.reset()
        self.handles.clear()

    # Commands

    def _command(self, word: int) -> None:
        if self.commands.active:
            if self.logging:
                self.log.append(code=SoftwareError.COMMAND_WHILE_ACTIVE)
            else:
                self._error(SoftwareError.COMMAND_WHILE_ACTIVE)
            return
        self._command_interrupt = bool(word >> 31)
        self.registers.values["cmdstatus"] = 0
        self.registers.set("cmdstatus", active=1)
        self.commands.start(word)

    def _step_command(self) -> None:
        done = self.commands.step()
        if done is None:
            return
        error, result = done
        self.registers.values["cmdstatus"] = 0
        self.registers.set("cmdstatus", error=error, result=result)
        if self._command_interrupt:
            self._cause("command")

    def engaged(self, affected: Callable[[Descriptor], bool]) -> bool:
        """Whether an engine works on a descriptor that is affected."""
        return any(affected(item) for engine in self.engines for item in engine.held)

    def abandon(self, affected: Callable[[Descriptor], bool]) -> None:
        """Make the engines forget the descriptors that are affected."""
        for engine in self.engines:
            engine.abandon(affected)

    def open_log(self) -> None:
        """The device has been enabled: an event log starts empty (DSA §9.2.17)."""
        if self.register("gencfg", "event_log"):
            self.registers.values["evlstatus"] = 0

    # Interrupts and errors

    def _send(self, address: int, data: int) -> None:
        self.host.message(address, data)

    def _cause(self, name: str) -> None:
        """Set a bit of INTCAUSE, then ring MSI-X vector 0."""
        self.registers.set("intcause", **{name: 1})
        self.store.event(False, 0, completion=False)

    def _error(self, code: int, **fields: int) -> None:
        """Record an error in SWERROR, or only that there was one more (DSA §9.2.15)."""
        if self.register("swerror", "valid"):
            self.registers.set("swerror", overflow=1)
            return
        overflow = self.register("swerror", "overflow")
        self.registers.values["swerror"] = 0
        self.registers.set("swerror", valid=1, overflow=overflow, code=code, **fields)
        if self.register("genctrl", "error_interrupt"):
            self._cause("error")

    def _overflow(self, queue: int, data: bytes) -> None:
        self._error(SoftwareError.QUEUE_FULL, queue_valid=1, queue=queue)

    def _below(self, ims: bool, handle: int) -> None:
        """A queue holds few descriptors, and its owner wants to know."""
        if not ims and handle == 0:
            self._cause("occupancy")
        else:
            self.store.event(ims, handle, completion=False)

    @property
    def logging(self) -> bool:
        """Whether errors go to the event log rather than to SWERROR."""
        enabled = self.state in (DeviceState.ENABLED, DeviceState.DRAINING)
        return enabled and bool(self.register("gencfg", "event_log"))

    # What the engine asks

    @property
    def user_interrupts(self) -> bool:
        return bool(self.register("gencfg", "user_interrupts"))

    @property
    def pasid_privileged(self) -> bool:
        return self.settings.pasid_privileged

    @property
    def chunk_bytes(self) -> int:
        return self.settings.max_read_bytes

    def queue(self, number: int) -> WorkQueue:
        return self.queues.queues[number]

    def permits(self, ims: bool, handle: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether an interrupt handle is good for a descriptor (DSA §5.4)."""
        if self.strict_handles and (ims, handle) not in self.handles:
            return False
        return self.store.check(ims, handle, pasid, pasid_enable)

    def ring(self, ims: bool, handle: int) -> None:
        """A completion interrupt."""
        self.store.event(ims, handle, completion=True)

    def waiting(self, engine: int) -> bool:
        """Whether the queues have a descriptor for an engine."""
        return self.queues.waiting(engine)

    def take(self, engine: int) -> Descriptor:
        """The descriptor that the queues have for an engine."""
        return self.queues.take(engine)

    def finished(self, descriptor: Descriptor) -> None:
        """Nothing of a descriptor that was taken can be written or rung any more."""
        self.queues.finished(descriptor)

    def software_error(self, status: int, work: Work) -> None:
        """An error that has no completion record to go to (DSA §5.8.1)."""
        descriptor, handle = work.descriptor, work.fields["handle"]
        fields = {
            "descriptor_valid": 1,
            "queue_valid": 1,
            "queue": descriptor.queue,
            "opcode": work.fields["opcode"],
            "privileged": int(descriptor.privileged),
            "pasid": descriptor.pasid or 0,
            "batch": int(work.index is not None),
            "batch_index": work.index or 0,
        }
        if status == Status.BAD_FLAGS:
            fields |= {"info_valid": 1, "info": work.invalid_flags}
        if status == Status.BAD_HANDLE:
            fields |= {"info_valid": 1, "info": handle}
        if not self.logging:
            self._error(status, **fields)
            return
        if status == Status.BAD_HANDLE:
            record = bool(work.fields["flags"] & Flag.REQUEST_COMPLETION)
            fields["info"] |= 1 << 16 | descriptor.ims << 17 | record << 18
        self.log.append(code=status, **fields)
