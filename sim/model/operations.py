"""What each operation does to memory, one chunk at a time (DSA §8.3)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hw.regs.descriptor import DELTA_BYTES, Flag, Opcode, Status

from .crc import Crc
from .host import Host

_ADDRESSES = (1 << 64) - 1
_WORD = 8

CHECK_RESULT = int(Flag.CHECK_RESULT)
READ_SEED = int(Flag.READ_SEED)


@dataclass(slots=True)
class Outcome:
    """What an operation has found, as its completion record reports it."""

    status: Status = Status.SUCCESS
    result: int = 0
    bytes_completed: int = 0
    value: int = 0


class Memory:
    """Host memory as one descriptor sees it.

    Parameters
    ----------
    host
        The machine.
    pasid
        Whose memory it is.
    chunk
        The largest read; no read crosses a multiple of it.
    """

    __slots__ = ("_host", "_pasid", "chunk")

    def __init__(self, host: Host, pasid: int | None, chunk: int):
        self._host, self._pasid, self.chunk = host, pasid, chunk

    def chunks(self, address: int, size: int) -> Iterator[tuple[int, int]]:
        """Offset and length of each read of a source."""
        done = 0
        while done < size:
            length = min(size - done, self.chunk - (address + done) % self.chunk)
            yield done, length
            done += length

    def read(self, address: int, length: int) -> bytes:
        """Read. Raises :class:`~sim.model.host.HostError`."""
        return self._host.dma_read(address & _ADDRESSES, length, self._pasid)

    def write(self, address: int, data: bytes) -> None:
        """Write."""
        self._host.dma_write(address & _ADDRESSES, data, self._pasid)


Steps = Iterator[None]
Operands = dict[str, int]


def _nothing(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    """No-op, Drain, and Cache Flush: this device keeps nothing that could be flushed."""
    yield from ()


def _move(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    """Memory Move, and Dualcast with its second destination."""
    source, targets = operands["source"], [operands["destination"]]
    if "destination_2" in operands:
        targets.append(operands["destination_2"])
    for offset, length in memory.chunks(source, operands["size_bytes"]):
        if offset:
            yield
        data = memory.read(source + offset, length)
        for target in targets:
            memory.write(target + offset, data)
        outcome.bytes_completed = offset + length
    outcome.bytes_completed = 0


def _fill(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    target, size = operands["destination"], operands["size_bytes"]
    pattern = operands["pattern"].to_bytes(_WORD, "little") * (memory.chunk // _WORD + 1)
    for offset, length in memory.chunks(target, size):
        if offset:
            yield
        memory.write(target + offset, pattern[offset % _WORD :][:length])


def _check(operands: Operands, outcome: Outcome, good: int) -> None:
    """Check Result: whether the result is one that the descriptor expects."""
    if operands["flags"] & CHECK_RESULT and not good:
        outcome.status = Status.SUCCESS_PREDICATE


def _difference(first: bytes, second: bytes) -> int:
    """Index of the first byte that differs; there is one."""
    return next(i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b)


def _pairs(
    memory: Memory, first: int, second: int, size: int
) -> Iterator[tuple[int, bytes, bytes] | None]:
    """Equal parts of two sources, with their offset; None between two blocks."""
    for start, length in memory.chunks(first, size):
        if start:
            yield None
        block = memory.read(first + start, length)
        for offset, part in memory.chunks(second + start, length):
            data = memory.read(second + start + offset, part)
            yield start + offset, block[offset : offset + part], data


def _compare(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    pairs = _pairs(memory, operands["source"], operands["source_2"], operands["size_bytes"])
    for pair in pairs:
        if pair is None:
            yield
            continue
        offset, first, second = pair
        if first != second:
            outcome.result = 1
            outcome.bytes_completed = offset + _difference(first, second)
            break
        outcome.bytes_completed = offset + len(first)
    else:
        outcome.bytes_completed = 0
    _check(operands, outcome, outcome.result == operands["expected"] & 1)


def _compare_pattern(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    source, size = operands["source"], operands["size_bytes"]
    pattern = operands["pattern"].to_bytes(_WORD, "little") * (memory.chunk // _WORD + 1)
    for offset, length in memory.chunks(source, size):
        if offset:
            yield
        data, wanted = memory.read(source + offset, length), pattern[offset % _WORD :][:length]
        if data != wanted:
            outcome.result = 1
            outcome.bytes_completed = offset + _difference(data, wanted)
            break
        outcome.bytes_completed = offset + length
    else:
        outcome.bytes_completed = 0
    _check(operands, outcome, outcome.result == operands["expected"] & 1)


def _create_delta(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    target, room = operands["delta_address"], operands["max_delta_bytes"]
    used = 0
    pairs = _pairs(memory, operands["source"], operands["source_2"], operands["size_bytes"])
    full = False
    for pair in pairs:
        if pair is None:
            yield
            continue
        offset, first, second = pair
        done = offset + len(first)
        deltas = b""
        for at in range(0, len(first), _WORD):
            word = second[at : at + _WORD]
            if first[at : at + _WORD] == word:
                continue
            if used + len(deltas) + DELTA_BYTES > room:
                full, done = True, offset + at
                break
            deltas += ((offset + at) // _WORD).to_bytes(2, "little") + word
        if deltas:
            memory.write(target + used, deltas)
            used += len(deltas)
        outcome.bytes_completed, outcome.value = done, used
        if full:
            break
    outcome.result = 2 if full else int(used > 0)
    if not full:
        outcome.bytes_completed = 0
    _check(operands, outcome, operands["expected"] >> outcome.result & 1)


def _apply_delta(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    record, target = operands["delta_address"], operands["destination"]
    held, last = b"", -1
    for start, length in memory.chunks(record, operands["delta_bytes"]):
        if start:
            yield
        held += memory.read(record + start, length)
        while len(held) >= DELTA_BYTES:
            delta, held = held[:DELTA_BYTES], held[DELTA_BYTES:]
            place = int.from_bytes(delta[:2], "little")
            if place <= last:
                outcome.status = Status.DELTA_ORDER
                return
            if place * _WORD >= operands["size_bytes"]:
                outcome.status = Status.DELTA_OFFSET
                return
            last = place
            memory.write(target + place * _WORD, delta[2:])
            outcome.bytes_completed += DELTA_BYTES
    outcome.bytes_completed = 0


def _crc(memory: Memory, operands: Operands, outcome: Outcome) -> Steps:
    """CRC Generation, and Copy with CRC Generation with its destination."""
    source, flags, seed = operands["source"], operands["flags"], operands["seed"]
    if flags & READ_SEED:
        seed = int.from_bytes(memory.read(operands["seed_address"], 4), "little")
    crc = Crc(
        seed,
        bypass_inversion=bool(flags & Flag.BYPASS_INVERSION),
        bypass_reflection=bool(flags & Flag.BYPASS_REFLECTION),
    )
    target = operands.get("destination")
    for offset, length in memory.chunks(source, operands["size_bytes"]):
        if offset:
            yield
        data = memory.read(source + offset, length)
        crc.add(data)
        if target is not None:
            memory.write(target + offset, data)
        outcome.bytes_completed = offset + length
    outcome.bytes_completed = 0
    outcome.value = crc.value


OPERATIONS: dict[int, Callable[[Memory, Operands, Outcome], Steps]] = {
    Opcode.NOP: _nothing,
    Opcode.DRAIN: _nothing,
    Opcode.MEMORY_MOVE: _move,
    Opcode.FILL: _fill,
    Opcode.COMPARE: _compare,
    Opcode.COMPARE_PATTERN: _compare_pattern,
    Opcode.CREATE_DELTA: _create_delta,
    Opcode.APPLY_DELTA: _apply_delta,
    Opcode.DUALCAST: _move,
    Opcode.CRC: _crc,
    Opcode.COPY_CRC: _crc,
    Opcode.CACHE_FLUSH: _nothing,
}
"""What an operation does, in steps of a chunk: each yields between two chunks.

What it has found goes into its outcome as it goes along, so that a read that fails leaves
``bytes_completed`` as far as it got.
"""
