"""TLPs of cocotbext-pcie, with what it lacks: PASID prefixes, deferrable writes, messages."""

import enum
import struct
from typing import Any

from cocotbext.pcie.core import tlp as base
from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import CplStatus, TlpAttr, TlpFmt, TlpType, tlp_type_fc_type_mapping
from cocotbext.pcie.core.utils import PcieId

PASID_PREFIX = 0x91


class ExtraType(enum.Enum):
    """Types that cocotbext-pcie does not know (PCIe Base 6.x table 2-5)."""

    DEFERRABLE_WRITE = (TlpFmt.THREE_DW_DATA, 0x1B)
    DEFERRABLE_WRITE_64 = (TlpFmt.FOUR_DW_DATA, 0x1B)


TYPES: dict[tuple[int, int], TlpType | ExtraType] = {
    (int(kind.value[0]), int(kind.value[1])): kind for kind in (*TlpType, *ExtraType)
}
MEMORY_READS = {TlpType.MEM_READ, TlpType.MEM_READ_64}
MEMORY_WRITES = {TlpType.MEM_WRITE, TlpType.MEM_WRITE_64}
DEFERRABLE_WRITES = {ExtraType.DEFERRABLE_WRITE, ExtraType.DEFERRABLE_WRITE_64}
CONFIGURATION = {
    TlpType.CFG_READ_0,
    TlpType.CFG_WRITE_0,
    TlpType.CFG_READ_1,
    TlpType.CFG_WRITE_1,
}
COMPLETIONS = {TlpType.CPL, TlpType.CPL_DATA, TlpType.CPL_LOCKED, TlpType.CPL_LOCKED_DATA}
FLOW: dict[Any, FcType] = {
    **tlp_type_fc_type_mapping,
    **dict.fromkeys(ExtraType, FcType.NP),
}


class MalformedTlp(ValueError):  # noqa: N818
    """Bytes that are no TLP. The message says why."""


class Tlp(base.Tlp):  # type: ignore[misc]
    """A TLP as cocotbext-pcie routes it, with more types and a PASID.

    Attributes
    ----------
    pasid : int or None
        PASID of the prefix; no prefix if None.
    privileged, execute : bool
        Privileged Mode Requested and Execute Requested, in the prefix.
    message_code : int
        Of a message; ``address`` is then the last two DWs of its header.
    """

    def __init__(self, tlp: Any = None):
        self.pasid: int | None = getattr(tlp, "pasid", None)
        self.privileged = bool(getattr(tlp, "privileged", False))
        self.execute = bool(getattr(tlp, "execute", False))
        self.message_code = int(getattr(tlp, "message_code", 0))
        super().__init__(tlp)

    @property
    def fmt_type(self) -> Any:
        """The type; an undefined combination is the bare pair of Fmt and Type."""
        pair = (int(self.fmt), int(self.type))
        return TYPES.get(pair, pair)

    @fmt_type.setter
    def fmt_type(self, value: Any) -> None:
        self.fmt, self.type = value.value if isinstance(value, enum.Enum) else value

    def check(self) -> bool:
        """Always true: what is legal is for :mod:`sim.checkers.tlps` to say, and a bench may well
        send what is not."""
        return True

    @property
    def is_message(self) -> bool:
        return bool(self.type & 0x18 == 0x10)

    @property
    def is_memory(self) -> bool:
        """Whether the request is routed by address to memory space."""
        return self.type in (0x00, 0x01, 0x0C, 0x0D, 0x0E, 0x1B) and self.fmt <= 3

    def get_fc_type(self) -> FcType:
        return FLOW[self.fmt_type]

    def is_posted(self) -> bool:
        return self.get_fc_type() is FcType.P

    def is_nonposted(self) -> bool:
        return self.get_fc_type() is FcType.NP

    def is_completion(self) -> bool:
        return self.get_fc_type() is FcType.CPL

    def pack(self) -> bytes:
        """The TLP as it goes over the wire, prefix first."""
        words = []
        if self.pasid is not None:
            words.append(
                PASID_PREFIX << 24 | self.privileged << 23 | self.execute << 22 | self.pasid
            )
        words.append(
            int(self.fmt) << 29
            | int(self.type) << 24
            | (self.tag & 0x200) << 14
            | (int(self.tc) & 7) << 20
            | (self.tag & 0x100) << 11
            | (int(self.attr) & 4) << 16
            | bool(self.ln) << 17
            | bool(self.th) << 16
            | bool(self.td) << 15
            | bool(self.ep) << 14
            | (int(self.attr) & 3) << 12
            | (int(self.at) & 3) << 10
            | self.length & 0x3FF
        )
        if self.fmt_type in COMPLETIONS:
            words.append(
                int(self.completer_id) << 16
                | int(self.status) << 13
                | bool(self.bcm) << 12
                | self.byte_count & 0xFFF
            )
            words.append(
                int(self.requester_id) << 16 | (self.tag & 0xFF) << 8 | self.lower_address & 0x7F
            )
        else:
            enables = self.last_be << 4 | self.first_be
            words.append(
                int(self.requester_id) << 16
                | (self.tag & 0xFF) << 8
                | (self.message_code if self.is_message else enables)
            )
            if self.fmt_type in CONFIGURATION:
                words.append(int(self.completer_id) << 16 | self.address & 0xFFC)
            elif self.fmt in (TlpFmt.FOUR_DW, TlpFmt.FOUR_DW_DATA):
                words += [self.address >> 32, self.address & 0xFFFFFFFF | self.ph & 3]
            else:
                words.append(self.address & 0xFFFFFFFF | self.ph & 3)
        header = struct.pack(f">{len(words)}L", *words)
        return header + bytes(self.data) if self.has_data() else header

    @classmethod
    def unpack(cls, packet: bytes) -> "Tlp":
        """Take a TLP apart.

        Raises
        ------
        MalformedTlp
            The bytes end too early or too late, or the type is undefined.
        """
        tlp = cls()
        if len(packet) % 4 or len(packet) < 12:
            raise MalformedTlp(f"a TLP of {len(packet)} bytes")
        place = 0
        if packet[0] == PASID_PREFIX:
            (prefix,) = struct.unpack_from(">L", packet)
            tlp.pasid = prefix & 0xFFFFF
            tlp.privileged, tlp.execute = bool(prefix >> 23 & 1), bool(prefix >> 22 & 1)
            if prefix & 0x0030_0000:
                raise MalformedTlp(f"reserved bits set in the PASID prefix {prefix:#010x}")
            place = 4
        first, second, third = struct.unpack_from(">3L", packet, place)
        tlp.fmt, tlp.type = first >> 29, first >> 24 & 0x1F
        if (tlp.fmt, tlp.type) not in TYPES or tlp.fmt == TlpFmt.TLP_PREFIX:
            raise MalformedTlp(f"undefined type {first >> 24:#04x}")
        tlp.length = first & 0x3FF
        tlp.attr = TlpAttr(first >> 12 & 3 | first >> 16 & 4)
        tlp.at = first >> 10 & 3
        tlp.ep, tlp.td = bool(first >> 14 & 1), bool(first >> 15 & 1)
        tlp.th, tlp.ln = bool(first >> 16 & 1), bool(first >> 17 & 1)
        tlp.tc = first >> 20 & 7
        tlp.tag = first >> 11 & 0x100 | first >> 14 & 0x200
        if tlp.length == 0 and tlp.has_data() | (tlp.fmt_type in MEMORY_READS):
            tlp.length = 1024
        if tlp.fmt_type in COMPLETIONS:
            tlp.completer_id = PcieId.from_int(second >> 16)
            tlp.status = second >> 13 & 7
            tlp.bcm = bool(second >> 12 & 1)
            tlp.byte_count = (second & 0xFFF) or 4096
            tlp.requester_id = PcieId.from_int(third >> 16)
            tlp.tag |= third >> 8 & 0xFF
            tlp.lower_address = third & 0x7F
        else:
            tlp.requester_id = PcieId.from_int(second >> 16)
            tlp.tag |= second >> 8 & 0xFF
            tlp.first_be, tlp.last_be = second & 0xF, second >> 4 & 0xF
            tlp.message_code = second & 0xFF
            if tlp.fmt_type in CONFIGURATION:
                tlp.completer_id = PcieId.from_int(third >> 16)
                tlp.address = third & 0xFFC
            elif tlp.fmt & 1:
                if len(packet) < place + 16:
                    raise MalformedTlp("the header ends early")
                (fourth,) = struct.unpack_from(">L", packet, place + 12)
                tlp.address = third << 32 | (fourth if tlp.is_message else fourth & ~3)
                tlp.ph = fourth & 3
            else:
                tlp.address, tlp.ph = third & ~3, third & 3
        payload = packet[place + tlp.get_header_size() :]
        expected = tlp.length * 4 if tlp.has_data() else 0
        if len(payload) != expected + 4 * tlp.td:
            raise MalformedTlp(
                f"{len(payload)} bytes behind the header, {expected} expected for its length"
            )
        tlp.data = bytearray(payload[:expected])
        return tlp

    def describe(self) -> str:
        """One line for a person."""
        kind = self.fmt_type
        name = kind.name if isinstance(kind, enum.Enum) else str(kind)
        who = "" if self.pasid is None else f" pasid={self.pasid:#x}"
        if kind in COMPLETIONS:
            status = self.status
            with_name = CplStatus(status).name if status in (0, 1, 2, 4) else status
            what = f"{with_name} byte_count={self.byte_count} lower_address={self.lower_address:#x}"
        elif self.is_message:
            what = f"code={self.message_code:#04x}"
        else:
            what = f"{self.address:#x} be={self.last_be:04b}/{self.first_be:04b}"
        return f"{name} {what} length={self.length} tag={self.tag} from {self.requester_id}{who}"
