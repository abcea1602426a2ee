"""Assignable device interfaces: a queue, a PASID and vectors that belong together."""

from collections.abc import Callable
from typing import Any, TypeVar

from hw.regs.commands import Command, CommandError
from hw.regs.descriptor import Status

from .batch import BatchList
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
from .holding import Holding
from .limits import Limits
from .operation import Operation
from .queues import Queue
from .records import Records
from .timeouts import Timeouts
from .transport import Buffer, Transport
from .vector import Vector, VectorTable
from .verbs import Verbs

Result = TypeVar("Result")

BUSY_POLL_CYCLES = 64

CANNOT_RING = frozenset({Status.BAD_HANDLE, Status.BAD_FLAGS})
"""Statuses of descriptors whose interrupt is not to be had: the request itself was wrong."""

NOTHING_TO_DRAIN = frozenset({CommandError.DEVICE_NOT_ENABLED, CommandError.DISABLE_NOT_ENABLED})


class Adi(Verbs):
    """An assignable device interface. Made by :meth:`driver.adis.Adis.create`.

    Every operation is a coroutine that submits and waits (:class:`~driver.verbs.Verbs`);
    :meth:`submit` returns as soon as the descriptor is under way.

    Members
    -------
    queue, pasid, vectors
        What it consists of.
    records, submissions
        Its places for completion records; whether submissions are held.
    resubmitted
        Descriptors submitted again because their interrupt handle had been revoked.
    submitted, completed, bells, retries
        Descriptors submitted; those whose bell or drain has reported them; messages received;
        submissions that were tried again because the queue was full. At rest, and unless a
        vector was masked, the first three are equal.

    **Timing** A submission is one request, and one more for each retry.

    **Errors** :meth:`submit` raises :class:`~driver.errors.SettingsError`,
    :class:`~driver.errors.QueueFull` and :class:`~driver.errors.SubmissionRejected`; what can go
    wrong after that is the business of :meth:`driver.operation.Operation.wait`.
    """

    def __init__(
        self,
        transport: Transport,
        commands: Commands,
        queue: Queue,
        pasid: int,
        timeouts: Timeouts,
        *,
        revocable: bool = False,
    ) -> None:
        self.queue = queue
        self.pasid = pasid
        self.vectors: list[Vector] = []
        self.submitted = 0
        self.completed = 0
        self.retries = self.resubmitted = 0
        self._transport = transport
        self._commands = commands
        self._timeouts = timeouts
        self.records = Records(transport, pasid)
        self._buffers: list[Buffer] = []
        self._waiting: list[dict[Operation[Any], None]] = []
        self._busy = 0
        self.submissions = Holding(transport)
        self._revocable = revocable
        self._closed = False

    @property
    def bells(self) -> int:
        """Messages that its vectors have received."""
        return sum(vector.bells for vector in self.vectors)

    @property
    def limits(self) -> Limits:
        """What its queue takes."""
        return self.queue.limits

    @property
    def outstanding(self) -> int:
        """Operations that have not been reported yet."""
        return sum(map(len, self._waiting))

    def allocate(self, size: int, align: int = 64) -> Buffer:
        """Memory in the ADI's address space; freed with the ADI, or by :meth:`free`."""
        if self._closed:
            raise SettingsError("the ADI was destroyed")
        buffer = self._transport.allocate(size, pasid=self.pasid, align=align)
        self._buffers.append(buffer)
        return buffer

    def free(self, buffer: Buffer) -> None:
        """Give memory back that no outstanding operation uses."""
        self._buffers.remove(buffer)
        buffer.free()

    async def submit(
        self,
        descriptor: Descriptor[Result],
        *,
        vector: int = 0,
        check: bool = True,
        release: Callable[[], None] | None = None,
    ) -> Operation[Result]:
        """Submit a descriptor whose completion rings the given one of :attr:`vectors`.

        What the queue would refuse is refused before it is submitted, unless ``check`` is off: then
        the device says so in the completion record. ``release`` is called when the device has no
        business with the descriptor any more, even if it was never submitted, unless the memory of
        the ADI has gone with it.
        """
        try:
            await self.submissions.released()
            self._refuse(descriptor, vector, check)
        except BaseException:
            if release is not None and not self._closed:
                release()
            raise
        record = self.records.take()
        limit = self._timeouts.operation
        operation = Operation(
            self._transport, descriptor, record, limit, self._expire, self._desert, release
        )
        self._waiting[vector][operation] = None
        self.submissions.under_way += 1
        try:
            await self._send(operation, vector)
        except (Exception, GeneratorExit):
            if operation in self._waiting[vector]:  # else a reset has ended it already
                del self._waiting[vector][operation]
                self.records.give(record)
            operation.release()
            raise
        except BaseException:
            if not operation.done:
                self.queue.outstanding += 1
                self._desert(operation)
            raise
        finally:
            self.submissions.under_way -= 1
        self.submitted += 1
        return operation

    async def _send(self, operation: Operation[Any], number: int) -> None:
        vector = self.vectors[number]
        operation.handle = vector.handle
        data = operation.descriptor.encode(
            pasid=self.pasid, completion_address=operation.record.address, handle=vector.handle
        )
        self.retries += await self.queue.submit(data, ims=vector.table is VectorTable.IMS)

    def _refuse(self, descriptor: Descriptor[Any], vector: int, check: bool) -> None:
        if self._closed:
            raise SettingsError("the ADI was destroyed")
        if not 0 <= vector < len(self.vectors):
            raise SettingsError(f"the ADI has vectors 0 to {len(self.vectors) - 1}, not {vector}")
        if check:
            descriptor.check(self.limits)

    def batch(self, *, vector: int = 0) -> BatchList:
        """Collect operations and submit them as one; see :class:`~driver.batch.BatchList`."""
        return BatchList(self, vector)

    async def run(self, descriptor: Descriptor[Result]) -> Result:
        """Submit a descriptor, wait for its bell, and return what it has found."""
        return await (await self.submit(descriptor)).result()

    async def drain(self) -> None:
        """Wait until everything submitted so far has completed and rung.

        When this returns, nothing of it writes or interrupts any more.
        """
        await self._quiesce(Command.DRAIN_PASID)

    async def abort(self) -> None:
        """Discard what has not completed; nothing of it writes or interrupts any more.

        Submissions that are under way come first, and later ones wait until it is over: what
        becomes of a descriptor that arrives in the middle of an abort nobody says (DSA §3.15).
        """
        self.submissions.hold()
        try:
            await self.submissions.settled()
            await self._quiesce(Command.ABORT_PASID)
            self._settle(OperationAborted("the operation was aborted"))
        finally:
            self.submissions.go_on()

    async def resubmit(self) -> None:
        """Submit again what was refused because its handle was revoked; nothing of it was done.

        Submissions are held. The drain makes everything with an old handle end (DSA §7.5.4).
        """
        await self.drain()
        for number, waiting in enumerate(self._waiting):
            current = self.vectors[number].handle
            for operation in list(waiting):
                refused = operation.record.read().status == Status.BAD_HANDLE
                if refused and operation.handle != current:
                    operation.record.clear()
                    self.queue.retire()
                    self.resubmitted += 1
                    await self._send(operation, number)

    def rung(self, vector: int) -> None:
        """Look which operations of a vector have completed. One bell may stand for several."""
        waiting = self._waiting[vector]
        for operation in [item for item in waiting if self._ended(item.record.read().status)]:
            del waiting[operation]
            self._report(operation, rung=True)

    def _ended(self, status: int) -> bool:
        """Whether a status is the end of an operation; a bad handle may be one that was revoked."""
        return bool(status) and not (self._revocable and status == Status.BAD_HANDLE)

    def _report(self, operation: Operation[Any], *, rung: bool) -> None:
        completion = operation.record.read()
        self.completed += 1
        self.queue.retire()
        self.records.give(operation.record)
        operation.finish(completion, rung=rung)

    async def _expire(self, operation: Operation[Any]) -> None:
        """An operation's time is up: drain, then tell a lost bell from lost work."""
        await self.drain()
        while self.submissions.held:  # perhaps to submit this one again
            await self.submissions.released()
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

    def _desert(self, operation: Operation[Any]) -> None:
        """The task that waited for an operation was cancelled: drain in a task of its own."""
        self._busy += 1
        self._transport.start(self._clean(operation))

    async def _clean(self, operation: Operation[Any]) -> None:
        try:
            await self._expire(operation)
        finally:
            self._busy -= 1

    def _settle(self, error: DriverError) -> None:
        """Report what has completed, and let the rest end with an error."""
        for waiting in self._waiting:
            for operation in list(waiting):
                del waiting[operation]
                if operation.record.read().status:
                    self._report(operation, rung=False)
                else:
                    self._give_up(operation, error)

    def _forget(self, operation: Operation[Any]) -> None:
        for waiting in self._waiting:
            waiting.pop(operation, None)

    def _give_up(self, operation: Operation[Any], error: DriverError) -> None:
        self.queue.retire()
        self.records.give(operation.record)
        operation.finish(error)

    async def _quiesce(self, command: Command) -> None:
        try:
            await self._commands.execute(command, self.pasid)
        except CommandFailed as error:
            if error.error not in NOTHING_TO_DRAIN:
                raise

    async def close(self) -> None:
        """Take no more submissions; wait for those under way and for deserted ones, then drain."""
        self._closed = True
        while self._busy or self.submissions.under_way:
            await self._transport.sleep(BUSY_POLL_CYCLES)
        await self.drain()

    def add_vector(self, vector: Vector) -> None:
        """Let operations choose this vector too; it calls :meth:`rung`."""
        self.vectors.append(vector)
        self._waiting.append({})

    def release_memory(self) -> None:
        """Give records and buffers back. Nothing of the ADI can write or interrupt any more."""
        self._closed = True
        self._settle(OperationAborted("the ADI was destroyed first"))
        self.records.free()
        for buffer in self._buffers:
            buffer.free()
        self._buffers.clear()
