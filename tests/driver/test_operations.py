"""What operations ask of the device, what they refuse to ask, and what their records say."""

import random

import pytest

from driver import (
    ApplyDelta,
    Batch,
    BatchResult,
    CacheFlush,
    Compare,
    ComparePattern,
    Comparison,
    Completion,
    CopyCrc,
    Crc,
    CreateDelta,
    Delta,
    DeltaCorrupt,
    DeltaRecord,
    DescriptorRefused,
    Drain,
    Dualcast,
    Fill,
    InterruptRefused,
    MemoryFailed,
    MemoryMove,
    Nop,
    OperationFailed,
    SettingsError,
)
from driver.backoff import Backoff
from driver.failures import failure
from driver.limits import Limits
from hw.regs.descriptor import LAYOUTS, OPERATIONS_IMPLEMENTED, Flag, Opcode, Status

LIMITS = Limits(4096, 1, 8, OPERATIONS_IMPLEMENTED)
HIGH = 0x1234_5678_9ABC_DE00

EVERY = [
    Nop(),
    Batch(HIGH & ~63, 5),
    Drain(),
    MemoryMove(0x1001, 0x9003, 77),
    Fill(0x0807_0605_0403_0201, 0x3001, 100),
    Compare(HIGH + 1, 0x2002, 3),
    ComparePattern(HIGH + 1, 0xFFFF_0000_FFFF_0000, 9),
    CreateDelta(0x1000, 0x2008, 64, 0x3001, 80),
    ApplyDelta(0x3001, 0x1000, 64, 30),
    Dualcast(0x1001, 0x9003, 0xF003, 77),
    Crc(0x1001, 99, seed=0xDEAD_BEEF),
    CopyCrc(0x1001, 0x9003, 99),
    CacheFlush(0x9003, 99),
]


def test_every_operation_of_the_device_has_a_class():
    assert {item.opcode for item in EVERY} == set(Opcode)


@pytest.mark.parametrize("descriptor", EVERY, ids=lambda item: item.opcode.name)
def test_operands_lie_where_the_layout_says(descriptor):
    data = descriptor.encode(pasid=7, completion_address=0x40, handle=3)
    assert len(data) == 64
    word = int.from_bytes(data, "little")
    layout = LAYOUTS[descriptor.opcode]
    fields = layout.unpack(word)
    assert word == layout.pack(**fields), "a reserved bit is set"
    assert fields["opcode"] == descriptor.opcode and fields["pasid"] == 7
    assert fields["flags"] == 0b11100 and fields["handle"] == 3
    for name, value in vars(descriptor).items():
        if name in fields and name != "flags":
            assert fields[name] == (value or 0), name


@pytest.mark.parametrize("descriptor", EVERY, ids=lambda item: item.opcode.name)
def test_sound_descriptor_passes_the_check(descriptor):
    descriptor.check(LIMITS)


@pytest.mark.parametrize("descriptor", EVERY, ids=lambda item: item.opcode.name)
def test_operation_that_the_queue_does_not_allow_is_refused(descriptor):
    limits = Limits(4096, 1, 8, OPERATIONS_IMPLEMENTED & ~(1 << descriptor.opcode))
    with pytest.raises(SettingsError, match=f"does not allow {descriptor.opcode.name}; it allows"):
        descriptor.check(limits)


def test_places_of_operands_are_those_of_the_specification():
    """Spot checks by byte offset, apart from the layouts (DSA §8.3)."""
    delta = CreateDelta(0x1000, 0x2008, 64, 0x3000, 80, expect=(Delta.EQUAL, Delta.COMPLETE))
    data = delta.encode()
    assert int.from_bytes(data[24:32], "little") == 0x2008
    assert int.from_bytes(data[40:48], "little") == 0x3000
    assert int.from_bytes(data[48:52], "little") == 80 and data[56] == 0b011
    assert data[4] == 1 << 7, "check result"
    data = Crc(0x1000, 9, seed_address=0x5004).encode()
    assert (
        int.from_bytes(data[48:56], "little") == 0x5004
        and data[6] == 1
        and data[40:44] == b"\0" * 4
    )
    data = Crc(0x1000, 9, seed=0xABCD, invert=False, reflect=False).encode()
    assert int.from_bytes(data[40:44], "little") == 0xABCD and data[6] == 0b110
    data = Dualcast(0, 0x1000, 0x3000, 9).encode()
    assert int.from_bytes(data[40:48], "little") == 0x3000
    assert ApplyDelta(0, 8, 8, 20).encode()[40:44] == (20).to_bytes(4, "little")
    assert Nop().encode(fence=True)[4] == 1


@pytest.mark.parametrize(("expected", "byte", "flag"), [(None, 0, 0), (True, 0, 1), (False, 1, 1)])
def test_expected_result_of_a_comparison_is_a_bit(expected, byte, flag):
    for descriptor in (
        Compare(0, 0x100, 8, expect_equal=expected),
        ComparePattern(0, 0x100, 8, expect_equal=expected),
    ):
        data = descriptor.encode()
        assert data[40] == byte and data[4] == flag << 7


@pytest.mark.parametrize(
    ("descriptor", "words"),
    [
        (MemoryMove(0, 0x2000, 4097), "copies 1 to 4096 bytes, not 4097"),
        (Fill(0, 0, 4097), "a fill on this queue writes 1 to 4096 bytes, not 4097"),
        (Compare(0, 0, 5000), "a compare on this queue compares 1 to 4096 bytes, not 5000"),
        (MemoryMove(0, 99, 100), "destination of a memory move at 0x63 overlaps its source at 0x0"),
        (MemoryMove((1 << 64) - 4, 3, 8), "overlaps its source at 0xfffffffffffffffc"),
        (MemoryMove(3, (1 << 64) - 4, 8), "overlaps its source at 0x3"),
        (CopyCrc(0, 8, 9), "destination of a copy with CRC at 0x8 overlaps its source"),
        (Crc(0, 8, seed_address=6), "the seed_address of a CRC is a multiple of 4, not 0x6"),
        (Dualcast(0, 0x1000, 0x2001, 8), "bits 11:0 of the destinations of a dualcast are equal"),
        (
            Dualcast(0, 0x1000, 0x1000, 8),
            "second destination of a dualcast at 0x1000 overlaps its d",
        ),
        (
            Dualcast(0x1004, 0x1000, 0x9000, 8),
            "the destination of a dualcast at 0x1000 overlaps its s",
        ),
        (
            Dualcast(0x9004, 0x1000, 0x9000, 8),
            "second destination of a dualcast at 0x9000 overlaps its s",
        ),
        (
            CreateDelta(4, 0x100, 8, 0x200, 80),
            "the source of a delta creation is a multiple of 8, not 0x4",
        ),
        (
            CreateDelta(0, 0x104, 8, 0x200, 80),
            "the source_2 of a delta creation is a multiple of 8",
        ),
        (
            CreateDelta(0, 0x100, 9, 0x200, 80),
            "the size_bytes of a delta creation is a multiple of 8",
        ),
        (CreateDelta(0, 0x100, 8, 0x200, 70), "is a multiple of 10 from 80 to 4090, not 70"),
        (CreateDelta(0, 0x100, 8, 0x200, 85), "is a multiple of 10 from 80 to 4090, not 85"),
        (CreateDelta(0, 0x100, 8, 0x200, 4100), "is a multiple of 10 from 80 to 4090, not 4100"),
        (
            CreateDelta(0, 0x100, 8, 0xF0, 80),
            "the delta record of a delta creation at 0xf0 overlaps",
        ),
        (ApplyDelta(0, 0x104, 8, 10), "the destination of a delta application is a multiple of 8"),
        (ApplyDelta(0, 0x100, 12, 10), "the size_bytes of a delta application is a multiple of 8"),
        (ApplyDelta(0, 0x100, 8, 15), "is a multiple of 10 from 10 to 4090, not 15"),
        (
            ApplyDelta(0x9C, 0x100, 8, 110),
            "delta record of a delta application at 0x9c overlaps its d",
        ),
        (Batch(0x1020, 2), "the list_address of a batch is a multiple of 64, not 0x1020"),
        (Batch(0x1000, 0), "a batch on this queue has 1 to 8 members, not 0"),
        (Batch(0x1000, 9), "a batch on this queue has 1 to 8 members, not 9"),
    ],
)
def test_descriptor_that_the_device_would_refuse_is_refused_first(descriptor, words):
    with pytest.raises(SettingsError) as caught:
        descriptor.check(LIMITS)
    assert words in str(caught.value)


def test_delta_record_cannot_describe_more_than_its_offsets_reach():
    limits = Limits(1 << 21, 1, 8, OPERATIONS_IMPLEMENTED)
    CreateDelta(0, 1 << 30, 0x8_0000, 1 << 40, 80).check(limits)
    for descriptor in (
        CreateDelta(0, 1 << 30, 0x8_0008, 1 << 40, 80),
        ApplyDelta(0, 1 << 30, 0x8_0008, 10),
    ):
        with pytest.raises(SettingsError, match="8 to 524288 bytes, not 524296"):
            descriptor.check(limits)


def test_neighbouring_ranges_do_not_overlap():
    MemoryMove(0, 100, 100).check(LIMITS)
    MemoryMove(100, 0, 100).check(LIMITS)
    MemoryMove((1 << 64) - 8, 0, 8).check(LIMITS)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fill(1 << 64, 0, 1),
        lambda: Fill(0, 0, 0),
        lambda: Compare(-1, 0, 1),
        lambda: Crc(0, 0),
        lambda: Crc(0, 1, seed=1 << 32),
        lambda: Crc(0, 1, seed=1, seed_address=4),
        lambda: CopyCrc(0, 0, 1 << 32),
        lambda: CreateDelta(0, 0, 8, 0, 1 << 32),
        lambda: ApplyDelta(0, 0, 8, -10),
        lambda: CacheFlush(0, 0),
        lambda: Dualcast(0, 0, 1 << 64, 1),
        lambda: Batch(0, -1),
    ],
)
def test_value_that_no_descriptor_can_hold_is_refused(make):
    with pytest.raises(SettingsError):
        make()


def completion(status: int = Status.SUCCESS, **fields: int) -> Completion:
    named = {"status": status, "write_fault": False, "result": 0, "bytes_completed": 0}
    return Completion(**{**named, "fault_address": 0, "invalid_flags": 0, **fields})


def test_records_are_told_as_results():
    compare, delta = Compare(0, 0x100, 64), CreateDelta(0, 0x100, 64, 0x200, 80)
    assert compare.result(completion()) == Comparison(True, None)
    different = compare.result(completion(result=1, bytes_completed=0))
    assert different == Comparison(False, 0) and not different
    assert delta.result(completion()) == DeltaRecord(Delta.EQUAL, 0, 64)
    found = delta.result(completion(result=1, value=20))
    assert found == DeltaRecord(Delta.COMPLETE, 20, 64) and found.complete and not found.equal
    found = delta.result(completion(result=2, value=80, bytes_completed=40))
    assert found == DeltaRecord(Delta.EXCEEDED, 80, 40) and not found.complete
    assert Crc(0, 1).result(completion(value=0xFFFF_FFFF)) == 0xFFFF_FFFF
    assert Batch(0, 3).result(completion(bytes_completed=3)) == BatchResult(3)
    for descriptor in (Nop(), Fill(0, 0, 1)):
        assert descriptor.result(completion()) is None


def test_value_of_a_record_is_decoded():
    record = bytes([1, 2]) + bytes(14) + (0xCAFE_F00D).to_bytes(4, "little") + bytes(12)
    assert Completion.decode(record).value == 0xCAFE_F00D


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.BAD_OPCODE, DescriptorRefused),
        (Status.OVERLAP, DescriptorRefused),
        (Status.TRAFFIC_CLASS, DescriptorRefused),
        (Status.BAD_HANDLE, InterruptRefused),
        (Status.HARDWARE, MemoryFailed),
        (Status.DELTA_ORDER, DeltaCorrupt),
        (Status.DELTA_OFFSET, DeltaCorrupt),
        (Status.BATCH_FAILED, OperationFailed),
        (0x7E, OperationFailed),
    ],
)
def test_failure_says_by_its_class_what_can_be_done(status, kind):
    error = failure(Nop(), completion(status, bytes_completed=5))
    assert type(error) is kind and error.status == status
    assert "5 bytes completed" in str(error)


def test_back_off_grows_is_bounded_and_can_be_repeated():
    pauses = [Backoff(random.Random(5)) for _ in range(2)]
    first, second = ([item.pause() for _ in range(20)] for item in pauses)
    assert first == second
    bound = 16
    for pause in first:
        assert bound // 2 <= pause <= bound
        bound = min(1024, 2 * bound)
    assert len(set(first[8:])) > 4, "there is no jitter"


def test_flags_of_the_caller_are_kept():
    data = Fill(0, 0, 1, flags=Flag.STRICT_ORDERING).encode(completion_address=32)
    assert int.from_bytes(data[4:7], "little") == 1 << 13 | 1 << 2 | 1 << 3
