"""Tocsin's host driver: probe, dynamic interrupt vectors, assignable device interfaces.

Knows the register map and a :class:`~driver.transport.Transport`, and nothing else.
"""

from .adi import Adi
from .descriptors import Completion, Descriptor, Drain, MemoryMove, Nop, OperationFailed
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
from .operation import Operation
from .queues import Mode, Queue, QueueSettings
from .service import ErrorReport
from .timeouts import Timeouts
from .transport import Buffer, Transport
from .vectors import Vector, VectorTable

__all__ = [
    "Adi",
    "Buffer",
    "CommandFailed",
    "CommandTimeout",
    "Completion",
    "Descriptor",
    "Device",
    "DeviceGone",
    "DeviceHalted",
    "Drain",
    "DriverError",
    "ErrorReport",
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
