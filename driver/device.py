"""The device: found, set up, put to work, and left quiet."""

from collections import deque
from collections.abc import Callable, Sequence

from hw.regs.commands import Command, DeviceState, ResetType

from .adi import Adi
from .adis import Adis
from .commands import Commands
from .config_space import map_function
from .configuration import Configuration
from .discovery import Capabilities, discover
from .errors import DeviceGone, DeviceHalted, DriverError, ProbeError, SettingsError
from .event_log import EventLog
from .function import Function
from .groups import GroupSettings
from .queues import Queue
from .registers import Registers
from .reports import ErrorReport
from .service import Service
from .settings import Mode, QueueSettings
from .timeouts import Timeouts
from .transport import Transport
from .vector import Handler, Vector, VectorTable
from .vectors import Vectors

REMEMBERED_ERRORS = 64


class Device:
    """A probed device. Made by :meth:`probe`, and usable until :meth:`close`.

    All coroutines may be called from several tasks at once.

    Members
    -------
    capabilities
        Sizes, limits and tables.
    queues
        Its work queues, in order.
    on_error
        Called with an :class:`~driver.service.ErrorReport` for every error that the device
        reports through vector 0.
    errors
        The latest of them.
    halted
        Whether the device has stopped; :meth:`recover` helps then.
    """

    def __init__(
        self,
        transport: Transport,
        function: Function,
        found: Capabilities,
        timeouts: Timeouts,
        seed: int = 0,
    ) -> None:
        self.capabilities = found
        self.on_error: Callable[[ErrorReport], None] = lambda report: None
        self.errors: deque[ErrorReport] = deque(maxlen=REMEMBERED_ERRORS)
        self.halted = False
        self._function = function
        self._registers = Registers(transport)
        self._commands = Commands(transport, self._registers, timeouts)
        self._vectors = Vectors(transport, self._commands, found)
        self._adis = Adis(transport, self._commands, self._vectors, timeouts)
        self._event_log = EventLog(transport, self._registers, found)
        self._service = Service(
            transport,
            self._registers,
            self._event_log,
            self._commands.rung,
            self._report_error,
            self._adis.revoked,
        )
        self._closed = False
        self.queues = tuple(
            Queue(index, transport, self._registers, self._commands, found, timeouts, seed)
            for index in range(found.queues)
        )
        self._configuration = Configuration(
            self._registers, found, self._vectors, self.queues, self._event_log
        )

    @classmethod
    async def probe(
        cls, transport: Transport, timeouts: Timeouts | None = None, *, seed: int = 0
    ) -> "Device":
        """Find out what the function is, reset it, and set it up for this driver.

        Discovery only reads, but for enabling memory space. Then come Reset Device, PASID Enable,
        Bus Master Enable and MSI-X with vector 0. ``seed`` is that of the jitter with which full
        queues are tried again.

        **Errors** :class:`~driver.errors.ProbeError` says in one sentence why this driver does
        not drive the function. Its command register and capabilities are as they were found.
        """
        timeouts = timeouts or Timeouts()
        function = Function(transport, await map_function(transport), timeouts)
        await function.open()
        try:
            found = await discover(transport, function.where)
            device = cls(transport, function, found, timeouts, seed)
            try:
                await device._set_up()
            except BaseException:
                await device._forget()
                raise
        except ProbeError:
            await function.shut()
            raise
        except DriverError as error:
            await function.shut()
            raise ProbeError(f"the device cannot be set up: {error}") from error
        return device

    async def _set_up(self) -> None:
        await self.command(Command.RESET_DEVICE)
        await self._function.enable()
        await self._vectors.clear_msix()
        await self._vectors.own(self._service.ring)
        await self._function.enable_msix()
        await self._registers.write_fields(
            "genctrl",
            error_interrupt=1,
            halt_interrupt=1,
            event_log_interrupt=int(self.capabilities.event_log),
        )
        self._commands.interrupts = True

    @property
    def strays(self) -> int:
        """Messages that arrived for vectors that were not in use."""
        return self._vectors.strays

    async def command(
        self, command: int, operand: int = 0, *, timeout_cycles: int | None = None
    ) -> int:
        """Run any command and return its result; see :class:`~driver.commands.Commands`."""
        self._refuse_closed()
        if self.halted and command != Command.RESET_DEVICE:
            raise DeviceHalted("the device has halted after an error; recover it")
        return await self._commands.execute(command, operand, timeout_cycles=timeout_cycles)

    async def state(self) -> DeviceState:
        """Disabled, enabled, draining or halted."""
        return DeviceState((await self._registers.fields("gensts"))["state"])

    async def start(
        self,
        settings: Sequence[QueueSettings] | None = None,
        *,
        groups: Sequence[GroupSettings] | None = None,
        event_log_entries: int = 0,
    ) -> list[Queue]:
        """Configure queues 0, 1, … as given, enable the device, and enable these queues.

        Without ``settings``, queues are taken as somebody else has configured them (a virtual
        device's). Dedicated ones stay disabled: :meth:`create_adi` gives them their tenant, and
        :meth:`driver.queues.Queue.enable` enables one that the host uses itself.
        """
        if settings is None:
            settings = [await queue.adopt() for queue in self.queues]
        if len(settings) > len(self.queues):
            raise SettingsError(f"the device has {len(self.queues)} queues, not {len(settings)}")
        queues = list(self.queues[: len(settings)])
        chosen = dict(zip(queues, settings, strict=True))
        self._configuration.check(chosen, groups, event_log_entries)
        await self._configuration.set_queues(chosen)
        await self.enable(groups=groups, event_log_entries=event_log_entries)
        for queue, item in chosen.items():
            if item.mode is Mode.SHARED:
                await queue.enable()
        return queues

    async def enable(
        self, *, groups: Sequence[GroupSettings] | None = None, event_log_entries: int = 0
    ) -> None:
        """Configure the groups and the event log, and enable the device.

        Without ``groups``, all configured queues and all engines are in one. Without
        ``event_log_entries``, there is no event log, and one error at a time is reported. User
        interrupts are allowed: without them, descriptors of a PASID may not ask for any
        (DSA §9.2.8).
        """
        self._refuse_closed()
        await self._configuration.set_device(groups, event_log_entries)
        await self.command(Command.ENABLE_DEVICE)

    async def disable(self) -> None:
        """Let everything that was submitted complete, then disable all queues and the device."""
        await self.command(Command.DISABLE_DEVICE)

    async def alloc_vector(
        self, handler: Handler, *, pasid: int | None = None, table: VectorTable | None = None
    ) -> Vector:
        """A vector of its own for a handler; see :meth:`driver.vectors.Vectors.allocate`."""
        self._refuse_closed()
        return await self._vectors.allocate(handler, pasid=pasid, table=table)

    async def free_vector(self, vector: Vector) -> None:
        """Nothing rings after this; see :meth:`driver.vectors.Vectors.release`."""
        await self._vectors.release(vector)

    def free_vectors(self, table: VectorTable | None = None) -> int:
        """How many vectors can still be allocated."""
        return self._vectors.free(table)

    async def create_adi(
        self, queue: Queue, *, vectors: int = 1, table: VectorTable | None = None
    ) -> Adi:
        """An assignable device interface on a queue; see :meth:`driver.adis.Adis.create`."""
        self._refuse_closed()
        return await self._adis.create(queue, vectors=vectors, table=table)

    async def destroy_adi(self, adi: Adi) -> None:
        """Drain and dismantle it; see :meth:`driver.adis.Adis.destroy`."""
        await self._adis.destroy(adi)

    async def close(self) -> None:
        """Leave a quiet device: drained, reset, everything masked, Bus Master off.

        All ADIs and vectors are gone afterwards. A device that does not take part in this any
        more is reset with a Function Level Reset instead.
        """
        if self._closed:
            return
        try:
            if await self.state() is DeviceState.ENABLED:
                await self.disable()
            await self._service.settle()
            await self._adis.destroy_all()
            await self._vectors.release_all()
            await self.command(Command.RESET_DEVICE)
            await self._service.settle()
            await self._vectors.disown()
            self._event_log.free()
        except DriverError:
            await self.function_level_reset()
            return
        self._closed = True
        await self._function.shut()

    async def function_level_reset(self) -> None:
        """Reset the function, whatever it is doing, and forget everything about it.

        What enumeration had assigned in configuration space is restored; this object is closed,
        and the function may be probed again.
        """
        self._refuse_closed()
        self._closed = True
        try:
            await self._function.reset()
        finally:
            await self._forget()

    async def recover(self) -> None:
        """Bring a halted device back, as it was after probe: by Reset Device if that is enough.

        GENSTS says which reset ends the halt (DSA §9.2.10). All ADIs and vectors are gone and
        queues have no configuration afterwards, but this object goes on.

        **Errors** :class:`~driver.errors.SettingsError` if the device has not halted;
        :class:`~driver.errors.DeviceHalted` if only a reset of the slot would help.
        """
        self._refuse_closed()
        try:
            status = await self._registers.fields("gensts")
        except DeviceGone:
            status = {"state": DeviceState.HALTED, "reset_type": ResetType.FLR}
        if status["state"] != DeviceState.HALTED:
            raise SettingsError("the device has not halted")
        needed = ResetType(status["reset_type"])
        if needed in (ResetType.WARM, ResetType.COLD):
            raise DeviceHalted(f"only a {needed.name.lower()} reset of the slot ends this halt")
        self._commands.interrupts = False
        if needed is ResetType.SOFTWARE:
            await self.command(Command.RESET_DEVICE)
            await self._vectors.clear_msix()
            await self.state()
        else:
            await self._function.reset()
            await self._function.open()
        await self._service.settle()
        await self._forget()
        await self._set_up()
        self.halted = False

    async def _forget(self) -> None:
        """The device was reset: nothing that was handed out means anything to it any more."""
        self._adis.abandon()
        await self._vectors.abandon()
        self._configuration.forget()

    def _report_error(self, report: ErrorReport) -> None:
        if self.halted and report.code is None:
            return  # the error that led to the halt has said so
        self.halted = self.halted or report.halted
        self.errors.append(report)
        self.on_error(report)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SettingsError("the device was closed; probe it again")
