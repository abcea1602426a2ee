"""TLPs from the host: each once, in order, whole."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.packet_fifo import PacketFifo
from ..regs.tether import WINDOW
from ..tlp.records import packet_stream, wire_stream

BUFFER_DW = 512
"""Three of the longest TLPs."""


class WireWidener(Component):
    """Join DWs to wire beats.

    **Timing**: a DW every 2 clocks; a beat is valid 2 clocks after its last DW, and DWs wait until
    it has been taken. Outputs and ``i.ready`` are registers, and DWs go to registers first, since
    they come late out of block RAM.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i : ``In(packet_stream(0, 32))``
    o : ``Out(wire_stream(data_width))``
    """

    def __init__(self, data_width: int):
        self._lanes = data_width // 32
        super().__init__(
            {"i": In(packet_stream(unsigned(1), 32)), "o": Out(wire_stream(data_width))}
        )

    def elaborate(self, platform):
        m = Module()
        place, begun = Signal(range(self._lanes)), Signal()
        held, full = Signal.like(self.i.payload, reset_less=True), Signal()
        m.d.comb += self.i.ready.eq(~full)
        with m.If(~full):
            m.d.sync += [held.eq(self.i.payload), full.eq(self.i.valid)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(full & ~self.o.valid):
            complete = held.last | (place == self._lanes - 1)
            m.d.sync += [
                full.eq(0),
                self.o.valid.eq(complete),
                self.o.p.data.word_select(place, 32).eq(held.data),
                self.o.p.count.eq(place + 1),
                self.o.p.first.eq(~begun),
                self.o.p.last.eq(held.last),
                place.eq(Mux(complete, 0, place + 1)),
            ]
            with m.If(complete):
                m.d.sync += begun.eq(~held.last)
        return m


class TlpReceiver(Component):
    """Keep the TLP that is due, forget all others, and say which one is due next.

    **Timing**: the first beat is valid 6 clocks after ``tlp`` at 64 bits, if the buffer was empty.

    **Errors**: a TLP that does not fit is forgotten and remains due. DWs of a TLP whose first one
    was not seen are ignored.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    number : ``In(8)``, data : ``In(32)``, word, first, last, tlp : ``In(1)``
        From :class:`hw.tether.parser.Parser`.
    o : ``Out(wire_stream(data_width))``
    expected : ``Out(8)``
        Number of the TLP that is due.
    reject : ``Out(1)``
        A later one has come instead: to be reported. Once for each that is due.
    reported : ``In(1)``
        Strobe: it is being reported.
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "number": In(8),
                "data": In(32),
                "word": In(1),
                "first": In(1),
                "last": In(1),
                "tlp": In(1),
                "o": Out(wire_stream(data_width)),
                "expected": Out(8),
                "reject": Out(1),
                "reported": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = PacketFifo(unsigned(1), 32, depth=BUFFER_DW, packets=WINDOW)
        m.submodules.widener = widener = WireWidener(self._width)
        connect(m, buffer.o, widener.i)
        connect(m, widener.o, flipped(self.o))

        # The buffer holds the beginning of a TLP; the rest of what comes is to be forgotten.
        begun, lost = Signal(), Signal(init=1)
        wanted, due, taken = Signal(), Signal(), Signal()
        m.d.comb += [
            wanted.eq(self.word & ~Mux(self.first, begun, lost)),
            buffer.i.valid.eq(wanted | (lost & begun)),
            buffer.i.p.data.eq(self.data),
            buffer.i.p.first.eq(~begun),
            buffer.i.p.last.eq(~wanted | self.last),
            buffer.discard.eq(~(wanted & self.tlp & due)),
        ]
        m.d.sync += taken.eq(buffer.i.ready & ~buffer.discard)
        with m.If(buffer.i.valid & buffer.i.ready):
            m.d.sync += begun.eq(~buffer.i.p.last)
        with m.If(self.word):
            m.d.sync += lost.eq(~(wanted & buffer.i.ready))

        distance, told = Signal(8), Signal()
        m.d.comb += distance.eq(self.number - self.expected)
        m.d.sync += due.eq(distance == 0)
        with m.If(self.reported):
            m.d.sync += self.reject.eq(0)
        with m.If(taken):
            m.d.sync += [self.expected.eq(self.expected + 1), self.reject.eq(0), told.eq(0)]
        with m.Elif(self.tlp & (distance != 0) & ~distance[-1] & ~told):
            m.d.sync += [self.reject.eq(1), told.eq(1)]
        return m
