"""One interrupt vector."""

import enum
from collections.abc import Callable

from .entries import Entries
from .errors import DeviceGone, VectorError
from .irq import (
    CpuMask,
    IrqSystem,
    MsiMap,
    disable_irq,
    enable_irq,
    free_irq,
    irq_rewrite_msi_msg,
    irq_set_affinity,
    request_irq,
)
from .lock import Lock
from .stores import Store
from .transport import Transport

Handler = Callable[[], None]


class VectorTable(enum.Enum):
    """The two places that hold messages."""

    IMS = "interrupt message storage"
    MSIX = "MSI-X table"


class Vector:
    """One vector and its handler, which is called once for each message that arrives.

    Made by :meth:`Vectors.allocate`. The coroutines may be called while the vector fires, and
    from several tasks: they take turns.

    Members
    -------
    table, index
        Which entry it is.
    handle
        What descriptors name it by: its index, unless the device has said otherwise.
    irq
        Its number in the interrupt subsystem.
    pasid
        Whose descriptors may ring it; None for queues without PASIDs.
    masked
        Whether events are held as pending.
    bells
        Messages that have reached the handler.

    **Errors** :class:`~driver.errors.VectorError` after the vector was freed.
    """

    def __init__(
        self,
        transport: Transport,
        system: IrqSystem,
        entries: Entries,
        table: VectorTable,
        place: MsiMap,
        pasid: int | None,
        handler: Handler,
    ) -> None:
        self.table = table
        self.index = self.handle = place.index
        self.irq = place.virq
        self.pasid = pasid
        self.masked = False
        self.bells = 0
        self._system = system
        self._entries = entries
        self._handler = handler
        self._freed = False
        self._lock = Lock(transport)

    async def mask(self) -> None:
        """Hold events as pending. When this returns, the handler is not called any more."""
        async with self._lock:
            self._refuse_freed()
            if not self.masked:
                await disable_irq(self._system, self.irq)
                self.masked = True

    async def unmask(self) -> None:
        """Let events through; those held since the mask was set ring once."""
        async with self._lock:
            self._refuse_freed()
            if self.masked:
                self.masked = False
                await enable_irq(self._system, self.irq)

    async def pending(self) -> bool:
        """Whether an event waits for the mask to clear: in the entry, or here if its message was
        under way when the mask was set."""
        async with self._lock:
            self._refuse_freed()
            late = self._system.irq_to_desc(self.irq).pending
            return late or await self._entries.pending(self.index)

    async def set_affinity(self, cpus: CpuMask) -> None:
        """Have one of these processors take the interrupt. With remapping the device is not
        touched; otherwise its entry gets another message, while it fires or not."""
        async with self._lock:
            self._refuse_freed()
            await irq_set_affinity(self._system, self.irq, cpus)

    async def retarget(self) -> None:
        """Give the entry another message that leads to the same handler, while firing or not.

        What the old message led to is released only after the read-back has flushed it. If the
        entry does not take the new message, the old one is restored.
        """
        async with self._lock:
            self._refuse_freed()
            await irq_rewrite_msi_msg(self._system, self.irq)

    def _refuse_freed(self) -> None:
        if self._freed:
            raise VectorError(f"vector {self.index} of the {self.table.value} was freed")

    def _ring(self) -> None:
        self.bells += 1
        self._handler()

    async def _request(self) -> None:
        name = f"tocsin-{self.table.name.lower()}-{self.index}"
        await request_irq(self._system, self.irq, self._ring, name=name, dev_id=self)

    async def _release(self, store: Store) -> None:
        """Silence the device, and take the handler away; from a device that is gone just that."""
        async with self._lock:
            self._refuse_freed()
            try:
                await free_irq(self._system, self.irq, self)
            except DeviceGone:
                with store.unreachable():
                    await free_irq(self._system, self.irq, self)
                raise
            finally:
                self._freed = not self._requested

    @property
    def _requested(self) -> bool:
        return bool(self._system.irq_to_desc(self.irq).actions)
