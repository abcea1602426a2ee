"""What is wrong with a descriptor, before anything is done for it (DSA §5.4, §5.5)."""

from collections.abc import Callable
from dataclasses import dataclass

from hw.regs.descriptor import DELTA_BYTES, DELTA_LIMIT_BYTES, LAYOUTS, Flag, Opcode, Status

VALID = int(Flag.COMPLETION_ADDRESS_VALID)
RECORD = int(Flag.REQUEST_COMPLETION)
INTERRUPT = int(Flag.REQUEST_INTERRUPT)
RECORD_CLASS = int(Flag.COMPLETION_TRAFFIC_CLASS)
FENCE = int(Flag.FENCE)
READ_SEED = int(Flag.READ_SEED)

_COMMON = VALID | RECORD | INTERRUPT | RECORD_CLASS
_CLASS_1 = int(Flag.ADDRESS_1_TRAFFIC_CLASS)
_CLASS_2 = int(Flag.ADDRESS_2_TRAFFIC_CLASS)
_CLASS_3 = int(Flag.ADDRESS_3_TRAFFIC_CLASS)
_CHECK, _STRICT = int(Flag.CHECK_RESULT), int(Flag.STRICT_ORDERING)
_DRAIN_SUPPRESS = 0b11 << 18
_CRC = int(_CLASS_1 | READ_SEED | Flag.BYPASS_INVERSION | Flag.BYPASS_REFLECTION)

#: Flags that an operation may have besides the common ones (DSA Table 5-3; this device caches
#: nothing, never blocks on a fault and reads nothing back).
_ALLOWED: dict[Opcode, int] = {
    Opcode.NOP: 0,
    Opcode.BATCH: _CLASS_1,
    Opcode.DRAIN: _DRAIN_SUPPRESS,
    Opcode.MEMORY_MOVE: _STRICT | _CLASS_1 | _CLASS_2,
    Opcode.FILL: _STRICT | _CLASS_2,
    Opcode.COMPARE: _CHECK | _CLASS_1 | _CLASS_2,
    Opcode.COMPARE_PATTERN: _CHECK | _CLASS_1,
    Opcode.CREATE_DELTA: _CHECK | _STRICT | _CLASS_1 | _CLASS_2 | _CLASS_3,
    Opcode.APPLY_DELTA: _STRICT | _CLASS_1 | _CLASS_2,
    Opcode.DUALCAST: _STRICT | _CLASS_1 | _CLASS_2 | _CLASS_3,
    Opcode.CRC: _CRC,
    Opcode.COPY_CRC: _CRC | _STRICT | _CLASS_2,
    Opcode.CACHE_FLUSH: _STRICT | _CLASS_2,
}

#: Operations whose result is of no use without a completion record (DSA Table 5-5).
_NEED_RECORD = {
    Opcode.COMPARE,
    Opcode.COMPARE_PATTERN,
    Opcode.CREATE_DELTA,
    Opcode.CRC,
    Opcode.COPY_CRC,
}

#: Bits 30:20 of the first DW are judged by how the descriptor was submitted.
_FIRST_DW = (1 << 32) - 1
_UNUSED_DW = 0x7FF << 20

_NO_MEMBERS = {Opcode.BATCH, Opcode.DRAIN}
_CRCS = {Opcode.CRC, Opcode.COPY_CRC}
_DELTAS = {Opcode.CREATE_DELTA, Opcode.APPLY_DELTA}

#: Operands that have to be multiples of 8.
_ALIGNED = ("source", "source_2", "destination", "size_bytes")

#: Which buffers must not overlap: a written one, and one it must be apart from, each with its size.
_APART: dict[Opcode, tuple[tuple[str, str, str, str], ...]] = {
    Opcode.MEMORY_MOVE: (("destination", "size_bytes", "source", "size_bytes"),),
    Opcode.COPY_CRC: (("destination", "size_bytes", "source", "size_bytes"),),
    Opcode.DUALCAST: (
        ("destination", "size_bytes", "source", "size_bytes"),
        ("destination_2", "size_bytes", "source", "size_bytes"),
        ("destination_2", "size_bytes", "destination", "size_bytes"),
    ),
    Opcode.CREATE_DELTA: (
        ("delta_address", "max_delta_bytes", "source", "size_bytes"),
        ("delta_address", "max_delta_bytes", "source_2", "size_bytes"),
    ),
    Opcode.APPLY_DELTA: (("destination", "size_bytes", "delta_address", "delta_bytes"),),
}


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an operation allows, from its layout and the tables above."""

    allowed: int
    required: int
    reserved: int
    fields: tuple[tuple[str, int, int], ...]


def _rules(opcode: Opcode) -> _Rules:
    layout = LAYOUTS[opcode]
    reserved = ((1 << 512) - 1) & ~layout.mask() & ~_FIRST_DW
    return _Rules(
        allowed=_COMMON | _ALLOWED[opcode],
        required=VALID | RECORD if opcode in _NEED_RECORD else 0,
        reserved=reserved,
        fields=tuple((item.name, item.lsb, (1 << item.width) - 1) for item in layout.fields),
    )


_RULES: dict[int, _Rules] = {opcode: _rules(opcode) for opcode in Opcode}
_UNKNOWN = _rules(Opcode.NOP).fields


@dataclass(frozen=True, slots=True)
class Terms:
    """What a descriptor may do because of the queue it came from.

    Parameters
    ----------
    operations
        Bit n: opcode n is allowed.
    max_transfer_bytes, max_batch
        Limits.
    mute
        It may not ask for an interrupt (DSA Table 5-4).
    unprivileged
        It claims a privilege that nobody may have.
    shared, member
        It came through a shared queue; it was fetched by a batch.
    """

    operations: int
    max_transfer_bytes: int
    max_batch: int
    mute: bool
    unprivileged: bool
    shared: bool
    member: bool


def operands(word: int) -> dict[str, int]:
    """The fields of a descriptor, as its operation names them."""
    rules = _RULES.get(word >> 56 & 0xFF)
    fields = rules.fields if rules else _UNKNOWN
    found = {name: word >> lsb & mask for name, lsb, mask in fields}
    found["opcode"] = word >> 56 & 0xFF
    return found


def verdict(
    word: int, fields: dict[str, int], terms: Terms, permits: Callable[[], bool]
) -> tuple[Status, int]:
    """The first fault in the order of this device, and the flags that are invalid.

    Parameters
    ----------
    word, fields
        The descriptor, and what :func:`operands` says of it.
    terms
        See :class:`Terms`.
    permits
        Asks whether the interrupt handle is good.
    """
    code, flags = fields["opcode"], fields["flags"]
    if flags & VALID and fields["completion_address"] % 32:
        return Status.COMPLETION_ALIGNMENT, 0
    known = code in _RULES and not (terms.member and code in _NO_MEMBERS)
    if not known or not terms.operations >> code & 1:
        return Status.BAD_OPCODE, 0
    opcode = Opcode(code)
    invalid = _invalid_flags(opcode, flags, terms)
    if invalid:
        return Status.BAD_FLAGS, invalid
    if _reserved(opcode, word, fields, terms):
        return Status.RESERVED_NOT_ZERO, 0
    if terms.unprivileged:
        return Status.PRIVILEGE, 0
    fault = _sizes(opcode, fields, terms) or _places(opcode, fields)
    if fault:
        return fault, 0
    if flags & INTERRUPT and not permits():
        return Status.BAD_HANDLE, 0
    return Status.SUCCESS, 0


def _invalid_flags(opcode: Opcode, flags: int, terms: Terms) -> int:
    rules = _RULES[opcode]
    allowed = rules.allowed | (FENCE if terms.member else 0)
    if opcode in _CRCS and flags & READ_SEED:
        allowed |= _CLASS_3
    bad = flags & ~allowed | rules.required & ~flags
    if not flags & VALID:
        bad |= flags & (RECORD | RECORD_CLASS)
    if terms.mute:
        bad |= flags & INTERRUPT
    if opcode is Opcode.DRAIN and not flags & (RECORD | INTERRUPT):
        bad |= RECORD | INTERRUPT
    return bad


def _reserved(opcode: Opcode, word: int, fields: dict[str, int], terms: Terms) -> bool:
    """Whether something is not 0 that has to be."""
    flags = fields["flags"]
    if word & _RULES[opcode].reserved:
        return True
    if terms.shared and not terms.member and word & _UNUSED_DW:
        return True
    if not flags & VALID and fields["completion_address"]:
        return True
    if not flags & INTERRUPT and fields["handle"]:
        return True
    return opcode in _CRCS and bool(fields["seed" if flags & READ_SEED else "seed_address"])


def _sizes(opcode: Opcode, fields: dict[str, int], terms: Terms) -> Status | None:
    """Sizes and counts, against the limits of the queue and of the format."""
    limit = terms.max_transfer_bytes
    if "size_bytes" in fields:
        largest = min(limit, DELTA_LIMIT_BYTES) if opcode in _DELTAS else limit
        if not 0 < fields["size_bytes"] <= largest:
            return Status.BAD_TRANSFER_SIZE
    if opcode is Opcode.BATCH:
        if not 0 < fields["count"] <= terms.max_batch:
            return Status.BAD_DESCRIPTOR_COUNT
        if fields["list_address"] % 64:
            return Status.LIST_ALIGNMENT
    if opcode is Opcode.CREATE_DELTA:
        room = fields["max_delta_bytes"]
        if room < 8 * DELTA_BYTES or room % DELTA_BYTES or room > limit:
            return Status.BAD_VALUE
    if opcode is Opcode.APPLY_DELTA:
        size = fields["delta_bytes"]
        if not size or size % DELTA_BYTES or size > limit:
            return Status.BAD_VALUE
    return None


def _places(opcode: Opcode, fields: dict[str, int]) -> Status | None:
    """Alignment, and buffers that have to be apart."""
    if opcode in _DELTAS and any(fields.get(name, 0) % 8 for name in _ALIGNED):
        return Status.ADDRESS_ALIGNMENT
    if opcode in _CRCS and fields["flags"] & READ_SEED and fields["seed_address"] % 4:
        return Status.ADDRESS_ALIGNMENT
    if opcode is Opcode.DUALCAST and (fields["destination"] ^ fields["destination_2"]) & 0xFFF:
        return Status.DUALCAST_ALIGNMENT
    for first, first_size, second, second_size in _APART.get(opcode, ()):
        ahead = (fields[second] - fields[first]) % (1 << 64)
        behind = (fields[first] - fields[second]) % (1 << 64)
        near = ahead < fields[first_size] or behind < fields[second_size]
        if near and fields[first_size] and fields[second_size]:
            return Status.OVERLAP
    return None
