"""The one queue through which everything ordered leaves."""

from amaranth import *
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import Component, In, Out

from ..interrupts.records import Message
from ..regs import Config
from ..tlp.records import Completion, Kind, Packet, Request, packet_stream


class Outgoing(data.Struct):
    """Header of a packet on its way out."""

    #: Which of ``header``'s two readings holds.
    is_completion: 1
    #: Credits of 16 bytes that the payload takes.
    data_credits: 9
    header: data.UnionLayout({"request": Request, "completion": Completion})


WITH_DATA = (Kind.MEMORY_WRITE, Kind.DEFERRABLE_WRITE)
"""Requests that carry their data; for others the length is what they ask for."""


class Turn(enum.Enum, shape=2):
    """Whose packet is being accepted."""

    ANY = 0
    COMPLETION = 1
    POSTED = 2


def data_credits(header) -> Value:
    """Credits for a packet's payload: units of four DW, rounded up (PCIe Base 6.x §2.6.1)."""
    units = header.length_dw[2:] + header.length_dw[:2].any()
    if header.shape() is not Request:
        return units
    return Mux(Value.cast(header.kind).matches(*WITH_DATA), units, 0)


class OrderedQueue(Component):
    """Accept messages, completions and posted requests, and give them in the order of acceptance.

    Between packets a message comes before a completion and a completion before a posted request; a
    packet once begun is accepted to its end. A message becomes a write of one DW without a tenant.

    **Timing**: valid at ``o`` one clock after acceptance; a beat per clock; holds two beats.

    Members
    -------
    i_message : ``In(stream.Signature(Message))``
    i_completion : ``In(packet_stream(Completion, data_width))``
    i_posted : ``In(packet_stream(Request, data_width))``
    o : ``Out(packet_stream(Outgoing, data_width))``
        IDs are not filled in.
    accept_posted : ``Out(1)``
        A message or the first beat of a posted request is accepted in this clock.
    """

    def __init__(self, config: Config):
        # Where the next beat goes, and where the one at the output is; the other one may wait.
        self._places = [
            Signal(Packet(Outgoing, config.data_width), name=f"place_{k}", reset_less=True)
            for k in range(2)
        ]
        self._into, self._outof = Signal(), Signal()
        self._waiting_valid = Signal()
        self._then = Signal.like(decisive(self._places[0]))
        self._turn = Signal(Turn)
        super().__init__(
            {
                "i_message": In(stream.Signature(Message)),
                "i_completion": In(packet_stream(Completion, config.data_width)),
                "i_posted": In(packet_stream(Request, config.data_width)),
                "o": Out(packet_stream(Outgoing, config.data_width)),
                "accept_posted": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        waiting_valid, turn = self._waiting_valid, self._turn
        beat = Signal.like(self._places[0])
        accept = Signal()
        # Known without the message: much hangs on it in message storage.
        m.d.comb += self.i_message.ready.eq(~waiting_valid & (turn == Turn.ANY))

        def message():
            write = beat.header.header.request
            m.d.comb += [
                write.kind.eq(Kind.MEMORY_WRITE),
                write.address.eq(self.i_message.p.address),
                write.length_dw.eq(1),
                write.first_be.eq(0b1111),
                beat.header.data_credits.eq(1),
                beat.data.eq(self.i_message.p.data),
                beat.first.eq(1),
                beat.last.eq(1),
                accept.eq(self.i_message.valid & ~waiting_valid),
                self.accept_posted.eq(accept),
            ]

        def completion():
            source = self.i_completion
            m.d.comb += [
                beat.header.is_completion.eq(1),
                beat.header.header.completion.eq(source.p.header),
                beat.header.data_credits.eq(data_credits(source.p.header)),
                Cat(beat.data, beat.first, beat.last).eq(
                    Cat(source.p.data, source.p.first, source.p.last)
                ),
                accept.eq(source.valid & ~waiting_valid),
                source.ready.eq(~waiting_valid),
            ]

        def posted():
            source = self.i_posted
            m.d.comb += [
                beat.header.header.request.eq(source.p.header),
                beat.header.data_credits.eq(data_credits(source.p.header)),
                Cat(beat.data, beat.first, beat.last).eq(
                    Cat(source.p.data, source.p.first, source.p.last)
                ),
                accept.eq(source.valid & ~waiting_valid),
                source.ready.eq(~waiting_valid),
                self.accept_posted.eq(accept & source.p.first),
            ]

        with m.If((turn == Turn.ANY) & self.i_message.valid):
            message()
        with m.Elif((turn == Turn.COMPLETION) | ((turn == Turn.ANY) & self.i_completion.valid)):
            completion()
            with m.If(accept):
                m.d.sync += turn.eq(Mux(beat.last, Turn.ANY, Turn.COMPLETION))
        with m.Else():
            posted()
            with m.If(accept):
                m.d.sync += turn.eq(Mux(beat.last, Turn.ANY, Turn.POSTED))

        self._hold(m, beat, accept)
        return m

    def _hold(self, m, beat, accept):
        """Keep two beats.

        That the first one leaves is known late. So what is wide stays in its place, and only what
        decides what may leave moves up.
        """
        places, into, outof = self._places, self._into, self._outof
        waiting_valid = self._waiting_valid
        now, then = Signal.like(decisive(beat)), self._then
        m.d.comb += [self.o.p.eq(Mux(outof, places[1], places[0])), decisive(self.o.p).eq(now)]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [
                self.o.valid.eq(waiting_valid | accept),
                now.eq(Mux(waiting_valid, then, decisive(beat))),
                waiting_valid.eq(0),
            ]
        with m.Elif(accept):
            m.d.sync += waiting_valid.eq(1)
        m.d.sync += [into.eq(into ^ accept), outof.eq(outof ^ (self.o.valid & self.o.ready))]
        with m.If(~waiting_valid):
            m.d.sync += then.eq(decisive(beat))
            for index, place in enumerate(places):
                with m.If(into == index):
                    m.d.sync += place.eq(beat)


def decisive(beat) -> Value:
    """The parts of a beat on which it depends whether it may leave."""
    header = beat.header
    return Cat(beat.first, beat.last, header.is_completion, header.data_credits)
