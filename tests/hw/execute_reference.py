"""What an operation does to memory and reports, in plain Python."""

from dataclasses import dataclass, field

from hw.regs.descriptor import DELTA_BYTES, Flag, Opcode, Status

from .test_crc import reference as crc

Memory = dict[int, int]
PAIRS = (Opcode.COMPARE, Opcode.CREATE_DELTA)
READERS = (
    Opcode.MEMORY_MOVE,
    Opcode.COMPARE_PATTERN,
    Opcode.APPLY_DELTA,
    Opcode.DUALCAST,
    Opcode.CRC,
    Opcode.COPY_CRC,
)


@dataclass
class Chunk:
    """A read that answers a token."""

    kind: str
    address: int
    length: int
    offset: int
    """Of its first byte in the source."""


@dataclass
class Case:
    """A job."""

    opcode: int
    source: int = 0
    destination: int = 0
    size_bytes: int = 0
    operand: int = 0
    operand_2: int = 0
    expected: int = 0
    flags: int = 0
    fault: int = 0
    failing: int | None = None
    """The chunk that fails."""

    def fields(self):
        names = ("opcode", "source", "destination", "size_bytes", "operand", "operand_2")
        names += ("expected", "flags", "fault")
        return {name: int(getattr(self, name)) for name in names}


def cut(address: int, length: int, limit: int):
    """Parts of a run that end at multiples of the limit."""
    end = address + length
    while address < end:
        stop = min(end, address - address % limit + limit)
        yield address, stop - address
        address = stop


def chunks(case: Case, limit: int) -> list[Chunk]:
    """The reads of a job, in order."""
    if case.fault:
        return []
    if case.opcode in PAIRS:
        found = []
        for address, length in cut(case.source, case.size_bytes, limit):
            offset = address - case.source
            found.append(Chunk("SOURCE", address, length, offset))
            for second, part in cut(case.destination + offset, length, limit):
                found.append(Chunk("SECOND", second, part, second - case.destination))
        return found
    found = []
    if case.opcode in (Opcode.CRC, Opcode.COPY_CRC) and case.flags & Flag.READ_SEED:
        found.append(Chunk("SEED", case.operand_2, 4, 0))
    if case.opcode in READERS:
        total = case.operand if case.opcode == Opcode.APPLY_DELTA else case.size_bytes
        for address, length in cut(case.source, total, limit):
            found.append(Chunk("SOURCE", address, length, address - case.source))
    return found


@dataclass
class Outcome:
    """What becomes of a job."""

    status: int = Status.SUCCESS
    result: int = 0
    bytes_completed: int = 0
    value: int | None = 0
    """None if undefined."""
    writes: Memory = field(default_factory=dict)


def outcome(case: Case, memory: Memory, limit: int) -> Outcome:
    """The definition of every operation, as far as its reads succeed."""
    if case.fault:
        return Outcome(status=case.fault)
    reads, reach = chunks(case, limit), None
    whole = case.operand if case.opcode == Opcode.APPLY_DELTA else case.size_bytes
    if case.failing is not None and case.failing < len(reads):
        reach = reads[case.failing].offset
    good = _Operations(case, memory, whole if reach is None else reach)
    name = Opcode(case.opcode).name.lower()
    found: Outcome = getattr(good, name, good.nothing)()
    if reach is not None and not good.concluded:
        found.status, found.result, found.bytes_completed = Status.HARDWARE, 0, reach
        found.value = None if case.opcode in (Opcode.CRC, Opcode.COPY_CRC) else 0
        if case.opcode == Opcode.APPLY_DELTA:
            found.bytes_completed = reach - reach % DELTA_BYTES
    return found


class _Operations:
    """Operations on the bytes before the first read that fails."""

    def __init__(self, case: Case, memory: Memory, reach: int):
        self.case, self.memory, self.reach = case, memory, reach
        self.concluded = False

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.memory.get(address + k, 0) for k in range(length))

    def nothing(self) -> Outcome:
        return Outcome()

    def memory_move(self) -> Outcome:
        data = self.read(self.case.source, self.reach)
        return Outcome(writes=dict(enumerate(data, self.case.destination)))

    def dualcast(self) -> Outcome:
        found = self.memory_move()
        data = self.read(self.case.source, self.reach)
        found.writes |= dict(enumerate(data, self.case.operand))
        return found

    def fill(self) -> Outcome:
        pattern = self.case.source.to_bytes(8, "little")
        span = range(self.case.size_bytes)
        return Outcome(writes={self.case.destination + k: pattern[k % 8] for k in span})

    def crc(self) -> Outcome:
        case, seed = self.case, self.case.operand & 0xFFFF_FFFF
        if case.flags & Flag.READ_SEED:
            seed = int.from_bytes(self.read(case.operand_2, 4), "little")
        raw, high = case.flags & Flag.BYPASS_INVERSION, case.flags & Flag.BYPASS_REFLECTION
        data = self.read(case.source, self.reach)
        return Outcome(value=crc(data, seed, bool(raw), bool(high)))

    def copy_crc(self) -> Outcome:
        found = self.crc()
        found.writes = self.memory_move().writes
        return found

    def _compare(self, other: bytes) -> Outcome:
        data = self.read(self.case.source, self.reach)
        places = [k for k in range(self.reach) if data[k] != other[k]]
        if not places:
            return self._check(Outcome(), (self.case.expected & 1) == 0)
        self.concluded = True
        return self._check(Outcome(result=1, bytes_completed=places[0]), self.case.expected & 1)

    def _check(self, found: Outcome, wanted) -> Outcome:
        if self.case.flags & Flag.CHECK_RESULT and not wanted:
            found.status = Status.SUCCESS_PREDICATE
        return found

    def compare(self) -> Outcome:
        return self._compare(self.read(self.case.destination, self.reach))

    def compare_pattern(self) -> Outcome:
        pattern = self.case.destination.to_bytes(8, "little")
        return self._compare(bytes(pattern[k % 8] for k in range(self.reach)))

    def create_delta(self) -> Outcome:
        case, found, record = self.case, Outcome(), b""
        for offset in range(0, self.reach, 8):
            word = self.read(case.destination + offset, 8)
            if word == self.read(case.source + offset, 8):
                continue
            if len(record) == case.operand_2 & 0xFFFF_FFFF:
                found.result, found.bytes_completed = 2, offset
                self.concluded = True
                break
            record += (offset // 8).to_bytes(2, "little") + word
            found.result = 1
        found.value = len(record)
        found.writes = dict(enumerate(record, case.operand))
        return self._check(found, case.expected >> found.result & 1)

    def apply_delta(self) -> Outcome:
        case, found, least = self.case, Outcome(), 0
        record = self.read(case.source, self.reach)
        for place in range(0, self.reach - DELTA_BYTES + 1, DELTA_BYTES):
            offset = int.from_bytes(record[place : place + 2], "little")
            if offset < least or offset * 8 >= case.size_bytes:
                early = offset < least
                found.status = Status.DELTA_ORDER if early else Status.DELTA_OFFSET
                found.bytes_completed = place
                self.concluded = True
                break
            least = offset + 1
            word = record[place + 2 : place + DELTA_BYTES]
            found.writes |= dict(enumerate(word, case.destination + 8 * offset))
        return found
