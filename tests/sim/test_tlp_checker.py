"""The checkers of TLPs and credits: wrong TLPs are fed to them, and each rule is seen to fire."""

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpAttr, TlpType
from cocotbext.pcie.core.utils import PcieId

from hw.regs.configspace import PASID, PCIE
from sim.checkers.flow_control import CreditChecker
from sim.checkers.tlps import TlpChecker
from sim.host.credits import Flow, Total
from sim.host.tlp import ExtraType, Tlp

HOST, DEVICE = PcieId(0, 0, 0), PcieId(1, 0, 0)
LOW, HIGH = 0x1000_0000, 0x12_3000_0000


def request(kind, address=LOW, size=64, *, data=False, sender=DEVICE, **values):
    tlp = Tlp()
    fmt, type_ = kind.value
    tlp.fmt_type = (fmt | (address >> 32 > 0), type_)
    tlp.requester_id = sender
    if data or tlp.has_data():
        tlp.set_addr_be_data(address, bytes(size))
    else:
        tlp.set_addr_be(address, size)
    for name, value in values.items():
        setattr(tlp, name, value)
    return tlp


def completion(asked, *, data=None, sender=DEVICE, **values):
    tlp = Tlp()
    tlp.fmt_type = TlpType.CPL if data is None else TlpType.CPL_DATA
    tlp.requester_id, tlp.completer_id, tlp.tag = asked.requester_id, sender, asked.tag
    tlp.byte_count = 4
    if data is not None:
        tlp.set_data(data)
    for name, value in values.items():
        setattr(tlp, name, value)
    return tlp


class Wire:
    """A checker, and a shorthand for feeding it."""

    def __init__(self):
        self.checker = TlpChecker(timeout_cycles=1000)
        self.clock = 0
        self.tag = 100

    def down(self, tlp):
        self.clock += 1
        self.checker.sent(tlp.pack(), Flow.POSTED, self.clock)
        return tlp

    def up(self, tlp):
        """Send a TLP as the device. Returns what the checker said about it."""
        self.clock += 1
        before = len(self.checker.errors)
        self.checker.received(tlp.pack(), self.clock, self.clock)
        return " / ".join(self.checker.errors[before:])

    def configure(self, offset, value, size=4):
        """A configuration write, completed."""
        self.tag += 1
        tlp = request(TlpType.CFG_WRITE_0, offset, size, sender=HOST, tag=self.tag)
        tlp.address, tlp.completer_id = offset & ~3, DEVICE
        tlp.data = bytearray((value << 8 * (offset % 4)).to_bytes(4, "little"))
        self.down(tlp)
        assert not self.up(completion(tlp))

    def read(self, address=LOW, size=64, **values):
        return self.down(request(TlpType.MEM_READ, address, size, sender=HOST, **values))


@pytest.fixture
def wire():
    wire = Wire()
    wire.configure(0x04, 0x0006, 2)
    return wire


def test_proper_traffic_passes(wire):
    wire.configure(PASID + 6, 1, 2)
    assert not wire.up(request(TlpType.MEM_WRITE, LOW, 128, pasid=0xFFFFF))
    assert not wire.up(request(TlpType.MEM_WRITE, HIGH, 1))
    asked = request(TlpType.MEM_READ, HIGH + 3, 500, tag=7)
    assert not wire.up(asked)
    wire.down(completion(asked, data=bytes(128), byte_count=500, lower_address=3, sender=HOST))
    rest = completion(asked, data=bytes(376), byte_count=375, lower_address=0, sender=HOST)
    wire.down(rest)
    assert not wire.up(request(TlpType.MEM_READ, HIGH, 4, tag=7))
    wire.down(completion(asked, data=bytes(4), sender=HOST))
    assert not wire.up(request(TlpType.MEM_WRITE, 0xFEE1_2344, 4))
    assert not wire.checker.finish()


@pytest.mark.parametrize(
    ("kind", "values", "complaint"),
    [
        (TlpType.MEM_WRITE, {"size": 132}, "payload of 132 bytes exceeds 128"),
        (TlpType.MEM_READ, {"size": 516}, "a read of 516 bytes exceeds 512"),
        (TlpType.MEM_WRITE, {"address": LOW + 4000, "size": 100}, "cross a 4 KiB boundary"),
        (TlpType.MEM_WRITE_64, {}, "a 4-DW header for an address below 4 GiB"),
        (TlpType.MEM_WRITE, {"size": 4, "last_be": 1}, "last byte enables are 0001 for 1 DW"),
        (TlpType.MEM_WRITE, {"first_be": 0}, "first byte enables are 0000"),
        (TlpType.MEM_WRITE, {"last_be": 0}, "last byte enables are 0000"),
        (TlpType.MEM_WRITE, {"first_be": 0b1101}, "first byte enables 1101 leave a gap"),
        (TlpType.MEM_WRITE, {"last_be": 0b1010}, "last byte enables 1010 leave a gap"),
        (TlpType.MEM_WRITE, {"attr": TlpAttr.RO}, "attributes are not 0"),
        (TlpType.MEM_WRITE, {"attr": TlpAttr.NS}, "attributes are not 0"),
        (TlpType.MEM_WRITE, {"tc": 1}, "traffic class or attributes"),
        (TlpType.MEM_WRITE, {"at": 2}, "address type 2"),
        (TlpType.MEM_WRITE, {"ep": True}, "poisoned"),
        (TlpType.MEM_WRITE, {"requester_id": PcieId(2, 0, 0)}, "ID is not 0x0100"),
        (TlpType.MEM_WRITE, {"pasid": 5}, "a PASID while PASID Enable is off"),
        (TlpType.MEM_READ, {"tag": 256}, "tags end at 255"),
        (TlpType.MEM_WRITE, {"address": 0xFEE0_0000, "size": 8}, "not one whole DW"),
        (TlpType.MEM_WRITE, {"address": 0xFEE0_0001, "size": 3}, "not one whole DW"),
        (TlpType.IO_READ, {"size": 4}, "a type that this device never sends"),
        (ExtraType.DEFERRABLE_WRITE, {}, "a type that this device never sends"),
        (TlpType.MSG_TO_RC, {"length": 0, "message_code": 0x20}, "a message that this device"),
        (TlpType.MSG_TO_RC, {"length": 0, "message_code": 0x1B}, "a message that this device"),
    ],
)
def test_each_broken_rule_of_a_request_is_named(wire, kind, values, complaint):
    assert complaint in wire.up(request(kind, **values))


def test_privilege_and_execution_have_to_be_enabled(wire):
    wire.configure(PASID + 6, 1, 2)
    said = wire.up(request(TlpType.MEM_WRITE, pasid=5, privileged=True, execute=True))
    assert "Privileged Mode Requested while" in said
    assert "Execute Requested while" in said
    wire.configure(PASID + 6, 7, 2)
    assert not wire.up(request(TlpType.MEM_WRITE, pasid=5, privileged=True, execute=True))


def test_nothing_but_completions_and_messages_leaves_without_bus_master(wire):
    wire.configure(0x04, 0x0002, 2)
    assert "Bus Master Enable is off" in wire.up(request(TlpType.MEM_WRITE))
    assert "Bus Master Enable is off" in wire.up(request(TlpType.MEM_READ))
    error = request(TlpType.MSG_TO_RC, message_code=0x30, length=0, address=0)
    error.fmt_type = TlpType.MSG_TO_RC
    assert not wire.up(error)
    acknowledgement = request(TlpType.MSG_TO_RC, message_code=0x1B, length=0, address=0)
    acknowledgement.fmt_type = TlpType.MSG_GATHER
    assert not wire.up(acknowledgement)
    asked = wire.read(size=4, tag=1)
    assert not wire.up(completion(asked, data=bytes(4)))


def test_power_state_and_reset_stop_requests_too(wire):
    wire.configure(0x44, 3)
    assert "Bus Master Enable is off" in wire.up(request(TlpType.MEM_WRITE))
    wire.configure(0x44, 0)
    assert not wire.up(request(TlpType.MEM_WRITE))
    wire.configure(PCIE + 8, 1 << 15, 2)
    assert "Bus Master Enable is off" in wire.up(request(TlpType.MEM_WRITE))


def test_setting_counts_from_its_write_or_until_its_completion(wire):
    wire.configure(0x04, 0x0002, 2)
    on = request(TlpType.CFG_WRITE_0, 4, 4, sender=HOST, tag=9)
    on.completer_id, on.data, on.first_be = DEVICE, bytearray(b"\6\0\0\0"), 3
    wire.down(on)
    assert not wire.up(request(TlpType.MEM_WRITE))
    wire.up(completion(on))
    off = request(TlpType.CFG_WRITE_0, 4, 4, sender=HOST, tag=9)
    off.completer_id, off.data, off.first_be = DEVICE, bytearray(b"\2\0\0\0"), 3
    wire.down(off)
    assert not wire.up(request(TlpType.MEM_WRITE))
    wire.up(completion(off))
    assert wire.up(request(TlpType.MEM_WRITE))


def test_larger_payloads_are_allowed_when_configured(wire):
    wire.configure(PCIE + 8, 2 << 5 | 1 << 8 | 2 << 12)
    assert not wire.up(request(TlpType.MEM_WRITE, LOW, 512))
    assert wire.up(request(TlpType.MEM_WRITE, LOW, 516))


def test_small_tags_are_kept_to_when_extended_tags_are_off(wire):
    wire.configure(PCIE + 8, 2 << 12, 2)
    assert not wire.up(request(TlpType.MEM_READ, tag=31))
    assert "tags end at 31" in wire.up(request(TlpType.MEM_READ, tag=32))


def test_tag_in_use_is_not_used_again_before_it_times_out(wire):
    wire.up(request(TlpType.MEM_READ, tag=4))
    assert "the tag is in use" in wire.up(request(TlpType.MEM_READ, tag=4))
    wire.clock += 2000
    assert not wire.up(request(TlpType.MEM_READ, tag=4))


def test_reads_without_completion_are_found_at_the_end(wire):
    wire.up(request(TlpType.MEM_READ, tag=4))
    assert "not completed at the end" in wire.checker.finish()[0]


def test_unanswered_requests_of_the_host_are_found_at_the_end(wire):
    wire.read(tag=3)
    assert "never completed by the device" in wire.checker.finish()[0]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"byte_count": 63}, "byte count is not 64"),
        ({"lower_address": 4}, "lower address is not 0x0"),
        ({"completer_id": PcieId(3, 0, 0)}, "ID is not"),
        ({"tag": 9}, "a completion that nobody waits for"),
        ({"bcm": True}, "BCM is set"),
        ({"attr": TlpAttr.RO}, "not those of the request"),
        ({"pasid": 1}, "a PASID where none is allowed"),
        ({"data": bytes(68)}, "carries 68 bytes where 64 are left"),
        ({"data": bytes(32)}, "which is no boundary"),
    ],
)
def test_each_broken_rule_of_a_read_completion_is_named(wire, values, complaint):
    asked = wire.read(tag=3)
    given = {"data": bytes(64), "byte_count": 64, **values}
    assert complaint in wire.up(completion(asked, **given))


def test_completions_may_be_cut_at_a_boundary_only(wire):
    asked = wire.read(address=LOW + 100, size=60, tag=3)
    first = completion(asked, data=bytes(28), byte_count=60, lower_address=100)
    assert not wire.up(first)
    assert not wire.up(completion(asked, data=bytes(32), byte_count=32))
    assert not wire.checker.finish()


def test_refusals_carry_no_data_and_the_right_count(wire):
    asked = wire.read(tag=3)
    assert not wire.up(completion(asked, status=CplStatus.UR, byte_count=64))
    asked = wire.read(tag=3)
    assert "byte count is not 64" in wire.up(completion(asked, status=CplStatus.UR, byte_count=4))
    asked = wire.read(tag=3)
    with_data = completion(asked, data=bytes(64), status=CplStatus.CA, byte_count=64)
    assert "data that do not belong there" in wire.up(with_data)
    asked = wire.read(tag=3)
    retry = completion(asked, status=CplStatus.CRS, byte_count=64)
    assert "Request Retry Status for a memory read" in wire.up(retry)


def test_request_that_breaks_rules_may_go_unanswered(wire):
    wire.down(request(TlpType.MEM_READ, LOW + 4090, 64, sender=HOST, tag=2))
    assert not wire.checker.finish()


def test_credits_beyond_the_grant_are_noticed():
    checker = CreditChecker()
    checker.granted(
        {Flow.POSTED: Total(2, 8), Flow.NON_POSTED: Total(1, 0), Flow.COMPLETION: Total(None, None)}
    )
    write = request(TlpType.MEM_WRITE, size=64).pack()
    checker.received(write, 1, 1)
    checker.received(write, 2, 2)
    assert not checker.errors
    checker.received(write, 3, 3)
    assert "1 posted header credits too many" in checker.errors[0]
    assert "4 posted data credits too many" in checker.errors[1]
    checker.granted(
        {
            Flow.POSTED: Total(5, 20),
            Flow.NON_POSTED: Total(1, 0),
            Flow.COMPLETION: Total(None, None),
        }
    )
    checker.received(write, 4, 4)
    assert len(checker.errors) == 2


def test_credits_that_are_not_returned_are_noticed():
    checker = CreditChecker()
    checker.advertised({flow: Total(16, 64) for flow in Flow})
    checker.sent(request(TlpType.MEM_WRITE, size=64).pack(), Flow.POSTED, 1)
    returned = {flow: Total(16, 64) for flow in Flow}
    checker.returned(returned | {Flow.POSTED: Total(17, 68)})
    assert not checker.finish()
    checker.returned(returned | {Flow.POSTED: Total(17, 67)})
    assert checker.finish() == [
        "posted credits (header, data): (16, 64) at the start, (16, 63) at the end"
    ]
