"""TLPs as bytes: encoding, and decoding with the checks of a receiver (PCIe Base 6.x §2.2)."""

from .tlp import NOBODY, Completion, Kind, Malformed, Request, Status, Tenant, Tlp

PASID_PREFIX = 0x91
MOST_PREFIXES = 1
"""End-to-end prefixes that the device takes, as Device Capabilities 2 says."""

_MEMORY = {Kind.MEMORY_READ: 0x00, Kind.MEMORY_WRITE: 0x40, Kind.DEFERRABLE_WRITE: 0x5B}
_CONFIG = {Kind.CONFIG_READ: 0x04, Kind.CONFIG_WRITE: 0x44}
_KINDS = {
    0x00: Kind.MEMORY_READ,
    0x20: Kind.MEMORY_READ,
    0x40: Kind.MEMORY_WRITE,
    0x60: Kind.MEMORY_WRITE,
    0x5B: Kind.DEFERRABLE_WRITE,
    0x7B: Kind.DEFERRABLE_WRITE,
    0x04: Kind.CONFIG_READ,
    0x44: Kind.CONFIG_WRITE,
    **{0x30 | routing: Kind.MESSAGE for routing in range(8)},
    **{0x70 | routing: Kind.MESSAGE for routing in range(8)},
    **dict.fromkeys((0x01, 0x21, 0x02, 0x42, 0x05, 0x45), Kind.UNSUPPORTED),
    **dict.fromkeys((0x4C, 0x6C, 0x4D, 0x6D, 0x4E, 0x6E), Kind.UNSUPPORTED),
}
_COMPLETIONS = {0x0A, 0x4A, 0x0B, 0x4B}
FIXED = frozenset((0x02, 0x42, 0x04, 0x44, 0x05, 0x45))
"""Formats and types of I/O and configuration requests, whose headers have fixed fields."""


def fmt_type(tlp: Request | Completion) -> int:
    """First byte of the header."""
    if isinstance(tlp, Completion):
        return 0x4A if tlp.length_dw else 0x0A
    if tlp.fmt_type:
        return tlp.fmt_type
    if tlp.kind in _MEMORY:
        return _MEMORY[tlp.kind] | (0x20 if tlp.address >> 32 else 0)
    if tlp.kind in _CONFIG:
        return _CONFIG[tlp.kind]
    return 0x70 if tlp.payload else 0x30 if tlp.kind is Kind.MESSAGE else 0x02


def header_dws(tlp: Request | Completion) -> tuple[int, ...]:
    """Header DWs as big-endian numbers: those received, or those that would be sent."""
    if tlp.header:
        return tlp.header
    first = fmt_type(tlp)
    length = tlp.length_dw & 0x3FF
    if isinstance(tlp, Request) and tlp.kind is Kind.MESSAGE and not tlp.payload:
        length = 0
    at = tlp.at if isinstance(tlp, Request) else 0
    dw0 = first << 24 | (tlp.tag >> 9 & 1) << 23 | tlp.tc << 20 | (tlp.tag >> 8 & 1) << 19
    dw0 |= (tlp.attr >> 2) << 18 | tlp.poisoned << 14 | (tlp.attr & 3) << 12 | at << 10 | length
    if isinstance(tlp, Completion):
        dw1 = tlp.completer << 16 | tlp.status << 13 | tlp.byte_count & 0xFFF
        return dw0, dw1, tlp.requester << 16 | (tlp.tag & 0xFF) << 8 | tlp.lower_address
    dw1 = tlp.requester << 16 | (tlp.tag & 0xFF) << 8 | tlp.last_be << 4 | tlp.first_be
    high, low = tlp.address >> 32, tlp.address & 0xFFFF_FFFF
    return (dw0, dw1, high, low) if first & 0x20 else (dw0, dw1, low)


def prefix_dw(tlp: Request | Completion) -> int | None:
    """The end-to-end prefix as a big-endian number, if there is one."""
    if isinstance(tlp, Completion):
        return None
    if tlp.prefix is not None:
        return tlp.prefix
    if tlp.unknown_prefix:
        return tlp.unknown_prefix
    if tlp.tenant.pasid is None:
        return None
    who = tlp.tenant
    assert who.pasid is not None
    return PASID_PREFIX << 24 | who.privileged << 23 | who.execute << 22 | who.pasid


def encode(tlp: Request | Completion) -> bytes:
    """The bytes of a TLP, from the first prefix to the last payload byte."""
    prefix = prefix_dw(tlp)
    head = b"" if prefix is None else prefix.to_bytes(4, "big")
    return head + b"".join(dw.to_bytes(4, "big") for dw in header_dws(tlp)) + tlp.payload


def decode(data: bytes) -> Tlp:
    """Take the bytes of a TLP apart; :class:`~sim.model.tlp.Malformed` if they are none."""
    dws = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4))
    prefixes = 0
    while prefixes < len(dws) and dws[prefixes] >> 29 == 0b100:
        prefixes += 1
    ends = [dw for dw in dws[:prefixes] if dw >> 28 & 1]
    head = dws[prefixes : prefixes + 4]
    pasid = next((dw for dw in ends if dw >> 24 == PASID_PREFIX), None)
    prefix = ends[0] if ends else None
    if not head:
        return Malformed("nothing but prefixes", (), prefix)
    first = head[0] >> 24
    size = 4 if first & 0x20 else 3
    header = head[:size]
    reason = _wrong(dws, prefixes, ends, first, size)
    if reason:
        return Malformed(reason, header, prefix)
    payload = data[4 * (prefixes + size) :]
    if head[0] >> 15 & 1:
        payload = payload[:-4]  # the digest, which nobody checks
    if first in _COMPLETIONS:
        return _completion(header, payload)
    return _request(header, payload, prefix, pasid is None)


def _wrong(
    dws: tuple[int, ...], prefixes: int, ends: list[int], first: int, size: int
) -> str | None:
    """Why a receiver calls this malformed, or None."""
    if len(ends) != prefixes:
        return "local prefix"
    if len(ends) > MOST_PREFIXES:
        return "too many prefixes"
    if first not in _KINDS and first not in _COMPLETIONS:
        return "reserved format or type"
    if len(dws) < prefixes + size:
        return "header cut short"
    dw0 = dws[prefixes]
    length = (dw0 & 0x3FF) or 1024
    expected = prefixes + size + (length if first & 0x40 else 0) + (dw0 >> 15 & 1)
    if len(dws) != expected:
        return "length does not match"
    return None


def _tag(header: tuple[int, ...], low: int) -> int:
    return low & 0xFF | (header[0] >> 19 & 1) << 8 | (header[0] >> 23 & 1) << 9


def _attr(dw0: int) -> int:
    return dw0 >> 12 & 3 | (dw0 >> 18 & 1) << 2


def _completion(header: tuple[int, ...], payload: bytes) -> Completion:
    dw0, dw1, dw2 = header
    code = dw1 >> 13 & 7
    known = code in tuple(Status)
    return Completion(
        status=Status(code) if known else Status.UNSUPPORTED_REQUEST,
        length_dw=len(payload) // 4,
        byte_count=(dw1 & 0xFFF) or 4096,
        lower_address=dw2 & 0x7F,
        completer=dw1 >> 16,
        requester=dw2 >> 16,
        tag=_tag(header, dw2 >> 8),
        tc=dw0 >> 20 & 7,
        attr=_attr(dw0),
        poisoned=bool(dw0 >> 14 & 1 and payload),
        payload=payload,
        header=header,
    )


def _request(header: tuple[int, ...], payload: bytes, prefix: int | None, unknown: bool) -> Request:
    dw0, dw1 = header[:2]
    first = dw0 >> 24
    kind = _KINDS[first]
    address = header[2] << 32 | header[3] if first & 0x20 else header[2]
    if kind in _MEMORY:
        address &= ~3
    elif kind in _CONFIG:
        address &= 0xFFFF_0FFC
    tenant = NOBODY
    if prefix is not None and not unknown:
        tenant = Tenant(prefix & 0xF_FFFF, bool(prefix >> 23 & 1), bool(prefix >> 22 & 1))
    length = (dw0 & 0x3FF) or 1024
    if kind is Kind.MESSAGE and not first & 0x40:
        length = 0
    first_be, last_be = dw1 & 0xF, dw1 >> 4 & 0xF
    if dw0 >> 16 & 1 and kind in (Kind.MEMORY_READ, Kind.DEFERRABLE_WRITE):
        # With processing hints, a steering tag stands where the byte enables would be.
        first_be, last_be = 0xF, 0 if length == 1 else 0xF
    return Request(
        kind=kind,
        address=address,
        length_dw=length,
        first_be=first_be,
        last_be=last_be,
        requester=dw1 >> 16,
        tag=_tag(header, dw1 >> 8),
        tc=dw0 >> 20 & 7,
        attr=_attr(dw0),
        at=dw0 >> 10 & 3,
        poisoned=bool(dw0 >> 14 & 1 and first & 0x40),
        tenant=tenant,
        payload=payload,
        fmt_type=first,
        unknown_prefix=(prefix or 0) if unknown else 0,
        prefix=prefix,
        header=header,
    )
