"""Each check of a descriptor, for each operation (DSA §5.4, §5.5, §8.3)."""

import pytest

from hw.regs.descriptor import LAYOUTS, Flag, Opcode, Status

from .decode_bench import CONFIG, OPERANDS, RECORD, decode, descriptor, faults
from .decode_reference import (
    ALLOWED,
    COMMON,
    NEED_RECORD,
    OPERATIONS,
    RESERVED_BYTES,
    WITH_SIZE,
    Around,
)

VALID, REQUEST = Flag.COMPLETION_ADDRESS_VALID, Flag.REQUEST_COMPLETION
INTERRUPT, SEED = Flag.REQUEST_INTERRUPT, Flag.READ_SEED
MEMBER = Around(member=True)
SEEDED = (Opcode.CRC, Opcode.COPY_CRC)
BATCHED = [code for code in Opcode if code not in (Opcode.BATCH, Opcode.DRAIN)]
FINE = (Status.NONE, 0)
WIDE = 256
"""Tests of many descriptors are quicker with a wide bus."""

each_operation = pytest.mark.parametrize("opcode", list(Opcode), ids=lambda code: code.name)


def check(expected, *, data_width=WIDE):
    """Hold (descriptor, around, fault) triples against the gateware."""
    found = faults([case[:2] for case in expected], data_width=data_width)
    for number, ((word, around, fault), got) in enumerate(zip(expected, found, strict=True)):
        wanted = fault if isinstance(fault, tuple) else (fault, 0)
        assert got == wanted, f"case {number}: {word:0128x} {around}"


def simple(cases, around=None):
    """Cases that differ in a few fields: (opcode, fields, fault)."""
    check([(descriptor(code, **f), around or Around(), fault) for code, f, fault in cases])


@each_operation
def test_each_flag_is_accepted_or_named(opcode):
    cases = []
    for bit in range(24):
        word = descriptor(opcode, flags=RECORD | 1 << bit)
        fine = bit in ALLOWED[opcode] | COMMON
        if opcode in SEEDED and bit == 11:
            fine = False
        named = FINE if fine else (Status.BAD_FLAGS, 1 << bit)
        if opcode in BATCHED:
            cases.append((word, MEMBER, named))
        cases.append((word, Around(), (Status.BAD_FLAGS, 1) if bit == 0 else named))
    check(cases)


@each_operation
def test_all_flags_that_are_wrong_are_named_together(opcode):
    allowed = sum(1 << bit for bit in ALLOWED[opcode] | COMMON - {0})
    check(
        [
            (descriptor(opcode, flags=0xFFFFFF), Around(), (Status.BAD_FLAGS, 0xFFFFFF & ~allowed)),
            (descriptor(opcode, flags=allowed), Around(), FINE),
        ]
    )


@pytest.mark.parametrize("opcode", SEEDED)
def test_traffic_class_of_the_seed_needs_a_seed_in_memory(opcode):
    third = Flag.ADDRESS_3_TRAFFIC_CLASS
    simple(
        [
            (opcode, {"flags": RECORD | third}, (Status.BAD_FLAGS, third)),
            (opcode, {"flags": RECORD | third | SEED, "seed_address": 0x5004}, FINE),
        ]
    )


@each_operation
def test_flags_that_need_a_record_are_invalid_without_one(opcode):
    missing = int(VALID | REQUEST) if opcode in NEED_RECORD else 0
    cases = []
    for flags in (0, REQUEST, Flag.COMPLETION_TRAFFIC_CLASS, INTERRUPT, VALID | INTERRUPT):
        wrong = missing & ~flags
        if not flags & VALID:
            wrong |= flags & (REQUEST | Flag.COMPLETION_TRAFFIC_CLASS)
        if opcode == Opcode.DRAIN and not flags & (REQUEST | INTERRUPT):
            wrong |= REQUEST | INTERRUPT
        cases.append((opcode, {"flags": flags}, (Status.BAD_FLAGS, wrong) if wrong else FINE))
    simple(cases)


def test_users_ask_for_interrupts_only_where_that_is_enabled():
    word, named = descriptor(Opcode.NOP, flags=RECORD | INTERRUPT), (Status.BAD_FLAGS, INTERRUPT)
    for member in (False, True):
        check(
            [
                (word, Around(user_interrupts=enabled, privileged=privileged, pasid_valid=valid,
                        shared=valid, member=member), named if mute else FINE)
                for enabled, privileged, valid, mute in (
                    (True, False, True, False),
                    (False, False, True, True),
                    (False, True, True, False),
                    (False, False, False, False),
                )
            ]
        )  # fmt: skip


def test_mute_descriptor_does_not_ask_for_its_interrupt():
    word = descriptor(Opcode.NOP, flags=RECORD | INTERRUPT, handle=3)
    found = decode([(word, Around(user_interrupts=False)), (word, Around())])
    assert [job.interrupt for job, _ in found] == [0, 1]


@each_operation
def test_each_reserved_bit_must_be_zero(opcode):
    reserved = {8 * byte + k for part in RESERVED_BYTES[opcode] for byte in part for k in range(8)}
    used = {bit for f in LAYOUTS[opcode].fields for bit in range(f.lsb, f.msb + 1)}
    assert reserved == set(range(64, 512)) - used
    word = descriptor(opcode)
    check([(word ^ 1 << bit, Around(), Status.RESERVED_NOT_ZERO) for bit in sorted(reserved)])


def test_reserved_trusted_bits_count_in_shared_queues_only():
    dedicated = Around(shared=False)
    member_of_shared = Around(member=True, shared=True)
    cases = []
    for bit in range(32):
        word = descriptor(Opcode.MEMORY_MOVE) | 1 << bit
        wrong = Status.RESERVED_NOT_ZERO if 20 <= bit < 31 else Status.NONE
        cases += [(word, Around(), wrong), (word, dedicated, FINE), (word, member_of_shared, FINE)]
    check(cases)


@each_operation
def test_handle_and_record_address_are_reserved_without_their_flags(opcode):
    cases = []
    for bit in range(16):
        for flags, fault in ((RECORD, Status.RESERVED_NOT_ZERO), (RECORD | INTERRUPT, FINE)):
            cases.append((opcode, {"flags": flags, "handle": 1 << bit}, fault))
    if opcode not in NEED_RECORD:
        for bit in range(64):
            fields = {"flags": INTERRUPT, "completion_address": 1 << bit}
            cases.append((opcode, fields, Status.RESERVED_NOT_ZERO))
    simple(cases)


@pytest.mark.parametrize("opcode", SEEDED)
def test_seed_or_its_address_is_reserved(opcode):
    reserved, cases = Status.RESERVED_NOT_ZERO, []
    for bit in range(32):
        cases.append((opcode, {"flags": RECORD | SEED, "seed": 1 << bit}, reserved))
        cases.append((opcode, {"seed": 1 << bit}, FINE))
    for bit in range(64):
        cases.append((opcode, {"seed_address": 1 << bit}, reserved))
        if bit >= 2:
            cases.append((opcode, {"flags": RECORD | SEED, "seed_address": 1 << bit}, FINE))
    simple(cases)


def test_unknown_opcodes_are_refused():
    cases = []
    for opcode in range(256):
        word = descriptor(Opcode.NOP) | opcode << 56
        if opcode not in OPERATIONS:
            cases.append((word, Around(), Status.BAD_OPCODE))
    check(cases)


@each_operation
def test_queue_decides_which_operations_it_takes(opcode):
    others = tuple(code for code in OPERATIONS if code != opcode)
    word, cases = descriptor(opcode), []
    for member in (False, True) if opcode in BATCHED else (False,):
        cases.append((word, Around(operations=(opcode,), member=member), FINE))
        cases.append((word, Around(operations=others, member=member), Status.BAD_OPCODE))
    check(cases)


@pytest.mark.parametrize("opcode", [Opcode.BATCH, Opcode.DRAIN])
def test_batch_and_drain_are_no_members(opcode):
    check([(descriptor(opcode), MEMBER, Status.BAD_OPCODE), (descriptor(opcode), Around(), FINE)])


@each_operation
def test_misaligned_record_address_is_found(opcode):
    bad = Status.COMPLETION_ALIGNMENT
    addresses = [(1 << bit, bad if bit < 5 else FINE) for bit in range(64)]
    simple([(opcode, {"completion_address": address}, fault) for address, fault in addresses])


def test_privilege_needs_its_setting():
    word = descriptor(Opcode.NOP)
    for shared, privileged, enabled, fault in (
        (True, True, False, Status.PRIVILEGE),
        (True, True, True, FINE),
        (True, False, False, FINE),
        (False, True, False, FINE),
    ):
        check(
            [(word, Around(shared=shared, privileged=privileged, pasid_privileged=enabled), fault)]
        )


@pytest.mark.parametrize("opcode", sorted(WITH_SIZE))
def test_transfer_size_is_bounded_by_the_queue(opcode):
    delta = opcode in (Opcode.CREATE_DELTA, Opcode.APPLY_DELTA)
    apart = {
        name: k << 40
        for k, name in enumerate(
            ("source", "source_2", "destination", "destination_2", "delta_address"), 1
        )
        if name in OPERANDS[opcode]
    }
    cases = []
    for log2 in (7, 12, 18, 19, 20, 21, 31):
        around, limit = Around(max_transfer_log2=log2), 1 << log2
        for size in (0, 8, limit - 8, limit, limit + 8, limit + 1, 2 * limit, 0xFFFF_FFF8):
            fine = 0 < size <= min(limit, 0x80000 if delta else limit)
            fault = FINE if fine else Status.BAD_TRANSFER_SIZE
            cases.append((descriptor(opcode, size_bytes=size % (1 << 32), **apart), around, fault))
    check(cases)


@pytest.mark.parametrize("opcode", [Opcode.CREATE_DELTA, Opcode.APPLY_DELTA])
def test_delta_records_describe_at_most_512_kib(opcode):
    bad = Status.BAD_TRANSFER_SIZE
    cases = [
        (opcode, {"size_bytes": size, "destination": 1 << 40} if opcode == Opcode.APPLY_DELTA
         else {"size_bytes": size, "delta_address": 1 << 40}, fault)
        for size, fault in ((0x7FFF8, FINE), (0x80000, FINE), (0x80001, bad), (0x80008, bad),
                            (0x100000, bad), (0x180000, bad))
    ]  # fmt: skip
    simple(cases)


def test_count_of_a_batch_is_bounded_by_the_queue():
    bad, cases = Status.BAD_DESCRIPTOR_COUNT, []
    for log2 in (0, 1, 5, 15):
        limit = 1 << log2
        for count, fault in ((0, bad), (1, FINE), (limit, FINE), (limit + 1, bad), (1 << 31, bad)):
            around = Around(max_batch_log2=log2, max_transfer_log2=21)
            cases.append((descriptor(Opcode.BATCH, count=count), around, fault))
    check(cases)


ALIGNMENTS = [
    (Opcode.BATCH, {}, "list_address", 64, Status.LIST_ALIGNMENT),
    *((Opcode.CREATE_DELTA, {}, name, 8, Status.ADDRESS_ALIGNMENT)
      for name in ("source", "source_2", "size_bytes")),
    (Opcode.CREATE_DELTA, {}, "delta_address", 1, None),
    *((Opcode.APPLY_DELTA, {}, name, 8, Status.ADDRESS_ALIGNMENT)
      for name in ("destination", "size_bytes")),
    (Opcode.APPLY_DELTA, {}, "delta_address", 1, None),
    *((code, {"flags": RECORD | SEED}, "seed_address", 4, Status.ADDRESS_ALIGNMENT)
      for code in SEEDED),
    (Opcode.FILL, {}, "destination", 1, None),
    (Opcode.MEMORY_MOVE, {}, "source", 1, None),
    (Opcode.CACHE_FLUSH, {}, "destination", 1, None),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "fields", "name", "multiple", "status"), ALIGNMENTS)
def test_alignment(opcode, fields, name, multiple, status):
    base = OPERANDS[opcode].get(name, 0x4000) & ~63
    cases = [
        (opcode, fields | {name: base | 1 << bit}, status if 1 << bit < multiple else FINE)
        for bit in range(8)
    ]
    simple([(opcode, fields | {name: base or 64}, FINE), *cases])


def test_destinations_of_dualcast_agree_in_their_low_bits():
    cases = []
    for name in ("destination", "destination_2"):
        base = OPERANDS[Opcode.DUALCAST][name]
        for bit in range(64):
            fault = Status.DUALCAST_ALIGNMENT if bit < 12 else FINE
            if bit in (16, 17):
                continue  # They would overlap.
            cases.append((Opcode.DUALCAST, {name: base ^ 1 << bit}, fault))
    simple(cases)


def test_room_for_a_delta_record_is_a_multiple_of_ten_within_bounds():
    bad, cases = Status.BAD_VALUE, []
    for size in [*range(0, 132), 1 << 10, 1020, 1030, 1280, 1290, 0xFFFF_FFFA, 0x8000_0000]:
        for name, opcode in (
            ("max_delta_bytes", Opcode.CREATE_DELTA),
            ("delta_bytes", Opcode.APPLY_DELTA),
        ):
            least = 80 if opcode == Opcode.CREATE_DELTA else 10
            fine = size % 10 == 0 and least <= size <= 1024
            word = descriptor(opcode, **{name: size})
            cases.append((word, Around(max_transfer_log2=10), FINE if fine else bad))
    check(cases)


@pytest.mark.parametrize("opcode", [Opcode.CREATE_DELTA, Opcode.APPLY_DELTA])
def test_tens_are_told_from_other_sizes(opcode):
    name = "max_delta_bytes" if opcode == Opcode.CREATE_DELTA else "delta_bytes"
    size = ("source", "delta_address") if opcode == Opcode.CREATE_DELTA else ("destination",)
    apart = {key: (k + 1) << 40 for k, key in enumerate(size)}
    around, cases = Around(max_transfer_log2=31), []
    for base in (0x0FFF_FFF0, 0x1234_5678, 0x5555_5550, 0x7FFF_FFE0):
        for value in range(base, base + 32):
            fault = Status.BAD_VALUE if value % 10 else FINE
            word = descriptor(opcode, **{name: value % (1 << 31)}, **apart)
            cases.append((word, around, fault))
    check(cases)


def test_handle_is_held_against_the_table_of_the_portal():
    table = {0: CONFIG.msix_vectors, 1: CONFIG.ims_vectors}
    handles = [0, 1, 3, 4, 5, 255, 256, 257, 0x4000, 0x8001, 0xFFFF]
    # The bench takes the IMS portal for numbers 2 and 3 of every four.
    words = [
        descriptor(Opcode.NOP, flags=RECORD | INTERRUPT, handle=h)
        for h in handles
        for _ in range(4)
    ]
    for job, _ in decode([(word, Around()) for word in words]):
        assert job.handle_beyond == (job.handle >= table[job.ims]), job
        assert job.fault == 0
