"""Batches: many descriptors submitted as one, and what became of each (DSA §3.8, §8.3.2)."""

# An error here is named for what happened, as in other drivers.

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

from hw.regs.descriptor import DESCRIPTOR_BYTES, Opcode, Status

from .comparisons import (
    ApplyDelta,
    Compare,
    ComparePattern,
    Comparison,
    CreateDelta,
    Delta,
    DeltaRecord,
)
from .crc import CopyCrc, Crc
from .descriptors import (
    LIST_ALIGN,
    Batch,
    CacheFlush,
    Descriptor,
    Dualcast,
    Fill,
    MemoryMove,
    Nop,
)
from .errors import SettingsError
from .failures import OperationFailed
from .limits import Limits
from .member import BatchFailed, Member
from .operation import Operation
from .records import Record, Records
from .transport import Buffer
from .verbs import Place, at

Result = TypeVar("Result")

NOT_IN_BATCHES = frozenset({Opcode.BATCH, Opcode.DRAIN})


class Submitter(Protocol):
    """What a batch needs of the ADI that it belongs to."""

    pasid: int
    records: Records

    @property
    def limits(self) -> Limits: ...

    def allocate(self, size: int, align: int = 64) -> Buffer: ...

    def free(self, buffer: Buffer) -> None: ...

    async def submit(
        self,
        descriptor: Descriptor[Result],
        *,
        vector: int = 0,
        check: bool = True,
        release: Callable[[], None] | None = None,
    ) -> Operation[Result]: ...


class BatchList:
    """A batch in the making. Made by :meth:`driver.adi.Adi.batch`, and used with ``async with``.

    Its methods add operations. When the block ends, the list is written to memory, submitted and
    waited for; if it ends with an exception, nothing is submitted. Members run side by side, in the
    order in which they were added where their writes meet; :meth:`fence` keeps later members
    waiting.

    Members
    -------
    members
        What was added, in order.
    completed
        How many of them the device has completed.

    **Errors** Adding raises :class:`~driver.errors.SettingsError` for what the queue would refuse.
    The end of the block raises :class:`~driver.member.BatchFailed`, and what
    :meth:`driver.operation.Operation.wait` raises.
    """

    def __init__(self, adi: Submitter, vector: int) -> None:
        self.members: list[Member[Any]] = []
        self.completed = 0
        self._adi = adi
        self._vector = vector
        self._fence = False
        self._closed = False
        self._records: list[Record] = []
        self._list: Buffer | None = None

    def add(self, descriptor: Descriptor[Result]) -> Member[Result]:
        """Add any operation but a batch and a drain."""
        if self._closed:
            raise SettingsError("the batch was submitted or given up")
        if descriptor.opcode in NOT_IN_BATCHES:
            raise SettingsError(f"a batch takes no {descriptor.label}")
        limits = self._adi.limits
        descriptor.check(limits)
        if len(self.members) >= limits.max_batch:
            raise SettingsError(f"a batch on this queue has up to {limits.max_batch} members")
        member = Member(len(self.members), descriptor, fenced=self._fence)
        self._fence = False
        self.members.append(member)
        return member

    def fence(self) -> None:
        """Let the next member wait for all before it, and begin only if they succeeded.

        A comparison that was given an expectation succeeds only if it is met. If a member did not
        succeed, those behind the fence are abandoned.
        """
        self._fence = True

    def noop(self) -> Member[None]:
        """See :meth:`driver.verbs.Verbs.noop`, and so on for the others."""
        return self.add(Nop())

    def copy(self, source: Place, destination: Place, size: int) -> Member[None]:
        """Copy bytes."""
        return self.add(MemoryMove(at(source), at(destination), size))

    def fill(self, destination: Place, size: int, pattern: int = 0) -> Member[None]:
        """Repeat eight bytes."""
        return self.add(Fill(pattern, at(destination), size))

    def compare(
        self, first: Place, second: Place, size: int, *, expect_equal: bool | None = None
    ) -> Member[Comparison]:
        """Compare two ranges; anything but what is expected stops the batch at the next fence."""
        return self.add(Compare(at(first), at(second), size, expect_equal))

    def compare_pattern(
        self, source: Place, size: int, pattern: int = 0, *, expect_equal: bool | None = None
    ) -> Member[Comparison]:
        """Compare memory with eight bytes repeated."""
        return self.add(ComparePattern(at(source), pattern, size, expect_equal))

    def delta(
        self,
        original: Place,
        modified: Place,
        size: int,
        record: Place,
        max_bytes: int,
        *,
        expect: tuple[Delta, ...] | None = None,
    ) -> Member[DeltaRecord]:
        """Write down what makes the original equal to the modified range."""
        return self.add(
            CreateDelta(at(original), at(modified), size, at(record), max_bytes, expect)
        )

    def apply(self, record: Place, delta_bytes: int, destination: Place, size: int) -> Member[None]:
        """Change memory as a delta record says."""
        return self.add(ApplyDelta(at(record), at(destination), size, delta_bytes))

    def dualcast(
        self, source: Place, destination: Place, destination_2: Place, size: int
    ) -> Member[None]:
        """Copy bytes to two places."""
        return self.add(Dualcast(at(source), at(destination), at(destination_2), size))

    def crc(self, source: Place, size: int, *, seed: int = 0) -> Member[int]:
        """The CRC-32C of memory."""
        return self.add(Crc(at(source), size, seed))

    def copy_crc(
        self, source: Place, destination: Place, size: int, *, seed: int = 0
    ) -> Member[int]:
        """Copy bytes and compute their CRC-32C."""
        return self.add(CopyCrc(at(source), at(destination), size, seed))

    def flush(self, destination: Place, size: int) -> Member[None]:
        """Make the device forget what it may have cached."""
        return self.add(CacheFlush(at(destination), size))

    async def __aenter__(self) -> "BatchList":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        closed, self._closed = self._closed, True
        if kind is None and not closed and self.members:
            await self._run()

    async def _run(self) -> None:
        size = len(self.members) * DESCRIPTOR_BYTES
        self._list = self._adi.allocate(size, align=LIST_ALIGN)
        for member in self.members:
            record = self._adi.records.take()
            self._records.append(record)
            data = member.descriptor.encode(completion_address=record.address, fence=member.fenced)
            self._list.write(data, member.index * DESCRIPTOR_BYTES)
        descriptor = Batch(self._list.address, len(self.members))
        operation = await self._adi.submit(descriptor, vector=self._vector, release=self._release)
        try:
            await operation.wait()
        except OperationFailed as error:
            self.completed = error.completion.bytes_completed
            if error.status == Status.BATCH_FAILED:
                self._raise(error)
            else:
                raise
        else:
            self.completed = len(self.members)

    def _raise(self, error: OperationFailed) -> None:
        """Raise what concerns the members; a comparison that was not met is a result."""
        told = BatchFailed(error.descriptor, error.completion, self.members)
        if told.failed or told.abandoned:
            raise told from None

    def _release(self) -> None:
        """The device touches list and records no more: keep the records, give the memory back."""
        for member, record in zip(self.members, self._records, strict=True):
            found = record.read()
            member.completion = found if found.status else None
            member.over = True
            self._adi.records.give(record)
        assert self._list is not None
        self._adi.free(self._list)
