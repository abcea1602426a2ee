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
    """What a header says of its TLP."""

    kind: Kind
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


class HeaderRecords(Component):
    """A header that :class:`HeaderDecoder` has found good, as a record. Combinational.

    With processing hints in place of byte enables, all bytes are enabled.

    Members
    -------
    raw : ``In(RawHeader)``
    kind : ``In(Kind)``
        What it is, of requests.
    request : ``Out(Request)``
    completion : ``Out(Completion)``
        One of them is meaningful.
    """

    raw: In(RawHeader)
    kind: In(Kind)
    request: Out(Request)
    completion: Out(Completion)

    def elaborate(self, platform):
        m = Module()
        first, second, third, fourth = self.raw.dws
        prefix = self.raw.prefix
        four, with_data = first[29], first[30]
        request, completion = self.request, self.completion
        length = Cat(first[:10], first[:10] == 0)
        m.d.comb += [
            request.kind.eq(self.kind),
            request.fmt_type.eq(first[24:]),
            request.address.eq(Mux(four, Cat(fourth, third), third)),
            request.length_dw.eq(length),
            request.first_be.eq(second[:4]),
            request.last_be.eq(second[4:8]),
            request.requester.eq(second[16:]),
            request.tag.eq(Cat(second[8:16], first[19], first[23])),
            request.tc.eq(first[20:23]),
            request.attr.eq(Cat(first[12:14], first[18])),
            request.at.eq(first[10:12]),
            request.poisoned.eq(first[14] & with_data),
            request.tenant.valid.eq(self.raw.prefix_valid & (prefix[24:] == PREFIX_PASID)),
            request.tenant.pasid.eq(prefix[:20]),
            request.tenant.privileged.eq(prefix[23]),
            request.tenant.execute.eq(prefix[22]),
            request.foreign.eq(self.raw.prefix_valid & ~request.tenant.valid),
            request.prefix_rest.eq(Cat(prefix[20:22], prefix[24:28])),
            completion.length_dw.eq(Mux(with_data, length, 0)),
            completion.byte_count.eq(Cat(second[:12], second[:12] == 0)),
            completion.lower_address.eq(third[:7]),
            completion.completer.eq(second[16:]),
            completion.requester.eq(third[16:]),
            completion.tag.eq(Cat(third[8:16], first[19], first[23])),
            completion.tc.eq(request.tc),
            completion.attr.eq(request.attr),
            completion.poisoned.eq(request.poisoned),
        ]
        with m.If(self.kind == Kind.MESSAGE):
            with m.If(~with_data):
                m.d.comb += request.length_dw.eq(0)
        with m.Else():
            m.d.comb += request.address[:2].eq(0)
        hinted = (self.kind == Kind.MEMORY_READ) | (self.kind == Kind.DEFERRABLE_WRITE)
        # With processing hints, a steering tag stands where the byte enables would be.
        with m.If(first[16] & hinted):
            m.d.comb += [
                request.first_be.eq(0b1111),
                request.last_be.eq(Mux(first[:10] == 1, 0, 0b1111)),
            ]
        with m.Switch(second[13:16]):
            for status in Status:
                with m.Case(status.value):
                    m.d.comb += completion.status.eq(status)
            with m.Default():
                # Reserved codes count as this one.
                m.d.comb += completion.status.eq(Status.UNSUPPORTED_REQUEST)
        return m


class HeaderDecoder(Component):
    """Tell what a header is, and check it (PCIe Base 6.x §2.2, §2.3). Combinational.

    Of the checks that are optional, it makes those of byte enables against the length, of the
    fixed fields of configuration and I/O requests, and of the 4 KiB boundary. The address type is
    ignored: without address translation services the field is reserved.

    Members
    -------
    raw : ``In(RawHeader)``
    max_payload_dw : ``In(11)``
        Largest payload that may be received.
    decoded : ``Out(Decoded)``
    """

    raw: In(RawHeader)
    max_payload_dw: In(11)
    decoded: Out(Decoded)

    def elaborate(self, platform):
        m = Module()
        first = self.raw.dws[0]
        out = self.decoded
        length = Signal(11)
        m.d.comb += [
            length.eq(Cat(first[:10], first[:10] == 0)),
            out.header_dw.eq(3 + first[29] + self.raw.prefix_valid),
            out.payload_dw.eq(Mux(first[30], length, 0)),
            out.units.eq((out.payload_dw + 3) >> 2),
            out.digest.eq(first[15]),
        ]
        self._kind(m, first)
        self._verdict(m, length)
        return m

    def _kind(self, m, first):
        """Kind and flow control type from Fmt and Type (PCIe Base 6.x §2.2.1, table 2-3)."""
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
                    m.d.comb += [self.decoded.kind.eq(code), self.decoded.flow.eq(flow)]
            with m.Default():
                m.d.comb += self.decoded.flow.eq(Flow.UNKNOWN)

    def _verdict(self, m, length):
        out, (first, second, third, fourth) = self.decoded, self.raw.dws
        four, with_data = first[29], first[30]
        foreign = self.raw.prefix_valid & (self.raw.prefix[24:] != PREFIX_PASID)
        memory, fixed, locked, hinted = Signal(), Signal(), Signal(), Signal()
        single, reach = Signal(), Signal(11)
        bad = Signal(8)
        m.d.comb += [
            hinted.eq(first[16] & (first[24:].matches("00-00000", "01-11011"))),
            memory.eq(first[24:].matches("0--00000", "01-11011")),
            fixed.eq(first[24:].matches("0-00010-", "0-000010")),
            locked.eq(first[24:29] == 0b01011),
            single.eq(first[:10] == 1),
            # The sum of place and length within the page, where a length of 0 is all of it.
            reach.eq(Mux(four, fourth, third)[2:12] + first[:10]),
            bad[0].eq(out.flow == Flow.UNKNOWN),
            bad[1].eq(self.raw.prefix_valid & ~self.raw.prefix[28]),
            bad[2].eq(with_data & (length > self.max_payload_dw)),
            bad[3].eq(memory & ~hinted & (single == second[4:8].any())),
            bad[4].eq(memory & ~hinted & ~single & ~second[:4].any()),
            bad[5].eq(memory & reach[:10].any() & (reach[10] | length[10])),
            bad[6].eq(
                fixed & (~single | second[4:8].any() | first[20:23].any() | first[12:14].any())
            ),
            bad[7].eq(
                (out.kind == Kind.MESSAGE) & first[20:23].any() & second[:8].matches(*CODES_TC0)
            ),
        ]
        with m.If(bad.any()):
            m.d.comb += out.verdict.eq(Verdict.MALFORMED)
        with m.Elif(out.flow == Flow.COMPLETION):
            with m.If(self.raw.prefix_valid | locked):
                m.d.comb += out.verdict.eq(Verdict.UNEXPECTED_COMPLETION)
        # A non-posted request has to be answered all the same, so it goes on.
        with m.Elif(foreign & (out.flow == Flow.POSTED)):
            m.d.comb += out.verdict.eq(Verdict.UNSUPPORTED)
