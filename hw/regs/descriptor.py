"""Descriptors and completion records (DSA chapter 8)."""

import enum

from .schema import Register, bits

DESCRIPTOR_BYTES = 64
COMPLETION_BYTES = 32


class Opcode(enum.IntEnum):
    """Operations that this device implements (DSA §8.1.2)."""

    NOP = 0x00
    DRAIN = 0x02
    MEMORY_MOVE = 0x03


OPERATIONS_IMPLEMENTED = sum(1 << opcode for opcode in Opcode)
"""OPCAP."""


class Flag(enum.IntFlag):
    """Descriptor flags (DSA §8.1.3)."""

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


class Status(enum.IntEnum):
    """Completion record status, bits 6:0 (DSA §5.8.1)."""

    NONE = 0x00
    SUCCESS = 0x01
    SUCCESS_PREDICATE = 0x02
    PAGE_FAULT = 0x03
    PAGE_FAULT_RESPONSE = 0x04
    BATCH_FAILED = 0x05
    BATCH_PAGE_FAULT = 0x06
    BAD_OPCODE = 0x10
    BAD_FLAGS = 0x11
    RESERVED_NOT_ZERO = 0x12
    BAD_TRANSFER_SIZE = 0x13
    BAD_DESCRIPTOR_COUNT = 0x14
    OVERLAP = 0x16
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
