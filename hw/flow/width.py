"""Packets between streams of different widths."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..tlp.records import packet_stream


class Narrow(Component):
    """Cut beats into narrower ones, lowest bits first.

    All of the last beat is cut too, so a packet may gain undefined beats at its end.

    **Timing**: combinational; a narrow beat per clock.

    Parameters
    ----------
    header
        Shape of the packets' header.
    wide, narrow
        Bits of a beat before and after; the first is a multiple of the second.

    Members
    -------
    i : ``In(packet_stream(header, wide))``
    o : ``Out(packet_stream(header, narrow))``
    """

    def __init__(self, header, wide: int, narrow: int):
        self._count, self._width = wide // narrow, narrow
        super().__init__(
            {"i": In(packet_stream(header, wide)), "o": Out(packet_stream(header, narrow))}
        )

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(self._count))
        final = place == self._count - 1
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.p.header.eq(self.i.p.header),
            self.o.p.data.eq(self.i.p.data.word_select(place, self._width)),
            self.o.p.first.eq(self.i.p.first & (place == 0)),
            self.o.p.last.eq(self.i.p.last & final),
            self.i.ready.eq(self.o.ready & final),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(final, 0, place + 1))
        return m


class Widen(Component):
    """Join beats to wider ones, lowest bits first.

    **Timing**: combinational from the last narrow beat of a wide one; a narrow beat per clock.

    Parameters
    ----------
    header
        Shape of the packets' header.
    narrow, wide
        Bits of a beat before and after; the second is a multiple of the first.

    Members
    -------
    i : ``In(packet_stream(header, narrow))``
    o : ``Out(packet_stream(header, wide))``
    """

    def __init__(self, header, narrow: int, wide: int):
        self._count, self._width = wide // narrow, narrow
        super().__init__(
            {"i": In(packet_stream(header, narrow)), "o": Out(packet_stream(header, wide))}
        )

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(self._count))
        held = Signal(self._width * self._count)
        begun = Signal()
        words = Signal.like(held)
        complete = Signal()
        m.d.comb += [
            complete.eq(self.i.p.last | (place == self._count - 1)),
            words.eq(held),
            words.word_select(place, self._width).eq(self.i.p.data),
            self.o.valid.eq(self.i.valid & complete),
            self.o.p.header.eq(self.i.p.header),
            self.o.p.data.eq(words),
            self.o.p.first.eq(~begun),
            self.o.p.last.eq(self.i.p.last),
            self.i.ready.eq(~complete | self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [place.eq(Mux(complete, 0, place + 1)), held.eq(words)]
            with m.If(complete):
                m.d.sync += begun.eq(~self.i.p.last)
        return m
