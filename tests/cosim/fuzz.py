"""Random TLPs, most of them illegal in some way."""

import random
from collections.abc import Iterator

from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import TlpFmt, TlpType
from cocotbext.pcie.core.utils import PcieId

from sim.host.credits import Flow
from sim.host.tlp import COMPLETIONS, FLOW, TYPES, ExtraType, MalformedTlp, Tlp

FLOWS = {FcType.P: Flow.POSTED, FcType.NP: Flow.NON_POSTED, FcType.CPL: Flow.COMPLETION}
FIRST_TAG, TAGS = 512, 512
DEVICE = PcieId(1, 0, 0)
CONFIGURATION_WRITE, MESSAGE = 0x44, 0x30
"""First byte of a type 0 configuration write; of a message, without its routing and data bits."""

COMPLETION_TYPES = (0x0A, 0x0B)

HARMLESS = (0x0C, 0x3C)
"""Configuration registers that may be written at random."""

REQUESTS = [
    *[TlpType.MEM_READ, TlpType.MEM_WRITE, ExtraType.DEFERRABLE_WRITE] * 4,
    *[TlpType.CFG_READ_0, TlpType.CFG_WRITE_0, TlpType.CFG_READ_1] * 2,
    *[TlpType.IO_READ, TlpType.IO_WRITE, TlpType.MEM_READ_LOCKED, TlpType.FETCH_ADD],
    *[TlpType.SWAP, TlpType.CAS, TlpType.MSG_TO_RC, TlpType.MSG_LOCAL, TlpType.MSG_BCAST],
    *[TlpType.CPL, TlpType.CPL_DATA, TlpType.MSG_DATA_LOCAL],
]
KEPT_BITS = {1: 0xFF, 2: 0x88, 4: 0xFF, 5: 0xFF, 6: 0xFF}
"""Bits of a header that damage leaves alone, by byte: type, tag and requester stay what they are,
so that every completion can be told from the others."""


class Fuzz:
    """Makes random TLPs.

    Parameters
    ----------
    rng
        Where chance comes from.
    bars
        Base and size of BAR0 and BAR2.
    """

    def __init__(self, rng: random.Random, bars: list[tuple[int, int]]) -> None:
        self.rng = rng
        self.bars = bars
        self._tag = 0

    def packets(self, count: int) -> Iterator[tuple[bytes, Flow]]:
        """TLPs as bytes, with the credits that they take."""
        for _ in range(count):
            tlp = self._request()
            packet = tlp.pack()
            flow = FLOWS[tlp.get_fc_type()]
            if tlp.fmt_type is not TlpType.CFG_WRITE_0 and self.rng.random() < 0.4:
                packet = self._damaged(packet)
                flow = flow_of(packet)
            yield packet, flow

    def _request(self) -> Tlp:
        rng = self.rng
        tlp = Tlp()
        kind = rng.choice(REQUESTS)
        fmt, type_ = kind.value
        tlp.requester_id = PcieId(0, 0, 0)
        self._tag = (self._tag + 1) % TAGS
        tlp.tag = FIRST_TAG + self._tag
        address = self._address()
        size = rng.choice([1, 2, 4, 8, 64, 64, 64, rng.randint(1, 64), rng.randint(65, 512)])
        memory = tlp_is_memory(type_)
        tlp.fmt_type = (fmt | (memory and address >> 32 > 0), type_)
        if memory:
            tlp.set_addr_be(address, size)
            tlp.address = address & ~3
        elif kind in COMPLETIONS:
            tlp.requester_id, tlp.length = DEVICE, rng.randint(1, 16) if tlp.has_data() else 0
            tlp.byte_count, tlp.lower_address = rng.randint(1, 4096), rng.randrange(128)
            tlp.status = rng.choice([0, 1, 2, 4])
        elif tlp.is_message:
            tlp.message_code = rng.choice([0x00, 0x14, 0x19, 0x50, 0x7E, 0x7F, rng.randrange(256)])
            tlp.length = rng.randint(1, 4) if tlp.has_data() else 0
        else:
            tlp.length, tlp.first_be = 1, rng.randrange(16)
            tlp.completer_id = DEVICE
            tlp.address = rng.randrange(0, 4096, 4)
            if kind is TlpType.CFG_WRITE_0:
                tlp.address = rng.choice(HARMLESS)
        if tlp.has_data():
            tlp.data = bytearray(rng.randbytes(4 * tlp.length))
            tlp.ep = rng.random() < 0.05
        if rng.random() < 0.1:
            tlp.pasid = rng.randrange(1 << 20)
        return tlp

    def _address(self) -> int:
        base, size = self.rng.choice(self.bars)
        if self.rng.random() < 0.1:
            return base + size + self.rng.randrange(1 << 20)
        return base + self.rng.randrange(size)

    def _damaged(self, packet: bytes) -> bytes:
        rng = self.rng
        start = 4 if packet[0] == 0x91 else 0
        mutable = bytearray(packet)
        way = rng.choice(["bit", "bit", "bits", "short", "long", "type"])
        if way == "short" and len(mutable) > start + 12:
            return bytes(mutable[: rng.randrange(start + 12, len(mutable), 4)])
        if way == "long":
            return bytes(mutable) + rng.randbytes(4 * rng.randint(1, 300))
        if way == "type":
            # What is a completion has no tag where requests have theirs.
            fixed = mutable[start] & 0x1F in COMPLETION_TYPES
            mutable[start] ^= 1 << rng.randrange(8)
            usable = (
                mutable[start] != CONFIGURATION_WRITE and mutable[start] >> 5 != TlpFmt.TLP_PREFIX
            )
            return bytes(mutable) if usable and not fixed else packet
        for _ in range(1 if way == "bit" else 4):
            place = rng.randrange(0, min(len(mutable) - start, 16))
            keep = KEPT_BITS.get(place, 0xFF if place == 0 else 0)
            mutable[start + place] ^= (1 << rng.randrange(8)) & ~keep
        return bytes(mutable)


def tlp_is_memory(type_: int) -> bool:
    return type_ in (0x00, 0x01, 0x0C, 0x0D, 0x0E, 0x1B)


def flow_of(packet: bytes) -> Flow:
    """Whose credits a TLP takes.

    One of undefined type takes none, and goes with the completions, which are not counted.
    """
    first = packet[4 if packet[0] >> 5 == TlpFmt.TLP_PREFIX else 0]
    if first & 0xB8 == MESSAGE:
        return Flow.POSTED
    kind = TYPES.get((first >> 5, first & 0x1F))
    return FLOWS[FLOW[kind]] if kind in FLOW else Flow.COMPLETION


def parses(packet: bytes) -> bool:
    """Whether the bytes are a TLP at all."""
    try:
        Tlp.unpack(packet)
    except MalformedTlp:
        return False
    return True
