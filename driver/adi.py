"""Assignable device interfaces: a queue, a PASID and vectors that belong together."""

from functools import partial

from hw.regs.commands import Command, CommandError
from hw.regs.descriptor import Status

from .commands import Commands
from .descriptors import Descriptor
from .errors import (
    CommandFailed,
    DriverError,
    MissedBell,
    OperationAborted,
    OperationTimeout,
    SettingsError,
)
from .operation import Operation
from .queues import Mode, Queue
from .records import Records
from .timeouts import Timeouts
from .transport import Buffer, Transport
from .vectors import Vector, Vectors, VectorTable

SUBMISSION_POLL_CYCLES = 64

CANNOT_RING = frozenset({Status.BAD_HANDLE, Status.BAD_FLAGS})
"""Statuses of descriptors whose interrupt is not to be had: the request itself was wrong."""

NOTHING_TO_DRAIN = frozenset({CommandError.DEVICE_NOT_ENABLED, CommandError.DISABLE_NOT_ENABLED})


class Adi:
    """An assignable device interface. Made by :meth:`Adis.create`.

    Members
    -------
    queue, pasid, vectors
        What it consists of.
    submitted, completed, bells, retries
        Descriptors submitted; those whose bell or drain has reported them; messages received;
        submissions that were tried again because the queue was full. At rest, and unless a
        vector was masked, the first three are equal.

    **Timing** A submission is one request, and one more for each retry.

    **Errors** :meth:`submit` raises :class:`~driver.errors.QueueFull` and
    :class:`~driver.errors.SubmissionRejected`; what can go wrong after that is the business of
    :meth:`driver.operation.Operation.wait`.
    """

    def __init__(
        self,
        transport: Transport,
        commands: Commands,
        queue: Queue,
        pasid: int,
        timeouts: Timeouts,
    ) -> None:
        self.queue = queue
        self.pasid = pasid
        self.vectors: list[Vector] = []
        self.submitted = 0
        self.completed = 0
        self.retries = 0
        self._transport = transport
        self._commands = commands
        self._timeouts = timeouts
        self._records = Records(transport, pasid)
        self._buffers: list[Buffer] = []
        self._waiting: list[dict[Operation, None]] = []
        self._submitting = 0
        self._closed = False

    @property
    def bells(self) -> int:
        """Messages that its vectors have received."""
        return sum(vector.bells for vector in self.vectors)

    @property
    def outstanding(self) -> int:
        """Operations that have not been reported yet."""
        return sum(map(len, self._waiting))

    def allocate(self, size: int, align: int = 64) -> Buffer:
        """Memory in the ADI's address space; freed with the ADI, or by :meth:`free`."""
        buffer = self._transport.allocate(size, pasid=self.pasid, align=align)
        self._buffers.append(buffer)
        return buffer

    def free(self, buffer: Buffer) -> None:
        """Give memory back that no outstanding operation uses."""
        self._buffers.remove(buffer)
        buffer.free()

    async def submit(self, descriptor: Descriptor, *, vector: int = 0) -> Operation:
        """Submit a descriptor whose completion rings the given one of :attr:`vectors`."""
        if self._closed:
            raise SettingsError("the ADI was destroyed")
        if not 0 <= vector < len(self.vectors):
            raise SettingsError(f"the ADI has vectors 0 to {len(self.vectors) - 1}, not {vector}")
        record = self._records.take()
        operation = Operation(
            self._transport, descriptor, record, self._timeouts.operation, self._expire
        )
        chosen = self.vectors[vector]
        data = descriptor.encode(
            pasid=self.pasid, completion_address=record.address, handle=chosen.index
        )
        self._waiting[vector][operation] = None
        self._submitting += 1
        try:
            self.retries += await self.queue.submit(data, ims=chosen.table is VectorTable.IMS)
        except BaseException:
            del self._waiting[vector][operation]
            self._records.give(record)
            raise
        finally:
            self._submitting -= 1
        self.submitted += 1
        return operation

    async def drain(self) -> None:
        """Wait until everything submitted so far has completed and rung.

        When this returns, nothing of it writes or interrupts any more.
        """
        await self._quiesce(Command.DRAIN_PASID)

    async def abort(self) -> None:
        """Discard what has not completed; nothing of it writes or interrupts any more."""
        await self._quiesce(Command.ABORT_PASID)
        self._settle(OperationAborted("the operation was aborted"))

    def rung(self, vector: int) -> None:
        """Look which operations of a vector have completed. One bell may stand for several."""
        waiting = self._waiting[vector]
        for operation in [item for item in waiting if item.record.read().status]:
            del waiting[operation]
            self._report(operation, rung=True)

    def _report(self, operation: Operation, *, rung: bool) -> None:
        completion = operation.record.read()
        self.completed += 1
        self.queue.retire()
        self._records.give(operation.record)
        operation.finish(completion, rung=rung)

    async def _expire(self, operation: Operation) -> None:
        """An operation's time is up: drain, then tell a lost bell from lost work."""
        await self.drain()
        if operation.done:
            return
        self._forget(operation)
        completion = operation.record.read()
        if completion.status in CANNOT_RING:
            self._report(operation, rung=False)
        elif completion.status:
            ended = f"the operation ended with {completion.name}"
            self._give_up(operation, MissedBell(f"{ended}, but its interrupt did not arrive"))
        else:
            self._give_up(
                operation, OperationTimeout("the operation was not completed, even by a drain")
            )

    def _settle(self, error: DriverError) -> None:
        """Report what has completed, and let the rest end with an error."""
        for waiting in self._waiting:
            for operation in list(waiting):
                del waiting[operation]
                if operation.record.read().status:
                    self._report(operation, rung=False)
                else:
                    self._give_up(operation, error)

    def _forget(self, operation: Operation) -> None:
        for waiting in self._waiting:
            waiting.pop(operation, None)

    def _give_up(self, operation: Operation, error: DriverError) -> None:
        self.queue.retire()
        self._records.give(operation.record)
        operation.finish(error)

    async def _quiesce(self, command: Command) -> None:
        try:
            await self._commands.execute(command, self.pasid)
        except CommandFailed as error:
            if error.error not in NOTHING_TO_DRAIN:
                raise

    async def close(self) -> None:
        """Take no more submissions; wait for those under way, then drain."""
        self._closed = True
        while self._submitting:
            await self._transport.sleep(SUBMISSION_POLL_CYCLES)
        await self.drain()

    def add_vector(self, vector: Vector) -> None:
        """Let operations choose this vector too; it calls :meth:`rung`."""
        self.vectors.append(vector)
        self._waiting.append({})

    def release_memory(self) -> None:
        """Give records and buffers back. Nothing of the ADI can write or interrupt any more."""
        self._closed = True
        self._settle(OperationAborted("the ADI was destroyed first"))
        self._records.free()
        for buffer in self._buffers:
            buffer.free()
        self._buffers.clear()


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

    async def create(
        self, queue: Queue, *, vectors: int = 1, table: VectorTable = VectorTable.IMS
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
        adi = Adi(self._transport, self._commands, queue, pasid, self._timeouts)
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

    async def _dismantle(self, adi: Adi) -> None:
        for vector in adi.vectors:
            await self._vectors.release(vector)
        adi.release_memory()
        self._transport.free_pasid(adi.pasid)
        del self._live[adi]
