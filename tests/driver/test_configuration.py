"""Groups, event log, staged submission and occupancy interrupts on paper: what is written, when."""

import pytest

from driver import Device, ErrorReport, GroupSettings, Mode, QueueSettings, SettingsError, Timeouts
from driver.event_log import EventLog
from driver.registers import Registers
from hw.regs.bar2 import Portal, portal
from hw.regs.descriptor import Opcode, Status
from hw.regs.event_log import EVENT

from .paper import PaperTransport, run

QUICK = Timeouts(command=10_000, drain=20_000, submit=5_000, reset=10_000)
ONE = QueueSettings(size=4)
ALONE = QueueSettings(size=4, mode=Mode.DEDICATED)


class Machine(PaperTransport):
    """A device on paper that keeps what is written to BAR2, with memory of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted: list[tuple[int, bytes]] = []
        self.buffers: list[PaperBuffer] = []

    async def write(self, bar, offset, data):
        if bar == 2:
            self.submitted.append((offset, data))
        await super().write(bar, offset, data)

    def allocate(self, size, *, pasid=None, align=64):
        assert pasid is None, "the log is the function's own"
        self.buffers.append(PaperBuffer(size, 0x8000_0000))
        return self.buffers[-1]

    def entry(self, table: str, index: int, name: str) -> int:
        place = self.space.table(table).entry(index, name)
        size = self.space.table(table)[name].size_bytes
        return int.from_bytes(self.memory[place : place + size], "little")

    def fields(self, name: str) -> dict[str, int]:
        register = self.space.register(name)
        word = self.memory[register.offset : register.offset + register.size_bytes]
        return register.unpack(int.from_bytes(word, "little"))


class PaperBuffer:
    def __init__(self, size: int, address: int) -> None:
        self.address, self.size_bytes = address, size
        self.data = bytearray(size)
        self.freed = False

    def read(self, offset=0, size=None):
        return bytes(self.data[offset : None if size is None else offset + size])

    def write(self, data, offset=0):
        self.data[offset : offset + len(data)] = data

    def free(self):
        self.freed = True


@pytest.fixture
def paper() -> Machine:
    return Machine()


@pytest.fixture
def device(paper) -> Device:
    device = run(Device.probe(paper, QUICK))
    device._commands.interrupts = False
    return device


def test_queues_and_engines_form_one_group_unless_told_otherwise(paper, device):
    run(device.start([ONE, ONE]))
    assert paper.entry("grpcfg", 0, "queues") == 0b11
    assert paper.entry("grpcfg", 0, "engines") == 0b11
    assert paper.entry("grpcfg", 1, "queues") == paper.entry("grpcfg", 1, "engines") == 0


def test_groups_are_written_as_told(paper, device):
    groups = [
        GroupSettings(queues=[1], engines=[0], read_buffers_reserved=8, read_buffers_allowed=12),
        GroupSettings(queues=[0], engines=[1], read_buffers_reserved=4),
    ]
    run(device.start([ONE, ONE], groups=groups))
    assert [paper.entry("grpcfg", index, "queues") for index in range(2)] == [0b10, 0b01]
    assert [paper.entry("grpcfg", index, "engines") for index in range(2)] == [0b01, 0b10]
    total = paper.fields("grpcap")["read_buffers"]
    first, second = (paper.entry("grpcfg", index, "flags") for index in range(2))
    assert first == 8 << 8 | 12 << 20
    assert second == 4 << 8 | (total - 8) << 20, "the unreserved buffers and its own"


def test_group_of_before_is_not_left_behind(paper, device):
    apart = [GroupSettings(queues=[index], engines=[index]) for index in range(2)]
    run(device.start([ONE, ONE], groups=apart))
    run(device.start([ONE, ONE]))
    assert paper.entry("grpcfg", 1, "queues") == paper.entry("grpcfg", 1, "engines") == 0


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([((0, 1), (0,))] * 3, "the device has 2 groups, not 3"),
        ([((0, 1), ())], "group 0 needs 1 queue and 1 engine or more"),
        ([((0, 1), (0,)), ((), (1,))], "group 1 needs 1 queue and 1 engine or more"),
        ([((0, 1), (0,)), ((1,), (1,))], "queue 1 is in a group twice"),
        ([((0,), (0,)), ((1,), (0,))], "engine 0 is in a group twice"),
        ([((0, 1), (2,))], "the device has engines 0 to 1, not 2"),
        ([((0, 2), (0,))], "the device has queues 0 to 1, not 2"),
        ([((0,), (0,))], "queue 1 has a configuration, but no group"),
        ([((0, 1), (0, 1), 33)], "the groups reserve 33 read buffers; the device has 32"),
        ([((0, 1), (0, 1), 0, 7)], "group 0 is allowed 8 to 32 read buffers, not 7"),
        ([((0, 1), (0, 1), 12, 11)], "group 0 is allowed 12 to 32 read buffers, not 11"),
        (
            [((0,), (0,), 0, 25), ((1,), (1,), 8)],
            "group 0 is allowed 4 to 24 read buffers, not 25",
        ),
    ],
)
def test_groups_that_the_device_would_refuse_are_refused_first(paper, device, groups, words):
    names = ("queues", "engines", "read_buffers_reserved", "read_buffers_allowed")
    settings = [GroupSettings(**dict(zip(names, group, strict=False))) for group in groups]
    before = paper.requests
    with pytest.raises(SettingsError) as caught:
        run(device.start([ONE, ONE], groups=settings))
    assert words in str(caught.value)
    assert paper.requests == before, "something was written"


def test_queue_without_configuration_cannot_be_in_a_group(device):
    with pytest.raises(SettingsError, match="queue 1 is in a group, but has no configuration"):
        run(device.start([ONE], groups=[GroupSettings(queues=[0, 1], engines=[0])]))


def test_device_without_read_buffer_control_takes_no_limits(paper):
    paper.set("grpcap", read_buffer_control=0)
    device = run(Device.probe(paper, QUICK))
    device._commands.interrupts = False
    limited = [GroupSettings(queues=[0], engines=[0], read_buffers_reserved=4)]
    with pytest.raises(SettingsError, match="has no limits on the read buffers of groups"):
        run(device.start([ONE], groups=limited))
    run(device.start([ONE]))
    assert paper.entry("grpcfg", 0, "flags") == 0


def test_event_log_is_allocated_and_told_to_the_device(paper, device):
    run(device.start([ONE], event_log_entries=100))
    (buffer,) = paper.buffers
    assert buffer.size_bytes == 6400
    assert paper.fields("evlcfg") == {
        "pasid_enable": 0, "privileged": 0, "base": 0x8_0000, "size": 100, "pasid": 0,
    }  # fmt: skip
    assert paper.fields("gencfg")["event_log"] == 1
    assert paper.fields("genctrl")["event_log_interrupt"] == 1
    run(device.start([ONE]))
    assert buffer.freed and paper.fields("gencfg")["event_log"] == 0


@pytest.mark.parametrize("entries", [-1, 1, 63, 0x1_0000])
def test_event_log_of_a_wrong_size_is_refused(paper, device, entries):
    before = paper.requests
    with pytest.raises(SettingsError, match=f"has 64 to 65535 entries, not {entries}"):
        run(device.start([ONE], event_log_entries=entries))
    assert paper.requests == before


def test_device_without_an_event_log_is_not_given_one(paper):
    paper.set("gencap", event_log=2)
    device = run(Device.probe(paper, QUICK))
    with pytest.raises(SettingsError, match="no event log of 64-byte entries"):
        run(device.start([ONE], event_log_entries=64))


def event(**fields: int) -> bytes:
    return EVENT.pack(**fields).to_bytes(64, "little")


def test_entries_of_the_event_log_are_taken_in_order_around_its_end(paper, device):
    log = EventLog(paper, Registers(paper), device.capabilities)
    run(log.configure(64))
    (buffer,) = paper.buffers
    for index, code in ((62, Status.BAD_OPCODE), (63, Status.BAD_FLAGS), (0, Status.BAD_HANDLE)):
        buffer.write(
            event(
                code=code, queue=1, queue_valid=1, descriptor_valid=1, opcode=Opcode.FILL,
                pasid=7, batch=1, batch_index=3, info=9, info_valid=index == 0,
            ),
            64 * index,
        )  # fmt: skip
    paper.set("evlstatus", head=62, tail=1, interrupt_pending=1)
    written = []
    real = paper.write

    async def write(bar, offset, data):
        """The head moves; pending is cleared by writing 1."""
        await real(bar, offset, data)
        fields = paper.fields("evlstatus")
        written.append(fields)
        paper.set("evlstatus", tail=1, interrupt_pending=0)

    paper.write = write
    reports = run(log.collect())
    assert [item.name for item in reports] == ["BAD_OPCODE", "BAD_FLAGS", "BAD_HANDLE"]
    assert reports[2] == ErrorReport(
        int(Status.BAD_HANDLE), queue=1, opcode=4, pasid=7, info=9, batch_index=3, logged=True
    )
    assert str(reports[0]) == "BAD_OPCODE on queue 1 by FILL of PASID 7 as member 3 of a batch"
    assert [(item["head"], item["interrupt_pending"]) for item in written] == [(1, 1)]
    assert run(log.collect()) == [] and len(written) == 1


def test_damaged_event_log_status_ends_the_reading(paper, device):
    log = EventLog(paper, Registers(paper), device.capabilities)
    run(log.configure(64))
    paper.set("evlstatus", head=0, tail=64)
    assert run(log.collect()) == []


def test_staged_queue_is_written_in_eight_pieces(paper, device):
    (queue,) = run(device.start([QueueSettings(size=4, mode=Mode.DEDICATED, staged=True)]))
    assert paper.fields("ext_control")["staged_submission"] == 1
    data = bytes(range(64))
    run(queue.post(data, Portal.UNLIMITED | Portal.IMS))
    start = portal(0, Portal.UNLIMITED | Portal.IMS, 1)
    expected = [(start + low, data[low : low + 8]) for low in range(0, 64, 8)]
    assert paper.submitted == expected
    run(device.start([ALONE]))
    assert paper.fields("ext_control")["staged_submission"] == 0
    run(queue.post(data))
    assert len(paper.submitted[-1][1]) == 64


def test_extension_stays_off_unless_a_queue_asks_for_it(paper, device):
    run(device.start([ONE]))
    assert paper.fields("ext_control")["staged_submission"] == 0


def test_only_dedicated_queues_are_staged(device):
    with pytest.raises(SettingsError, match="only dedicated queues take descriptors in pieces"):
        run(device.start([QueueSettings(size=4, staged=True)]))


def test_device_without_the_extension_is_not_staged(paper):
    paper.set("ext_features", staged_submission=0)
    device = run(Device.probe(paper, QUICK))
    with pytest.raises(SettingsError, match="the device does not take descriptors in pieces"):
        run(device.start([QueueSettings(size=4, mode=Mode.DEDICATED, staged=True)]))


def test_smallest_batch_depends_on_the_device(paper):
    single = QueueSettings(size=4, max_batch_log2=0)
    for allowed in (1, 0):
        paper.set("gencap", single_entry_batch=allowed)
        device = run(Device.probe(paper, QUICK))
        device._commands.interrupts = False
        if allowed:
            (queue,) = run(device.start([single]))
            assert (queue.limits.min_batch, queue.limits.max_batch) == (1, 1)
        else:
            with pytest.raises(SettingsError, match="max_batch_log2 is 1 to 5, not 0"):
                run(device.start([single]))


def test_occupancy_interrupt_names_its_vector_and_is_armed_later(paper, device):
    bells = []
    settings = QueueSettings(size=4, on_occupancy=lambda: bells.append(1))
    free = device.free_vectors()
    (queue,) = run(device.start([settings]))
    assert device.free_vectors() == free - 1
    assert paper.entry("wqcfg", 0, "occupancy_handle") == queue.occupancy_vector.index | 1 << 16
    assert paper.entry("wqcfg", 0, "occupancy_limit") == 0
    run(queue.arm_occupancy(3))
    assert paper.entry("wqcfg", 0, "occupancy_limit") == 3 | 1 << 16
    assert paper.entry("wqcfg", 0, "status") == 1 << 16, "the last interrupt is acknowledged"
    queue.occupancy_vector._ring()
    assert bells == [1]
    with pytest.raises(SettingsError, match="a queue's occupancy limit is 0 to 4, not 5"):
        run(queue.arm_occupancy(5))
    run(queue.disarm_occupancy())
    assert paper.entry("wqcfg", 0, "occupancy_limit") == 0


def test_queue_without_a_handler_has_no_occupancy_interrupt(device):
    (queue,) = run(device.start([ONE]))
    with pytest.raises(SettingsError, match="queue 0 was given no on_occupancy to call"):
        run(queue.arm_occupancy(1))
