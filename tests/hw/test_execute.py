"""Operations do what their definitions say, whatever their sizes and places."""

import pytest

from hw.regs.descriptor import DELTA_BYTES, Flag, Opcode

from .execute_bench import ExecuteBench
from .execute_reference import Case


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


@pytest.mark.parametrize("opcode", OPERATIONS, ids=lambda opcode: opcode.name)
@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_operation_does_what_is_defined(opcode, pause):
    bench = ExecuteBench(pause=pause, seed=int(opcode) + 1)
    sizes = [bench.rng.choice((*SIZES, bench.rng.randrange(1, 700))) for _ in range(30)]
    bench.run(*(make(bench, opcode, size) for size in sizes))
