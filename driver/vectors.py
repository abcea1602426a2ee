"""Interrupt vectors: allocated, moved and freed at any time after probe.

A vector is an interrupt of :mod:`driver.irq`, in a table of this device.
"""

import errno

from hw.regs.commands import Command

from .commands import Commands
from .discovery import Capabilities
from .entries import ImsEntries, MsixEntries
from .errors import DeviceGone, SettingsError, VectorError, VectorsExhausted
from .irq import (
    IrqError,
    MsiDomainId,
    MsiFlag,
    MsiInstanceCookie,
    MsiMap,
    PciDev,
    boot,
    pci_alloc_irq_vectors,
    pci_create_ims_domain,
    pci_free_irq_vectors,
    pci_ims_alloc_irq,
    pci_ims_free_irq,
    pci_irq_vector,
    pci_msix_alloc_irq_at,
    pci_msix_free_irq,
)
from .stores import ImsStore, MsixStore
from .transport import Transport
from .vector import Handler, Vector, VectorTable

POLL_CYCLES = 64
EXHAUSTED = frozenset({errno.EBUSY, errno.ENOSPC})
_DOMAINS = {VectorTable.IMS: MsiDomainId.SECONDARY, VectorTable.MSIX: MsiDomainId.DEFAULT}


class Vectors:
    """All vectors of a device but MSI-X vector 0, which the device itself rings.

    Members
    -------
    default
        The table that a vector is taken from if nobody asks for another.
    revocable
        Whether vectors have handles that are not their indices, and that may change.
    """

    def __init__(
        self, transport: Transport, commands: Commands, capabilities: Capabilities
    ) -> None:
        self.default = VectorTable.IMS if capabilities.ims_vectors else VectorTable.MSIX
        self._transport = transport
        self._commands = commands
        self.revocable = capabilities.requests_handles
        self._pasids = 1 << capabilities.pasid_width
        self._system = boot(transport.machine)
        self._dev = PciDev(self._system, transport, transport.requester_id)
        self._msix = MsixEntries(transport, capabilities)
        ims = ImsEntries(transport, capabilities)
        self._entries = {VectorTable.IMS: ims, VectorTable.MSIX: self._msix}
        self._stores = {VectorTable.IMS: ImsStore(ims), VectorTable.MSIX: MsixStore(self._msix)}
        self._msix_vectors = capabilities.msix_vectors
        if MsiFlag.PCI_IMS in self._system.supported_flags:
            template = self._stores[VectorTable.IMS].template
            pci_create_ims_domain(self._dev, template, capabilities.ims_vectors)
        self._first: Vector | None = None
        self._live: dict[Vector, None] = {}
        self._resets = self._allocating = 0
        self._strays_before = self._system.strays

    @property
    def strays(self) -> int:
        """Messages that arrived for an interrupt that nobody had: events left over from before."""
        return self._system.strays - self._strays_before

    async def clear_msix(self) -> None:
        """Mask and disown every MSI-X entry: no reset but that of the function does it."""
        for index in range(self._msix_vectors):
            await self._msix.clear(index)

    async def own(self, handler: Handler) -> None:
        """Bring MSI-X vector 0 into use, for what the device itself has to say."""
        if not self._dev.msix_enabled:
            template = self._stores[VectorTable.MSIX].template
            await pci_alloc_irq_vectors(self._dev, template, self._msix_vectors, 1, 1)
        place = MsiMap(0, pci_irq_vector(self._dev, 0))
        vector = self._vector(VectorTable.MSIX, place, None, handler)
        await vector._request()
        self._first = vector

    async def disown(self) -> None:
        """Mask vector 0 for good, and give back what is left."""
        if self._first is not None:
            first, self._first = self._first, None
            await first._release(self._stores[VectorTable.MSIX])
        await pci_free_irq_vectors(self._dev)

    async def abandon(self) -> None:
        """Give everything back without touching the device, which has been reset."""
        self._resets += 1
        with self._stores[VectorTable.IMS].unreachable():
            with self._stores[VectorTable.MSIX].unreachable():
                await self.release_all()
                while self._allocating:
                    await self._transport.sleep(POLL_CYCLES)
                await self.disown()

    async def renew_handles(self) -> None:
        """Ask for the handles of all vectors again: the device has revoked them."""
        for vector in list(self._live):
            if not vector._freed:
                vector.handle = await self._commands.execute(Command.REQUEST_HANDLE, vector.index)

    def free(self, table: VectorTable | None = None) -> int:
        """How many vectors of a table can still be allocated."""
        table = table or self.default
        domain = self._dev.domains.get(_DOMAINS[table])
        return domain.free_indices if domain else 0

    async def allocate(
        self, handler: Handler, *, pasid: int | None = None, table: VectorTable | None = None
    ) -> Vector:
        """Take a free entry, give it a processor's vector, and unmask it. 3 requests.

        **Errors** :class:`~driver.errors.VectorsExhausted`; :class:`~driver.irq.IrqError` from
        the levels below. If anything fails, everything is as before.
        """
        if pasid is not None and not 0 <= pasid < self._pasids:
            raise SettingsError(f"a PASID is 0 to {self._pasids - 1}, not {pasid}")
        table = table or self.default
        self._allocating += 1
        try:
            return await self._allocate(handler, pasid, table)
        except IrqError as error:
            if error.errno not in EXHAUSTED:
                raise
            sentence = f"no vector of the {table.value} is left: {error}"
            raise VectorsExhausted(sentence) from error
        finally:
            self._allocating -= 1

    async def _allocate(self, handler: Handler, pasid: int | None, table: VectorTable) -> Vector:
        resets, store = self._resets, self._stores[table]
        if table is VectorTable.IMS:
            place = await pci_ims_alloc_irq(self._dev, MsiInstanceCookie(pasid))
        else:
            place = await pci_msix_alloc_irq_at(self._dev)
        vector = self._vector(table, place, pasid, handler)
        if pasid is not None and table is VectorTable.MSIX:
            store.owners[place.index] = pasid
        try:
            await vector._request()
        except BaseException:
            await self._free(vector)
            raise
        self._live[vector] = None
        if self.revocable:
            try:
                vector.handle = await self._commands.execute(Command.REQUEST_HANDLE, vector.index)
            except BaseException:
                await self.release(vector)
                raise
        if resets != self._resets:
            with store.unreachable():
                await self.release(vector)
            raise DeviceGone("the device was reset while it was given a vector")
        return vector

    def _vector(
        self, table: VectorTable, place: MsiMap, pasid: int | None, handler: Handler
    ) -> Vector:
        entries = self._entries[table]
        return Vector(self._transport, self._system, entries, table, place, pasid, handler)

    async def release(self, vector: Vector) -> None:
        """Mask, flush, give back the processor's vector, then the index. 3 requests.

        When this returns, the handler is not called any more, and the entry rings nobody. The
        caller has drained the work that could ring it, or does not mind losing its events.
        """
        try:
            await vector._release(self._stores[vector.table])
        finally:
            if vector._freed and vector in self._live:
                del self._live[vector]
                await self._free(vector)

    async def _free(self, vector: Vector) -> None:
        place = MsiMap(vector.index, vector.irq)
        self._stores[vector.table].owners.pop(vector.index, None)
        if vector.table is VectorTable.IMS:
            await pci_ims_free_irq(self._dev, place)
        else:
            await pci_msix_free_irq(self._dev, place)

    async def release_all(self) -> None:
        """Free every vector that is still allocated."""
        for vector in sorted(self._live, key=lambda item: (item.table.value, item.index)):
            try:
                await self.release(vector)
            except VectorError:
                if not vector._freed:  # else another task was faster
                    raise
