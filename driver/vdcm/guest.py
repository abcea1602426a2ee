"""A virtual machine with one virtual device: the transport that its driver runs on."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from hw.regs.descriptor import DESCRIPTOR

from ..queues import PORTAL_BAR, Queue
from ..transport import Buffer, Event, Outcome, Task, Transport
from .composer import Composer
from .device import VirtualDevice
from .errors import ComposeError
from .pasids import Pasids
from .processors import GuestMachine

BAR = 0
CPUS = 2


class Guest:
    """:class:`driver.transport.Transport`, ending in a virtual device. Made by :meth:`boot`.

    Configuration space and BAR0 are trapped: the composer answers. Portals are not: what the guest
    writes there goes to the host's device. A deferrable write has its PASID translated on the way,
    as the processor does it (DSA §7.5.3). The guest's memory is memory of its host PASIDs.

    Members
    -------
    composer, virtual
        Where it is now, and as what.
    pasids
        Its address spaces.
    traps
        Accesses that the composer had to answer.
    """

    def __init__(self, composer: Composer, *, cpus: int = CPUS) -> None:
        self.composer = composer
        self.pasids = Pasids(composer.transport)
        self.traps = 0
        self._host: Transport = composer.transport
        self._machine = GuestMachine(self._host.machine, cpus)
        self._virtual: VirtualDevice | None = None
        self._requests = self._inside = 0
        self._running: Event = self._host.event()
        self._running.set()

    @classmethod
    async def boot(
        cls,
        composer: Composer,
        queue: Queue,
        *,
        vectors: int = 8,
        exclusive: bool | None = None,
        cpus: int = CPUS,
    ) -> "Guest":
        """A virtual machine with a virtual device on a queue of the host's."""
        guest = cls(composer, cpus=cpus)
        try:
            guest._virtual = await composer.create(
                queue, guest.pasids, guest._machine.deliver, vectors=vectors, exclusive=exclusive
            )
        except BaseException:
            guest.pasids.release()
            raise
        return guest

    async def shut_down(self) -> None:
        """The end: drain, free the vectors, then the PASIDs. The guest has freed its memory."""
        await self.pause()
        await self.composer.destroy(self.virtual)
        self._virtual = None
        self.pasids.release()

    async def migrate(self, composer: Composer, queue: Queue) -> None:
        """Go on with another queue of a composer's device.

        Processors stop; the device is suspended; vectors, queue and registers are made anew over
        there; processors go on, and find that their interrupt handles have been revoked.

        **Errors** :class:`~driver.vdcm.errors.ComposeError` where the queue does not fit; the guest
        then goes on where it was.
        """
        await self.pause()
        before, origin = self.virtual, self.composer
        saved = await before.suspend()
        try:
            self._virtual = await composer.take(saved, before, queue, self._machine.deliver)
            self.composer, self._host = composer, composer.transport
        except ComposeError:
            await before.resume(saved)
            raise
        else:
            await origin.destroy(before)
        finally:
            self.run()

    async def pause(self) -> None:
        """Stop the processors, and wait for accesses that are under way."""
        self._machine.pause()
        self._running.clear()
        while self._inside:
            await self._host.sleep(16)

    def run(self) -> None:
        """Let the processors go on."""
        self._running.set()
        self._machine.run()

    @property
    def virtual(self) -> VirtualDevice:
        """Its virtual device."""
        if self._virtual is None:
            raise ComposeError("the virtual machine has been shut down")
        return self._virtual

    # Transport

    @property
    def machine(self) -> GuestMachine:
        """The guest's processors and what interrupts them."""
        return self._machine

    @property
    def requester_id(self) -> int:
        """Of the virtual function, in the guest's numbers."""
        return self._host.requester_id

    @property
    def requests(self) -> int:
        """Accesses of the guest so far."""
        return self._requests

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space."""
        async with self._access(trapped=True):
            return await self.virtual.config_read(offset, size)

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        async with self._access(trapped=True):
            await self.virtual.config_write(offset, value, size)

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR (0 or 2), or 0 if there is none."""
        return self.virtual.layout.bar_bytes.get(bar, 0)

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read 1 to 64 bytes; portals read as zeros."""
        async with self._access(trapped=bar == BAR):
            self._check(bar, offset, size)
            return bytes(size) if bar == PORTAL_BAR else await self.virtual.read(offset, size)

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Send 1 to 64 bytes as one posted write."""
        async with self._access(trapped=bar == BAR):
            self._check(bar, offset, len(data))
            if bar == BAR:
                await self.virtual.write(offset, data)
                return
            place = self.virtual.portals.place(offset)
            if place is not None:
                await self._host.write(PORTAL_BAR, place, data)

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        """Send 64 bytes as one deferrable memory write."""
        async with self._access(trapped=bar == BAR):
            self._check(bar, offset, len(data))
            place = self.virtual.portals.place(offset) if bar == PORTAL_BAR else None
            if place is None:
                return Outcome.RETRY
            return await self._host.deferrable_write(PORTAL_BAR, place, self._translate(data))

    def _check(self, bar: int, offset: int, size: int) -> None:
        if not 1 <= size <= 64 or not 0 <= offset <= self.bar_bytes(bar) - size:
            raise ValueError(f"{size} bytes at {offset:#x} of BAR {bar}")

    def _translate(self, data: bytes) -> bytes:
        """A descriptor with the host PASID for the guest's."""
        word = int.from_bytes(data, "little")
        host = self.pasids.host(DESCRIPTOR.get(word, "pasid"))
        return DESCRIPTOR.set(word, pasid=host).to_bytes(len(data), "little")

    @asynccontextmanager
    async def _access(self, *, trapped: bool) -> AsyncIterator[None]:
        """An access by a processor, which has to be running for it."""
        while not self._running.is_set():
            await self._running.wait()
        self._inside += 1
        self._requests += 1
        self.traps += trapped
        try:
            yield
        finally:
            self._inside -= 1

    def allocate_pasid(self) -> int:
        """A guest PASID with an empty address space of its own."""
        return self.pasids.allocate()

    def free_pasid(self, pasid: int) -> None:
        """Give a guest PASID and its address space back."""
        self.pasids.free(pasid)

    def allocate(self, size: int, *, pasid: int | None = None, align: int = 64) -> Buffer:
        """Memory in the address space of a guest PASID, or of the guest itself."""
        return self._host.allocate(size, pasid=self.pasids.host(pasid), align=align)

    def now(self) -> int:
        """Clocks of the host's transport."""
        return self._host.now()

    async def sleep(self, cycles: int) -> None:
        """Let time pass."""
        await self._host.sleep(cycles)

    def event(self) -> Event:
        """Something that happens, for others to wait for."""
        return self._host.event()

    def start(self, work: Coroutine[Any, Any, Any]) -> Task:
        """Run a coroutine beside the caller."""
        return self._host.start(work)
