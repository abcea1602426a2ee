"""What a received header says, and whether it may say so."""

from amaranth import *
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from .records import Completion, Kind, Request, Status

PREFIX_PASID = 0x91
CODES_TC0 = (0x00, 0x14, 0x18, 0x19, 0x1B, *range(0x20, 0x28), 0x30, 0x31, 0x33, 0x50)
"""Messages that must use traffic class 0 (PCIe Base 6.x §2.2.8)."""


class Verdict(enum.Enum, shape=3):
    """What becomes of a TLP, by the look of it (PCIe Base 6.x §2.3)."""

    GOOD = 0
    MALFORMED = 1
    UNSUPPORTED = 2
    UNEXPECTED_COMPLETION = 3
    OVERFLOW = 4
    """It came without the credits for it."""


class Flow(enum.Enum, shape=2):
    """The flow control type of a TLP."""

    POSTED = 0
    NON_POSTED = 1
    COMPLETION = 2
    UNKNOWN = 3


class RawHeader(data.Struct):
    """A header as it came, each DW as the number its four wire bytes spell big-endian."""

    #: DWs that a short header does not have are undefined.
    dws: data.ArrayLayout(32, 4)
    prefix_valid: 1
    prefix: 32


class Decoded(data.Struct):
    """A header, taken apart."""

    request: Request
    completion: Completion
    verdict: Verdict
    flow: Flow
    #: DWs of prefix and header.
    header_dw: 3
    #: Payload that follows, in DW.
    payload_dw: 11
    #: Data credits that the payload takes: units of 16 bytes or part of them.
    units: 9
    #: Whether a digest follows that.
    digest: 1


class HeaderDecoder(Component):
    """Decode and check a header (PCIe Base 6.x §2.2, §2.3). Combinational.

    Of the checks that are optional, it makes those of byte enables against the length, of the
    fixed fields of configuration and I/O requests, and of the 4 KiB boundary. The address type is
    ignored: without address translation services the field is reserved. With processing hints in
    place of byte enables, all bytes are enabled.

    Members
    -------
    raw : ``In(RawHeader)``
    max_payload_dw : ``In(11)``
        Largest payload that may be received.
    decoded : ``Out(Decoded)``
        ``request`` or ``completion`` is meaningful as ``flow`` says, if ``verdict`` is good.
    """

    raw: In(RawHeader)
    max_payload_dw: In(11)
    decoded: Out(Decoded)

    def elaborate(self, platform):
        m = Module()
        first, second, third, fourth = self.raw.dws
        prefix = self.raw.prefix
        four, with_data = first[29], first[30]
        out, request = self.decoded, self.decoded.request
        length = Signal(11)
        tag = Cat(second[8:16], first[19], first[23])
        m.d.comb += [
            length.eq(Cat(first[:10], first[:10] == 0)),
            out.header_dw.eq(3 + four + self.raw.prefix_valid),
            out.payload_dw.eq(Mux(with_data, length, 0)),
            out.units.eq((out.payload_dw + 3) >> 2),
            out.digest.eq(first[15]),
            request.fmt_type.eq(first[24:]),
            request.address.eq(Mux(four, Cat(fourth, third), third)),
            request.length_dw.eq(length),
            request.first_be.eq(second[:4]),
            request.last_be.eq(second[4:8]),
            request.requester.eq(second[16:]),
            request.tag.eq(tag),
            request.tc.eq(first[20:23]),
            request.attr.eq(Cat(first[12:14], first[18])),
            request.at.eq(first[10:12]),
            request.poisoned.eq(first[14] & with_data),
            request.tenant.valid.eq(self.raw.prefix_valid & (prefix[24:] == PREFIX_PASID)),
            request.tenant.pasid.eq(prefix[:20]),
            request.tenant.privileged.eq(prefix[23]),
            request.tenant.execute.eq(prefix[22]),
            request.prefix_rest.eq(Cat(prefix[20:22], prefix[24:28])),
            out.completion.length_dw.eq(out.payload_dw),
            out.completion.byte_count.eq(Cat(second[:12], second[:12] == 0)),
            out.completion.lower_address.eq(third[:7]),
            out.completion.completer.eq(second[16:]),
            out.completion.requester.eq(third[16:]),
            out.completion.tag.eq(Cat(third[8:16], first[19], first[23])),
            out.completion.tc.eq(request.tc),
            out.completion.attr.eq(request.attr),
            out.completion.poisoned.eq(request.poisoned),
        ]
        with m.Switch(second[13:16]):
            for status in Status:
                with m.Case(status.value):
                    m.d.comb += out.completion.status.eq(status)
            with m.Default():
                # Reserved codes count as this one.
                m.d.comb += out.completion.status.eq(Status.UNSUPPORTED_REQUEST)
        kind = Signal(Kind)
        self._kind(m, kind, first)
        self._verdict(m, kind, first, second, length)
        return m

    def _kind(self, m, kind, first):
        """Kind and flow control type from Fmt and Type (PCIe Base 6.x §2.2.1, table 2-3)."""
        request = self.decoded.request
        table = {
            (Kind.MEMORY_READ, Flow.NON_POSTED): ("00000000", "00100000"),
            (Kind.MEMORY_WRITE, Flow.POSTED): ("01000000", "01100000"),
            (Kind.DEFERRABLE_WRITE, Flow.NON_POSTED): ("01011011", "01111011"),
            (Kind.CONFIG_READ, Flow.NON_POSTED): ("00000100",),
            (Kind.CONFIG_WRITE, Flow.NON_POSTED): ("01000100",),
            (Kind.MESSAGE, Flow.POSTED): ("00110---", "01110---"),
            (Kind.UNSUPPORTED, Flow.NON_POSTED): (
                *("00000001", "00100001"),  # locked read
                *("00000010", "01000010"),  # I/O
                *("00000101", "01000101"),  # configuration of type 1
                *("01001100", "01101100", "01001101", "01101101", "01001110", "01101110"),  # atomic
            ),
            (Kind.UNSUPPORTED, Flow.COMPLETION): ("0-001010", "0-001011"),
        }
        with m.Switch(first[24:]):
            for (code, flow), patterns in table.items():
                with m.Case(*patterns):
                    m.d.comb += [kind.eq(code), self.decoded.flow.eq(flow)]
            with m.Default():
                m.d.comb += self.decoded.flow.eq(Flow.UNKNOWN)
        with m.If(kind == Kind.MESSAGE):
            m.d.comb += request.length_dw.eq(self.decoded.payload_dw)
        with m.Else():
            m.d.comb += request.address[:2].eq(0)
        # With processing hints, a steering tag stands where the byte enables would be.
        with m.If(first[16] & ((kind == Kind.MEMORY_READ) | (kind == Kind.DEFERRABLE_WRITE))):
            m.d.comb += [
                request.first_be.eq(0b1111),
                request.last_be.eq(Mux(request.length_dw == 1, 0, 0b1111)),
            ]

    def _verdict(self, m, kind, first, second, length):
        out, request = self.decoded, self.decoded.request
        memory, fixed, locked = Signal(), Signal(), Signal()
        single = Signal()
        bad = Signal(8)
        m.d.comb += [
            request.kind.eq(kind),
            request.foreign.eq(self.raw.prefix_valid & ~request.tenant.valid),
            memory.eq(
                (kind == Kind.MEMORY_READ)
                | (kind == Kind.MEMORY_WRITE)
                | (kind == Kind.DEFERRABLE_WRITE)
            ),
            fixed.eq(first[24:].matches("0-00010-", "0-000010")),
            locked.eq(first[24:29] == 0b01011),
            single.eq(length == 1),
            bad[0].eq(out.flow == Flow.UNKNOWN),
            bad[1].eq(self.raw.prefix_valid & ~self.raw.prefix[28]),
            bad[2].eq(out.payload_dw > self.max_payload_dw),
            bad[3].eq(memory & Mux(single, request.last_be.any(), ~request.last_be.any())),
            bad[4].eq(memory & ~single & ~request.first_be.any()),
            bad[5].eq(memory & (request.address[2:12] + length > 1024)),
            bad[6].eq(
                fixed & (~single | second[4:8].any() | first[20:23].any() | first[12:14].any())
            ),
            bad[7].eq((kind == Kind.MESSAGE) & first[20:23].any() & second[:8].matches(*CODES_TC0)),
        ]
        with m.If(bad.any()):
            m.d.comb += out.verdict.eq(Verdict.MALFORMED)
        with m.Elif(out.flow == Flow.COMPLETION):
            with m.If(self.raw.prefix_valid | locked):
                m.d.comb += out.verdict.eq(Verdict.UNEXPECTED_COMPLETION)
        # A non-posted request has to be answered all the same, so it goes on.
        with m.Elif(request.foreign & (out.flow == Flow.POSTED)):
            m.d.comb += out.verdict.eq(Verdict.UNSUPPORTED)
