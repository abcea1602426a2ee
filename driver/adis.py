"""Making and unmaking assignable device interfaces."""

from functools import partial

from .adi import Adi
from .commands import Commands
from .errors import SettingsError
from .lock import Lock
from .queues import Queue
from .settings import Mode
from .timeouts import Timeouts
from .transport import Transport
from .vector import VectorTable
from .vectors import Vectors


class Adis:
    """Creates and destroys ADIs, each step undone in reverse order if a later one fails."""

    def __init__(
        self, transport: Transport, commands: Commands, vectors: Vectors, timeouts: Timeouts
    ) -> None:
        self._transport = transport
        self._commands = commands
        self._vectors = vectors
        self._timeouts = timeouts
        self._live: dict[Adi, None] = {}
        self._renewing = Lock(transport)

    async def create(
        self, queue: Queue, *, vectors: int = 1, table: VectorTable | None = None
    ) -> Adi:
        """A PASID, vectors that only its descriptors can ring, and records, on a queue.

        A shared queue takes any number of ADIs. A dedicated one takes a single ADI, is given its
        PASID and is enabled by this.
        """
        if queue.settings is None:
            raise SettingsError(f"queue {queue.index} has no configuration")
        if vectors < 1:
            raise SettingsError(f"an ADI has 1 vector or more, not {vectors}")
        dedicated = queue.settings.mode is Mode.DEDICATED
        if dedicated and any(adi.queue is queue for adi in self._live):
            raise SettingsError(f"the dedicated queue {queue.index} has an ADI already")
        pasid = self._transport.allocate_pasid()
        adi = Adi(
            self._transport,
            self._commands,
            queue,
            pasid,
            self._timeouts,
            revocable=self._vectors.revocable,
        )
        self._live[adi] = None
        try:
            for number in range(vectors):
                ring = partial(adi.rung, number)
                adi.add_vector(await self._vectors.allocate(ring, pasid=pasid, table=table))
            if dedicated:
                await queue.assign(pasid)
        except BaseException:
            await self._dismantle(adi)
            raise
        return adi

    async def destroy(self, adi: Adi) -> None:
        """Drain it, free its vectors, its memory and its PASID, in this order.

        The drain goes first: until it is over, descriptors may still ring the vectors and write
        the memory. Freeing a vector takes the PASID's permission away before the PASID itself can
        be given to another. Operations that were not waited for end here: completed ones keep
        their record, others raise :class:`~driver.errors.OperationAborted`.

        **Errors** If the drain fails, nothing has been freed, and the call may be repeated.
        """
        if adi not in self._live:
            raise SettingsError("the ADI was destroyed already")
        await adi.close()
        if adi.queue.settings is not None and adi.queue.settings.mode is Mode.DEDICATED:
            await adi.queue.assign(None)
        await self._dismantle(adi)

    async def destroy_all(self) -> None:
        """Destroy every ADI that is left."""
        for adi in list(self._live):
            await self.destroy(adi)

    def abandon(self) -> None:
        """Give all memory and PASIDs back without touching the device, which has been reset."""
        for adi in self._live:
            adi.release_memory()
            self._transport.free_pasid(adi.pasid)
        self._live.clear()

    def revoked(self) -> None:
        """The device has revoked interrupt handles: hold submissions, and renew them."""
        held = list(self._live)
        for adi in held:
            adi.submissions.hold()
        self._transport.start(self._renew(held))

    async def _renew(self, held: list[Adi]) -> None:
        """New handles first; then what the old ones have made the device refuse goes again."""
        try:
            async with self._renewing:
                for adi in held:
                    await adi.submissions.settled()
                await self._vectors.renew_handles()
                for adi in held:
                    if adi in self._live:
                        await adi.resubmit()
        finally:
            for adi in held:
                adi.submissions.go_on()

    async def _dismantle(self, adi: Adi) -> None:
        for vector in adi.vectors:
            await self._vectors.release(vector)
        adi.release_memory()
        self._transport.free_pasid(adi.pasid)
        del self._live[adi]
