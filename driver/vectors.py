"""Interrupt vectors: allocated, moved and freed at any time after probe."""

import enum
from collections.abc import Callable

from .discovery import Capabilities
from .entries import MASK, Entries, ImsEntries, MsixEntries
from .errors import DeviceGone, SettingsError, VectorError, VectorsExhausted
from .indices import Indices
from .lock import Lock
from .transport import InterruptTarget, Transport

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
        Which entry it is. The index is also the interrupt handle of descriptors.
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
        entries: Entries,
        table: VectorTable,
        index: int,
        pasid: int | None,
        handler: Handler,
        stray: Handler,
    ) -> None:
        self.table = table
        self.index = index
        self.pasid = pasid
        self.masked = False
        self.bells = 0
        self._transport = transport
        self._entries = entries
        self._handler = handler
        self._stray = stray
        self._live = False
        self._freed = False
        self._lock = Lock(transport)
        self._target: InterruptTarget | None = None

    async def mask(self) -> None:
        """Hold events as pending. When this returns, the handler is not called any more."""
        async with self._lock:
            self._refuse_freed()
            await self._entries.set_control(self.index, self._control | MASK)
            await self._entries.flush(self.index)
            self.masked = True

    async def unmask(self) -> None:
        """Let events through; those held since the mask was set ring once."""
        async with self._lock:
            self._refuse_freed()
            self.masked = False
            await self._entries.set_control(self.index, self._control)

    async def pending(self) -> bool:
        """Whether an event waits for the mask to clear."""
        async with self._lock:
            self._refuse_freed()
            return await self._entries.pending(self.index)

    async def retarget(self) -> None:
        """Move to another place in the host's interrupt controller, while firing or not.

        The old place is released only after the read-back has flushed the messages that lead to
        it. If the entry does not take the new message, the old one is restored.
        """
        async with self._lock:
            self._refuse_freed()
            old = self._target
            assert old is not None
            new = self._transport.allocate_target(self._ring)
            control = self._control | (MASK if self.masked else 0)
            try:
                self._entries.check(new.message)
                try:
                    await self._entries.rewrite(self.index, new.message, control)
                except VectorError:
                    await self._entries.rewrite(self.index, old.message, control)
                    raise
            except BaseException:
                new.release()
                raise
            self._target = new
            old.release()

    @property
    def _control(self) -> int:
        return self._entries.control(self.pasid)

    def _refuse_freed(self) -> None:
        if self._freed:
            raise VectorError(f"vector {self.index} of the {self.table.value} was freed")

    def _ring(self) -> None:
        if not self._live:
            self._stray()
            return
        self.bells += 1
        self._handler()

    async def _arm(self) -> None:
        """Bring the entry into use; on failure the target is given back and the entry masked."""
        self._target = self._transport.allocate_target(self._ring)
        try:
            self._entries.check(self._target.message)
            await self._entries.arm(self.index, self._target.message, self.pasid)
        except BaseException:
            self._target.release()
            raise
        self._live = True

    def _abandon(self) -> None:
        """Give the target back without touching the device, which has been reset."""
        self._freed, self._live = True, False
        if self._target is not None:
            self._target.release()

    async def _disarm(self) -> None:
        async with self._lock:
            self._refuse_freed()
            self._freed = True
            assert self._target is not None
            try:
                await self._entries.disarm(self.index, held=self.masked)
            except DeviceGone:
                self._target.release()
                raise
            self._live = False
            self._target.release()


class Vectors:
    """All vectors of a device but MSI-X vector 0, which the device itself rings.

    Members
    -------
    strays
        Messages that arrived for a vector that was not in use: events left over from before.
    """

    def __init__(self, transport: Transport, capabilities: Capabilities) -> None:
        self.strays = 0
        self._transport = transport
        self._pasids = 1 << capabilities.pasid_width
        self._msix = MsixEntries(transport, capabilities)
        self._entries: dict[VectorTable, Entries] = {
            VectorTable.IMS: ImsEntries(transport, capabilities),
            VectorTable.MSIX: self._msix,
        }
        self._msix_vectors = capabilities.msix_vectors
        self._first: Vector | None = None
        self._indices = {
            VectorTable.IMS: Indices(0, capabilities.ims_vectors),
            VectorTable.MSIX: Indices(1, capabilities.msix_vectors),
        }
        self._live: set[Vector] = set()

    async def clear_msix(self) -> None:
        """Mask and disown every MSI-X entry: no reset but that of the function does it."""
        for index in range(self._msix_vectors):
            await self._msix.clear(index)

    async def own(self, handler: Handler) -> None:
        """Bring MSI-X vector 0 into use, for what the device itself has to say."""
        table = VectorTable.MSIX
        vector = Vector(self._transport, self._msix, table, 0, None, handler, self._stray)
        await vector._arm()
        self._first = vector

    async def disown(self) -> None:
        """Mask vector 0 for good."""
        if self._first is not None:
            await self._first._disarm()
            self._first = None

    def abandon(self) -> None:
        """Give all targets back without touching the device, which has been reset."""
        for vector in self._live:
            vector._abandon()
            self._indices[vector.table].give(vector.index)
        self._live.clear()
        if self._first is not None:
            self._first._abandon()
            self._first = None

    def free(self, table: VectorTable) -> int:
        """How many vectors of a table can still be allocated."""
        return len(self._indices[table])

    async def allocate(
        self, handler: Handler, *, pasid: int | None = None, table: VectorTable = VectorTable.IMS
    ) -> Vector:
        """Take a free entry, give it a target of its own, and unmask it. 3 requests.

        **Errors** :class:`~driver.errors.VectorsExhausted`. If anything fails, entry, target and
        index are as before.
        """
        if pasid is not None and not 0 <= pasid < self._pasids:
            raise SettingsError(f"a PASID is 0 to {self._pasids - 1}, not {pasid}")
        indices = self._indices[table]
        if not len(indices):
            raise VectorsExhausted(f"every vector of the {table.value} is allocated")
        index = indices.take()
        entries = self._entries[table]
        vector = Vector(self._transport, entries, table, index, pasid, handler, self._stray)
        try:
            await vector._arm()
        except BaseException:
            indices.give(index)
            raise
        self._live.add(vector)
        return vector

    async def release(self, vector: Vector) -> None:
        """Mask, flush, give back the target, then the index. 3 requests.

        When this returns, the handler is not called any more, and the entry rings nobody. The
        caller has drained the work that could ring it, or does not mind losing its events.
        """
        await vector._disarm()
        self._live.discard(vector)
        self._indices[vector.table].give(vector.index)

    async def release_all(self) -> None:
        """Free every vector that is still allocated."""
        for vector in sorted(self._live, key=lambda item: (item.table.value, item.index)):
            await self.release(vector)

    def _stray(self) -> None:
        self.strays += 1
