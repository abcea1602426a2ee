"""What passes between the transaction layer and the rest of the device."""

from amaranth import *
from amaranth.lib import data, enum

from ..regs import Config
from ..tlp.records import Tenant


class Settings(data.Struct):
    """What software has set in configuration space, as the rest of the device needs it."""

    #: Bus, device and function number, captured from the last configuration write.
    routing_id: 16
    #: Memory Space Enable, and the function is in D0.
    memory_space: 1
    #: Bus Master Enable, and the function is in D0.
    bus_master: 1
    #: Largest payload to send, in bytes.
    max_payload_bytes: 13
    #: Largest read to request, in bytes.
    max_read_bytes: 13
    #: Tags of more than five bits may be used.
    extended_tag: 1
    #: Read requests are never given up.
    timeout_disable: 1
    msix_enable: 1
    #: MSI-X Function Mask.
    function_mask: 1
    #: PASIDs may be sent and received.
    pasid_enable: 1
    #: Privileged Mode Requested may be sent.
    pasid_privileged: 1


class ReadStatus(enum.Enum, shape=3):
    """What became of a read."""

    SUCCESS = 0
    UNSUPPORTED_REQUEST = 1
    COMPLETER_ABORT = 2
    POISONED = 3
    TIMEOUT = 4
    BUS_MASTER_OFF = 5


class ReadCommand(data.Struct):
    """A read of host memory: one request.

    It does not cross a multiple of the largest read (:func:`largest_read`).
    """

    #: Byte address.
    address: 64
    #: Bytes: 1 to 4096.
    length_bytes: 13
    tenant: Tenant


def largest_read(config: Config, settings):
    """The largest read in bytes, less one, as a value of 12 bits."""
    return (settings.max_read_bytes - 1)[:12] & (config.read_slot_bytes - 1)


class ReadChunk(data.Struct):
    """Header of the answer to a read. Chunks come in the order of their commands.

    The data beats of a chunk are aligned to the bus: the first beat is the aligned group of
    ``data_width`` bits that contains ``address``, and bytes before it or after the end are
    undefined. A chunk that failed is one beat of undefined data.
    """

    #: Byte address of the first byte.
    address: 64
    #: Bytes in this chunk.
    length_bytes: 13
    #: Known before the first beat.
    status: ReadStatus


class WriteCommand(data.Struct):
    """Header of a write to host memory; the requester cuts it at the maximum payload and 4 KiB.

    Data beats are aligned to the bus, as in :class:`ReadChunk`.
    """

    #: Byte address.
    address: 64
    #: Bytes: 1 to 4096.
    length_bytes: 13
    tenant: Tenant


class ErrorKind(enum.Enum, shape=3):
    """Errors that the transaction layer detects (PCIe Base 6.x §6.2.7)."""

    NONE = 0
    POISONED = 1
    COMPLETION_TIMEOUT = 2
    COMPLETER_ABORT = 3
    UNEXPECTED_COMPLETION = 4
    MALFORMED = 5
    UNSUPPORTED = 6
    RECEIVER_OVERFLOW = 7


class ErrorReport(data.Struct):
    """An error and the TLP to log with it."""

    kind: ErrorKind
    #: Advisory unless the severity is fatal (PCIe Base 6.x §6.2.3.2.4): a non-posted request is
    #: answered with an error completion, or a completion is unexpected or poisoned.
    advisory: 1
    #: Whether ``header`` holds a TLP header; a timeout has none.
    header_valid: 1
    #: Header DWs, DW 0 in the low bits, each as the number its four wire bytes spell big-endian.
    header: data.ArrayLayout(32, 4)
    prefix_valid: 1
    #: The end-to-end prefix, in the same form.
    prefix: 32
