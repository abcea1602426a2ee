"""Operations drawn at random, each with the outcome that it has to have.

Outcomes are worked out here, from what the operation means, so that neither the functional model
nor the gateware judges itself.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from driver import Completion
from driver.descriptors import NO_FLAGS, Descriptor
from hw.regs.descriptor import DELTA_BYTES, DESCRIPTOR_BYTES, LAYOUTS, Flag, Opcode, Status

SECTIONS = 4
"""An area is cut into this many sections; each operand of a trial lies in one of its own."""

PAGE_BYTES = 4096
ALIGNED = 8
POLYNOMIAL = 0x82F6_3B78
"""CRC-32C, reflected."""

UNDEFINED_OPCODE = 0x0B
RESERVED_FLAG = 1 << 15


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def crc32c(data: bytes, seed: int = 0) -> int:
    """CRC-32C of bytes that follow those whose CRC is the seed."""
    value = seed ^ 0xFFFF_FFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFF_FFFF


@dataclass(frozen=True)
class Raw(Descriptor[Completion]):
    """A descriptor made of numbers, right or wrong; the driver does not look at them.

    Parameters
    ----------
    opcode
        Whose layout it has.
    values
        Fields of the layout.
    flags
        Beyond those that ask for a record and an interrupt.
    code
        The opcode to submit, if another.
    flip
        Bits of the 64 bytes to turn over.
    """

    opcode: Opcode  # type: ignore[misc]
    values: dict[str, int]
    flags: Flag = NO_FLAGS
    code: int | None = None
    flip: int = 0
    label = "descriptor"

    def __post_init__(self) -> None:
        """Anything goes."""

    def operands(self) -> dict[str, int]:
        """The fields that it has besides the common ones."""
        return self.values

    def result(self, completion: Completion) -> Completion:
        """The record."""
        return completion

    def encode(
        self,
        *,
        pasid: int = 0,
        completion_address: int | None = None,
        handle: int | None = None,
        fence: bool = False,
    ) -> bytes:
        """The 64 bytes that a portal takes."""
        flags = int(self.flags) | (Flag.FENCE if fence else 0)
        if completion_address is not None:
            flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
        if handle is not None:
            flags |= Flag.REQUEST_INTERRUPT
        word = LAYOUTS[self.opcode].pack(
            pasid=pasid,
            flags=flags,
            opcode=self.opcode if self.code is None else self.code,
            completion_address=completion_address or 0,
            handle=handle or 0,
            **self.values,
        )
        return (word ^ self.flip).to_bytes(DESCRIPTOR_BYTES, "little")


@dataclass(frozen=True)
class Trial:
    """An operation on an area, and what has to come of it.

    Parameters
    ----------
    descriptor
        What to submit.
    before
        Offset and bytes that the processor stores first.
    after
        Offset and bytes that have to be there afterwards, besides ``before``; nothing else changes.
    status, result, bytes_completed, value
        Of the completion record.
    faults
        Accesses that the IOMMU has to refuse because of it, at least.
    """

    descriptor: Raw
    before: tuple[tuple[int, bytes], ...] = ()
    after: tuple[tuple[int, bytes], ...] = ()
    status: Status = Status.SUCCESS
    result: int = 0
    bytes_completed: int = 0
    value: int | None = None
    faults: int = 0

    @property
    def name(self) -> str:
        """Of the operation."""
        return self.descriptor.opcode.name.lower().replace("_", " ")

    def complaint(self, completion: Completion, value: int) -> str | None:
        """What is wrong with a completion record, if anything."""
        wanted = {
            "status": (self.status, completion.status),
            "result": (self.result, completion.result),
            "bytes completed": (self.bytes_completed, completion.bytes_completed),
        }
        if self.value is not None:
            wanted["value"] = (self.value, value)
        for name, (want, got) in wanted.items():
            if want != got:
                return f"{self.name}: {name} is {got:#x} instead of {want:#x}"
        return None


@dataclass
class Area:
    """Memory of one tenant that one trial at a time may use.

    Parameters
    ----------
    address
        Where the device finds it; a multiple of 4096.
    section_bytes
        A multiple of 4096; there are four sections.
    """

    address: int
    section_bytes: int
    content: bytearray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.content = bytearray(SECTIONS * self.section_bytes)


class Trials:
    """Draws trials.

    Parameters
    ----------
    rng
        The source of chance.
    area
        Where they happen; its content is kept as it has to be.
    largest_bytes
        Sizes are drawn between 1 and this, small ones as often as large ones.
    """

    def __init__(self, rng: random.Random, area: Area, largest_bytes: int):
        self._random, self._area = rng, area
        self._largest = min(largest_bytes, area.section_bytes - PAGE_BYTES // 2)
        self._kinds: dict[Opcode, Callable[[], Trial]] = {
            Opcode.NOP: self._nop,
            Opcode.DRAIN: self._drain,
            Opcode.MEMORY_MOVE: self._move,
            Opcode.FILL: self._fill,
            Opcode.COMPARE: self._compare,
            Opcode.COMPARE_PATTERN: self._compare_pattern,
            Opcode.CREATE_DELTA: self._create_delta,
            Opcode.APPLY_DELTA: self._apply_delta,
            Opcode.DUALCAST: self._dualcast,
            Opcode.CRC: self._crc,
            Opcode.COPY_CRC: self._copy_crc,
            Opcode.CACHE_FLUSH: self._flush,
        }

    @property
    def opcodes(self) -> list[Opcode]:
        """What can be drawn."""
        return list(self._kinds)

    def draw(self, opcode: Opcode | None = None) -> Trial:
        """A trial that goes well."""
        return self._kinds[self._random.choice(self.opcodes) if opcode is None else opcode]()

    def draw_wrong(self) -> Trial:
        """A trial whose descriptor has one thing wrong with it; it changes nothing."""
        rng = self._random
        trial = self.draw(rng.choice((Opcode.MEMORY_MOVE, Opcode.COMPARE, Opcode.CRC)))
        raw = trial.descriptor
        wrong, status = rng.choice(
            (
                (replace(raw, code=UNDEFINED_OPCODE), Status.BAD_OPCODE),
                (replace(raw, flags=raw.flags | RESERVED_FLAG), Status.BAD_FLAGS),
                (replace(raw, flip=1 << rng.randrange(304, 320)), Status.RESERVED_NOT_ZERO),
                (replace(raw, flip=1 << rng.randrange(456, 512)), Status.RESERVED_NOT_ZERO),
                (self._with(raw, size_bytes=0), Status.BAD_TRANSFER_SIZE),
                (self._with(raw, size_bytes=0xFFFF_FFFF), Status.BAD_TRANSFER_SIZE),
            )
        )
        value = int(RESERVED_FLAG) if status is Status.BAD_FLAGS else None
        return Trial(wrong, trial.before, status=status, value=value)

    def draw_trespass(self, address: int) -> Trial:
        """A read of memory that is not the tenant's, which the IOMMU refuses."""
        size = self._size()
        _, offset = self._place(1, size)
        raw = self._raw(
            Opcode.MEMORY_MOVE,
            source=address,
            destination=self._area.address + offset,
            size_bytes=size,
        )
        return Trial(raw, status=Status.HARDWARE, faults=1)

    def keep(self, trial: Trial) -> None:
        """Remember what a trial has changed."""
        for start, data in (*trial.before, *trial.after):
            self._area.content[start : start + len(data)] = data

    # Ingredients

    def _with(self, raw: Raw, **values: int) -> Raw:
        return replace(raw, values=raw.values | values)

    def _raw(self, opcode: Opcode, flags: Flag = NO_FLAGS, **values: int) -> Raw:
        return Raw(opcode, values, flags)

    def _size(self, align: int = 1) -> int:
        limit = self._largest // align
        return align * min(limit, int(2 ** self._random.uniform(0, limit.bit_length())))

    def _place(self, section: int, size: int, align: int = 1) -> tuple[int, int]:
        """Address and offset of a run of bytes in a section."""
        room = (self._area.section_bytes - size) // align
        start = section * self._area.section_bytes + align * self._random.randrange(room + 1)
        return self._area.address + start, start

    def _twins(self, size: int, align: int = 1) -> tuple[bytes, bytes, list[int]]:
        """Two runs of bytes, and where they differ: often nowhere, sometimes in many places."""
        one = self._random.randbytes(size)
        two = bytearray(one)
        count = self._random.choice((0, 1, 1, 2, 9, 60))
        for place in {self._random.randrange(size) for _ in range(count)}:
            two[place] ^= self._random.randrange(1, 256)
        return one, bytes(two), [n for n in range(size) if one[n] != two[n]]

    def _checked(self, different: bool) -> tuple[Flag, int, Status]:
        """Flags, expected result and status of a comparison, with or without Check Result."""
        if self._random.random() < 0.5:
            return NO_FLAGS, 0, Status.SUCCESS
        expected = self._random.randrange(2)
        status = Status.SUCCESS if expected == different else Status.SUCCESS_PREDICATE
        return Flag.CHECK_RESULT, expected, status

    # Operations

    def _nop(self) -> Trial:
        return Trial(self._raw(Opcode.NOP))

    def _drain(self) -> Trial:
        return Trial(self._raw(Opcode.DRAIN))

    def _flush(self) -> Trial:
        size = self._size()
        address, _ = self._place(1, size)
        return Trial(self._raw(Opcode.CACHE_FLUSH, destination=address, size_bytes=size))

    def _move(self) -> Trial:
        size = self._size()
        (source, there), (target, here) = self._place(0, size), self._place(1, size)
        data = self._random.randbytes(size)
        raw = self._raw(Opcode.MEMORY_MOVE, source=source, destination=target, size_bytes=size)
        return Trial(raw, ((there, data),), ((here, data),))

    def _fill(self) -> Trial:
        size, pattern = self._size(), self._random.randbytes(8)
        target, here = self._place(1, size)
        raw = self._raw(
            Opcode.FILL,
            pattern=int.from_bytes(pattern, "little"),
            destination=target,
            size_bytes=size,
        )
        return Trial(raw, after=((here, (pattern * (size // 8 + 1))[:size]),))

    def _compare(self) -> Trial:
        size = self._size()
        (one, there), (two, here) = self._place(0, size), self._place(1, size)
        left, right, places = self._twins(size)
        flags, expected, status = self._checked(bool(places))
        raw = self._raw(
            Opcode.COMPARE, flags, source=one, source_2=two, size_bytes=size, expected=expected
        )
        return Trial(
            raw,
            ((there, left), (here, right)),
            status=status,
            result=int(bool(places)),
            bytes_completed=places[0] if places else 0,
        )

    def _compare_pattern(self) -> Trial:
        size, pattern = self._size(), self._random.randbytes(8)
        source, there = self._place(0, size)
        data = bytearray((pattern * (size // 8 + 1))[:size])
        different = self._random.random() < 0.5
        place = self._random.randrange(size) if different else 0
        if different:
            data[place] ^= 0x40
        flags, expected, status = self._checked(different)
        raw = self._raw(
            Opcode.COMPARE_PATTERN,
            flags,
            source=source,
            pattern=int.from_bytes(pattern, "little"),
            size_bytes=size,
            expected=expected,
        )
        return Trial(
            raw,
            ((there, bytes(data)),),
            status=status,
            result=int(different),
            bytes_completed=place,
        )

    def _create_delta(self) -> Trial:
        size = self._size(ALIGNED)
        (one, there), (two, here) = (self._place(n, size, ALIGNED) for n in range(2))
        left, right, _ = self._twins(size)
        room = DELTA_BYTES * self._random.randrange(8, 40)
        target, written = self._place(2, room)
        record, missed = b"", None
        for start in range(0, size, ALIGNED):
            word = right[start : start + ALIGNED]
            if word == left[start : start + ALIGNED]:
                continue
            if len(record) + DELTA_BYTES > room:
                missed = start
                break
            record += (start // ALIGNED).to_bytes(2, "little") + word
        result = 2 if missed is not None else int(bool(record))
        mask, status = 0, Status.SUCCESS
        flags = NO_FLAGS
        if self._random.random() < 0.5:
            flags, mask = Flag.CHECK_RESULT, self._random.randrange(8)
            status = Status.SUCCESS if mask >> result & 1 else Status.SUCCESS_PREDICATE
        raw = self._raw(
            Opcode.CREATE_DELTA,
            flags,
            source=one,
            source_2=two,
            size_bytes=size,
            delta_address=target,
            max_delta_bytes=room,
            expected=mask,
        )
        return Trial(
            raw,
            ((there, left), (here, right)),
            ((written, record),) if record else (),
            status=status,
            result=result,
            bytes_completed=missed or 0,
            value=len(record),
        )

    def _apply_delta(self) -> Trial:
        size = self._size(ALIGNED)
        target, here = self._place(1, size, ALIGNED)
        data = bytearray(self._random.randbytes(size))
        before = bytes(data)
        most = min(size // ALIGNED, 60, self._largest // DELTA_BYTES)
        count = self._random.randint(1, most)
        record = b""
        for word in sorted(self._random.sample(range(size // ALIGNED), count)):
            fresh = self._random.randbytes(ALIGNED)
            data[ALIGNED * word : ALIGNED * (word + 1)] = fresh
            record += word.to_bytes(2, "little") + fresh
        source, there = self._place(0, len(record))
        raw = self._raw(
            Opcode.APPLY_DELTA,
            delta_address=source,
            destination=target,
            size_bytes=size,
            delta_bytes=len(record),
        )
        return Trial(raw, ((there, record), (here, before)), ((here, bytes(data)),))

    def _dualcast(self) -> Trial:
        size = self._size()
        (source, there), (target, here) = self._place(0, size), self._place(1, size)
        distance = self._area.section_bytes
        data = self._random.randbytes(size)
        raw = self._raw(
            Opcode.DUALCAST,
            source=source,
            destination=target,
            destination_2=target + distance,
            size_bytes=size,
        )
        return Trial(raw, ((there, data),), ((here, data), (here + distance, data)))

    def _crc(self) -> Trial:
        size = self._size()
        source, there = self._place(0, size)
        data = self._random.randbytes(size)
        flags, seed, operands, before = self._seed()
        raw = self._raw(Opcode.CRC, flags, source=source, size_bytes=size, **operands)
        return Trial(raw, ((there, data), *before), value=crc32c(data, seed))

    def _copy_crc(self) -> Trial:
        size = self._size()
        (source, there), (target, here) = self._place(0, size), self._place(1, size)
        data = self._random.randbytes(size)
        flags, seed, operands, before = self._seed()
        raw = self._raw(
            Opcode.COPY_CRC,
            flags,
            source=source,
            destination=target,
            size_bytes=size,
            **operands,
        )
        return Trial(raw, ((there, data), *before), ((here, data),), value=crc32c(data, seed))

    def _seed(self) -> tuple[Flag, int, dict[str, int], tuple[tuple[int, bytes], ...]]:
        """A seed: none, in the descriptor, or in memory."""
        seed = self._random.choice((0, self._random.getrandbits(32)))
        if self._random.random() < 0.6:
            return NO_FLAGS, seed, {"seed": seed}, ()
        address, start = self._place(3, 4, 4)
        stored = ((start, seed.to_bytes(4, "little")),)
        return Flag.READ_SEED, seed, {"seed_address": address}, stored
