"""Batches on paper: the list in memory, and what is made of the records."""

import pytest

from driver import (
    Batch,
    BatchFailed,
    Comparison,
    Drain,
    DriverError,
    MemoryFailed,
    MemoryMove,
    Nop,
    OperationAborted,
    OperationFailed,
    QueueFull,
    SettingsError,
)
from driver.batch import BatchList
from driver.completion import Completion
from driver.failures import failure
from driver.limits import Limits
from driver.records import Records
from hw.regs.descriptor import LAYOUTS, OPERATIONS_IMPLEMENTED, RESULTS, Flag, Status

from .paper import run


class PaperMemory:
    """A buffer that can be read by address, and knows whether it was freed."""

    def __init__(self, owner: "PaperAdi", size: int) -> None:
        self.address = owner.next
        self.size_bytes = size
        self.data = bytearray(size)
        self.freed = False
        owner.next += 0x1000 + size
        owner.buffers.append(self)

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        return bytes(self.data[offset : None if size is None else offset + size])

    def write(self, data: bytes, offset: int = 0) -> None:
        self.data[offset : offset + len(data)] = data

    def free(self) -> None:
        self.freed = True


class PaperOperation:
    def __init__(self, descriptor, completion, release) -> None:
        self.descriptor, self.completion, self.release = descriptor, completion, release

    async def wait(self) -> Completion:
        self.release()
        if not self.completion.succeeded:
            raise failure(self.descriptor, self.completion)
        return self.completion


class PaperAdi:
    """Takes a batch and answers it with the given statuses; 0 leaves a member untouched.

    ``statuses`` are those of the members, ``status`` that of the batch.
    """

    pasid = 5
    limits = Limits(4096, 1, 4, OPERATIONS_IMPLEMENTED)

    def __init__(self, status=Status.SUCCESS, statuses=(), error=None) -> None:
        self.status, self.statuses, self.error = status, statuses, error
        self.next = 0x1_0000
        self.buffers: list[PaperMemory] = []
        self.records = Records(self, self.pasid)
        self.submitted = []

    def allocate(self, size, *, pasid=None, align=64):
        assert self.next % align == 0
        return PaperMemory(self, size)

    def free(self, buffer) -> None:
        buffer.free()

    def member(self, descriptor: Batch, index: int) -> bytes:
        memory = next(item for item in self.buffers if item.address == descriptor.list_address)
        return memory.read(64 * index, 64)

    async def submit(self, descriptor, *, vector=0, check=True, release=None):
        if self.error:
            release()
            raise self.error
        descriptor.check(self.limits)
        self.submitted.append(
            [
                int.from_bytes(self.member(descriptor, at), "little")
                for at in range(descriptor.count)
            ]
        )
        for index, status in enumerate(self.statuses):
            place = int.from_bytes(self.member(descriptor, index)[8:16], "little")
            memory = next(
                item for item in self.buffers if 0 <= place - item.address < item.size_bytes
            )
            predicate = status == Status.SUCCESS_PREDICATE
            word = RESULTS.pack(status=status, result=int(predicate), bytes_completed=3 * index)
            memory.write(word.to_bytes(32, "little"), place - memory.address)
        done = sum(status != 0 for status in self.statuses)
        return PaperOperation(descriptor, Completion(self.status, False, 0, done, 0, 0), release)

    def settled(self) -> None:
        """Everything but the memory of records was given back."""
        assert all(item.freed for item in self.buffers if item.size_bytes != 8 * 32)
        assert len(self.records._free) in (0, 8), "a record is still out"


def test_members_lie_in_the_list_with_records_and_fences_but_no_interrupts():
    adi = PaperAdi(statuses=[Status.SUCCESS] * 3)

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.copy(0x100, 0x200, 5)
            batch.fence()
            batch.fill(0x300, 9, 0xAB)
            batch.noop()
        return batch

    batch = run(body())
    (words,) = adi.submitted
    flags = [LAYOUTS[0].unpack(word)["flags"] for word in words]
    asked = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
    assert flags == [asked, asked | Flag.FENCE, asked]
    move, fill = (member.descriptor for member in batch.members[:2])
    assert LAYOUTS[move.opcode].unpack(words[0])["size_bytes"] == 5
    assert LAYOUTS[fill.opcode].unpack(words[1])["pattern"] == 0xAB
    assert len({LAYOUTS[0].unpack(word)["completion_address"] for word in words}) == 3
    assert batch.completed == 3 and all(member.result() is None for member in batch.members)
    adi.settled()


def test_results_of_members_are_typed():
    adi = PaperAdi(Status.BATCH_FAILED, [Status.SUCCESS, Status.SUCCESS_PREDICATE])

    async def body():
        async with BatchList(adi, 0) as batch:
            same = batch.compare(0, 0x100, 8)
            other = batch.compare(0, 0x100, 8, expect_equal=True)
            with pytest.raises(DriverError, match="no result before its batch has completed"):
                same.result()
        return same, other

    same, other = run(body())
    assert same.result() == Comparison(True)
    assert other.result() == Comparison(False, 3), "an expectation that is not met is no failure"
    adi.settled()


def test_failed_members_are_listed_and_abandoned_ones_told_apart():
    adi = PaperAdi(Status.BATCH_FAILED, [Status.SUCCESS, Status.HARDWARE, 0, 0])
    members = []

    async def body():
        async with BatchList(adi, 0) as batch:
            members.append(batch.copy(0x100, 0x200, 5))
            members.append(batch.copy(0x100, 0x200, 5))
            batch.fence()
            members.append(batch.noop())
            members.append(batch.noop())

    with pytest.raises(BatchFailed) as caught:
        run(body())
    assert caught.value.failed == members[1:2] and caught.value.abandoned == members[2:]
    assert str(caught.value) == (
        "of a batch of 4, member 1 (MEMORY_MOVE) failed with HARDWARE, "
        "member 2 was abandoned, member 3 was abandoned"
    )
    assert caught.value.completion.bytes_completed == 2
    assert members[0].result() is None
    with pytest.raises(MemoryFailed):
        members[1].result()
    with pytest.raises(OperationAborted, match="member 2 of the batch was abandoned"):
        members[2].result()
    adi.settled()


def test_list_that_cannot_be_read_is_a_failure_of_memory():
    adi = PaperAdi(Status.HARDWARE, [0])

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.noop()

    with pytest.raises(MemoryFailed):
        run(body())
    adi.settled()


def test_nothing_is_submitted_if_the_body_raises():
    adi = PaperAdi()

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.noop()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(body())
    assert not adi.submitted and not adi.buffers


def test_empty_batch_is_not_submitted():
    adi = PaperAdi()

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.fence()
        return batch

    assert run(body()).completed == 0
    assert not adi.submitted and not adi.buffers


def test_batch_that_is_not_accepted_gives_its_memory_back():
    adi = PaperAdi(error=QueueFull("full"))

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.noop()

    with pytest.raises(QueueFull):
        run(body())
    adi.settled()


@pytest.mark.parametrize(
    ("descriptor", "words"),
    [
        (Drain(), "a batch takes no drain"),
        (Batch(0, 2), "a batch takes no batch"),
        (MemoryMove(0, 0x2000, 4097), "copies 1 to 4096 bytes, not 4097"),
    ],
)
def test_member_that_the_device_would_refuse_is_refused_first(descriptor, words):
    batch = BatchList(PaperAdi(), 0)
    with pytest.raises(SettingsError, match=words):
        batch.add(descriptor)


def test_batch_has_as_many_members_as_the_queue_allows():
    batch = BatchList(PaperAdi(), 0)
    for _ in range(4):
        batch.add(Nop())
    with pytest.raises(SettingsError, match="a batch on this queue has up to 4 members"):
        batch.add(Nop())


def test_batch_that_is_over_takes_no_more():
    adi = PaperAdi(statuses=[Status.SUCCESS])

    async def body():
        async with BatchList(adi, 0) as batch:
            batch.noop()
        batch.noop()

    with pytest.raises(SettingsError, match="was submitted or given up"):
        run(body())


def test_batch_failure_is_an_operation_failure():
    assert issubclass(BatchFailed, OperationFailed)
