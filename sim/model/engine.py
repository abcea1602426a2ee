"""An engine: checks a descriptor, then does what it says, one chunk at a time."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hw.regs.config import Config
from hw.regs.descriptor import (
    COMPLETION,
    COMPLETION_BYTES,
    DESCRIPTOR_BYTES,
    RESULTS,
    Opcode,
    Status,
)

from .checks import FENCE, INTERRUPT, RECORD, VALID, Terms, operands, verdict
from .host import Host, HostError
from .operations import OPERATIONS, Memory, Outcome, Steps
from .queues import Descriptor, WorkQueue

#: Status codes that never go to a completion record (DSA §5.8.1).
_NOT_RECORDED = {Status.COMPLETION_TRANSLATION, Status.COMPLETION_ALIGNMENT, Status.PRIVILEGE}

#: Status codes that are nobody's error (DSA §5.8.1).
_NO_ERROR = {Status.SUCCESS, Status.SUCCESS_PREDICATE, Status.BATCH_FAILED}


class Phase(enum.Enum):
    """What the engine does next with the descriptor it has."""

    CHECK = "check"
    EXECUTE = "execute"
    RECORD = "record"
    INTERRUPT = "interrupt"


@dataclass(slots=True)
class Work:
    """A descriptor under way.

    Parameters
    ----------
    descriptor, word
        As it was submitted or fetched, and its 64 bytes as a number.
    fields
        The descriptor's fields, by the names that its operation gives them.
    index
        Its place in the batch that fetched it, or None.
    phase
        What comes next.
    outcome
        What the completion record will say.
    invalid_flags
        If a check of the flags failed.
    interrupt
        Whether a completion interrupt is due.
    steps
        The operation, under way.
    """

    descriptor: Descriptor
    word: int
    fields: dict[str, int]
    index: int | None = None
    phase: Phase = Phase.CHECK
    outcome: Outcome = field(default_factory=Outcome)
    invalid_flags: int = 0
    interrupt: bool = False
    steps: Steps = field(default_factory=lambda: iter(()))


@dataclass(slots=True)
class Batch:
    """A batch under way.

    Parameters
    ----------
    work
        The Batch descriptor.
    done
        Members that are completed.
    failed
        One of them did not succeed.
    """

    work: Work
    done: int = 0
    failed: bool = False


class Surroundings(Protocol):
    """What the engine asks of the device around it."""

    host: Host

    @property
    def user_interrupts(self) -> bool:
        """GENCFG: descriptors of users may ask for interrupts."""
        ...

    @property
    def pasid_privileged(self) -> bool:
        """Privileged Mode Enable of the PASID capability."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """The largest read to make."""
        ...

    def queue(self, number: int) -> WorkQueue: ...

    def permits(self, ims: bool, handle: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether an interrupt handle is good for a descriptor."""
        ...

    def ring(self, ims: bool, handle: int) -> None:
        """A completion interrupt."""
        ...

    def software_error(self, status: int, work: Work) -> None:
        """An error that has no completion record to go to."""
        ...

    def waiting(self, engine: int) -> bool:
        """Whether the queues have a descriptor for an engine."""
        ...

    def take(self, engine: int) -> Descriptor:
        """The descriptor that the queues have for an engine."""
        ...

    def finished(self, descriptor: Descriptor) -> None:
        """Nothing of a descriptor that was taken can be written or rung any more."""
        ...


class Engine:
    """One engine: one descriptor at a time, and at most one batch beside it.

    Call :meth:`step` while :attr:`ready`. Checks come first and a failed one has no effect but its
    report; then data, completion record and interrupt leave in that order (DSA §5.4, §3.6).
    Members of a batch and descriptors from the queues take turns. A second batch waits, and keeps
    what is behind it waiting, until the first is completed.

    Parameters
    ----------
    config
        Parameters of the device.
    around
        The device.
    number
        Which of its engines this is.
    """

    def __init__(self, config: Config, around: Surroundings, number: int):
        self._around = around
        self._chunk = config.read_slot_bytes
        self._number = number
        self._work: Work | None = None
        self._batch: Batch | None = None
        self._second: Descriptor | None = None
        self._member_next = True
        self._stages = {
            Phase.CHECK: self._check,
            Phase.EXECUTE: self._execute,
            Phase.RECORD: self._record,
            Phase.INTERRUPT: self._ring,
        }

    @property
    def held(self) -> list[Descriptor]:
        """Descriptors from the queues that are not finished."""
        held = [] if self._second is None else [self._second]
        if self._batch is not None:
            held.append(self._batch.work.descriptor)
        if self._work is not None and self._work.index is None:
            held.append(self._work.descriptor)
        return held

    @property
    def ready(self) -> bool:
        """Whether there is anything to do."""
        if self._work is not None or self._batch is not None or self._second is not None:
            return True
        return self._around.waiting(self._number)

    def abandon(self, affected: Callable[[Descriptor], bool]) -> None:
        """Forget what is affected: no completion record, no interrupt, no more members."""
        for descriptor in filter(affected, self.held):
            self._around.finished(descriptor)
        if self._second is not None and affected(self._second):
            self._second = None
        if self._work is not None and affected(self._work.descriptor):
            self._work = None
        if self._batch is not None and affected(self._batch.work.descriptor):
            self._batch = None

    def step(self) -> None:
        """Do one thing.

        Take a descriptor or fetch a member; or all checks, one chunk, the completion record, or
        the interrupt of the descriptor at hand.
        """
        work = self._work
        if work is not None:
            self._stages[work.phase](work)
        elif self._batch is not None and (self._member_next or not self._input()):
            self._member_next = False
            self._fetch(self._batch)
        else:
            self._member_next = True
            self._take()

    def _input(self) -> bool:
        """Whether a descriptor can be taken beside the batch under way."""
        return self._second is None and self._around.waiting(self._number)

    def _take(self) -> None:
        descriptor = self._second or self._around.take(self._number)
        self._second = None
        if self._batch is not None and descriptor.opcode == Opcode.BATCH:
            self._second = descriptor
        else:
            self._work = _work(descriptor)

    # Batches

    def _fetch(self, batch: Batch) -> None:
        """Fetch the next member, if there is one that may start (DSA §3.8, §3.9)."""
        parent, index = batch.work, batch.done
        address = parent.fields["list_address"] + DESCRIPTOR_BYTES * index
        descriptor = parent.descriptor
        try:
            data = self._around.host.dma_read(
                address % (1 << 64), DESCRIPTOR_BYTES, descriptor.pasid
            )
        except HostError:
            self._end_batch(batch, Status.HARDWARE)
            return
        work = _work(descriptor.member(data))
        if work.fields["flags"] & FENCE and batch.failed:
            self._end_batch(batch, Status.BATCH_FAILED)
            return
        work.index = index
        self._work = work

    def _end_batch(self, batch: Batch, status: Status) -> None:
        work = batch.work
        work.outcome.status, work.outcome.bytes_completed = status, batch.done
        work.phase = Phase.RECORD
        self._work, self._batch = work, None
        self._skip(work)

    # Stages

    def _check(self, work: Work) -> None:
        fields, descriptor = work.fields, work.descriptor
        queue = self._around.queue(descriptor.queue)
        user = queue.pasid_enable and not descriptor.privileged
        mute = user and not self._around.user_interrupts
        claims = descriptor.shared and descriptor.privileged
        terms = Terms(
            operations=queue.values["operations"],
            max_transfer_bytes=1 << queue.get("limits", "max_transfer_log2"),
            max_batch=1 << queue.get("limits", "max_batch_log2"),
            mute=mute,
            unprivileged=claims and not self._around.pasid_privileged,
            shared=descriptor.shared,
            member=work.index is not None,
        )

        def permits() -> bool:
            enable, pasid = queue.pasid_enable, descriptor.pasid or 0
            return self._around.permits(descriptor.ims, fields["handle"], pasid, enable)

        status, work.invalid_flags = verdict(work.word, fields, terms, permits)
        wants = bool(fields["flags"] & INTERRUPT)
        work.outcome.status = status
        if status is not Status.SUCCESS:
            deliverable = status is not Status.COMPLETION_ALIGNMENT and not mute
            work.interrupt = wants and deliverable and permits()
            work.phase = Phase.RECORD
            return
        work.interrupt = wants
        if fields["opcode"] == Opcode.BATCH:
            self._work, self._batch = None, Batch(work)
            self._member_next = True
            return
        chunk = min(self._chunk, self._around.chunk_bytes)
        memory = Memory(self._around.host, descriptor.pasid, chunk)
        work.steps = OPERATIONS[fields["opcode"]](memory, fields, work.outcome)
        work.phase = Phase.EXECUTE
        if "size_bytes" not in fields:
            self._execute(work)

    def _execute(self, work: Work) -> None:
        """One chunk: up to the read size, and never across a multiple of it in the source."""
        try:
            next(work.steps)
        except StopIteration:
            work.phase = Phase.RECORD
            self._skip(work)
        except HostError:
            work.outcome.status = Status.HARDWARE
            work.phase = Phase.RECORD

    def _skip(self, work: Work) -> None:
        """Leave out what the descriptor does not ask for."""
        if work.outcome.status is Status.SUCCESS and not work.fields["flags"] & RECORD:
            self._conclude(work)

    def _record(self, work: Work) -> None:
        valid = work.fields["flags"] & VALID
        outcome = work.outcome
        if valid and outcome.status not in _NOT_RECORDED:
            record = _completion(outcome, work.invalid_flags)
            address, pasid = work.fields["completion_address"], work.descriptor.pasid
            self._around.host.dma_write(address, record.to_bytes(COMPLETION_BYTES, "little"), pasid)
        elif outcome.status not in _NO_ERROR:
            self._around.software_error(outcome.status, work)
        self._conclude(work)

    def _conclude(self, work: Work) -> None:
        if work.interrupt:
            work.phase = Phase.INTERRUPT
        else:
            self._finish(work)

    def _ring(self, work: Work) -> None:
        self._around.ring(work.descriptor.ims, work.fields["handle"])
        self._finish(work)

    def _finish(self, work: Work) -> None:
        self._work = None
        batch = self._batch
        if work.index is None:
            self._around.finished(work.descriptor)
        elif batch is not None:
            batch.done += 1
            batch.failed |= work.outcome.status is not Status.SUCCESS
            if batch.done == batch.work.fields["count"]:
                failed = Status.BATCH_FAILED if batch.failed else Status.SUCCESS
                self._end_batch(batch, failed)


def _work(descriptor: Descriptor) -> Work:
    word = int.from_bytes(descriptor.data, "little")
    return Work(descriptor, word, operands(word))


def _completion(outcome: Outcome, invalid_flags: int) -> int:
    """A completion record as a number."""
    if outcome.status is Status.BAD_FLAGS:
        return COMPLETION.pack(status=outcome.status, invalid_flags=invalid_flags)
    return RESULTS.pack(
        status=outcome.status,
        result=outcome.result,
        bytes_completed=outcome.bytes_completed,
        value=outcome.value,
    )
