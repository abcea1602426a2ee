"""What a TLP is inside the device: a record beside payload beats.

Only :mod:`hw.tlp.pack` and :mod:`hw.tlp.unpack` know the byte order, the header lengths and the
prefixes of the wire.
"""

from amaranth import *
from amaranth.lib import data, enum, stream


class Kind(enum.Enum, shape=3):
    """Kinds of request, as far as this device tells them apart."""

    MEMORY_READ = 0
    MEMORY_WRITE = 1
    DEFERRABLE_WRITE = 2
    CONFIG_READ = 3
    CONFIG_WRITE = 4
    MESSAGE = 5
    """Posted. The message code is in ``last_be`` (upper half) and ``first_be``."""
    UNSUPPORTED = 6
    """A non-posted request of a type that this device has no use for: I/O, locked, atomic, type 1
    configuration. It has to be answered all the same."""


class Status(enum.Enum, shape=3):
    """Completion status (PCIe Base 6.x §2.2.9.1)."""

    SUCCESS = 0b000
    UNSUPPORTED_REQUEST = 0b001
    REQUEST_RETRY = 0b010
    COMPLETER_ABORT = 0b100


class Tenant(data.Struct):
    """Who a request is for: today a PASID (PCIe Base 6.x §6.20)."""

    #: Whether there is a PASID at all; if not, the request is the function's own.
    valid: 1
    #: The PASID.
    pasid: 20
    #: Privileged Mode Requested.
    privileged: 1
    #: Execute Requested.
    execute: 1


class Request(data.Struct):
    """A request, in either direction."""

    kind: Kind
    #: First byte of the header as on the wire (Fmt and Type), for the error log. Only meaningful
    #: in received requests.
    fmt_type: 8
    #: Byte address, DW-aligned. Configuration: 11:0 register, 31:16 destination ID.
    #: Messages: header DWs 2 (63:32) and 3 (31:0).
    address: 64
    #: Payload, or data asked for, in DW: 1 to 1024.
    length_dw: 11
    #: Byte enables of the first and the last DW.
    first_be: 4
    last_be: 4
    #: Requester ID.
    requester: 16
    tag: 10
    #: Traffic class.
    tc: 3
    #: Bit 0 No Snoop, bit 1 Relaxed Ordering, bit 2 ID-based Ordering.
    attr: 3
    #: Address type; 0 is untranslated.
    at: 2
    #: The payload is poisoned (EP).
    poisoned: 1
    tenant: Tenant
    #: There is an end-to-end prefix, and not one that this device knows. Never set in what is sent.
    foreign: 1
    #: Bits of the end-to-end prefix beyond those of ``tenant``, for the error log: 21:20, then
    #: 27:24. Only meaningful in received requests.
    prefix_rest: 6


class Completion(data.Struct):
    """A completion, in either direction."""

    status: Status
    #: Payload in DW, 0 to 1024; 0 is a completion without data.
    length_dw: 11
    #: Bytes left of the request, this completion included: 1 to 4096.
    byte_count: 13
    #: Bits 6:0 of the address of the first byte.
    lower_address: 7
    #: Completer ID.
    completer: 16
    #: Requester ID.
    requester: 16
    tag: 10
    #: Traffic class.
    tc: 3
    #: As in :class:`Request`.
    attr: 3
    #: The payload is poisoned (EP).
    poisoned: 1


class Packet(data.StructLayout):
    """A beat of a packet: its header, stable from ``first`` to ``last``, and ``data_width`` bits.

    Payload starts at bit 0 of the first beat, lowest address first, without gaps; what lies beyond
    the length in the header is undefined. A packet without payload is one beat.

    Parameters
    ----------
    header
        Shape of the header.
    data_width
        Bits of payload in a beat.

    Members
    -------
    header : ``header``
        Stable while the packet lasts.
    data : ``data_width``
        Payload.
    first, last : 1
        Frame; a packet of one beat has both.
    """

    def __init__(self, header, data_width: int):
        self.data_width = data_width
        super().__init__({"header": header, "data": data_width, "first": 1, "last": 1})

    def __repr__(self) -> str:
        return f"Packet({self.members['header']!r}, {self.data_width})"


class Wire(data.StructLayout):
    """A beat of a TLP as it goes over the wire: whole DWs, from the first prefix to the digest.

    Byte ``k`` of the TLP is bits ``8k+7:8k`` of the concatenated beats. Each TLP starts at DW 0 of
    a beat. This is what a data link layer or a vendor's hard block is adapted to.

    Members
    -------
    data : ``data_width``
        DWs, the first in the lowest bits.
    count : ``range(data_width // 32 + 1)``
        DWs of this beat that belong to the TLP; less than all of them only in the last beat.
    first : 1
        A TLP begins.
    last : 1
        It ends.
    """

    def __init__(self, data_width: int):
        self.data_width = data_width
        super().__init__(
            {"data": data_width, "count": range(data_width // 32 + 1), "first": 1, "last": 1}
        )

    def __repr__(self) -> str:
        return f"Wire({self.data_width})"


class CreditLimit(data.Struct):
    """Flow control credits of one type, as running totals (PCIe Base 6.x §2.6.1).

    The receiver's total of credits granted since reset, modulo the width; an infinite kind never
    changes and is not counted.
    """

    #: Header credits, one for each TLP.
    header: 8
    #: Data credits, one for each 16 bytes of payload or part of them.
    data: 12
    #: Headers are not limited.
    header_infinite: 1
    #: Data is not limited.
    data_infinite: 1


class Credits(data.Struct):
    """Credits of the three types that flow control tells apart."""

    posted: CreditLimit
    non_posted: CreditLimit
    completion: CreditLimit


def packet_stream(header, data_width: int) -> stream.Signature:
    """Signature of a stream of packets."""
    return stream.Signature(Packet(header, data_width))


def wire_stream(data_width: int) -> stream.Signature:
    """Signature of a stream of wire beats."""
    return stream.Signature(Wire(data_width))
