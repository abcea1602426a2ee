"""Every way in which a descriptor can be wrong, and which fault comes first (DSA §5.4, §5.5)."""

import pytest

from hw.regs.bar2 import Portal
from hw.regs.descriptor import (
    COMPLETION,
    DELTA_LIMIT_BYTES,
    LAYOUTS,
    OPERATIONS_IMPLEMENTED,
    Flag,
    Opcode,
)
from hw.regs.descriptor import Status as Code
from sim.model.checks import Terms, operands, verdict

from .operation_bench import (
    DELTA,
    GOOD,
    LIST,
    OTHER,
    PASID,
    RECORD,
    SECOND,
    SEED,
    SOURCE,
    TARGET,
    load,
    pack,
    ready,
    run,
    writes,
)

EVERY = sorted(Opcode)
NEED_RECORD = [
    Opcode.COMPARE,
    Opcode.COMPARE_PATTERN,
    Opcode.CREATE_DELTA,
    Opcode.CRC,
    Opcode.COPY_CRC,
]
SIZED = [op for op in EVERY if "size_bytes" in GOOD[op]]

#: DSA Table 5-3, by hand: check result 7, classes of addresses 9 to 11, strict ordering 13, and
#: what §8.3 says of bits 23:16.
FLAGS = {
    Opcode.NOP: [],
    Opcode.BATCH: [9],
    Opcode.DRAIN: [18, 19],
    Opcode.MEMORY_MOVE: [9, 10, 13],
    Opcode.FILL: [10, 13],
    Opcode.COMPARE: [7, 9, 10],
    Opcode.COMPARE_PATTERN: [7, 9],
    Opcode.CREATE_DELTA: [7, 9, 10, 11, 13],
    Opcode.APPLY_DELTA: [9, 10, 13],
    Opcode.DUALCAST: [9, 10, 11, 13],
    Opcode.CRC: [9, 16, 17, 18],
    Opcode.COPY_CRC: [9, 10, 13, 16, 17, 18],
    Opcode.CACHE_FLUSH: [10, 13],
}

TERMS = {
    "operations": OPERATIONS_IMPLEMENTED, "max_transfer_bytes": 1 << 20, "max_batch": 32,
    "mute": False, "unprivileged": False, "shared": True, "member": False,
}  # fmt: skip


def judge(data, *, permitted=True, **terms):
    """Status and invalid flags of 64 bytes."""
    word = int.from_bytes(data, "little")
    return verdict(word, operands(word), Terms(**(TERMS | terms)), lambda: permitted)


def good(opcode):
    """A descriptor without fault, as a number."""
    return int.from_bytes(pack(opcode), "little")


@pytest.mark.parametrize("opcode", EVERY)
@pytest.mark.parametrize("bit", [0, 1, *range(5, 24)])
@pytest.mark.parametrize("member", [False, True])
def test_flag(opcode, bit, member):
    """Each flag, with each operation, alone and in a batch."""
    if member and opcode in (Opcode.BATCH, Opcode.DRAIN):
        return
    word = good(opcode) | 1 << 32 + bit
    allowed = bit in [*FLAGS[opcode], 12] or (member and bit == 0)
    status, invalid = judge(word.to_bytes(64, "little"), member=member)
    assert (status, invalid) == ((Code.SUCCESS, 0) if allowed else (Code.BAD_FLAGS, 1 << bit))


@pytest.mark.parametrize("opcode", [Opcode.CRC, Opcode.COPY_CRC])
def test_class_of_the_third_address_needs_a_seed_to_read(opcode):
    flags = Flag.ADDRESS_3_TRAFFIC_CLASS
    assert judge(pack(opcode, flags)) == (Code.BAD_FLAGS, flags)
    data = pack(opcode, flags | Flag.READ_SEED, seed_address=SEED)
    assert judge(data) == (Code.SUCCESS, 0)


@pytest.mark.parametrize("opcode", EVERY)
@pytest.mark.parametrize("given", [0, Flag.COMPLETION_ADDRESS_VALID])
def test_record_that_an_operation_needs(opcode, given):
    address = RECORD if given else 0
    data = pack(opcode, given, record=None, completion_address=address)
    both = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
    wanted = (Code.SUCCESS, 0)
    if opcode in NEED_RECORD:
        wanted = (Code.BAD_FLAGS, both & ~given)
    if opcode is Opcode.DRAIN:
        wanted = (Code.BAD_FLAGS, Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT)
    assert judge(data) == wanted


def test_all_invalid_flags_are_named_at_once():
    data = pack(Opcode.COMPARE, Flag.FENCE | Flag.STRICT_ORDERING, record=None)
    wanted = Flag.FENCE | Flag.STRICT_ORDERING
    wanted |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
    assert judge(data) == (Code.BAD_FLAGS, wanted)


@pytest.mark.parametrize("opcode", EVERY)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("member", [False, True])
def test_bits_that_no_field_names_are_reserved(opcode, shared, member):
    if member and opcode in (Opcode.BATCH, Opcode.DRAIN):
        return
    named = LAYOUTS[opcode].mask()
    if opcode in (Opcode.CRC, Opcode.COPY_CRC):
        named &= ~LAYOUTS[opcode]["seed_address"].mask
    named &= ~LAYOUTS[opcode]["handle"].mask
    for bit in range(512):
        if named >> bit & 1 or (20 <= bit < 31 and (member or not shared)):
            continue
        data = (good(opcode) | 1 << bit).to_bytes(64, "little")
        assert judge(data, shared=shared, member=member)[0] is Code.RESERVED_NOT_ZERO, bit


@pytest.mark.parametrize("opcode", EVERY)
def test_bits_30_to_20_mean_nothing_to_members_and_dedicated_queues(opcode):
    data = (good(opcode) | 0x7FF << 20).to_bytes(64, "little")
    assert judge(data, shared=False)[0] is Code.SUCCESS
    if opcode not in (Opcode.BATCH, Opcode.DRAIN):
        assert judge(data, member=True)[0] is Code.SUCCESS


@pytest.mark.parametrize("opcode", [Opcode.CRC, Opcode.COPY_CRC])
def test_seed_and_its_address_exclude_each_other(opcode):
    assert judge(pack(opcode, seed=1))[0] is Code.SUCCESS
    assert judge(pack(opcode, seed_address=4))[0] is Code.RESERVED_NOT_ZERO
    assert judge(pack(opcode, Flag.READ_SEED, seed_address=4))[0] is Code.SUCCESS
    assert judge(pack(opcode, Flag.READ_SEED, seed=1))[0] is Code.RESERVED_NOT_ZERO


@pytest.mark.parametrize("opcode", EVERY)
def test_no_operation_may_be_left_out_by_its_queue(opcode):
    without = OPERATIONS_IMPLEMENTED & ~(1 << opcode)
    assert judge(pack(opcode), operations=without)[0] is Code.BAD_OPCODE
    assert judge(pack(opcode), operations=1 << opcode)[0] is Code.SUCCESS


@pytest.mark.parametrize("opcode", SIZED)
@pytest.mark.parametrize("limit", [10, 12, 20, 21])
def test_transfer_size(opcode, limit):
    most = 1 << limit
    if opcode in (Opcode.CREATE_DELTA, Opcode.APPLY_DELTA):
        most = min(most, DELTA_LIMIT_BYTES)
    where = {"destination": 1 << 40, "destination_2": 1 << 41, "source_2": 1 << 42}
    fields = {name: place for name, place in where.items() if name in GOOD[opcode]}
    for size, status in (
        (0, Code.BAD_TRANSFER_SIZE),
        (most, Code.SUCCESS),
        (most + 8, Code.BAD_TRANSFER_SIZE),
        (0xFFFF_FFF8, Code.BAD_TRANSFER_SIZE),
    ):
        data = pack(opcode, size_bytes=size, **(fields | {"source": 1 << 50} if "source" in
                    GOOD[opcode] else fields))  # fmt: skip
        assert judge(data, max_transfer_bytes=1 << limit)[0] is status, size


@pytest.mark.parametrize(
    ("count", "status"),
    [
        (0, Code.BAD_DESCRIPTOR_COUNT),
        (1, Code.SUCCESS),
        (32, Code.SUCCESS),
        (33, Code.BAD_DESCRIPTOR_COUNT),
        (0xFFFF_FFFF, Code.BAD_DESCRIPTOR_COUNT),
    ],
)
def test_descriptor_count(count, status):
    assert judge(pack(Opcode.BATCH, count=count))[0] is status


@pytest.mark.parametrize("offset", [1, 8, 32, 63])
def test_list_that_is_not_aligned(offset):
    assert judge(pack(Opcode.BATCH, list_address=LIST + offset))[0] is Code.LIST_ALIGNMENT


@pytest.mark.parametrize(
    ("size", "status"),
    [
        (0, Code.BAD_VALUE),
        (70, Code.BAD_VALUE),
        (80, Code.SUCCESS),
        (85, Code.BAD_VALUE),
        (4090, Code.SUCCESS),
        (4100, Code.BAD_VALUE),
    ],
)
def test_largest_delta_record(size, status):
    data = pack(Opcode.CREATE_DELTA, max_delta_bytes=size)
    assert judge(data, max_transfer_bytes=4096)[0] is status


@pytest.mark.parametrize(
    ("size", "status"),
    [
        (0, Code.BAD_VALUE),
        (5, Code.BAD_VALUE),
        (10, Code.SUCCESS),
        (4090, Code.SUCCESS),
        (4100, Code.BAD_VALUE),
    ],
)
def test_size_of_a_delta_record(size, status):
    data = pack(Opcode.APPLY_DELTA, delta_bytes=size)
    assert judge(data, max_transfer_bytes=4096)[0] is status


@pytest.mark.parametrize(
    ("opcode", "name", "unit"),
    [
        (Opcode.CREATE_DELTA, "source", 8),
        (Opcode.CREATE_DELTA, "source_2", 8),
        (Opcode.CREATE_DELTA, "size_bytes", 8),
        (Opcode.CREATE_DELTA, "delta_address", 1),
        (Opcode.APPLY_DELTA, "destination", 8),
        (Opcode.APPLY_DELTA, "size_bytes", 8),
        (Opcode.APPLY_DELTA, "delta_address", 1),
    ],
)
@pytest.mark.parametrize("offset", range(1, 9))
def test_alignment_of_delta_records_and_their_buffers(opcode, name, unit, offset):
    data = pack(opcode, **{name: GOOD[opcode][name] + offset})
    aligned = offset % unit == 0
    assert judge(data)[0] is (Code.SUCCESS if aligned else Code.ADDRESS_ALIGNMENT)


@pytest.mark.parametrize("opcode", [Opcode.CRC, Opcode.COPY_CRC])
@pytest.mark.parametrize("offset", range(1, 5))
def test_alignment_of_a_seed(opcode, offset):
    data = pack(opcode, Flag.READ_SEED, seed_address=SEED + offset)
    assert judge(data)[0] is (Code.ADDRESS_ALIGNMENT if offset % 4 else Code.SUCCESS)


@pytest.mark.parametrize("bit", range(64))
def test_destinations_of_a_dualcast_agree_in_bits_11_to_0(bit):
    data = pack(Opcode.DUALCAST, destination=1 << 20, destination_2=1 << 20 ^ 1 << bit)
    assert judge(data)[0] is (Code.DUALCAST_ALIGNMENT if bit < 12 else Code.SUCCESS)


@pytest.mark.parametrize(
    ("opcode", "first", "second", "first_size", "second_size", "step"),
    [
        (Opcode.MEMORY_MOVE, "destination", "source", 64, 64, 1),
        (Opcode.COPY_CRC, "destination", "source", 64, 64, 1),
        (Opcode.CREATE_DELTA, "delta_address", "source", 80, 64, 8),
        (Opcode.CREATE_DELTA, "delta_address", "source_2", 80, 64, 8),
        (Opcode.APPLY_DELTA, "destination", "delta_address", 64, 10, 1),
    ],
)
@pytest.mark.parametrize("base", [SOURCE, 0, (1 << 64) - 128])
def test_buffers_that_overlap(opcode, first, second, first_size, second_size, step, base):
    """To within a byte, and around the end of the address space."""
    for distance, near in (
        (0, True),
        (second_size - step, True),
        (second_size, False),
        (-first_size + step, True),
        (-first_size, False),
    ):
        places = {second: base, first: (base + distance) % (1 << 64)}
        if any(places.get(name, 0) % 8 for name in ("destination",)) and step == 1:
            places = {second: base + 6, first: (base + 6 + distance) % (1 << 64)}
            if opcode is Opcode.APPLY_DELTA and places[first] % 8:
                continue
        status = judge(pack(opcode, **places))[0]
        assert status is (Code.OVERLAP if near else Code.SUCCESS), distance


@pytest.mark.parametrize(
    "places",
    [
        {"source": SOURCE, "destination": SOURCE + 0x1000, "destination_2": TARGET},
        {"source": SOURCE, "destination": TARGET, "destination_2": SOURCE + 0x1FFF - 0xFFF},
        {"source": SOURCE, "destination": TARGET, "destination_2": TARGET + 0x1000},
        {"source": SOURCE, "destination": TARGET, "destination_2": TARGET},
    ],
)
def test_buffers_of_a_dualcast_that_overlap(places):
    assert judge(pack(Opcode.DUALCAST, size_bytes=0x1001, **places))[0] is Code.OVERLAP
    if places["destination_2"] != places["destination"]:
        assert judge(pack(Opcode.DUALCAST, size_bytes=0x1000, **places))[0] is Code.SUCCESS


@pytest.mark.parametrize("opcode", [Opcode.BATCH, Opcode.DRAIN])
def test_what_may_not_be_in_a_batch(opcode):
    assert judge(pack(opcode), member=True)[0] is Code.BAD_OPCODE


def test_first_fault_of_several_is_reported():
    """All faults at once, then one after another taken away."""
    word = int.from_bytes(
        pack(
            Opcode.CREATE_DELTA, Flag.FENCE, record=RECORD + 1, handle=9, size_bytes=0,
            max_delta_bytes=5, source=DELTA + 1, source_2=SECOND + 4,
        ),
        "little",
    )  # fmt: skip
    layout = LAYOUTS[Opcode.CREATE_DELTA]
    word |= 1 << 511
    terms = {"operations": 0, "unprivileged": True, "permitted": False}
    seen = []
    for cure in (
        {"completion_address": RECORD},
        {"operations": OPERATIONS_IMPLEMENTED},
        {"flags": layout.get(word, "flags") & ~Flag.FENCE},
        {"bit": 511},
        {"unprivileged": False},
        {"size_bytes": 64},
        {"max_delta_bytes": 80},
        {"source": DELTA, "source_2": SECOND},
        {"source": SOURCE},
        {"permitted": True},
    ):
        seen.append(judge(word.to_bytes(64, "little"), **terms)[0])
        for name, value in cure.items():
            if name == "bit":
                word &= ~(1 << value)
            elif name in terms:
                terms[name] = value
            else:
                word = layout.set(word, **{name: value})
    assert judge(word.to_bytes(64, "little"), **terms)[0] is Code.SUCCESS
    assert seen == [
        Code.COMPLETION_ALIGNMENT, Code.BAD_OPCODE, Code.BAD_FLAGS, Code.RESERVED_NOT_ZERO,
        Code.PRIVILEGE, Code.BAD_TRANSFER_SIZE, Code.BAD_VALUE, Code.ADDRESS_ALIGNMENT,
        Code.OVERLAP, Code.BAD_HANDLE,
    ]  # fmt: skip


@pytest.mark.parametrize("opcode", EVERY)
def test_failed_check_has_no_effect_but_its_report(opcode):
    """A handle of somebody else: nothing is read, and only the record is written."""
    bench = ready()
    bench.ims(4, pasid=PASID ^ 1)
    record = run(bench, pack(opcode, handle=4), Portal.IMS)
    assert record == {
        "status": Code.BAD_HANDLE, "result": 0, "bytes_completed": 0, "value": 0,
    }  # fmt: skip
    assert [address for address, _ in writes(bench)] == [RECORD]
    assert not any(entry[0] == "read" for entry in bench.memory.log)
    assert bench.memory.messages == []


@pytest.mark.parametrize("opcode", EVERY)
def test_invalid_flags_are_in_the_record(opcode):
    bench = ready()
    run(bench, pack(opcode, Flag.CACHE_CONTROL))
    fields = COMPLETION.unpack(int.from_bytes(load(bench, RECORD, 32), "little"))
    assert (fields["status"], fields["invalid_flags"]) == (Code.BAD_FLAGS, Flag.CACHE_CONTROL)
    assert OTHER not in [address for address, _ in writes(bench)]
