"""TLPs into the model: who is answered, and how (PCIe Base 6.x §2.2, §2.3)."""

import random

import pytest

from hw.regs import configspace
from hw.regs.bar2 import bar2_bytes
from sim.model.tlp import (
    Completion,
    Kind,
    Malformed,
    Request,
    Status,
    Tenant,
    config_read,
    memory_read,
    memory_write,
)
from sim.model.wire import decode, encode, header_dws

from .model_bench import BAR0, BAR2, RID, SMALL, Bench, descriptor

GENCTRL = BAR0 + 0x88


@pytest.fixture
def bench():
    return Bench()


def logged(bench):
    """Names of the errors that AER holds."""
    return {
        name for name in configspace.UNCORRECTABLE
        if bench.device.space.field("aer_uncorrectable", name)
    }  # fmt: skip


def advisory(bench):
    return bool(bench.device.space.field("aer_correctable", "advisory"))


# Reads


@pytest.mark.parametrize("size", range(1, 65))
def test_reads_of_every_size_and_start(bench, size):
    image = b"".join(bench.device.read_word(at).to_bytes(8, "little") for at in range(0, 0x80, 8))
    for offset in range(0x80 - size):
        if (offset & 3) + size > 64:
            continue  # 17 DWs, which is too long
        (answer,) = bench.device.handle(memory_read(BAR0 + offset, size, tag=size, requester=7))
        assert answer.status is Status.SUCCESS
        assert (answer.byte_count, answer.lower_address) == (size, offset & 0x7F)
        assert answer.payload[offset & 3 :][:size] == image[offset : offset + size]
        assert len(answer.payload) == 4 * answer.length_dw == 4 * ((size + (offset & 3) + 3) // 4)
        assert (answer.tag, answer.requester, answer.completer) == (size, 7, RID)


def test_zero_length_read_is_answered_with_one_dw(bench):
    request = Request(kind=Kind.MEMORY_READ, address=BAR0, first_be=0)
    (answer,) = bench.device.handle(request)
    assert (answer.status, answer.length_dw, answer.byte_count) == (Status.SUCCESS, 1, 1)


def test_completion_copies_all_but_id_based_ordering(bench):
    request = memory_read(BAR0, 4, tc=5, attr=0b111, tag=0x3FF, requester=0x4321)
    (answer,) = bench.device.handle(request)
    assert (answer.tc, answer.attr, answer.tag, answer.requester) == (5, 0b011, 0x3FF, 0x4321)


@pytest.mark.parametrize("dws", [17, 32, 1024])
def test_read_that_is_too_long(bench, dws):
    request = Request(kind=Kind.MEMORY_READ, address=BAR0, length_dw=dws, last_be=0xF)
    (answer,) = bench.device.handle(request)
    assert answer.status is Status.COMPLETER_ABORT
    assert bench.config_read(6, 2) & 1 << 11
    assert bench.read(0x10, 8) == bench.get("gencap")


# Writes


@pytest.mark.parametrize("enables", range(16))
def test_byte_enables_of_a_write(bench, enables):
    offset = bench.space.table("ims").entry(1, "data")
    bench.write(offset, 0x1111_1111)
    request = Request(
        kind=Kind.MEMORY_WRITE, address=BAR0 + offset, first_be=enables, payload=b"\xee" * 4
    )
    assert bench.device.handle(request) == []
    expected = int.from_bytes(bytes(0xEE if enables >> n & 1 else 0x11 for n in range(4)), "little")
    assert bench.read(offset) == expected


def test_one_write_of_16_bytes_programs_an_entry(bench):
    offset = bench.space.table("ims").entry(200)
    data = (
        (0xFEE0_1234).to_bytes(8, "little")
        + b"\x78\x56\x34\x12"
        + (8 | 5 << 12).to_bytes(4, "little")
    )
    bench.device.handle(memory_write(BAR0 + offset, data))
    assert bench.read(offset, 16) == int.from_bytes(data, "little")


@pytest.mark.parametrize("dws", [17, 32])
def test_write_that_is_too_long_changes_nothing(bench, dws):
    offset = bench.space.table("ims").entry(0)
    before = bench.read(offset, 64)
    request = Request(
        kind=Kind.MEMORY_WRITE, address=BAR0 + offset, length_dw=dws, last_be=0xF,
        payload=b"\xff" * 4 * dws,
    )  # fmt: skip
    assert bench.device.handle(request) == []
    assert bench.read(offset, 64) == before
    assert logged(bench) == {"completer_abort"}


# Addresses


@pytest.mark.parametrize(
    "address",
    [0, BAR0 - 64, BAR0 + 0x1_0000, BAR2 - 64, BAR2 + bar2_bytes(SMALL), BAR0 ^ 1 << 63],
)
def test_address_that_is_nobodys(bench, address):
    (answer,) = bench.device.handle(memory_read(address, 4))
    assert answer.status is Status.UNSUPPORTED_REQUEST
    assert advisory(bench) and logged(bench) == set()
    assert bench.device.handle(memory_write(address, bytes(4))) == []
    assert logged(bench) == {"unsupported"}
    (answer,) = bench.device.handle(memory_write(address, bytes(64), deferrable=True))
    assert answer.status is Status.UNSUPPORTED_REQUEST


def test_memory_space_off(bench):
    bench.config_write(4, 4, 2)
    (answer,) = bench.device.handle(memory_read(BAR0, 4))
    assert answer.status is Status.UNSUPPORTED_REQUEST
    bench.device.handle(memory_write(GENCTRL, b"\x07\0\0\0"))
    bench.config_write(4, 6, 2)
    assert bench.get("genctrl") == 0


@pytest.mark.parametrize("offset", [0x1FF8, 0x2000, 0x2FF8])
def test_what_is_not_there_in_bar0_reads_as_zero(bench, offset):
    bench.write(offset, (1 << 64) - 1, 8)
    assert bench.read(offset, 8) == 0


def test_deferrable_write_to_a_register_changes_nothing(bench):
    (answer,) = bench.device.handle(memory_write(BAR0, bytes([255] * 64), deferrable=True))
    assert answer.status is not Status.SUCCESS
    assert bench.get("genctrl") == 0


# PASID


@pytest.mark.parametrize("on", [False, True])
def test_pasid_is_accepted_only_while_enabled(on):
    bench = Bench(pasid=on)
    request = Request(kind=Kind.MEMORY_READ, address=BAR0, tenant=Tenant(5))
    (answer,) = bench.device.handle(request)
    assert answer.status is (Status.SUCCESS if on else Status.UNSUPPORTED_REQUEST)


def test_pasid_has_no_place_on_a_configuration_request(bench):
    request = Request(
        kind=Kind.CONFIG_WRITE, address=RID << 16 | 4, tenant=Tenant(5), payload=bytes(4)
    )
    (answer,) = bench.device.handle(request)
    assert answer.status is Status.UNSUPPORTED_REQUEST
    assert bench.config_read(4, 2) & 6 == 6


@pytest.mark.parametrize("address", [GENCTRL, 0])
def test_prefix_that_is_not_known(bench, address):
    for request in (memory_read(address, 4), memory_write(address, b"\x07\0\0\0")):
        data = bytes.fromhex("90123456") + encode(request)
        answers = bench.device.handle_wire(data)
        assert [a.status for a in answers] == [Status.UNSUPPORTED_REQUEST] * (not request.posted)
    assert bench.get("genctrl") == 0
    assert bench.device.space.field("aer_prefix_0", "dw") == 0x90123456


# Kinds


def test_unsupported_kinds_are_answered(bench):
    for code in (0x01, 0x21, 0x05, 0x45, 0x02, 0x42, 0x4C, 0x6E):
        request = Request(
            kind=Kind.UNSUPPORTED, address=0, fmt_type=code, tag=code,
            payload=bytes(4) if code & 0x40 else b"",
        )  # fmt: skip
        (answer,) = bench.device.handle_wire(encode(request))
        assert (answer.status, answer.tag) == (Status.UNSUPPORTED_REQUEST, code)


@pytest.mark.parametrize("code", [0x00, 0x40, 0x50, 0x7F])
def test_messages_that_are_none_of_our_business(bench, code):
    request = Request(
        kind=Kind.MESSAGE, address=0, length_dw=0, first_be=code & 15, last_be=code >> 4,
        fmt_type=0x34,
    )  # fmt: skip
    assert bench.device.handle(request) == []
    assert logged(bench) == set() and not advisory(bench)


@pytest.mark.parametrize("code", [0x20, 0x7E, 0x99])
def test_messages_that_are_unsupported(bench, code):
    request = Request(
        kind=Kind.MESSAGE, address=0, length_dw=0, first_be=code & 15, last_be=code >> 4,
        fmt_type=0x34,
    )  # fmt: skip
    assert bench.device.handle(request) == []
    assert logged(bench) == {"unsupported"}


def test_unexpected_completion_is_logged_and_dropped(bench):
    assert (
        bench.device.handle(Completion(status=Status.SUCCESS, length_dw=1, payload=b"abcd")) == []
    )
    assert advisory(bench)


# Poison


def test_poisoned_write_changes_nothing(bench):
    request = memory_write(GENCTRL, b"\x07\0\0\0", poisoned=True)
    assert bench.device.handle(request) == []
    assert bench.get("genctrl") == 0
    assert logged(bench) == {"poisoned"}
    assert bench.device.space.field("command", "parity_error") == 1


def test_poisoned_configuration_write_is_refused(bench):
    request = Request(
        kind=Kind.CONFIG_WRITE, address=RID << 16 | 4, payload=bytes(4), poisoned=True
    )
    (answer,) = bench.device.handle(request)
    assert answer.status is Status.UNSUPPORTED_REQUEST
    assert bench.config_read(4, 2) & 6 == 6


def test_poison_is_never_advisory(bench):
    data = bytes(64)
    bench.device.handle(memory_write(BAR2, data, deferrable=True, poisoned=True))
    assert logged(bench) == {"poisoned"}
    assert not advisory(bench)
    assert bench.device.space.field("device_control", "non_fatal_detected") == 1


@pytest.mark.parametrize(("code", "error"), [(0x50, "poisoned"), (0x7E, "unsupported")])
def test_poisoned_message_is_logged(bench, code, error):
    message = Request(
        kind=Kind.MESSAGE, address=0, payload=bytes(4), poisoned=True, fmt_type=0x74,
        first_be=code & 0xF, last_be=code >> 4,
    )  # fmt: skip
    assert bench.device.handle(message) == []
    assert logged(bench) == {error}


def test_turn_off_is_acknowledged(bench):
    message = Request(
        kind=Kind.MESSAGE, address=0, length_dw=0, fmt_type=0x33, first_be=9, last_be=1
    )
    (answer,) = bench.device.handle(message)
    assert encode(answer) == bytes.fromhex("35000000") + RID.to_bytes(2, "big") + bytes(
        [0, 0x1B, *bytes(8)]
    )
    assert logged(bench) == set()


def test_poison_is_less_than_unsupported(bench):
    bench.device.handle(memory_write(0, bytes(4), poisoned=True))
    assert logged(bench) == {"unsupported"}


def test_poisoned_submission_leaves_no_trace(bench):
    bench.enable(0)
    data = descriptor(pasid=1)
    (answer,) = bench.device.handle(memory_write(BAR2, data, deferrable=True, poisoned=True))
    assert answer.status is Status.UNSUPPORTED_REQUEST
    assert bench.queue_field(0, "status", "occupancy") == 0


# Malformed


def good():
    return encode(memory_write(GENCTRL, b"\x07\0\0\0"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("too long", good() + bytes(4)),
        ("too short", good()[:-4]),
        ("header cut", good()[:8]),
        ("reserved type", b"\x1f" + good()[1:]),
        ("reserved format", b"\xe0" + good()[1:]),
        ("local prefix", bytes([0x80, 0, 0, 0]) + good()),
        ("two prefixes", bytes([0x91, 0, 0, 1]) * 2 + good()),
        ("only a prefix", bytes([0x91, 0, 0, 1])),
    ],
)
def test_malformed_bytes_leave_no_trace_but_the_report(bench, name, data):
    assert isinstance(decode(data), Malformed), name
    assert bench.device.handle_wire(data) == []
    assert logged(bench) == {"malformed"}
    assert bench.get("genctrl") == 0


@pytest.mark.parametrize(
    "request_",
    [
        Request(kind=Kind.MEMORY_READ, address=BAR0 + 0xFFC, length_dw=2, last_be=0xF),
        Request(kind=Kind.MEMORY_READ, address=BAR0, length_dw=1, last_be=1),
        Request(kind=Kind.MEMORY_READ, address=BAR0, length_dw=2, last_be=0),
        Request(kind=Kind.MEMORY_READ, address=BAR0, length_dw=2, first_be=0, last_be=1),
        Request(kind=Kind.CONFIG_READ, address=RID << 16, length_dw=2),
        Request(kind=Kind.CONFIG_READ, address=RID << 16, tc=1),
        Request(kind=Kind.CONFIG_READ, address=RID << 16, last_be=1),
        Request(
            kind=Kind.MEMORY_WRITE, address=BAR0, length_dw=129, last_be=0xF, payload=bytes(516)
        ),
    ],
)
def test_malformed_requests_are_not_answered(bench, request_):
    assert bench.device.handle(request_) == []
    assert logged(bench) == {"malformed"}
    assert bench.device.space.field("device_control", "fatal_detected")


def test_payload_up_to_the_limit_is_not_malformed():
    bench = Bench()
    bench.config_write(configspace.PCIE + 8, 2 << 5, 2)
    request = Request(
        kind=Kind.MEMORY_WRITE, address=BAR0, length_dw=128, last_be=0xF, payload=bytes(512)
    )
    bench.device.handle(request)
    assert "malformed" not in logged(bench)


def test_error_log_holds_the_header_as_it_was(bench):
    data = bytes.fromhex("91800005") + encode(memory_write(0x1_2345_6788, bytes(8), tag=0x2A5))
    bench.device.handle_wire(data)
    space = bench.device.space
    dws = [int.from_bytes(data[n : n + 4], "big") for n in range(4, 20, 4)]
    assert [space.field(f"aer_header_{n}", "dw") for n in range(4)] == dws
    assert space.field("aer_prefix_0", "dw") == 0x9180_0005


def test_enabled_error_messages_follow_the_answer(bench):
    bench.config_write(configspace.PCIE + 8, 0xF, 2)
    bench.device.handle(memory_write(0, bytes(4)))
    (message,) = bench.device.handle(memory_write(0, bytes(4)))
    assert (message.kind, message.first_be, message.last_be) == (Kind.MESSAGE, 1, 3)
    assert message.requester == RID


# Wire format


def requests(rng):
    kind = rng.choice(list(Kind))
    length = rng.randrange(1, 33)
    with_data = kind in (Kind.MEMORY_WRITE, Kind.DEFERRABLE_WRITE)
    single = kind in (Kind.CONFIG_READ, Kind.CONFIG_WRITE, Kind.UNSUPPORTED)
    length = 0 if kind is Kind.MESSAGE else 1 if single else length
    address = {
        Kind.CONFIG_READ: rng.getrandbits(32) & 0xFFFF_0FFC,
        Kind.CONFIG_WRITE: rng.getrandbits(32) & 0xFFFF_0FFC,
        Kind.MESSAGE: rng.getrandbits(64),
        Kind.UNSUPPORTED: rng.getrandbits(30) << 2,
    }.get(kind, rng.getrandbits(rng.choice((30, 62))) << 2)
    codes = {
        Kind.MEMORY_READ: 0x20 if address >> 32 else 0x00,
        Kind.MEMORY_WRITE: 0x60 if address >> 32 else 0x40,
        Kind.DEFERRABLE_WRITE: 0x7B if address >> 32 else 0x5B,
        Kind.CONFIG_READ: 0x04, Kind.CONFIG_WRITE: 0x44, Kind.MESSAGE: 0x34,
        Kind.UNSUPPORTED: 0x02,
    }  # fmt: skip
    data = rng.randbytes(4 * length) if with_data or kind is Kind.CONFIG_WRITE else b""
    tenant = Tenant(rng.getrandbits(20), rng.random() < 0.5, rng.random() < 0.5)
    return Request(
        kind=kind, address=address, length_dw=length, first_be=rng.getrandbits(4),
        last_be=rng.getrandbits(4), requester=rng.getrandbits(16), tag=rng.getrandbits(10),
        tc=rng.getrandbits(3), attr=rng.getrandbits(3), at=rng.getrandbits(2),
        poisoned=bool(data) and rng.random() < 0.5, payload=data, fmt_type=codes[kind],
        tenant=tenant if rng.random() < 0.5 else Tenant(),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_requests_survive_the_wire(seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(300):
        request = requests(rng)
        data = encode(request)
        back = decode(data)
        assert back == request
        assert encode(back) == data
        assert header_dws(request) == header_dws(back)


@pytest.mark.parametrize("seed", range(5))
def test_completions_survive_the_wire(seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(300):
        data = rng.randbytes(4 * rng.randrange(33))
        completion = Completion(
            status=rng.choice(list(Status)), length_dw=len(data) // 4,
            byte_count=rng.randrange(1, 4097), lower_address=rng.getrandbits(7),
            completer=rng.getrandbits(16), requester=rng.getrandbits(16),
            tag=rng.getrandbits(10), tc=rng.getrandbits(3), attr=rng.getrandbits(3),
            poisoned=bool(data) and rng.random() < 0.5, payload=data,
        )  # fmt: skip
        assert decode(encode(completion)) == completion


@pytest.mark.parametrize(
    ("request_", "wire"),
    [
        (memory_read(0xFEE0_0000, 4, requester=0x0100, tag=0x12), "00000001 0100120f fee00000"),
        (
            memory_write(0x1_0000_0000, b"abcd", requester=0x0100, tag=1),
            "60000001 0100010f 00000001 00000000 61626364",
        ),
        (config_read(0x100, destination=0x0118, tag=2), "04000001 0000020f 01180100"),
        (
            Request(kind=Kind.MEMORY_READ, address=0x1000, tenant=Tenant(0xABCDE, True)),
            "918abcde 00000001 0000000f 00001000",
        ),
    ],
)
def test_bytes_on_the_wire(request_, wire):
    assert encode(request_) == bytes.fromhex(wire)


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_the_device_still_works(seed):
    """Random bytes, some nearly right: no exception, each non-posted request one answer."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    bench = Bench()
    bench.enable(0)
    for _ in range(1000):
        request = requests(rng)
        data = bytearray(encode(request))
        if rng.random() < 0.5:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            data = data[: rng.randrange(0, len(data), 4)]
        tlp = decode(bytes(data))
        if isinstance(tlp, Request) and tlp.kind is Kind.CONFIG_WRITE:
            continue
        answers = [a for a in bench.device.handle(tlp) if isinstance(a, Completion)]
        assert len(answers) <= (isinstance(tlp, Request) and not tlp.posted)
    assert bench.config_read(0) == SMALL.vendor_id | SMALL.device_id << 16
    assert bench.get("version") == 0x200
    bench.submit(0, descriptor(pasid=3, completion_address=0x40))
    bench.device.settle()
    assert bench.memory.load(0x40, 1, 3) == b"\x01"
