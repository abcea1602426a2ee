"""Header DWs as the numbers that their four wire bytes spell big-endian, from records."""

from amaranth import *


def prefix_dw(tenant, rest):
    """An end-to-end prefix (PCIe Base 6.x §2.2.10.4, §6.20).

    Parameters
    ----------
    tenant : Tenant
        Its PASID and the two bits beside that.
    rest : Value of 6 bits
        As in :class:`hw.tlp.records.Request`.
    """
    return Cat(tenant.pasid, rest[:2], tenant.execute, tenant.privileged, rest[2:], C(0b1001, 4))


def request_dws(request, length, fmt_type) -> list:
    """The first two DWs of a request (PCIe Base 6.x §2.2.1, §2.2.7); the address follows.

    Parameters
    ----------
    request : Request
        What all fields but these come from:
    length, fmt_type : Value of 10 and 8 bits
        Length, and Fmt with Type.
    """
    second = Cat(request.first_be, request.last_be, request.tag[:8], request.requester)
    return [_first(request, length, request.at, fmt_type), second]


def completion_dws(completion, with_data) -> list:
    """The three DWs of a completion (PCIe Base 6.x §2.2.9).

    Parameters
    ----------
    completion : Completion
        What all fields but this come from:
    with_data : Value of 1 bit
        Whether the payload is there.
    """
    length = Mux(with_data, completion.length_dw[:10], 0)
    fmt_type = Cat(C(0b01010, 5), C(0, 1), with_data, C(0, 1))
    return [
        _first(completion, length, C(0, 2), fmt_type),
        Cat(completion.byte_count[:12], C(0, 1), completion.status, completion.completer),
        Cat(completion.lower_address, C(0, 1), completion.tag[:8], completion.requester),
    ]


def _first(header, length, at, fmt_type):
    """DW 0; no digest and no processing hints."""
    return Cat(
        length[:10],
        at,
        header.attr[:2],
        header.poisoned,
        C(0, 3),
        header.attr[2],
        header.tag[8],
        header.tc,
        header.tag[9],
        fmt_type,
    )
