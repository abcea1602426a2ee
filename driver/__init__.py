"""Tocsin's host driver: probe, dynamic interrupt vectors, assignable device interfaces.

Knows the register map and a :class:`~driver.transport.Transport`, and nothing else.
"""

from .adi import Adi
from .batch import BatchList
from .comparisons import (
    ApplyDelta,
    Compare,
    ComparePattern,
    Comparison,
    CreateDelta,
    Delta,
    DeltaRecord,
)
from .completion import Completion
from .crc import CopyCrc, Crc
from .descriptors import (
    Batch,
    BatchResult,
    CacheFlush,
    Descriptor,
    Drain,
    Dualcast,
    Fill,
    MemoryMove,
    Nop,
)
from .device import Device
from .errors import (
    CommandFailed,
    CommandTimeout,
    DeviceGone,
    DeviceHalted,
    DriverError,
    MissedBell,
    OperationAborted,
    OperationTimeout,
    ProbeError,
    QueueFull,
    SettingsError,
    SubmissionRejected,
    VectorError,
    VectorsExhausted,
)
from .failures import (
    DeltaCorrupt,
    DescriptorRefused,
    InterruptRefused,
    MemoryFailed,
    OperationFailed,
)
from .groups import GroupSettings
from .member import BatchFailed, Member
from .operation import Operation
from .queues import Queue
from .reports import ErrorReport
from .settings import Mode, QueueSettings
from .timeouts import Timeouts
from .transport import Buffer, Transport
from .vector import Vector, VectorTable

__all__ = [
    "Adi",
    "ApplyDelta",
    "Batch",
    "BatchFailed",
    "BatchList",
    "BatchResult",
    "Buffer",
    "CacheFlush",
    "CommandFailed",
    "CommandTimeout",
    "Compare",
    "ComparePattern",
    "Comparison",
    "Completion",
    "CopyCrc",
    "Crc",
    "CreateDelta",
    "Delta",
    "DeltaCorrupt",
    "DeltaRecord",
    "Descriptor",
    "DescriptorRefused",
    "Device",
    "DeviceGone",
    "DeviceHalted",
    "Drain",
    "DriverError",
    "Dualcast",
    "ErrorReport",
    "Fill",
    "GroupSettings",
    "InterruptRefused",
    "Member",
    "MemoryFailed",
    "MemoryMove",
    "MissedBell",
    "Mode",
    "Nop",
    "Operation",
    "OperationAborted",
    "OperationFailed",
    "OperationTimeout",
    "ProbeError",
    "Queue",
    "QueueFull",
    "QueueSettings",
    "SettingsError",
    "SubmissionRejected",
    "Timeouts",
    "Transport",
    "Vector",
    "VectorError",
    "VectorTable",
    "VectorsExhausted",
]
