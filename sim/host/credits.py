"""Flow control credits as running totals, in the form of :class:`hw.tlp.records.Credits`."""

import enum
from dataclasses import dataclass


class Flow(enum.IntEnum):
    """The three types that flow control tells apart, in the order of the record."""

    POSTED = 0
    NON_POSTED = 1
    COMPLETION = 2


HEADER_BITS, DATA_BITS = 8, 12
FLOW_BITS = HEADER_BITS + DATA_BITS + 2


@dataclass
class Total:
    """A running total of one type; None is infinitely many, which is not counted."""

    header: int | None
    data: int | None

    def add(self, data: int) -> None:
        """One more TLP with that many data credits."""
        if self.header is not None:
            self.header = (self.header + 1) % (1 << HEADER_BITS)
        if self.data is not None:
            self.data = (self.data + data) % (1 << DATA_BITS)

    def left(self, used: "Total") -> tuple[int, int]:
        """Header and data credits left of this limit; negative if more were used."""
        return (
            _difference(self.header, used.header, HEADER_BITS),
            _difference(self.data, used.data, DATA_BITS),
        )


def _difference(limit: int | None, used: int | None, bits: int) -> int:
    if limit is None or used is None:
        return 1 << (bits - 1)
    half = 1 << (bits - 1)
    return (limit - used + half) % (1 << bits) - half


def pack(totals: dict[Flow, Total]) -> int:
    """The record as a number."""
    word = 0
    for flow, total in totals.items():
        part = (total.header or 0) | (total.data or 0) << HEADER_BITS
        part |= (total.header is None) << (FLOW_BITS - 2) | (total.data is None) << (FLOW_BITS - 1)
        word |= part << flow * FLOW_BITS
    return word


def unpack(word: int) -> dict[Flow, Total]:
    """The totals in a record."""
    totals = {}
    for flow in Flow:
        part = word >> flow * FLOW_BITS
        header = part % (1 << HEADER_BITS)
        data = part >> HEADER_BITS & (1 << DATA_BITS) - 1
        header_infinite = part >> (FLOW_BITS - 2) & 1
        data_infinite = part >> (FLOW_BITS - 1) & 1
        totals[flow] = Total(None if header_infinite else header, None if data_infinite else data)
    return totals


def data_credits(packet: bytes) -> int:
    """Data credits that a TLP takes by its length field: one for each 16 bytes begun."""
    start = 4 if packet[0] >> 5 == 0b100 else 0
    if not packet[start] & 0x40:
        return 0
    length = (packet[start + 2] & 3) << 8 | packet[start + 3]
    return -(-(length or 1024) // 4)
