"""The checker of order on the wire, fed with good and bad orders."""

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, bar2_bytes, portal
from hw.regs.descriptor import COMPLETION, DESCRIPTOR, Flag, Opcode, Status
from sim.checkers.order import OrderChecker
from sim.checkers.settings import DEVICE_CONTROL, FLR
from sim.host.credits import Flow
from sim.host.tlp import ExtraType, Tlp

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
