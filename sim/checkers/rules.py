"""Rules that the header of a TLP keeps by itself, whoever sent it (PCIe Base 6.x §2.2)."""

from collections.abc import Iterator

from cocotbext.pcie.core.tlp import TlpType

from ..host.tlp import (
    COMPLETIONS,
    CONFIGURATION,
    DEFERRABLE_WRITES,
    MEMORY_READS,
    MEMORY_WRITES,
    Tlp,
)

PAGE_BYTES = 4096
FROM_TOP = (0b1111, 0b1110, 0b1100, 0b1000)
FROM_BOTTOM = (0b1111, 0b0111, 0b0011, 0b0001)


def broken_rules(tlp: Tlp, *, payload_bytes: int, read_bytes: int) -> Iterator[str]:
    """Every rule that a TLP breaks, as half a sentence.

    Parameters
    ----------
    payload_bytes, read_bytes
        The most payload it may carry, and the most data it may ask for.
    """
    kind = tlp.fmt_type
    if kind in MEMORY_READS | MEMORY_WRITES | DEFERRABLE_WRITES:
        yield from _memory(tlp, payload_bytes, read_bytes)
    elif kind in CONFIGURATION | {TlpType.IO_READ, TlpType.IO_WRITE}:
        if tlp.length != 1:
            yield f"length is {tlp.length} DW where only 1 is allowed"
        if tlp.last_be:
            yield f"last byte enables are {tlp.last_be:04b} where only 0000 is allowed"
        if tlp.tc or tlp.attr or tlp.at:
            yield "traffic class, attributes and address type have to be 0"
    elif tlp.has_data() and tlp.length * 4 > payload_bytes:
        yield f"payload of {tlp.length * 4} bytes exceeds {payload_bytes}"
    if tlp.pasid is not None and (kind in COMPLETIONS or kind in CONFIGURATION):
        yield "a PASID where none is allowed"
    if tlp.is_message and tlp.type & 7 in (0, 3, 4, 5) and tlp.message_code < 0x40 and tlp.tc:
        yield f"traffic class {tlp.tc} on a message that takes only 0"


def _memory(tlp: Tlp, payload_bytes: int, read_bytes: int) -> Iterator[str]:
    size = tlp.length * 4
    if tlp.fmt & 1 and tlp.address < 1 << 32:
        yield "a 4-DW header for an address below 4 GiB"
    if tlp.has_data() and size > payload_bytes:
        yield f"payload of {size} bytes exceeds {payload_bytes}"
    if not tlp.has_data() and size > read_bytes:
        yield f"a read of {size} bytes exceeds {read_bytes}"
    if tlp.address % PAGE_BYTES + size > PAGE_BYTES:
        yield f"{size} bytes at {tlp.address:#x} cross a 4 KiB boundary"
    yield from _byte_enables(tlp)


def _byte_enables(tlp: Tlp) -> Iterator[str]:
    first, last = tlp.first_be, tlp.last_be
    if tlp.length == 1:
        if last:
            yield f"last byte enables are {last:04b} for 1 DW"
        return
    if not first:
        yield f"first byte enables are 0000 for {tlp.length} DW"
    if not last:
        yield f"last byte enables are 0000 for {tlp.length} DW"
    if tlp.length == 2 and tlp.address % 8 == 0:
        return
    if first and first not in FROM_TOP:
        yield f"first byte enables {first:04b} leave a gap"
    if last and last not in FROM_BOTTOM:
        yield f"last byte enables {last:04b} leave a gap"
