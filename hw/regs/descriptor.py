"""Descriptors and completion records (DSA chapter 8)."""

import enum

from .schema import Register, bits

DESCRIPTOR_BYTES = 64
COMPLETION_BYTES = 32


class Opcode(enum.IntEnum):
    """Operations that this device implements (DSA §8.1.2)."""

    NOP = 0x00
    BATCH = 0x01
    DRAIN = 0x02
    MEMORY_MOVE = 0x03
    FILL = 0x04
    COMPARE = 0x05
    COMPARE_PATTERN = 0x06
    CREATE_DELTA = 0x07
    APPLY_DELTA = 0x08
    DUALCAST = 0x09
    CRC = 0x10
    COPY_CRC = 0x11
    CACHE_FLUSH = 0x20


OPERATIONS_IMPLEMENTED = sum(1 << opcode for opcode in Opcode)
"""OPCAP."""


class Flag(enum.IntFlag):
    """Descriptor flags (DSA §8.1.3); bits 23:16 mean something else for each operation."""

    FENCE = 1 << 0
    BLOCK_ON_FAULT = 1 << 1
    COMPLETION_ADDRESS_VALID = 1 << 2
    REQUEST_COMPLETION = 1 << 3
    REQUEST_INTERRUPT = 1 << 4
    COMPLETION_STEERING = 1 << 5
    CHECK_RESULT = 1 << 7
    CACHE_CONTROL = 1 << 8
    ADDRESS_1_TRAFFIC_CLASS = 1 << 9
    ADDRESS_2_TRAFFIC_CLASS = 1 << 10
    ADDRESS_3_TRAFFIC_CLASS = 1 << 11
    COMPLETION_TRAFFIC_CLASS = 1 << 12
    STRICT_ORDERING = 1 << 13
    DESTINATION_READBACK = 1 << 14
    DESTINATION_STEERING = 1 << 15
    READ_SEED = 1 << 16
    """CRC: read the seed from memory."""
    BYPASS_INVERSION = 1 << 17
    """CRC: neither invert nor reflect seed and result."""
    BYPASS_REFLECTION = 1 << 18
    """CRC: bit 7 of each byte comes first."""


class Status(enum.IntEnum):
    """Completion record status, bits 6:0 (DSA §5.8.1)."""

    NONE = 0x00
    SUCCESS = 0x01
    SUCCESS_PREDICATE = 0x02
    PAGE_FAULT = 0x03
    PAGE_FAULT_RESPONSE = 0x04
    BATCH_FAILED = 0x05
    BATCH_PAGE_FAULT = 0x06
    DELTA_ORDER = 0x07
    """The offsets of a delta record do not rise."""
    DELTA_OFFSET = 0x08
    """An offset of a delta record is beyond the transfer size."""
    BAD_OPCODE = 0x10
    BAD_FLAGS = 0x11
    RESERVED_NOT_ZERO = 0x12
    BAD_TRANSFER_SIZE = 0x13
    BAD_DESCRIPTOR_COUNT = 0x14
    BAD_VALUE = 0x15
    """A field other than the flags has an unsupported value: a delta record's size."""
    OVERLAP = 0x16
    DUALCAST_ALIGNMENT = 0x17
    """Bits 11:0 of the two destinations differ."""
    LIST_ALIGNMENT = 0x18
    """A batch's list of descriptors is not 64-byte aligned."""
    BAD_HANDLE = 0x19
    COMPLETION_TRANSLATION = 0x1A
    COMPLETION_ALIGNMENT = 0x1B
    ADDRESS_ALIGNMENT = 0x1C
    PRIVILEGE = 0x1D
    TRAFFIC_CLASS = 0x1E
    READBACK_FAULT = 0x1F
    HARDWARE = 0x20
    READBACK_HARDWARE = 0x21
    TRANSLATION_FAILED = 0x22


DESCRIPTOR = Register(
    "descriptor",
    0,
    (
        bits("19:0", "pasid"),
        bits("31", "privileged"),
        bits("55:32", "flags"),
        bits("63:56", "opcode"),
        bits("127:64", "completion_address"),
        bits("191:128", "source"),
        bits("255:192", "destination"),
        bits("287:256", "size_bytes"),
        bits("303:288", "handle"),
        bits("319:304", "reserved"),
        bits("511:320", "specific"),
    ),
    width=512,
    doc="64 bytes that a portal takes whole.",
    source="DSA §8.1",
)

COMPLETION = Register(
    "completion",
    0,
    (
        bits("7:0", "status", doc="Bit 7: a fault was a write."),
        bits("15:8", "result"),
        bits("31:16", "fault_info"),
        bits("63:32", "bytes_completed"),
        bits("127:64", "fault_address"),
        bits("159:128", "invalid_flags"),
        bits("255:160", "specific"),
    ),
    width=256,
    doc="32 bytes, aligned, that the device writes when it is done.",
    source="DSA §8.2",
)

DELTA_BYTES = 10
"""Bytes of an entry of a delta record: offset in units of 8 bytes, then 8 bytes of data."""

DELTA_LIMIT_BYTES = 0x8_0000
"""The largest transfer that a delta record can describe (DSA §8.3.8)."""

_COMMON = {
    "pasid": "19:0",
    "privileged": "31",
    "flags": "55:32",
    "opcode": "63:56",
    "completion_address": "127:64",
    "handle": "303:288",
}
_SIZE = {"size_bytes": "287:256"}
_SOURCE, _DESTINATION = {"source": "191:128"}, {"destination": "255:192"}
_SOURCES = _SOURCE | {"source_2": "255:192"}
_SEED = {"seed": "351:320", "seed_address": "447:384"}

_OPERANDS: dict[Opcode, dict[str, str]] = {
    Opcode.NOP: {},
    Opcode.BATCH: {"list_address": "191:128", "count": "287:256"},
    Opcode.DRAIN: {},
    Opcode.MEMORY_MOVE: _SOURCE | _DESTINATION | _SIZE,
    Opcode.FILL: {"pattern": "191:128"} | _DESTINATION | _SIZE,
    Opcode.COMPARE: _SOURCES | _SIZE | {"expected": "327:320"},
    Opcode.COMPARE_PATTERN: _SOURCE | {"pattern": "255:192"} | _SIZE | {"expected": "327:320"},
    Opcode.CREATE_DELTA: _SOURCES
    | _SIZE
    | {"delta_address": "383:320", "max_delta_bytes": "415:384", "expected": "455:448"},
    Opcode.APPLY_DELTA: {"delta_address": "191:128"}
    | _DESTINATION
    | _SIZE
    | {"delta_bytes": "351:320"},
    Opcode.DUALCAST: _SOURCE | _DESTINATION | _SIZE | {"destination_2": "383:320"},
    Opcode.CRC: _SOURCE | _SIZE | _SEED,
    Opcode.COPY_CRC: _SOURCE | _DESTINATION | _SIZE | _SEED,
    Opcode.CACHE_FLUSH: _DESTINATION | _SIZE,
}

LAYOUTS: dict[Opcode, Register] = {
    opcode: Register(
        f"descriptor_{opcode.name.lower()}",
        0,
        tuple(bits(place, name) for name, place in (_COMMON | operands).items()),
        width=512,
        doc=f"Operands of {opcode.name}.",
        source="DSA §8.3",
    )
    for opcode, operands in _OPERANDS.items()
}
"""What each operation reads in its descriptor; bits that no field names have to be 0."""

RESULTS = Register(
    "completion_results",
    0,
    (
        bits("7:0", "status"),
        bits("15:8", "result", doc="Compare: 1 if different. Create Delta: 0, 1 or 2."),
        bits("63:32", "bytes_completed", doc="Batch: descriptors completed."),
        bits("159:128", "value", doc="CRC, or size of the delta record in bytes."),
    ),
    width=256,
    doc="Fields of a completion record that hold what an operation has found.",
    source="DSA §8.3",
)
