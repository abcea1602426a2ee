"""From records to the wire."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from .header import completion_dws, prefix_dw, request_dws
from .records import Completion, Kind, Request, Status, Wire, packet_stream, wire_stream
from .slice import Slice

HEADER_DWS = 5
"""A prefix and the longest header."""

PASID_TYPE = 1
"""Bits 27:24 of the prefix that carries a PASID."""

PME_TO_ACK = 0x1B
"""Code of the message that acknowledges PME_Turn_Off (PCIe Base 6.x §2.2.8.2)."""


def swap_bytes(dw):
    """A DW as the number that its four wire bytes spell big-endian, or back."""
    return Cat(dw.word_select(k, 8) for k in reversed(range(4)))


class Header(data.Struct):
    """An encoded header: what goes ahead of the payload."""

    #: DW 0 in the low bits, each as the number its four wire bytes spell big-endian.
    dws: data.ArrayLayout(32, HEADER_DWS)
    #: How many of them there are: 3 to 5.
    count: 3
    #: Payload DWs that follow.
    length_dw: 11


class RequestEncoder(Elaboratable):
    """Encode a request (PCIe Base 6.x §2.2.7, §2.2.8, §2.2.10). Combinational.

    Memory requests below 4 GiB take the 3 DW header, as they must. Messages are routed to the
    root complex, PME_TO_Ack gathered on the way, and carry no data.
    """

    def __init__(self):
        self.request = Signal(Request)
        self.header = Signal(Header)

    def elaborate(self, platform):
        m = Module()
        request = self.request
        message = Signal()
        with_data = Signal()
        four = Signal()
        m.d.comb += [
            message.eq(request.kind == Kind.MESSAGE),
            with_data.eq(
                (request.kind == Kind.MEMORY_WRITE) | (request.kind == Kind.DEFERRABLE_WRITE)
            ),
            four.eq(message | request.address[32:].any()),
        ]
        type_ = Signal(5)
        with m.Switch(request.kind):
            with m.Case(Kind.MESSAGE):
                gathered = Cat(request.first_be, request.last_be) == PME_TO_ACK
                m.d.comb += type_.eq(Mux(gathered, 0b10101, 0b10000))
            with m.Case(Kind.DEFERRABLE_WRITE):
                m.d.comb += type_.eq(0b11011)
        length = Mux(message, 0, request.length_dw[:10])
        first, second = request_dws(request, length, Cat(type_, four, with_data, C(0, 1)))
        low, high = request.address[:32], request.address[32:]
        tenant = request.tenant
        prefix = prefix_dw(tenant, C(PASID_TYPE << 2, 6))
        plain = [first, second, Mux(four, high, low), low]
        with m.If(tenant.valid):
            m.d.comb += Cat(self.header.dws).eq(Cat(prefix, *plain))
        with m.Else():
            m.d.comb += Cat(self.header.dws).eq(Cat(*plain))
        m.d.comb += [
            self.header.count.eq(3 + four + tenant.valid),
            self.header.length_dw.eq(Mux(with_data, request.length_dw, 0)),
        ]
        return m


class CompletionEncoder(Elaboratable):
    """Encode a completion (PCIe Base 6.x §2.2.9). Combinational.

    A completion has data if it is successful and its length is not 0.
    """

    def __init__(self):
        self.completion = Signal(Completion)
        self.header = Signal(Header)

    def elaborate(self, platform):
        m = Module()
        completion = self.completion
        with_data = Signal()
        m.d.comb += with_data.eq((completion.status == Status.SUCCESS) & completion.length_dw.any())
        m.d.comb += [
            Cat(self.header.dws).eq(Cat(*completion_dws(completion, with_data))),
            self.header.count.eq(3),
            self.header.length_dw.eq(Mux(with_data, completion.length_dw, 0)),
        ]
        return m


class Pack(Component):
    """Put requests and completions on the wire, header before payload.

    Packets are taken from one input at a time. Whoever feeds it tells from which, and changes that
    only after the last beat of a packet has been taken. This may be known before anything is valid.

    **Timing**: the first wire beat is valid 2 clocks after the first input beat; wire beats follow
    without gaps within and between packets as long as input beats are there. The outputs are
    registers.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i_request : ``In(packet_stream(Request, data_width))``
        ``fmt_type`` is ignored. Reads, writes, deferrable writes and messages can be sent.
    i_completion : ``In(packet_stream(Completion, data_width))``
    is_completion : ``In(1)``
        Packets come from ``i_completion``.
    o : ``Out(wire_stream(data_width))``
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "i_request": In(packet_stream(Request, data_width)),
                "i_completion": In(packet_stream(Completion, data_width)),
                "is_completion": In(1),
                "o": Out(wire_stream(data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat_dw = self._width // 32
        valid, ready = Signal(), Signal()
        either, encoded = self._choose(m, valid, ready)

        # The input stage holds a beat and, with the first one, the header still to be sent; and
        # how many DWs of payload are left, and whether this is the last beat if there is no tail.
        stage_valid, body = Signal(), Signal(self._width, reset_less=True)
        head = Signal(32 * max(HEADER_DWS, beat_dw), reset_less=True)
        head_left, left, last = Signal(3), Signal(12), Signal()
        shift, inside = Signal(range(max(beat_dw, 2))), Signal()
        # The output stage holds DWs carried over to its next beat; of a tail, how many.
        carry, carried = Signal(self._width, reset_less=True), Signal(range(beat_dw + 1))
        started, tail = Signal(), Signal()

        header_only, free = Signal(), Signal()
        # Whether a packet is a single beat; no header is one of two DWs.
        low = beat_dw.bit_length()
        few = encoded.length_dw[:low] + encoded.count <= beat_dw
        single = (beat_dw > 2) & few & ~encoded.length_dw[low:].any()
        # DWs of header and payload.
        remaining = Signal(12)
        lead = Signal(self._width)
        merged, rest = Signal(self._width), Signal(self._width)
        m.d.comb += [
            header_only.eq(head_left >= beat_dw),
            remaining.eq(left + head_left),
            lead.eq(Mux(head_left.any(), head, carry)),
            ready.eq(~stage_valid | free),
        ]
        with m.Switch(shift):
            for ahead in range(beat_dw):
                with m.Case(ahead):
                    m.d.comb += [
                        merged.eq(Cat(lead[: 32 * ahead], body)),
                        rest.eq(body[32 * (beat_dw - ahead) :]),
                    ]

        # The output stage is a slice, so that nothing but registers decides what moves.
        m.submodules.slice = out = Slice(Wire(self._width))
        connect(m, out.o, flipped(self.o))
        beat = out.i.p
        m.d.comb += out.i.valid.eq(tail | stage_valid)
        with m.If(tail):
            m.d.comb += [beat.data.eq(carry), beat.count.eq(carried), beat.last.eq(1)]
            with m.If(out.i.ready):
                m.d.sync += [started.eq(0), tail.eq(0)]
        with m.Else():
            m.d.comb += [
                beat.data.eq(Mux(header_only, head, merged)),
                beat.count.eq(Mux(last, remaining, beat_dw)),
                beat.first.eq(~started),
                beat.last.eq(last),
                free.eq(out.i.ready & (last | ~header_only)),
            ]
            with m.If(stage_valid & out.i.ready):
                m.d.sync += [
                    started.eq(~last),
                    left.eq(Mux(header_only, left, remaining - beat_dw)),
                    last.eq(remaining <= 2 * beat_dw),
                    carry.eq(rest),
                    carried.eq(remaining - beat_dw),
                    tail.eq(~header_only & ~last & (remaining <= beat_dw + shift)),
                    head_left.eq(Mux(header_only, head_left - beat_dw, 0)),
                ]
        # Whether something comes is known late, so the stage takes what is there, be it nothing.
        with m.If(ready):
            m.d.sync += [stage_valid.eq(valid), body.eq(either.data)]
            with m.If(~inside):
                m.d.sync += [
                    head_left.eq(encoded.count),
                    left.eq(encoded.length_dw),
                    last.eq(single),
                    shift.eq(encoded.count % beat_dw),
                ]
        # Wide, so it moves whenever the output does; what is shifted out in vain is not looked at.
        with m.If(~stage_valid | (out.i.ready & ~tail)):
            with m.If(~inside & (~stage_valid | last | ~header_only)):
                m.d.sync += head.eq(Cat(swap_bytes(dw) for dw in encoded.dws))
            with m.Else():
                m.d.sync += head.eq(head >> self._width)
        with m.If(valid & ready):
            m.d.sync += inside.eq(~either.last)
        return m

    def _choose(self, m, valid, ready):
        """The beat whose turn it is, and its header as it goes on the wire."""
        m.submodules.request = request = RequestEncoder()
        m.submodules.completion = completion = CompletionEncoder()
        m.d.comb += [
            request.request.eq(self.i_request.p.header),
            completion.completion.eq(self.i_completion.p.header),
        ]
        beat = Signal(data.StructLayout({"data": self._width, "last": 1}))
        encoded = Signal(Header)

        def take(source, header):
            m.d.comb += [
                valid.eq(source.valid),
                beat.data.eq(source.p.data),
                beat.last.eq(source.p.last),
                encoded.eq(header),
                source.ready.eq(ready),
            ]

        with m.If(self.is_completion):
            take(self.i_completion, completion.header)
        with m.Else():
            take(self.i_request, request.header)
        return beat, encoded
