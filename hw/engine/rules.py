"""What DSA asks of the descriptors of each operation, as a table (DSA §5.4, §5.5, §8.3).

Decode is made from :data:`RULES`. Flags that this device denies whatever the operation, because
GENCAP says so, are in no rule: Block On Fault, cache control, destination readback, the readback
addresses of Drain, Batch Error, the 16-byte pattern of Fill and the 64-bit CRC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..regs.descriptor import DELTA_BYTES, DELTA_LIMIT_BYTES, LAYOUTS, Flag, Opcode

_NONE = Flag(0)
_ADDRESS_1 = Flag.ADDRESS_1_TRAFFIC_CLASS
_ADDRESS_2 = Flag.ADDRESS_2_TRAFFIC_CLASS
_ADDRESS_3 = Flag.ADDRESS_3_TRAFFIC_CLASS
_RESULT = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
_SUPPRESS_READBACK = Flag(1 << 18 | 1 << 19)
_CRC = Flag.READ_SEED | Flag.BYPASS_INVERSION | Flag.BYPASS_REFLECTION

COMMON_FLAGS = (
    Flag.FENCE
    | Flag.COMPLETION_ADDRESS_VALID
    | Flag.REQUEST_COMPLETION
    | Flag.REQUEST_INTERRUPT
    | Flag.COMPLETION_TRAFFIC_CLASS
)
"""Flags of every operation (table 5-3), under the conditions of table 5-4."""

NEED_ADDRESS = Flag.REQUEST_COMPLETION | Flag.COMPLETION_TRAFFIC_CLASS
"""Flags that are reserved while Completion Record Address Valid is 0 (table 5-4)."""

RESERVED_UNLESS = {
    "completion_address": Flag.COMPLETION_ADDRESS_VALID,
    "handle": Flag.REQUEST_INTERRUPT,
}
"""Fields of every operation that are reserved while a flag is 0 (table 5-4)."""

DUALCAST_BITS = 12
"""Low bits in which the two destinations of Dualcast agree (§5.4)."""

LEAST_DELTA_BYTES = 80
"""The least room that Create Delta Record may be given (§8.3.8)."""

TRUSTED_BITS = 32
"""Bits of the trusted fields, whose reserved bits count in descriptors from shared queues only."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is asked of an operation's descriptors; fields are named as in ``LAYOUTS``.

    Parameters
    ----------
    flags
        Flags allowed besides :data:`COMMON_FLAGS` (table 5-3, and those of §8.3).
    required
        Flags that have to be 1 (table 5-5).
    one_of
        Flags of which one has to be 1 (table 5-5).
    needs
        Flags that are reserved while another is 0 (§8.1.3).
    reserved_if, reserved_unless
        Fields that are reserved while a flag is 1, or 0 (§8.3.12).
    batched
        May be a member of a batch (§8.3.2, §8.3.3).
    reads, writes
        Addresses of memory read and written, and the fields that say how much of it. What is
        written overlaps neither what is read nor what else is written (§5.4).
    aligned
        Fields that are multiples of a power of two (§5.8.1, codes 0x18 and 0x1C); the seed address
        counts only if there is one.
    limit_bytes
        The largest transfer, if there is a limit besides the queue's (§8.3.8).
    least_bytes
        The least size of a delta record, by its field (§5.4).
    """

    flags: Flag = _NONE
    required: Flag = _NONE
    one_of: Flag = _NONE
    needs: Mapping[Flag, Flag] = field(default_factory=dict)
    reserved_if: Mapping[str, Flag] = field(default_factory=dict)
    reserved_unless: Mapping[str, Flag] = field(default_factory=dict)
    batched: bool = True
    reads: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)
    aligned: Mapping[str, int] = field(default_factory=dict)
    limit_bytes: int | None = None
    least_bytes: Mapping[str, int] = field(default_factory=dict)

    @property
    def apart(self) -> Iterator[tuple[str, str]]:
        """Pairs of addresses whose memory must not overlap."""
        written = list(self.writes)
        for index, name in enumerate(written):
            for other in [*self.reads, *written[:index]]:
                yield other, name


def _sized(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "size_bytes")


_SEED_RULES = {
    "needs": {_ADDRESS_3: Flag.READ_SEED},
    "reserved_if": {"seed": Flag.READ_SEED},
    "reserved_unless": {"seed_address": Flag.READ_SEED},
    "required": _RESULT,
    "aligned": {"seed_address": 4},
}

RULES: dict[Opcode, Rule] = {
    Opcode.NOP: Rule(),
    Opcode.BATCH: Rule(flags=_ADDRESS_1, batched=False, aligned={"list_address": 64}),
    Opcode.DRAIN: Rule(
        flags=_SUPPRESS_READBACK,
        one_of=Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT,
        batched=False,
    ),
    Opcode.MEMORY_MOVE: Rule(
        flags=Flag.STRICT_ORDERING | _ADDRESS_1 | _ADDRESS_2,
        reads=_sized("source"),
        writes=_sized("destination"),
    ),
    Opcode.FILL: Rule(
        flags=Flag.STRICT_ORDERING | _ADDRESS_2,
        writes=_sized("destination"),
    ),
    Opcode.COMPARE: Rule(
        flags=Flag.CHECK_RESULT | _ADDRESS_1 | _ADDRESS_2,
        required=_RESULT,
        reads=_sized("source", "source_2"),
    ),
    Opcode.COMPARE_PATTERN: Rule(
        flags=Flag.CHECK_RESULT | _ADDRESS_1,
        required=_RESULT,
        reads=_sized("source"),
    ),
    Opcode.CREATE_DELTA: Rule(
        flags=Flag.CHECK_RESULT | Flag.STRICT_ORDERING | _ADDRESS_1 | _ADDRESS_2 | _ADDRESS_3,
        required=_RESULT,
        reads=_sized("source", "source_2"),
        writes={"delta_address": "max_delta_bytes"},
        aligned={"source": 8, "source_2": 8, "size_bytes": 8},
        limit_bytes=DELTA_LIMIT_BYTES,
        least_bytes={"max_delta_bytes": LEAST_DELTA_BYTES},
    ),
    Opcode.APPLY_DELTA: Rule(
        flags=Flag.STRICT_ORDERING | _ADDRESS_1 | _ADDRESS_2,
        reads={"delta_address": "delta_bytes"},
        writes=_sized("destination"),
        aligned={"destination": 8, "size_bytes": 8},
        limit_bytes=DELTA_LIMIT_BYTES,
        least_bytes={"delta_bytes": DELTA_BYTES},
    ),
    Opcode.DUALCAST: Rule(
        flags=Flag.STRICT_ORDERING | _ADDRESS_1 | _ADDRESS_2 | _ADDRESS_3,
        reads=_sized("source"),
        writes=_sized("destination", "destination_2"),
    ),
    Opcode.CRC: Rule(
        flags=_CRC | _ADDRESS_1 | _ADDRESS_3,
        reads=_sized("source"),
        **_SEED_RULES,
    ),
    Opcode.COPY_CRC: Rule(
        flags=_CRC | Flag.STRICT_ORDERING | _ADDRESS_1 | _ADDRESS_2 | _ADDRESS_3,
        reads=_sized("source"),
        writes=_sized("destination"),
        **_SEED_RULES,
    ),
    # Nothing is cached here; what other operations write, this one is told (§8.3.26).
    Opcode.CACHE_FLUSH: Rule(flags=Flag.STRICT_ORDERING | _ADDRESS_2),
}

OPERATIONS = sorted(RULES)
"""Operations in rising order of their opcodes, as ``Work.operations`` counts them."""

Condition = tuple[int, int]
"""Mask and value: reserved while the flags under the mask have the value; always, if both are 0."""


def _conditions(opcode: Opcode) -> Mapping[int, Condition]:
    """When each bit of a descriptor is reserved; bits that are not in it never are."""
    rule, layout = RULES[opcode], LAYOUTS[opcode]
    when: dict[int, Condition] = dict.fromkeys(range(TRUSTED_BITS, layout.width), (0, 0))
    for item in layout.fields:
        unless = (RESERVED_UNLESS | dict(rule.reserved_unless)).get(item.name)
        unwanted = rule.reserved_if.get(item.name)
        for bit in range(max(item.lsb, TRUSTED_BITS), item.msb + 1):
            if unless is not None:
                when[bit] = (int(unless), 0)
            elif unwanted is not None:
                when[bit] = (int(unwanted), int(unwanted))
            else:
                del when[bit]
    return when


def reserved_groups() -> dict[tuple[Condition | None, ...], list[int]]:
    """Bits of a descriptor that are always reserved together, by what :data:`OPERATIONS` say.

    Conditions come in the order of :data:`OPERATIONS`; None is an operation that uses the bits.
    """
    by_operation = [_conditions(opcode) for opcode in OPERATIONS]
    groups: dict[tuple[Condition | None, ...], list[int]] = {}
    for bit in range(max(layout.width for layout in LAYOUTS.values())):
        key = tuple(conditions.get(bit) for conditions in by_operation)
        if any(condition is not None for condition in key):
            groups.setdefault(key, []).append(bit)
    return groups


def where(opcode: Opcode, name: str) -> slice:
    """Bits of a field in an operation's descriptors."""
    item = LAYOUTS[opcode][name]
    return slice(item.lsb, item.msb + 1)


def overlaps() -> dict[tuple[int, int], dict[Opcode, tuple[str, str]]]:
    """Pairs of addresses, by where they are in the descriptor, whose memory is kept apart.

    For each operation that does so, the fields that hold the two sizes.
    """
    pairs: dict[tuple[int, int], dict[Opcode, tuple[str, str]]] = {}
    for opcode, rule in RULES.items():
        sizes = dict(rule.reads) | dict(rule.writes)
        for names in rule.apart:
            low, high = sorted(names, key=lambda name: where(opcode, name).start)
            place = where(opcode, low).start, where(opcode, high).start
            pairs.setdefault(place, {})[opcode] = sizes[low], sizes[high]
    return pairs


def alignments() -> dict[tuple[int, int], list[Opcode]]:
    """Operations that ask for zeros, by first bit and number of bits."""
    places: dict[tuple[int, int], list[Opcode]] = {}
    for opcode, rule in RULES.items():
        for name, multiple in rule.aligned.items():
            place = where(opcode, name).start, multiple.bit_length() - 1
            places.setdefault(place, []).append(opcode)
    return places
