"""What each operation of the model does to memory and says in its record (DSA §8.3)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.regs.bar2 import Portal
from hw.regs.descriptor import DELTA_BYTES, LAYOUTS, Flag, Opcode
from hw.regs.descriptor import Status as Code
from sim.model.crc import Crc

from .operation_bench import (
    DELTA,
    OTHER,
    PASID,
    RECORD,
    SECOND,
    SEED,
    SOURCE,
    TARGET,
    execute,
    load,
    pack,
    ready,
    run,
    store,
    writes,
)

CHECK_WORD = b"123456789"


RECORDED = [Opcode.COMPARE, Opcode.COMPARE_PATTERN, Opcode.CREATE_DELTA, Opcode.CRC]

sizes = st.integers(1, 1500)
offsets = st.integers(0, 600)
seeds = st.integers(0, 2**32 - 1)
examples = settings(max_examples=60, deadline=None, derandomize=True)


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def success(record):
    """A record that says nothing but Success."""
    assert record == {"status": Code.SUCCESS, "result": 0, "bytes_completed": 0, "value": 0}


# Fill


@examples
@given(sizes, offsets, st.integers(0, 2**64 - 1))
def test_fill_repeats_its_pattern_from_the_first_byte_on(size, offset, pattern):
    bench = ready()
    place = TARGET + offset
    success(execute(bench, Opcode.FILL, destination=place, size_bytes=size, pattern=pattern))
    wanted = (pattern.to_bytes(8, "little") * (size // 8 + 1))[:size]
    assert load(bench, place - 8, size + 16) == bytes(8) + wanted + bytes(8)
    assert not any(entry[0] == "read" for entry in bench.memory.log)


# Dualcast


@examples
@given(sizes, offsets, offsets, seeds)
def test_dualcast_copies_to_both_destinations(size, source, target, seed):
    bench = ready()
    data = noise(seed, size)
    store(bench, SOURCE + source, data)
    success(
        execute(
            bench, Opcode.DUALCAST, source=SOURCE + source, destination=TARGET + target,
            destination_2=OTHER + target, size_bytes=size,
        )
    )  # fmt: skip
    for place in (TARGET, OTHER):
        assert load(bench, place + target - 8, size + 16) == bytes(8) + data + bytes(8)


def test_dualcast_that_fails_has_written_as_much_to_both():
    bench = ready()
    bench.memory.forbidden.add((PASID, SOURCE + 600))
    store(bench, SOURCE, noise(1, 600))
    record = execute(bench, Opcode.DUALCAST, size_bytes=1024)
    assert (record["status"], record["bytes_completed"]) == (Code.HARDWARE, 512)
    for place in (TARGET, OTHER):
        assert load(bench, place, 600) == noise(1, 600)[:512] + bytes(88)


# Compare


@examples
@given(sizes, offsets, offsets, seeds, st.data())
def test_compare_says_where_the_first_difference_is(size, first, second, seed, data):
    bench = ready()
    memory = noise(seed, size)
    place = data.draw(st.none() | st.integers(0, size - 1))
    store(bench, SOURCE + first, memory)
    store(bench, SECOND + second, memory)
    if place is not None:
        for at in (place, data.draw(st.integers(place, size - 1))):
            store(bench, SECOND + second + at, bytes([memory[at] ^ 0x10]))
    record = execute(
        bench, Opcode.COMPARE, source=SOURCE + first, source_2=SECOND + second, size_bytes=size
    )
    assert record["status"] == Code.SUCCESS
    found = (0, 0) if place is None else (1, place)
    assert (record["result"], record["bytes_completed"]) == found
    assert [address for address, _ in writes(bench)] == [RECORD]


@examples
@given(sizes, offsets, st.integers(0, 2**64 - 1), st.data())
def test_compare_pattern_says_where_the_first_difference_is(size, offset, pattern, data):
    bench = ready()
    memory = bytearray((pattern.to_bytes(8, "little") * (size // 8 + 1))[:size])
    place = data.draw(st.none() | st.integers(0, size - 1))
    if place is not None:
        memory[place] ^= 1
    store(bench, SOURCE + offset, bytes(memory))
    record = execute(
        bench, Opcode.COMPARE_PATTERN, source=SOURCE + offset, pattern=pattern, size_bytes=size
    )
    found = (0, 0) if place is None else (1, place)
    assert (record["result"], record["bytes_completed"]) == found


@pytest.mark.parametrize("opcode", [Opcode.COMPARE, Opcode.COMPARE_PATTERN])
@pytest.mark.parametrize("expected", [0, 1, 0xFE, 0xFF])
@pytest.mark.parametrize("different", [0, 1])
@pytest.mark.parametrize("check", [False, True])
def test_check_result_compares_with_what_is_expected(opcode, expected, different, check):
    bench = ready()
    store(bench, SOURCE, bytes([7, 0, 0, 0, 0, 0, 0, 0]) * 8)
    store(bench, SECOND, bytes([7, 0, 0, 0, 0, 0, 0, 0]) * 8)
    store(bench, SOURCE + 63, bytes([different]))
    flags = Flag.CHECK_RESULT if check else 0
    record = execute(bench, opcode, flags, expected=expected)
    good = not check or expected & 1 == different
    assert record["status"] == (Code.SUCCESS if good else Code.SUCCESS_PREDICATE)
    assert record["result"] == different


@pytest.mark.parametrize(("place", "completed"), [(0, 0), (512, 512), (1000, 512)])
@pytest.mark.parametrize("source", [SOURCE, SECOND])
def test_compare_that_cannot_read_says_how_far_it_got(place, completed, source):
    bench = ready()
    bench.memory.forbidden.add((PASID, source + place))
    record = execute(bench, Opcode.COMPARE, size_bytes=1024)
    assert (record["status"], record["result"]) == (Code.HARDWARE, 0)
    assert record["bytes_completed"] == completed


def test_difference_found_before_a_read_fails_is_what_is_reported():
    bench = ready()
    store(bench, SOURCE + 5, b"x")
    bench.memory.forbidden.add((PASID, SECOND + 512))
    record = execute(bench, Opcode.COMPARE, size_bytes=1024)
    assert (record["status"], record["result"], record["bytes_completed"]) == (Code.SUCCESS, 1, 5)


def test_nothing_is_read_after_a_difference():
    bench = ready()
    store(bench, SOURCE + 5, b"x")
    execute(bench, Opcode.COMPARE, size_bytes=4096)
    assert sum(entry[0] == "read" for entry in bench.memory.log) == 2


# Delta records


def deltas(first, second):
    """The delta record between two buffers."""
    record = b""
    for at in range(0, len(first), 8):
        if first[at : at + 8] != second[at : at + 8]:
            record += (at // 8).to_bytes(2, "little") + second[at : at + 8]
    return record


def changed(seed, size, changes):
    """A buffer, and the same with that many words changed."""
    first = bytearray(noise(seed, size))
    second = bytearray(first)
    for at in random.Random(seed + 1).sample(range(size // 8), min(changes, size // 8)):
        second[8 * at + seed % 8] ^= 0x80
    return bytes(first), bytes(second)


@examples
@given(st.integers(1, 180), st.integers(0, 70), st.integers(0, 70), st.integers(1, 60), seeds)
def test_delta_record_turns_one_buffer_into_the_other(words, first, second, changes, seed):
    bench = ready()
    before, after = changed(seed, 8 * words, changes)
    source, source_2 = SOURCE + 8 * first, SECOND + 8 * second
    store(bench, source, before)
    store(bench, source_2, after)
    record = execute(
        bench, Opcode.CREATE_DELTA, source=source, source_2=source_2, size_bytes=8 * words,
        delta_address=DELTA + seed % 64, max_delta_bytes=600,
    )  # fmt: skip
    delta = deltas(before, after)
    assert (record["status"], record["bytes_completed"]) == (Code.SUCCESS, 0)
    assert (record["result"], record["value"]) == (int(before != after), len(delta))
    assert load(bench, DELTA + seed % 64, len(delta) + 10) == delta + bytes(10)
    store(bench, TARGET, before)
    success(
        execute(
            bench, Opcode.APPLY_DELTA, delta_address=DELTA + seed % 64, destination=TARGET,
            size_bytes=8 * words, delta_bytes=len(delta),
        )
    )  # fmt: skip
    assert load(bench, TARGET, 8 * words) == after


def test_delta_record_that_is_full_says_how_much_was_compared():
    bench = ready()
    store(bench, SECOND, bytes(160) + b"\xff" * 104)
    record = execute(bench, Opcode.CREATE_DELTA, size_bytes=1024)
    assert (record["status"], record["result"], record["value"]) == (Code.SUCCESS, 2, 80)
    assert record["bytes_completed"] == 160 + 64
    assert load(bench, DELTA, 90) == deltas(bytes(224), bytes(160) + b"\xff" * 64) + bytes(10)


def test_delta_record_that_is_exactly_full_is_complete():
    bench = ready()
    store(bench, SECOND, b"\xff" * 64)
    record = execute(bench, Opcode.CREATE_DELTA, size_bytes=1024)
    assert (record["result"], record["value"], record["bytes_completed"]) == (1, 80, 0)


@pytest.mark.parametrize("mask", [*range(8), 0xF8])
@pytest.mark.parametrize(("differing", "outcome"), [(0, 0), (1, 1), (9, 2)])
def test_delta_record_is_checked_against_a_mask_of_results(mask, differing, outcome):
    bench = ready()
    store(bench, SECOND, b"\xff" * 8 * differing)
    record = execute(bench, Opcode.CREATE_DELTA, Flag.CHECK_RESULT, size_bytes=80, expected=mask)
    good = mask >> outcome & 1
    assert record["status"] == (Code.SUCCESS if good else Code.SUCCESS_PREDICATE)
    assert record["result"] == outcome


def test_delta_record_whose_sources_cannot_be_read_keeps_what_was_written():
    bench = ready()
    store(bench, SECOND, b"\xff" * 8)
    bench.memory.forbidden.add((PASID, SECOND + 512))
    record = execute(bench, Opcode.CREATE_DELTA, size_bytes=1024)
    assert (record["status"], record["bytes_completed"]) == (Code.HARDWARE, 512)
    assert load(bench, DELTA, 10) == bytes(2) + b"\xff" * 8


def apply(bench, *entries, size=64, **fields):
    """Apply a delta record of offsets in words."""
    record = b"".join(at.to_bytes(2, "little") + bytes([at + 1]) * 8 for at in entries)
    store(bench, DELTA, record)
    fields = {"size_bytes": size, "delta_bytes": len(record)} | fields
    return execute(bench, Opcode.APPLY_DELTA, **fields)


@pytest.mark.parametrize(
    ("entries", "status", "applied"),
    [
        ((0, 3, 7), Code.SUCCESS, 3),
        ((3, 3), Code.DELTA_ORDER, 1),
        ((0, 4, 2, 5), Code.DELTA_ORDER, 2),
        ((8,), Code.DELTA_OFFSET, 0),
        ((7, 8), Code.DELTA_OFFSET, 1),
        ((7, 0xFFFE), Code.DELTA_OFFSET, 1),
    ],
)
def test_delta_record_has_to_rise_within_the_buffer(entries, status, applied):
    bench = ready()
    entries_bytes = b"".join(at.to_bytes(2, "little") + b"\xaa" * 8 for at in entries)
    store(bench, DELTA, entries_bytes)
    record = execute(bench, Opcode.APPLY_DELTA, delta_bytes=DELTA_BYTES * len(entries))
    done = 0 if status is Code.SUCCESS else DELTA_BYTES * applied
    assert (record["status"], record["bytes_completed"]) == (status, done)
    assert len(writes(bench)) == applied + 1


def test_delta_record_that_cannot_be_read_to_its_end_says_how_far_it_was_applied():
    bench = ready()
    bench.memory.forbidden.add((PASID, DELTA + 512))
    record = apply(bench, *range(60), size=512)
    assert (record["status"], record["bytes_completed"]) == (Code.HARDWARE, 510)
    assert load(bench, TARGET + 8 * 50, 16) == bytes([51]) * 8 + bytes(8)


# CRC


def long_division(data, seed=0, *, plain=False, turned=False):
    """CRC-32C bit by bit, as DSA appendix A words it."""
    bits = [byte >> (7 - i if turned else i) & 1 for byte in data for i in range(8)]
    seed_bits = [seed >> (31 - i if plain else i) & 1 for i in range(32)]
    register = [bit ^ (0 if plain else 1) for bit in seed_bits]
    for bit in bits:
        out = register.pop(0) ^ bit
        register.append(0)
        if out:
            for place in range(32):
                register[place] ^= 0x1EDC6F41 >> (31 - place) & 1
    result = [bit ^ (0 if plain else 1) for bit in register]
    return sum(bit << (31 - i if plain else i) for i, bit in enumerate(result))


def test_crc_of_the_check_word_is_what_everybody_knows():
    bench = ready()
    store(bench, SOURCE, CHECK_WORD)
    record = execute(bench, Opcode.CRC, size_bytes=len(CHECK_WORD))
    assert (record["status"], record["value"]) == (Code.SUCCESS, 0xE306_9283)
    assert long_division(CHECK_WORD) == 0xE306_9283


@examples
@given(st.binary(min_size=1, max_size=40), seeds, st.booleans(), st.booleans())
def test_crc_is_the_remainder_of_a_division(data, seed, plain, turned):
    crc = Crc(seed, bypass_inversion=plain, bypass_reflection=turned)
    crc.add(data)
    assert crc.value == long_division(data, seed, plain=plain, turned=turned)


@examples
@given(sizes, offsets, seeds, st.booleans(), st.booleans(), st.booleans())
def test_crc_goes_on_from_its_seed_wherever_the_data_are_cut(
    size, offset, seed, plain, turned, read
):
    bench = ready()
    data = noise(seed, size + 100)
    store(bench, SOURCE + offset, data)
    flags = plain * Flag.BYPASS_INVERSION | turned * Flag.BYPASS_REFLECTION
    first = execute(bench, Opcode.CRC, flags, source=SOURCE + offset, size_bytes=100, seed=seed)
    store(bench, SEED, first["value"].to_bytes(4, "little"))
    where = {"seed_address": SEED} if read else {"seed": first["value"]}
    flags |= Flag.READ_SEED if read else 0
    rest = execute(
        bench, Opcode.COPY_CRC, flags, source=SOURCE + offset + 100, size_bytes=size, **where
    )
    crc = Crc(seed, bypass_inversion=plain, bypass_reflection=turned)
    crc.add(data)
    assert rest == {
        "status": Code.SUCCESS, "result": 0, "bytes_completed": 0, "value": crc.value,
    }  # fmt: skip
    assert load(bench, TARGET - 8, size + 16) == bytes(8) + data[100:] + bytes(8)


def test_crc_alone_writes_nothing_but_its_record():
    bench = ready()
    execute(bench, Opcode.CRC, size_bytes=1000)
    assert [address for address, _ in writes(bench)] == [RECORD]


@pytest.mark.parametrize("opcode", [Opcode.CRC, Opcode.COPY_CRC])
def test_crc_whose_seed_cannot_be_read_does_nothing(opcode):
    bench = ready()
    bench.memory.forbidden.add((PASID, SEED))
    record = execute(bench, opcode, Flag.READ_SEED, seed_address=SEED)
    assert (record["status"], record["bytes_completed"]) == (Code.HARDWARE, 0)
    assert [address for address, _ in writes(bench)] == [RECORD]


# All of them


def test_cache_flush_succeeds_and_touches_nothing():
    bench = ready()
    success(execute(bench, Opcode.CACHE_FLUSH))
    assert [entry[2] for entry in bench.memory.log] == [RECORD]


READING = [
    Opcode.MEMORY_MOVE,
    Opcode.COMPARE,
    Opcode.COMPARE_PATTERN,
    Opcode.CREATE_DELTA,
    Opcode.APPLY_DELTA,
    Opcode.DUALCAST,
    Opcode.CRC,
    Opcode.COPY_CRC,
]


@pytest.mark.parametrize("opcode", READING)
def test_reads_never_cross_a_multiple_of_the_largest_read(opcode):
    bench = ready()
    offsets = {Opcode.CREATE_DELTA: 104, Opcode.APPLY_DELTA: 0}
    names = {
        "source": SOURCE + offsets.get(opcode, 101),
        "source_2": SECOND + 8,
        "delta_address": DELTA + 100,
        "pattern": 0,
        "size_bytes": 4096,
        "delta_bytes": 2000,
    }
    if opcode is Opcode.CREATE_DELTA:
        del names["delta_bytes"]
    layout = {item.name for item in LAYOUTS[opcode].fields}
    store(
        bench,
        DELTA + 100,
        b"".join(at.to_bytes(2, "little") + bytes(8) for at in range(200)),
    )
    record = execute(bench, opcode, **{name: v for name, v in names.items() if name in layout})
    assert record["status"] == Code.SUCCESS
    for _, _, address, length in (entry for entry in bench.memory.log if entry[0] == "read"):
        assert address // 512 == (address + length - 1) // 512


@pytest.mark.parametrize("opcode", sorted(set(Opcode) - {Opcode.BATCH}))
def test_interrupt_comes_after_the_record(opcode):
    bench = ready()
    message = bench.ims(9, pasid=PASID)
    store(bench, DELTA, bytes(10))
    data = pack(opcode, handle=9)
    assert run(bench, data, Portal.IMS)["status"] == Code.SUCCESS
    assert bench.memory.log[-2][2] == RECORD
    assert bench.memory.log[-1] == ("message", *message)


@pytest.mark.parametrize("opcode", sorted(set(Opcode) - {Opcode.BATCH, *RECORDED, Opcode.COPY_CRC}))
def test_success_without_a_record_is_silent(opcode):
    bench = ready()
    store(bench, DELTA, bytes(10))
    bench.ims(9, pasid=PASID)
    bench.set("genctrl", error_interrupt=1)
    bench.submit(0, pack(opcode, record=None, handle=9), Portal.IMS)
    bench.device.settle()
    assert RECORD not in [address for address, _ in writes(bench)]
    assert len(bench.memory.messages) == 1
    assert bench.get("swerror", "valid") == 0
