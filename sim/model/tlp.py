"""TLPs as plain records, equal in meaning to those of the gateware."""

import enum
from dataclasses import dataclass, field


class Kind(enum.IntEnum):
    """Kinds of request, as far as an endpoint tells them apart."""

    MEMORY_READ = 0
    MEMORY_WRITE = 1
    DEFERRABLE_WRITE = 2
    CONFIG_READ = 3
    CONFIG_WRITE = 4
    MESSAGE = 5
    """Posted. The message code is in ``last_be`` (upper half) and ``first_be``."""
    UNSUPPORTED = 6
    """A non-posted request of another type: I/O, locked, atomic, type 1 configuration."""


POSTED = frozenset((Kind.MEMORY_WRITE, Kind.MESSAGE))


class Status(enum.IntEnum):
    """Completion status (PCIe Base 6.x §2.2.9.1)."""

    SUCCESS = 0b000
    UNSUPPORTED_REQUEST = 0b001
    REQUEST_RETRY = 0b010
    COMPLETER_ABORT = 0b100


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who a request is for: a PASID (PCIe Base 6.x §6.20), or nobody but the function itself.

    Parameters
    ----------
    pasid
        The PASID, or None.
    privileged, execute
        Privileged Mode Requested and Execute Requested.
    """

    pasid: int | None = None
    privileged: bool = False
    execute: bool = False


NOBODY = Tenant()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; for a write, ``payload`` holds ``length_dw`` DWs.

    Parameters
    ----------
    kind
        What is asked.
    address
        Byte address, DW-aligned. Configuration: 11:0 register, 31:16 destination ID. Messages:
        header DWs 2 (63:32) and 3 (31:0).
    length_dw
        Payload, or data asked for, in DW: 1 to 1024 (0 for a message without data).
    first_be, last_be
        Byte enables of the first and the last DW.
    payload
        Bytes, lowest address first.
    fmt_type
        First byte of the header on the wire; 0 lets the encoder choose.
    unknown_prefix
        The end-to-end prefix that it came with, as a big-endian number, if it is one that this
        device does not support; else 0.
    prefix
        The end-to-end prefix as received, as a big-endian number; None if there was none, or if
        the request did not come over a wire.
    header
        Header DWs as received, as big-endian numbers; empty if it did not come over a wire.
    """

    kind: Kind
    address: int
    length_dw: int = 1
    first_be: int = 0xF
    last_be: int = 0
    requester: int = 0
    tag: int = 0
    tc: int = 0
    attr: int = 0
    at: int = 0
    poisoned: bool = False
    tenant: Tenant = NOBODY
    payload: bytes = b""
    fmt_type: int = 0
    unknown_prefix: int = 0
    prefix: int | None = field(default=None, compare=False)
    header: tuple[int, ...] = field(default=(), compare=False)

    @property
    def posted(self) -> bool:
        """Whether nobody waits for an answer."""
        return self.kind in POSTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion; ``payload`` holds ``length_dw`` DWs, or nothing."""

    status: Status
    length_dw: int = 0
    byte_count: int = 4
    lower_address: int = 0
    completer: int = 0
    requester: int = 0
    tag: int = 0
    tc: int = 0
    attr: int = 0
    poisoned: bool = False
    payload: bytes = b""
    header: tuple[int, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no TLP, and what is wrong with them.

    Parameters
    ----------
    reason
        For people.
    header
        The header DWs that the error log gets, as big-endian numbers.
    """

    reason: str
    header: tuple[int, ...] = ()
    prefix: int | None = field(default=None)


Tlp = Request | Completion | Malformed


def memory_read(address: int, size: int, **header: int) -> Request:
    """Read ``size`` bytes from any byte address, as one request."""
    start, length, first, last = span(address, size)
    return Request(
        kind=Kind.MEMORY_READ,
        address=start,
        length_dw=length,
        first_be=first,
        last_be=last,
        **header,  # type: ignore[arg-type]
    )


def memory_write(address: int, data: bytes, *, deferrable: bool = False, **header: int) -> Request:
    """Write bytes at any byte address, as one request."""
    start, length, first, last = span(address, len(data))
    before = address - start
    after = 4 * length - before - len(data)
    return Request(
        kind=Kind.DEFERRABLE_WRITE if deferrable else Kind.MEMORY_WRITE,
        address=start,
        length_dw=length,
        first_be=first,
        last_be=last,
        payload=bytes(before) + bytes(data) + bytes(after),
        **header,  # type: ignore[arg-type]
    )


def config_read(offset: int, size: int = 4, *, destination: int = 0, **header: int) -> Request:
    """Read 1, 2 or 4 bytes of configuration space."""
    return Request(
        kind=Kind.CONFIG_READ,
        address=destination << 16 | (offset & ~3),
        first_be=((1 << size) - 1) << (offset & 3),
        **header,  # type: ignore[arg-type]
    )


def config_write(
    offset: int, value: int, size: int = 4, *, destination: int = 0, **header: int
) -> Request:
    """Write 1, 2 or 4 bytes of configuration space."""
    low = offset & 3
    return Request(
        kind=Kind.CONFIG_WRITE,
        address=destination << 16 | (offset & ~3),
        first_be=((1 << size) - 1) << low,
        payload=(value << 8 * low & 0xFFFF_FFFF).to_bytes(4, "little"),
        **header,  # type: ignore[arg-type]
    )


def span(address: int, size: int) -> tuple[int, int, int, int]:
    """DW-aligned address, length in DW, and byte enables that select ``size`` bytes.

    A size of 0 is the zero-length request: one DW with no byte enabled (PCIe Base 6.x §2.2.5).
    """
    low = address & 3
    if size == 0:
        return address & ~3, 1, 0, 0
    length = (low + size + 3) // 4
    last = 0xF >> (-(low + size) & 3)
    first = 0xF & 0xF << low
    if length == 1:
        return address & ~3, 1, first & last, 0
    return address & ~3, length, first, last


#: Offset of the first, and count from the first to the last, enabled byte in a DW.
_LOWEST = [0, *((be & -be).bit_length() - 1 for be in range(1, 16))]
_HIGHEST = [0, *(be.bit_length() - 1 for be in range(1, 16))]


def read_span(request: Request) -> tuple[int, int]:
    """Lower Address and Byte Count of the completion of a read (PCIe Base 6.x §2.2.9, §2.3.1)."""
    first, last = request.first_be, request.last_be
    lower = (request.address + _LOWEST[first]) & 0x7F
    if request.length_dw == 1:
        return lower, (_HIGHEST[first] - _LOWEST[first] + 1) if first else 1
    count = 4 * request.length_dw - _LOWEST[first] - (3 - _HIGHEST[last])
    return lower, count
