"""Operations do what their definitions say, whatever their sizes and places."""

import dataclasses

import pytest

from hw.regs.descriptor import DELTA_BYTES, Flag, Opcode, Status

from .execute_bench import CONFIG, ExecuteBench
from .execute_reference import Case, chunks


def make(bench, opcode, size):
    """A job of random places and content, which is put into memory."""
    rng, first = bench.rng, (len(bench.memory) + 1) << 36
    second, target, target_2 = (first + (k << 32) for k in (1, 2, 3))
    source = first + rng.randrange(4096)
    case = Case(opcode, source, target + rng.randrange(4096), size)
    content = rng.randbytes(size)
    if opcode == Opcode.FILL:
        case.source = rng.getrandbits(64)
    if opcode == Opcode.DUALCAST:
        case.operand = target_2 + case.destination % 4096
    if opcode in (Opcode.CRC, Opcode.COPY_CRC):
        case.flags = rng.getrandbits(3) * Flag.READ_SEED
        case.operand, case.operand_2 = rng.getrandbits(32), second + 4 * rng.randrange(1000)
        bench.place(case.operand_2, rng.randbytes(4))
        if case.flags & Flag.READ_SEED:
            case.operand = 0
    if opcode == Opcode.COMPARE:
        case.destination = second + rng.randrange(4096)
        bench.place(case.destination, differing(rng, content))
    if opcode == Opcode.COMPARE_PATTERN:
        case.destination = rng.getrandbits(64)
        pattern = case.destination.to_bytes(8, "little") * (size // 8 + 1)
        content = differing(rng, pattern[:size])
    if opcode in (Opcode.COMPARE, Opcode.COMPARE_PATTERN, Opcode.CREATE_DELTA):
        case.flags = rng.getrandbits(1) * Flag.CHECK_RESULT
        case.expected = rng.getrandbits(8)
    if opcode == Opcode.CREATE_DELTA:
        content += rng.randbytes(-size % 8)
        case.size_bytes = len(content)
        case.source, case.destination = source - source % 8, second + 8 * rng.randrange(512)
        bench.place(case.destination, differing(rng, content, rng.choice((0, 1, 9, size))))
        room = case.size_bytes // 8 * DELTA_BYTES
        case.operand, case.operand_2 = target + rng.randrange(64), rng.choice((80, room, 10 * size))
    if opcode == Opcode.APPLY_DELTA:
        content = record(rng, size)
        case.operand, case.destination = len(content), target + 8 * rng.randrange(512)
        case.size_bytes = 8 * rng.choice((1 << 16, 1 << 16, size // 2 + 1))
    bench.place(case.source if opcode != Opcode.FILL else first, content)
    return case


def differing(rng, content, count=None):
    """The same bytes, but for a few."""
    content = bytearray(content)
    for _ in range(rng.choice((0, 1, 2)) if count is None else count):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def record(rng, size):
    """A delta record, sometimes with two entries out of order."""
    offsets = sorted(rng.sample(range(max(size, 1)), size // DELTA_BYTES))
    if len(offsets) > 1 and rng.random() < 0.3:
        k = rng.randrange(1, len(offsets))
        offsets[k] = offsets[k - 1] - rng.randrange(min(2, offsets[k - 1] + 1))
    return b"".join(k.to_bytes(2, "little") + rng.randbytes(8) for k in offsets)


OPERATIONS = [
    Opcode.NOP,
    Opcode.DRAIN,
    Opcode.CACHE_FLUSH,
    Opcode.MEMORY_MOVE,
    Opcode.FILL,
    Opcode.COMPARE,
    Opcode.COMPARE_PATTERN,
    Opcode.CREATE_DELTA,
    Opcode.APPLY_DELTA,
    Opcode.DUALCAST,
    Opcode.CRC,
    Opcode.COPY_CRC,
]
SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 64, 100, 511, 512, 513, 1300)


READERS = OPERATIONS[3:4] + OPERATIONS[5:]


def size(rng):
    return rng.choice((*SIZES, rng.randrange(1, 700)))


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
def test_operation_does_what_is_defined(opcode):
    bench = ExecuteBench(pause=0.2, seed=int(opcode) + 1, ahead=1 + opcode % 4)
    bench.run(*(make(bench, opcode, size(bench.rng)) for _ in range(10)))


def test_every_operation_without_pauses():
    bench = ExecuteBench(seed=4)
    bench.run(*(make(bench, opcode, size(bench.rng)) for opcode in OPERATIONS * 3))


def test_failed_chunk_ends_the_job_where_it_is():
    bench = ExecuteBench(limit=128, seed=2, pause=0.1)
    cases = [make(bench, opcode, total) for opcode in READERS for total in (130, 300, 500)]
    for case in cases:
        case.failing = bench.rng.randrange(len(chunks(case, 128)) or 1)
    bench.run(*cases)
    assert Status.HARDWARE in {result.status for result in bench.results.taken}


WRITERS = [
    Opcode.MEMORY_MOVE,
    Opcode.FILL,
    Opcode.CREATE_DELTA,
    Opcode.APPLY_DELTA,
    Opcode.DUALCAST,
    Opcode.COPY_CRC,
]


def test_job_that_is_stopped_before_it_begins_writes_nothing():
    bench = ExecuteBench(limit=128, seed=3)
    cases = [make(bench, opcode, 300) for opcode in WRITERS]
    bench.stops = dict.fromkeys(range(len(cases)), 0)
    bench.run(*cases)
    assert bench.writes.taken == []


def test_job_that_is_stopped_writes_only_what_it_would_have():
    bench = ExecuteBench(limit=128, seed=3, pause=0.1)
    cases = [make(bench, opcode, 400) for opcode in OPERATIONS[3:] for _ in range(3)]
    bench.stops = {k: bench.rng.randrange(1, 120) for k in range(len(cases)) if k % 3}
    bench.run(*cases)


def test_stop_lets_one_write_end():
    bench = ExecuteBench(limit=128)
    bench.stops = {0: 50, 1: 50}
    bench.run(make(bench, Opcode.MEMORY_MOVE, 4096), make(bench, Opcode.FILL, 12288))
    moved = [beats for beats in bench.writes.taken if beats[0].header.length_bytes <= 128]
    assert len(moved) <= 4
    assert len(bench.writes.taken) - len(moved) == 1


def test_operations_follow_one_another():
    bench = ExecuteBench(seed=5, pause=0.1)
    cases = [make(bench, bench.rng.choice(OPERATIONS), size(bench.rng)) for _ in range(40)]
    for case in bench.rng.sample(cases, 8):
        case.fault = Status.BAD_HANDLE
    for case in bench.rng.sample(cases, 8):
        case.failing = 0
    bench.run(*cases)


def test_fault_has_no_effect_but_its_report():
    bench = ExecuteBench()
    cases = [make(bench, opcode, 64) for opcode in OPERATIONS]
    for case in cases:
        case.fault = Status.OVERLAP
    bench.run(*cases)
    assert bench.writes.taken == []


@pytest.mark.parametrize("width", [128, 256])
def test_wider_beats(width):
    bench = ExecuteBench(dataclasses.replace(CONFIG, data_width=width), seed=width, pause=0.1)
    bench.run(*(make(bench, opcode, size(bench.rng)) for opcode in OPERATIONS[3:] * 4))


@pytest.mark.parametrize("slot", [128, 4096])
def test_other_sizes_of_chunks(slot):
    bench = ExecuteBench(dataclasses.replace(CONFIG, read_slot_bytes=slot), seed=slot)
    buffered = [Opcode.COMPARE, Opcode.DUALCAST, Opcode.CREATE_DELTA]
    bench.run(*(make(bench, opcode, total) for opcode in buffered for total in (5000, 300)))


def test_block_in_which_all_words_differ_takes_two_writes():
    bench = ExecuteBench(dataclasses.replace(CONFIG, read_slot_bytes=4096))
    first, second = 0x10000, 0x20000
    bench.place(first, bytes(4096))
    bench.place(second, b"\1" * 4096)
    bench.run(Case(Opcode.CREATE_DELTA, first, second, 4096, 0x30003, 5120))
    assert [beats[0].header.length_bytes for beats in bench.writes.taken] == [4000, 1120]


def test_fill_crosses_pages_in_one_write_each():
    bench = ExecuteBench()
    bench.run(Case(Opcode.FILL, 0x0102030405060708, 0x10FF9, 8300))
    lengths = [beats[0].header.length_bytes for beats in bench.writes.taken]
    assert lengths == [7, 4096, 4096, 101]


def test_difference_ends_the_reads():
    bench = ExecuteBench(ahead=2)
    bench.place(0x10000, bytes(8192))
    bench.place(0x20000, bytes(5) + b"\1" + bytes(8186))
    bench.run(Case(Opcode.COMPARE, 0x10000, 0x20000, 8192))
    [result] = bench.results.taken
    assert (result.result, result.bytes_completed) == (1, 5)
    assert bench.asked < 12


def test_difference_counts_though_the_next_chunk_fails():
    bench = ExecuteBench(limit=128, ahead=4)
    bench.place(0x10000, bytes(127) + b"\1" + bytes(128))
    bench.run(Case(Opcode.NOP), Case(Opcode.COMPARE_PATTERN, 0x10000, 0, 256, failing=1))
    result = bench.results.taken[1]
    assert (result.status, result.result, result.bytes_completed) == (Status.SUCCESS, 1, 127)


def test_delta_that_does_not_fit_is_reported_with_its_word():
    bench = ExecuteBench()
    bench.place(0x10000, bytes(128))
    bench.place(0x20000, b"\0\0\0\1\0\0\0\0" * 16)
    bench.run(Case(Opcode.CREATE_DELTA, 0x10000, 0x20000, 128, 0x30000, 80))
    [result] = bench.results.taken
    assert (result.result, result.bytes_completed, result.value) == (2, 64, 80)


def test_deltas_before_a_failed_chunk_are_applied():
    bench = ExecuteBench(limit=128)
    bench.writes.rng, bench.writes.pause = bench.rng, 0.9
    content = b"".join(k.to_bytes(2, "little") + bytes(8) for k in range(40))
    # The first chunk ends with an entry.
    bench.place(0x10008, content)
    bench.run(*[Case(Opcode.APPLY_DELTA, 0x10008, 0x20000, 512, 400, failing=1)] * 6)


def test_result_holds_still_while_the_crc_of_a_stopped_job_goes_on():
    bench = ExecuteBench(seed=6)
    bench.results.rng, bench.results.pause = bench.rng, 0.8
    bench.stops = {k: 3 + k for k in range(24)}
    bench.run(*[Case(Opcode.CRC, 0x10003, 0, 14)] * 24)


def test_offsets_of_a_delta_record_rise_and_stay_inside():
    bench = ExecuteBench()
    cases, expected = [], []
    for offsets, status in (
        ((0, 0), Status.DELTA_ORDER),
        ((5, 4), Status.DELTA_ORDER),
        ((0, 8), Status.DELTA_OFFSET),
        ((0, 7), Status.SUCCESS),
        ((), Status.SUCCESS),
    ):
        entries = b"".join(k.to_bytes(2, "little") + bytes(8) for k in offsets)
        source = (len(cases) + 1) << 16
        bench.place(source, entries)
        cases.append(Case(Opcode.APPLY_DELTA, source, 0x80000, 64, operand=len(entries)))
        expected.append(status)
    bench.run(*cases)
    assert [result.status for result in bench.results.taken] == expected


def test_small_move_is_over_soon():
    bench = ExecuteBench(ahead=10)
    places = [(0x10000 + s, 0x20000 + t) for s in (0, 1, 7) for t in (0, 2, 7)]
    bench.run(*(Case(Opcode.MEMORY_MOVE, source, target, 64) for source, target in places))
    assert max(taken - begun for begun, taken in bench.taken[1:]) <= 15
