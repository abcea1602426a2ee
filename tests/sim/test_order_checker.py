"""The checker of order on the wire, fed with good and bad orders."""

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, bar2_bytes, portal
from hw.regs.descriptor import COMPLETION, DESCRIPTOR, RESULTS, Flag, Opcode, Status
from sim.checkers.order import OrderChecker
from sim.checkers.settings import DEVICE_CONTROL, FLR
from sim.host.credits import Flow
from sim.host.tlp import ExtraType, Tlp

from .operation_bench import LIST, PASID, TARGET, pack
from .operation_bench import RECORD as PLACE

CONFIG = Config()
BAR0, BAR2 = 0x8000_0000_0000, 0x8000_1000_0000
RECORD, DESTINATION, SIZE = 0x2000_0000, 0x3000_0000, 200
SHARED_PASID, DEDICATED_PASID, VECTOR = 0x12345, 0x777, 1234
MESSAGE = (0xFEE0_1230, 0xCAFE_F00D)


def write(address, data, *, pasid=None, kind=TlpType.MEM_WRITE, tag=0):
    tlp = Tlp()
    fmt, type_ = kind.value
    tlp.fmt_type = (fmt | (address >> 32 > 0), type_)
    tlp.pasid, tlp.tag = pasid, tag
    tlp.set_addr_be_data(address, data)
    return tlp


class Scene:
    """A device with two queues and one vector, as the wire shows it."""

    def __init__(self):
        self.checker = OrderChecker(CONFIG, BAR0, BAR2, bar2_bytes(CONFIG))
        space = bar0(CONFIG)
        mode = space.table("wqcfg")["mode"]
        for queue, word in (
            (0, mode.pack(pasid_enable=1)),
            (1, mode.pack(dedicated=1, pasid_enable=1, pasid=DEDICATED_PASID)),
        ):
            place = BAR0 + space.table("wqcfg").entry(queue, "mode")
            self.down(write(place, word.to_bytes(4, "little")))
        entry = BAR0 + space.table("ims").entry(VECTOR)
        self.down(write(entry, MESSAGE[0].to_bytes(8, "little")))
        self.down(write(entry + 8, MESSAGE[1].to_bytes(4, "little")))

    def down(self, tlp):
        self.checker.sent(tlp.pack(), Flow.POSTED, 0)

    def up(self, tlp):
        self.checker.received(tlp.pack(), 0, 0)

    def submit(self, *, dedicated=False, tag=0, with_record=True):
        flags = Flag.REQUEST_INTERRUPT
        if with_record:
            flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
        word = DESCRIPTOR.pack(
            pasid=0 if dedicated else SHARED_PASID,
            flags=flags,
            opcode=Opcode.MEMORY_MOVE,
            completion_address=RECORD,
            destination=DESTINATION,
            size_bytes=SIZE,
            handle=VECTOR,
        )
        kind = TlpType.MEM_WRITE if dedicated else ExtraType.DEFERRABLE_WRITE
        place = BAR2 + portal(int(dedicated), Portal.IMS)
        self.down(write(place, word.to_bytes(64, "little"), kind=kind, tag=tag))

    def answer(self, status, tag=0):
        tlp = Tlp()
        tlp.fmt_type = TlpType.CPL
        tlp.status, tlp.tag, tlp.completer_id = status, tag, PcieId(1, 0, 0)
        self.up(tlp)

    def reset(self):
        """Function Level Reset, up to its completion."""
        tlp = Tlp()
        tlp.fmt_type, tlp.tag = TlpType.CFG_WRITE_0, 9
        tlp.requester_id, tlp.completer_id = PcieId(0, 0, 0), PcieId(1, 0, 0)
        tlp.set_data(FLR.to_bytes(4, "little"))
        tlp.address, tlp.first_be, tlp.last_be = DEVICE_CONTROL, 0b0011, 0
        self.down(tlp)
        self.answer(CplStatus.SC, tag=9)

    def data(self, start=0, size=SIZE, pasid=SHARED_PASID):
        self.up(write(DESTINATION + start, bytes(size), pasid=pasid))

    def record(self, status=Status.SUCCESS, pasid=SHARED_PASID):
        word = COMPLETION.pack(status=status)
        self.up(write(RECORD, word.to_bytes(32, "little"), pasid=pasid))

    def hand_in(self, data, *, staged=False):
        """Submit this descriptor to the shared queue, or to the dedicated one piece by piece."""
        if not staged:
            place = BAR2 + portal(0, Portal.IMS)
            self.down(write(place, data, kind=ExtraType.DEFERRABLE_WRITE, tag=8))
            self.answer(CplStatus.SC, tag=8)
            return
        for at in range(0, 64, 8):
            self.down(write(BAR2 + portal(1, Portal.IMS) + at, data[at : at + 8]))

    def put(self, address, size, pasid=PASID):
        """The device writes that many bytes."""
        for at in range(0, size, 128):
            self.up(write(address + at, bytes(min(128, size - at)), pasid=pasid))

    def finish(self, address=PLACE, pasid=PASID, **fields):
        """The device writes a completion record."""
        word = RESULTS.pack(**({"status": Status.SUCCESS} | fields))
        self.up(write(address, word.to_bytes(32, "little"), pasid=pasid))

    def fetch(self, address, data, *, pieces=1, tag=5, status=CplStatus.SC):
        """The device reads, and gets, this from host memory."""
        read = Tlp()
        read.fmt_type, read.tag, read.pasid = TlpType.MEM_READ, tag, PASID
        read.requester_id = PcieId(1, 0, 0)
        read.set_addr_be(address, len(data))
        self.up(read)
        step = len(data) // pieces
        for at in range(0, len(data), step):
            answer = Tlp()
            answer.fmt_type = TlpType.CPL_DATA if status == CplStatus.SC else TlpType.CPL
            answer.tag, answer.status = tag, status
            answer.requester_id, answer.completer_id = PcieId(1, 0, 0), PcieId(0, 0, 0)
            answer.lower_address = address + at & 0x7F
            answer.byte_count = len(data) - at
            if status == CplStatus.SC:
                answer.set_data(data[at : at + step])
            self.down(answer)
            if status != CplStatus.SC:
                return

    def bell(self):
        self.up(write(MESSAGE[0], MESSAGE[1].to_bytes(4, "little")))


@pytest.fixture
def scene():
    return Scene()


@pytest.mark.parametrize("dedicated", [False, True])
def test_data_record_bell_is_the_right_order(scene, dedicated):
    pasid = DEDICATED_PASID if dedicated else SHARED_PASID
    scene.submit(dedicated=dedicated)
    scene.data(0, 128, pasid)
    scene.data(128, 72, pasid)
    scene.record(pasid=pasid)
    scene.bell()
    assert scene.checker.finish() == []
    assert (scene.checker.records, scene.checker.bells) == (1, 1)


def test_record_before_its_data_is_noticed(scene):
    scene.submit()
    scene.data(0, 128)
    scene.record()
    scene.data(128, 72)
    assert "came after 128 of 200 bytes" in scene.checker.finish()[0]


def test_data_of_another_tenant_do_not_count(scene):
    scene.submit()
    scene.data(pasid=SHARED_PASID + 1)
    scene.record()
    assert "came after 0 of 200 bytes" in scene.checker.finish()[0]


def test_failed_operation_may_lack_data(scene):
    scene.submit()
    scene.record(Status.TRANSLATION_FAILED)
    scene.bell()
    assert scene.checker.finish() == []


def test_bell_before_its_record_is_noticed(scene):
    scene.submit()
    scene.data()
    scene.bell()
    scene.record()
    assert f"IMS vector {VECTOR} came before" in scene.checker.finish()[0]


def test_second_bell_for_one_record_is_noticed(scene):
    scene.submit()
    scene.data()
    scene.record()
    scene.bell()
    scene.bell()
    assert len(scene.checker.finish()) == 1


def test_refused_submission_promises_nothing(scene):
    scene.submit(tag=3)
    scene.answer(CplStatus.CRS, tag=3)
    scene.submit(tag=4)
    scene.answer(CplStatus.SC, tag=4)
    scene.data()
    scene.record()
    scene.bell()
    assert scene.checker.finish() == []
    assert scene.checker.records == 1


def test_interrupt_without_a_record_may_come_at_any_time_but_once(scene):
    scene.submit(with_record=False)
    scene.bell()
    assert scene.checker.finish() == []
    scene.bell()
    assert len(scene.checker.finish()) == 1


def test_refused_interrupt_without_a_record_may_not_come(scene):
    scene.submit(tag=3, with_record=False)
    scene.answer(CplStatus.CRS, tag=3)
    scene.bell()
    assert len(scene.checker.finish()) == 1


def test_nothing_of_before_a_reset_may_come_after_it(scene):
    scene.submit()
    scene.data()
    scene.record()
    scene.reset()
    scene.bell()
    assert len(scene.checker.finish()) == 1


def test_work_after_a_reset_is_not_taken_for_work_before_it(scene):
    scene.submit()
    scene.data(0, 128)
    scene.reset()
    scene.submit()
    scene.data(0, 128)
    scene.record()
    assert "came after 128 of 200 bytes" in scene.checker.finish()[0]


# Operations

WRITES = {
    Opcode.FILL: (64, {}),
    Opcode.COPY_CRC: (64, {"value": 0xFFFF_FFFF}),
    Opcode.APPLY_DELTA: (8, {}),
}


@pytest.mark.parametrize("opcode", WRITES)
def test_operation_that_writes_to_its_destination(scene, opcode):
    size, fields = WRITES[opcode]
    scene.hand_in(pack(opcode))
    scene.put(TARGET, size)
    scene.finish(**fields)
    assert scene.checker.finish() == []
    scene.hand_in(pack(opcode))
    scene.put(TARGET, size - 1)
    scene.finish(**fields)
    assert f"came after {size - 1} of {size} bytes" in scene.checker.finish()[0]


@pytest.mark.parametrize("missing", ["destination", "destination_2"])
def test_dualcast_has_to_write_both_destinations(scene, missing):
    places = {"destination": 0x50_0000, "destination_2": 0x60_0000}
    scene.hand_in(pack(Opcode.DUALCAST, **places))
    for name, place in places.items():
        scene.put(place, 32 if name == missing else 64)
    scene.finish()
    assert "came after 32 of 64 bytes" in scene.checker.finish()[0]


@pytest.mark.parametrize(("written", "wrong"), [(30, 0), (20, 1)])
@pytest.mark.parametrize("status", [Status.SUCCESS, Status.SUCCESS_PREDICATE])
def test_record_says_how_long_the_delta_record_is(scene, written, wrong, status):
    scene.hand_in(pack(Opcode.CREATE_DELTA))
    scene.put(0xA_0000, written)
    scene.finish(status=status, result=1, value=30)
    assert len(scene.checker.finish()) == wrong


@pytest.mark.parametrize(
    "opcode",
    [
        Opcode.NOP,
        Opcode.DRAIN,
        Opcode.COMPARE,
        Opcode.COMPARE_PATTERN,
        Opcode.CRC,
        Opcode.CACHE_FLUSH,
    ],
)
def test_operation_that_writes_nothing_may_end_at_once(scene, opcode):
    scene.hand_in(pack(opcode))
    scene.finish(result=1, value=0x1234, bytes_completed=7)
    assert scene.checker.finish() == []


def test_unknown_operation_may_only_fail(scene):
    data = bytearray(pack(Opcode.NOP))
    data[7] = 0x77
    scene.hand_in(bytes(data))
    scene.finish(status=Status.BAD_OPCODE)
    assert scene.checker.finish() == []


def test_record_that_comes_only_if_something_fails_does_not_hold_the_bell_back(scene):
    flags = Flag.COMPLETION_ADDRESS_VALID
    data = pack(Opcode.NOP, flags, record=None, completion_address=PLACE, handle=VECTOR)
    scene.hand_in(data)
    scene.bell()
    scene.hand_in(data)
    scene.finish(status=Status.HARDWARE)
    scene.bell()
    assert scene.checker.finish() == []
    scene.bell()
    assert len(scene.checker.finish()) == 1


def test_descriptor_that_was_given_up_is_not_taken_for_the_next(scene):
    scene.hand_in(pack(Opcode.FILL))
    scene.hand_in(pack(Opcode.NOP))
    scene.finish()
    assert scene.checker.finish() == []


@pytest.mark.parametrize(("ims", "wrong"), [(0, 1), (1, 0)])
def test_vector_that_tells_of_occupancy_may_ring_at_any_time(scene, ims, wrong):
    place = BAR0 + bar0(CONFIG).table("wqcfg").entry(0, "occupancy_handle")
    scene.down(write(place, (VECTOR | ims << 16).to_bytes(4, "little")))
    scene.bell()
    assert len(scene.checker.finish()) == wrong


# Batches


def member(index, **fields):
    return pack(Opcode.FILL, record=0x100_0000 + 32 * index, destination=0x200_0000 + 4096 * index,
                **fields)  # fmt: skip


def members_done(scene, *indices):
    for index in indices:
        scene.put(0x200_0000 + 4096 * index, 64)
        scene.finish(0x100_0000 + 32 * index)


@pytest.mark.parametrize("pieces", [1, 2, 4])
@pytest.mark.parametrize("together", [False, True])
def test_members_that_were_fetched_are_checked_like_others(scene, pieces, together):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    if together:
        scene.fetch(LIST, member(0) + member(1), pieces=pieces)
    else:
        for index in range(2):
            scene.fetch(LIST + 64 * index, member(index), pieces=pieces)
    members_done(scene, 0)
    scene.put(0x200_1000, 63)
    scene.finish(0x100_0020)
    assert "came after 63 of 64 bytes" in scene.checker.finish()[0]


def test_record_of_a_batch_comes_after_those_of_its_members(scene):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    scene.fetch(LIST, member(0) + member(1))
    members_done(scene, 0)
    scene.finish(bytes_completed=2)
    assert "came after 1 members had their records" in scene.checker.finish()[0]


def test_members_may_finish_in_any_order(scene):
    scene.hand_in(pack(Opcode.BATCH, count=3))
    scene.fetch(LIST, member(0) + member(1) + member(2), pieces=3)
    members_done(scene, 2, 0, 1)
    scene.finish(bytes_completed=3)
    assert scene.checker.finish() == []
    assert scene.checker.records == 4


def test_batch_that_was_cut_short_counts_only_what_it_did(scene):
    scene.hand_in(pack(Opcode.BATCH, count=3))
    scene.fetch(LIST, member(0) + member(1) + member(2))
    scene.finish(0x100_0000, status=Status.BAD_TRANSFER_SIZE)
    scene.finish(status=Status.BATCH_FAILED, bytes_completed=1)
    assert scene.checker.finish() == []


def test_batch_cannot_have_done_what_it_did_not_fetch(scene):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    scene.fetch(LIST, member(0))
    members_done(scene, 0)
    scene.finish(bytes_completed=2)
    assert "came after 1 members were fetched" in scene.checker.finish()[0]


def test_members_may_share_the_place_of_their_records(scene):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    scene.fetch(LIST, 2 * pack(Opcode.NOP, record=0x100_0000))
    scene.finish(0x100_0000)
    scene.finish(0x100_0000)
    scene.finish(bytes_completed=2)
    assert scene.checker.finish() == []


def test_list_that_cannot_be_read_brings_no_members(scene):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    scene.fetch(LIST, member(0))
    scene.fetch(LIST + 64, member(1), status=CplStatus.UR)
    members_done(scene, 0)
    scene.finish(status=Status.HARDWARE, bytes_completed=1)
    assert scene.checker.finish() == []


def test_members_ring_through_the_portal_of_their_batch(scene):
    scene.hand_in(pack(Opcode.BATCH, count=1))
    scene.fetch(LIST, pack(Opcode.NOP, record=0x100_0000, handle=VECTOR))
    scene.bell()
    assert len(scene.checker.finish()) == 1
    scene.finish(0x100_0000)
    scene.bell()
    scene.finish(bytes_completed=1)
    assert len(scene.checker.finish()) == 1


def test_batch_in_a_batch_fetches_nothing(scene):
    scene.hand_in(pack(Opcode.BATCH, count=1))
    scene.fetch(LIST, pack(Opcode.BATCH, record=0x100_0000, list_address=LIST + 4096))
    scene.fetch(LIST + 4096, member(5))
    scene.finish(0x100_0000, status=Status.BAD_OPCODE)
    scene.finish(status=Status.BATCH_FAILED, bytes_completed=1)
    assert scene.checker.finish() == []


def test_reads_of_data_are_not_taken_for_members(scene):
    scene.hand_in(pack(Opcode.BATCH, count=2))
    scene.fetch(LIST - 32, bytes(64))
    scene.fetch(LIST, member(0) + member(1))
    members_done(scene, 0, 1)
    scene.finish(bytes_completed=2)
    assert scene.checker.finish() == []


# Staged submission


@pytest.mark.parametrize("on", [False, True])
def test_pieces_are_a_descriptor_while_the_extension_is_on(scene, on):
    space = bar0(CONFIG)
    control = BAR0 + space.register("ext_control").offset
    scene.down(write(control, bytes([on, 0, 0, 0])))
    scene.hand_in(pack(Opcode.FILL), staged=True)
    scene.finish(pasid=DEDICATED_PASID)
    assert len(scene.checker.finish()) == on
    scene.reset()
    scene.hand_in(pack(Opcode.FILL), staged=True)
    scene.finish(pasid=DEDICATED_PASID)
    assert len(scene.checker.finish()) == on
