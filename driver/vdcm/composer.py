"""Makes virtual devices out of a host's device, and moves them from one to another."""

from hw.regs.commands import QueueState

from ..device import Device
from ..queues import Queue
from ..reports import ErrorReport
from ..settings import Mode, QueueSettings
from ..transport import Transport
from .device import SavedState, VirtualDevice
from .errors import ComposeError
from .layout import Identity, Layout
from .msix import Deliver
from .pasids import Pasids

SUBSYSTEM, REVISION = 0x2C, 0x08


class Composer:
    """The virtual device composition module of one device (SIOV). Made by :meth:`attach`.

    Members
    -------
    device
        The host's. Its errors that come from a guest go to that guest as well.
    transport
        The way to it.
    """

    def __init__(self, device: Device, transport: Transport, identity: Identity) -> None:
        self.device = device
        self.transport = transport
        self._identity = identity
        self._live: dict[VirtualDevice, None] = {}
        self._on_error = device.on_error
        device.on_error = self._report

    @classmethod
    async def attach(cls, device: Device, transport: Transport) -> "Composer":
        """Compose out of a device that has been started."""
        identity = await transport.config_read(0, 4)
        subsystem = await transport.config_read(SUBSYSTEM, 4)
        return cls(
            device,
            transport,
            Identity(
                vendor_id=identity & 0xFFFF,
                device_id=identity >> 16,
                subsystem_vendor_id=subsystem & 0xFFFF,
                subsystem_id=subsystem >> 16,
                revision=await transport.config_read(REVISION, 1),
            ),
        )

    async def create(
        self,
        queue: Queue,
        pasids: Pasids,
        deliver: Deliver,
        *,
        vectors: int = 8,
        exclusive: bool | None = None,
    ) -> VirtualDevice:
        """A virtual device with one queue.

        ``exclusive`` gives it the queue for itself, with the choice of its mode; a dedicated one
        always is. ``vectors`` is the size of its MSI-X table, a power of two.

        **Errors** :class:`~driver.vdcm.errors.ComposeError`.
        """
        settings = queue.settings
        if settings is None:
            raise ComposeError(f"queue {queue.index} has no configuration; start the device first")
        dedicated = settings.mode is Mode.DEDICATED
        exclusive = dedicated if exclusive is None else exclusive
        if dedicated and not exclusive:
            raise ComposeError(f"the dedicated queue {queue.index} cannot be shared by guests")
        for other in self._live:
            if other.queue.queue is queue and (exclusive or other.layout.exclusive):
                raise ComposeError(f"queue {queue.index} is another guest's")
        enabled = await queue.state() is not QueueState.DISABLED
        if exclusive and enabled:
            await queue.disable()
        elif not exclusive and not enabled:
            raise ComposeError(f"queue {queue.index} is to be shared, but is not enabled")
        found = self.device.capabilities
        layout = Layout(self._identity, found, settings, vectors=vectors, exclusive=exclusive)
        made = VirtualDevice(self.transport, self.device, queue, layout, pasids, deliver)
        self._live[made] = None
        return made

    async def destroy(self, virtual: VirtualDevice) -> None:
        """Drain, free the vectors, forget it. Its guest's PASIDs may be freed afterwards."""
        await virtual.destroy()
        del self._live[virtual]

    async def take(
        self, saved: SavedState, like: VirtualDevice, queue: Queue, deliver: Deliver
    ) -> VirtualDevice:
        """Resume a device here that was suspended elsewhere.

        **Errors** :class:`~driver.vdcm.errors.ComposeError` where the queue is of another size,
        mode or set of operations: the guest goes on with what it has read.
        """
        settings, layout = like.layout.settings, like.layout
        offered = queue.settings
        if offered is None or _shape(offered, layout) != _shape(settings, layout):
            raise ComposeError(
                f"queue {queue.index} differs from the one that the guest knows: {settings}"
            )
        made = await self.create(
            queue, like.pasids, deliver, vectors=layout.vectors, exclusive=layout.exclusive
        )
        await made.resume(saved)
        return made

    def close(self) -> None:
        """Compose no more. No virtual device is left."""
        if self._live:
            raise ComposeError(f"{len(self._live)} virtual devices are left; destroy them first")
        self.device.on_error = self._on_error

    def _report(self, report: ErrorReport) -> None:
        for virtual in self._live:
            queue = virtual.queue.queue
            own = virtual.layout.exclusive and report.queue == queue.index
            if own or (report.pasid is not None and report.pasid in virtual.pasids.hosts):
                virtual.report(report)
                break
        self._on_error(report)


def _shape(settings: QueueSettings, layout: Layout) -> tuple[object, ...]:
    """What a guest has read of its queue, and what descriptors it may therefore submit."""
    mode = None if layout.exclusive else settings.mode
    limits = settings.max_transfer_log2, settings.max_batch_log2, settings.operations
    return settings.size, mode, settings.threshold, *limits
