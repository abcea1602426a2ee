"""The device: found, set up, put to work, and left quiet."""

from collections import deque
from collections.abc import Callable, Sequence

from hw.regs.bar0 import GROUP_CONFIG
from hw.regs.commands import Command, DeviceState

from .adi import Adi
from .adis import Adis
from .commands import Commands
from .config_space import map_function
from .discovery import Capabilities, discover
from .errors import DeviceHalted, DriverError, ProbeError, SettingsError
from .function import Function
from .queues import Queue
from .registers import Registers
from .service import ErrorReport, Service
from .settings import Mode, QueueSettings
from .timeouts import Timeouts
from .transport import Transport
from .vectors import Handler, Vector, Vectors, VectorTable

_GROUP = {register.name: register for register in GROUP_CONFIG}

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
        Whether the device has stopped; only :meth:`function_level_reset` helps then.
    """

    def __init__(
        self, transport: Transport, function: Function, found: Capabilities, timeouts: Timeouts
    ) -> None:
        self.capabilities = found
        self.on_error: Callable[[ErrorReport], None] = lambda report: None
        self.errors: deque[ErrorReport] = deque(maxlen=REMEMBERED_ERRORS)
        self.halted = False
        self._function = function
        self._registers = Registers(transport)
        self._commands = Commands(transport, self._registers, timeouts)
        self._vectors = Vectors(transport, found)
        self._adis = Adis(transport, self._commands, self._vectors, timeouts)
        self._service = Service(transport, self._registers, self._commands.rung, self._report_error)
        self._closed = False
        self.queues = tuple(
            Queue(index, transport, self._registers, self._commands, found, timeouts)
            for index in range(found.queues)
        )

    @classmethod
    async def probe(cls, transport: Transport, timeouts: Timeouts | None = None) -> "Device":
        """Find out what the function is, reset it, and set it up for this driver.

        Discovery only reads, but for enabling memory space. Then come Reset Device, PASID Enable,
        Bus Master Enable and MSI-X with vector 0.

        **Errors** :class:`~driver.errors.ProbeError` says in one sentence why this driver does
        not drive the function. Its command register and capabilities are as they were found.
        """
        timeouts = timeouts or Timeouts()
        function = Function(transport, await map_function(transport), timeouts)
        await function.open()
        try:
            device = cls(transport, function, await discover(transport, function.where), timeouts)
            await device._set_up()
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
        await self._registers.write_fields("genctrl", error_interrupt=1, halt_interrupt=1)
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
            raise DeviceHalted("the device has halted after an error; reset the function")
        return await self._commands.execute(command, operand, timeout_cycles=timeout_cycles)

    async def state(self) -> DeviceState:
        """Disabled, enabled, draining or halted."""
        return DeviceState((await self._registers.fields("gensts"))["state"])

    async def start(self, settings: Sequence[QueueSettings]) -> list[Queue]:
        """Configure queues 0, 1, … as given, enable the device, and enable these queues.

        Dedicated queues stay disabled: :meth:`create_adi` gives them their tenant. One that the
        host uses itself is enabled by :meth:`driver.queues.Queue.enable`.
        """
        if len(settings) > len(self.queues):
            raise SettingsError(f"the device has {len(self.queues)} queues, not {len(settings)}")
        queues = list(self.queues[: len(settings)])
        self._check_total(dict(zip(queues, settings, strict=True)))
        for queue, chosen in zip(queues, settings, strict=True):
            await queue.configure(chosen)
        await self.enable()
        for queue, chosen in zip(queues, settings, strict=True):
            if chosen.mode is Mode.SHARED:
                await queue.enable()
        return queues

    async def enable(self) -> None:
        """Put all configured queues and all engines into group 0, and enable the device.

        User interrupts are allowed: without them, descriptors of a PASID may not ask for any
        (DSA §9.2.8).
        """
        self._refuse_closed()
        base = self.capabilities.group_offset
        members = sum(1 << queue.index for queue in self.queues if queue.settings is not None)
        if not members:
            raise SettingsError("no queue has a configuration, so there is nothing to enable")
        engines = (1 << self.capabilities.engines) - 1
        await self._registers.store(_GROUP["queues"], members, base)
        await self._registers.store(_GROUP["engines"], engines, base)
        await self._registers.store(_GROUP["flags"], 0, base)
        await self._registers.write_fields("gencfg", user_interrupts=1)
        await self.command(Command.ENABLE_DEVICE)

    async def disable(self) -> None:
        """Let everything that was submitted complete, then disable all queues and the device."""
        await self.command(Command.DISABLE_DEVICE)

    async def alloc_vector(
        self, handler: Handler, *, pasid: int | None = None, table: VectorTable = VectorTable.IMS
    ) -> Vector:
        """A vector of its own for a handler; see :meth:`driver.vectors.Vectors.allocate`."""
        self._refuse_closed()
        return await self._vectors.allocate(handler, pasid=pasid, table=table)

    async def free_vector(self, vector: Vector) -> None:
        """Nothing rings after this; see :meth:`driver.vectors.Vectors.release`."""
        await self._vectors.release(vector)

    def free_vectors(self, table: VectorTable = VectorTable.IMS) -> int:
        """How many vectors can still be allocated."""
        return self._vectors.free(table)

    async def create_adi(
        self, queue: Queue, *, vectors: int = 1, table: VectorTable = VectorTable.IMS
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
            await self._adis.destroy_all()
            await self._vectors.release_all()
            await self.command(Command.RESET_DEVICE)
            await self._service.settle()
            await self._vectors.disown()
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
            self._adis.abandon()
            self._vectors.abandon()

    def _report_error(self, report: ErrorReport) -> None:
        if self.halted and report.code is None:
            return  # the error that led to the halt has said so
        self.halted = self.halted or report.halted
        self.errors.append(report)
        self.on_error(report)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SettingsError("the device was closed; probe it again")

    def _check_total(self, chosen: dict[Queue, QueueSettings]) -> None:
        sizes = {queue: queue.settings for queue in self.queues if queue.settings} | chosen
        total = sum(settings.size for settings in sizes.values())
        if total > self.capabilities.queue_slots:
            raise SettingsError(
                f"the queues need {total} descriptors together; the device holds "
                f"{self.capabilities.queue_slots}"
            )
