"""Commands of the CMD register, and what CMDSTATUS says of them (DSA §3.15, §5.8.3)."""

import enum


class Command(enum.IntEnum):
    """Command codes; the operand of each is in its comment."""

    ENABLE_DEVICE = 1
    DISABLE_DEVICE = 2
    DRAIN_ALL = 3
    ABORT_ALL = 4
    RESET_DEVICE = 5
    ENABLE_QUEUE = 6
    """7:0 queue."""
    DISABLE_QUEUE = 7
    """15:0 bitmap, 19:16 group of sixteen queues."""
    DRAIN_QUEUE = 8
    """As DISABLE_QUEUE."""
    ABORT_QUEUE = 9
    """As DISABLE_QUEUE."""
    RESET_QUEUE = 10
    """As DISABLE_QUEUE."""
    DRAIN_PASID = 11
    """19:0 PASID."""
    ABORT_PASID = 12
    """19:0 PASID."""
    REQUEST_HANDLE = 13
    """15:0 table index, 16: 1 for IMS, 0 for MSI-X. Result: the handle."""
    RELEASE_HANDLE = 14
    """As REQUEST_HANDLE; index and handle are equal on this device."""


COMMANDS_IMPLEMENTED = sum(1 << command for command in Command)
"""CMDCAP."""


class CommandError(enum.IntEnum):
    """CMDSTATUS[7:0]."""

    NONE = 0x00
    INVALID_COMMAND = 0x01
    INVALID_QUEUE = 0x02
    HARDWARE = 0x03
    RESERVED_NOT_ZERO = 0x04
    DEVICE_HALTED = 0x05
    DEVICE_NOT_DISABLED = 0x10
    DEVICE_UNSPECIFIED = 0x11
    BUS_MASTER_DISABLED = 0x12
    PRS_ALLOCATION = 0x13
    TOTAL_SIZE = 0x14
    GROUP_INCOMPLETE = 0x15
    """A group has queues and no engine, or engines and no queue."""
    GROUP_QUEUES = 0x16
    """A queue is in two groups, or in one and does not exist."""
    GROUP_ENGINES = 0x17
    """An engine is in two groups, or in one and does not exist."""
    READ_BUFFERS = 0x18
    EVENT_LOG = 0x19
    ATS = 0x1A
    PASID = 0x1B
    DEVICE_NOT_ENABLED = 0x20
    QUEUE_NOT_DISABLED = 0x21
    QUEUE_SIZE_ZERO = 0x22
    QUEUE_PRIORITY_ZERO = 0x23
    QUEUE_MODE = 0x24
    QUEUE_BLOCK_ON_FAULT = 0x25
    QUEUE_PASID = 0x26
    QUEUE_BATCH = 0x27
    QUEUE_TRANSFER = 0x28
    QUEUE_PRIVILEGED = 0x2A
    QUEUE_OCCUPANCY_HANDLE = 0x2B
    QUEUE_ATS = 0x2C
    QUEUE_OPERATIONS = 0x2D
    QUEUE_PRS = 0x2E
    DISABLE_NOT_ENABLED = 0x31
    QUEUE_NOT_ENABLED = 0x32
    HANDLE_INDEX = 0x41
    HANDLE_NONE = 0x42


class SoftwareError(enum.IntEnum):
    """SWERROR codes beyond the status codes of operations (DSA §5.8.2)."""

    ENABLE_CHANGED = 0x51
    COMMAND_WHILE_ACTIVE = 0x52
    QUEUE_FULL = 0x53
    EVENT_LOG_APPEND = 0x54


class DeviceState(enum.IntEnum):
    """GENSTS[1:0]."""

    DISABLED = 0
    ENABLED = 1
    DRAINING = 2
    HALTED = 3


class ResetType(enum.IntEnum):
    """GENSTS[3:2]: the least reset that brings a halted device back."""

    SOFTWARE = 0
    FLR = 1
    WARM = 2
    COLD = 3


class QueueState(enum.IntEnum):
    """State in WQCFG."""

    DISABLED = 0
    ENABLED = 1
    BUSY = 2
