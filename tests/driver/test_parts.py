"""Parts of the driver that need no device, or one on paper."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver import (
    CommandFailed,
    CommandTimeout,
    Completion,
    Device,
    DeviceGone,
    Drain,
    ErrorReport,
    MemoryMove,
    MissedBell,
    Mode,
    Nop,
    QueueSettings,
    SettingsError,
    Timeouts,
    Vector,
    VectorError,
    VectorsExhausted,
)
from driver.indices import Indices
from driver.irq.domain import irq_chip_compose_msi_msg
from driver.lock import Lock
from driver.queues import Queue
from driver.transport import Message
from hw.regs.commands import Command, CommandError, SoftwareError
from hw.regs.descriptor import DESCRIPTOR, Flag, Opcode, Status

from .paper import PaperTransport, run

QUICK = Timeouts(command=10_000, drain=20_000, submit=5_000, reset=10_000)


@pytest.fixture
def paper() -> PaperTransport:
    return PaperTransport()


@pytest.fixture
def device(paper) -> Device:
    return run(Device.probe(paper, QUICK))


def ims_entry(paper: PaperTransport, index: int) -> int:
    start = paper.space.table("ims").entry(index)
    return int.from_bytes(paper.memory[start : start + 16], "little")


def message_of(device: Device, vector: Vector) -> Message:
    """What the levels below the device's table say that the entry holds."""
    return irq_chip_compose_msi_msg(device._vectors._system.irq_to_desc(vector.irq).irq_data)


@settings(derandomize=True)
@given(st.lists(st.integers(0, 9), max_size=60))
def test_index_has_one_owner_at_a_time(turns):
    """Whatever the order, nothing is handed out twice and nothing is lost."""
    indices, out = Indices(3, 9), []
    for turn in turns:
        if turn < 5:
            if len(indices):
                index = indices.take()
                assert 3 <= index < 9 and index not in out
                out.append(index)
            else:
                assert len(out) == 6
                with pytest.raises(IndexError):
                    indices.take()
        elif out:
            indices.give(out.pop(turn % len(out)))
        assert len(indices) == 6 - len(out)


def test_index_that_is_not_out_cannot_come_back():
    indices = Indices(0, 2)
    with pytest.raises(ValueError, match="1 is not allocated"):
        indices.give(1)


def test_index_can_be_taken_by_name():
    indices = Indices(0, 4)
    assert indices.take(2) == 2
    with pytest.raises(ValueError, match="2 is allocated"):
        indices.take(2)
    indices.give(2)
    assert [indices.take() for _ in range(4)] == [0, 1, 3, 2]
    indices.give(1)
    indices.give(3)
    assert indices.take(3) == 3 and indices.take() == 1


def test_scattered_indices_are_all_handed_out():
    indices = Indices(10, 17, 3)
    assert [indices.take() for _ in range(7)] == [10, 13, 16, 12, 15, 11, 14]
    with pytest.raises(IndexError):
        indices.take()


def test_freed_index_is_used_again_as_late_as_possible():
    indices = Indices(0, 3)
    first = indices.take()
    indices.give(first)
    assert [indices.take() for _ in range(3)] == [1, 2, 0]


def test_lock_is_handed_over_in_order(paper):
    """Three tasks by hand: the second and third wait until the one before has left."""
    lock, order = Lock(paper), []

    class Gate:
        def __init__(self):
            self.open = False

        def __await__(self):
            while not self.open:
                yield

    class Waiting:
        """An event on which a coroutine really suspends."""

        def __init__(self):
            self.gate = Gate()

        def set(self):
            self.gate.open = True

        async def wait(self, timeout_cycles=None):
            await self.gate
            return True

    paper.event = Waiting
    work = Gate()

    async def task(name):
        async with lock:
            order.append(f"{name} in")
            await work
            order.append(f"{name} out")

    tasks = [task(name) for name in "abc"]
    for item in tasks:
        item.send(None)
    assert order == ["a in"]
    work.open = True
    for item in tasks:
        with pytest.raises(StopIteration):
            item.send(None)
    assert order == ["a in", "a out", "b in", "b out", "c in", "c out"]


def test_descriptor_is_laid_out_as_specified():
    move = MemoryMove(0x1122_3344_5566_7788, 0x99AA, 0x1234, Flag.STRICT_ORDERING)
    data = move.encode(pasid=0xABCDE, completion_address=0x4000_0020, handle=0x0FED)
    assert len(data) == 64
    fields = DESCRIPTOR.unpack(int.from_bytes(data, "little"))
    assert int.from_bytes(data[0:4], "little") == 0xABCDE
    assert data[7] == Opcode.MEMORY_MOVE
    assert int.from_bytes(data[4:7], "little") == 1 << 13 | 1 << 2 | 1 << 3 | 1 << 4
    assert int.from_bytes(data[8:16], "little") == 0x4000_0020
    assert int.from_bytes(data[16:24], "little") == 0x1122_3344_5566_7788
    assert int.from_bytes(data[24:32], "little") == 0x99AA
    assert int.from_bytes(data[32:36], "little") == 0x1234
    assert int.from_bytes(data[36:38], "little") == 0x0FED
    assert fields["specific"] == 0 and data[38:] == bytes(26)


def test_descriptor_without_record_or_interrupt_asks_for_neither():
    for descriptor, opcode in ((Nop(), 0), (Drain(), 2)):
        data = descriptor.encode()
        assert data == bytes(7) + bytes([opcode]) + bytes(56)


@pytest.mark.parametrize("size", [0, -1, 1 << 32])
def test_impossible_transfer_size_is_refused(size):
    with pytest.raises(SettingsError, match="copies 1 to 4294967295 bytes"):
        MemoryMove(0, 0x1000, size)


@pytest.mark.parametrize("address", [-1, 1 << 64])
def test_impossible_address_is_refused(address):
    with pytest.raises(SettingsError, match="the source of a memory move has 64 bits"):
        MemoryMove(address, 0, 1)
    with pytest.raises(SettingsError, match="the destination of a memory move has 64 bits"):
        MemoryMove(0, address, 1)


def test_completion_record_is_decoded():
    record = bytes([0x83, 1, 2, 0, 5, 0, 0, 0]) + (0x7777).to_bytes(8, "little") + bytes(16)
    completion = Completion.decode(record)
    assert completion.status == Status.PAGE_FAULT and completion.write_fault
    assert (completion.result, completion.bytes_completed) == (1, 5)
    assert completion.fault_address == 0x7777 and not completion.succeeded
    assert completion.name == "PAGE_FAULT"
    assert Completion.decode(bytes([0x55]) + bytes(31)).name == "0x55"
    with pytest.raises(ValueError, match="has 32 bytes, not 31"):
        Completion.decode(bytes(31))


def test_error_report_reads_like_a_sentence():
    report = ErrorReport(
        int(SoftwareError.QUEUE_FULL), queue=3, opcode=3, pasid=7, overflow=True, halted=True
    )
    assert str(report) == (
        "QUEUE_FULL on queue 3 by MEMORY_MOVE of PASID 7 and more that were not captured and the "
        "device has halted"
    )
    assert str(ErrorReport(None, halted=True)) == "HALT and the device has halted"
    assert ErrorReport(int(Status.BAD_HANDLE)).name == "BAD_HANDLE"
    assert ErrorReport(0xEE).name == "0xee"


def test_command_without_its_interrupt_is_reported(device):
    with pytest.raises(MissedBell, match="command 3 with operand 0x0 completed, but its interr"):
        run(device.command(Command.DRAIN_ALL))


def test_command_that_never_ends_blocks_later_ones(paper, device):
    paper.set("cmdstatus", active=1)
    with pytest.raises(CommandTimeout, match="command 3 with operand 0x0 did not complete in time"):
        run(device.command(Command.DRAIN_ALL))
    with pytest.raises(CommandTimeout, match="the device is still busy with command 3"):
        run(device.command(Command.RESET_DEVICE))
    paper.set("cmdstatus", active=0, error=int(CommandError.HARDWARE))
    with pytest.raises(CommandFailed, match="command ABORT_ALL with operand 0x0 failed: HARDWARE"):
        run(device.command(Command.ABORT_ALL))


def test_command_on_a_dead_device_says_so(paper, device):
    paper.memory_answers = False
    with pytest.raises(DeviceGone, match="does not answer memory reads"):
        run(device.command(Command.DRAIN_ALL))


def test_operand_that_does_not_fit_is_refused(device):
    with pytest.raises(ValueError, match="has 20 bits; 0x100000 does not fit"):
        run(device.command(Command.DRAIN_PASID, 1 << 20))


def test_armed_entry_holds_its_message_and_owner(paper, device):
    vector = run(device.alloc_vector(lambda: None, pasid=0x12345))
    message = message_of(device, vector)
    control = 0x12345 << 12 | 1 << 3
    assert ims_entry(paper, vector.index) == message.address | message.data << 64 | control << 96


def test_freed_entry_is_masked_ignored_and_nobodys(paper, device):
    before = paper.interrupts()
    vector = run(device.alloc_vector(lambda: None, pasid=0x12345))
    run(device.free_vector(vector))
    assert ims_entry(paper, vector.index) == 0xFEE0_0000 | 0b101 << 96
    assert paper.interrupts() == before


def test_entry_that_does_not_take_its_message_is_not_unmasked(paper, device):
    """A device whose write filter is stricter than its page says."""
    before, free = paper.interrupts(), device.free_vectors()
    start = paper.space.table("ims").entry(0)
    paper.freeze(start, (0xFEE0_0000).to_bytes(8, "little"))
    with pytest.raises(VectorError, match="entry 0 did not take its message"):
        run(device.alloc_vector(lambda: None))
    assert ims_entry(paper, 0) >> 96 & 1, "the entry was left unmasked"
    assert paper.interrupts() == before and device.free_vectors() == free


def test_failed_retarget_keeps_the_old_message(paper, device):
    vector = run(device.alloc_vector(lambda: None))
    before, message = ims_entry(paper, vector.index), message_of(device, vector)
    counts = paper.interrupts()
    start = paper.space.table("ims").entry(vector.index)
    paper.freeze(start, bytes(paper.memory[start : start + 8]))
    with pytest.raises(VectorError, match="did not take its message"):
        run(vector.retarget())
    assert ims_entry(paper, vector.index) == before
    assert message_of(device, vector) == message
    assert paper.interrupts() == counts, "the new entry was not given back"


def test_allocation_on_a_dead_device_gives_everything_back(paper, device):
    before, free = paper.interrupts(), device.free_vectors()
    paper.memory_answers = False
    with pytest.raises(DeviceGone):
        run(device.alloc_vector(lambda: None))
    assert paper.interrupts() == before and device.free_vectors() == free


def test_event_that_never_leaves_is_reported(paper, device):
    """Pending stays set although nothing masks it: the entry is broken."""
    vector = run(device.alloc_vector(lambda: None))
    start = paper.space.table("ims").entry(vector.index)
    paper.freeze(start + 12, (0b110).to_bytes(4, "little"))
    with pytest.raises(VectorError, match="keeps an event pending although it is unmasked"):
        run(device.free_vector(vector))


def test_pasid_that_does_not_fit_is_refused(paper, device):
    before = paper.requests
    with pytest.raises(SettingsError, match="a PASID is 0 to 1048575, not 1048576"):
        run(device.alloc_vector(lambda: None, pasid=1 << 20))
    assert paper.requests == before


def test_adi_that_finds_no_vector_gives_its_pasid_back(paper, device):
    queue = device.queues[0]
    run(queue.configure(QueueSettings(size=4)))
    free = device.free_vectors()
    pasids, before = set(paper.pasids), paper.interrupts()
    with pytest.raises(VectorsExhausted, match="all 256 entries of IMS are in use"):
        run(device.create_adi(queue, vectors=free + 1))
    assert paper.pasids == pasids and paper.interrupts() == before
    assert device.free_vectors() == free


def test_dead_device_still_gives_everything_back(paper, device):
    queue = device.queues[0]
    run(queue.configure(QueueSettings(size=4)))
    run(device.create_adi(queue, vectors=3))
    paper.answers = False
    with pytest.raises(DeviceGone, match="does not answer after its reset"):
        run(device.close())
    assert not paper.pasids and not any(paper.interrupts().values())


@pytest.mark.parametrize(("index", "bit"), [(0, 0x00001), (15, 0x08000), (16, 0x10001)])
def test_queue_is_named_by_group_and_bit(paper, index, bit):
    issued = []

    class Recorder:
        async def execute(self, command, operand):
            issued.append((command, operand))

    device = run(Device.probe(paper))
    queue = Queue(index, paper, device._registers, Recorder(), device.capabilities, QUICK)
    run(queue.disable())
    run(queue.enable())
    assert issued == [(Command.DISABLE_QUEUE, bit), (Command.ENABLE_QUEUE, index)]


def test_queue_that_does_not_take_its_settings_is_reported(paper, device):
    start = paper.space.table("wqcfg").entry(0)
    paper.freeze(start, bytes(4))
    with pytest.raises(Exception, match="queue 0 did not take its size: 0x4 reads back as 0x0"):
        run(device.queues[0].configure(QueueSettings(size=4)))
    assert device.queues[0].settings is None


def test_mode_that_the_device_lacks_is_refused(paper):
    paper.set("wqcap", dedicated=0)
    device = run(Device.probe(paper))
    with pytest.raises(SettingsError, match="the device has no dedicated queues"):
        run(device.start([QueueSettings(size=4, mode=Mode.DEDICATED)]))
