"""A stage of registers in a stream of packets."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..tlp.records import packet_stream


class PacketSlice(Component):
    """Cut every path through a stream of packets, forward and back.

    It is a :class:`hw.tlp.slice.Slice` that holds one header only.

    **Timing**: one clock, and a beat per clock; a packet begins when the one before it has gone, so
    2 clocks after its last beat was taken at the earliest.

    Parameters
    ----------
    header
        Shape of the packets' header.
    data_width
        Bits of payload in a beat.

    Members
    -------
    i, o : ``packet_stream(header, data_width)``
    """

    def __init__(self, header, data_width: int):
        packets = packet_stream(header, data_width)
        super().__init__({"i": In(packets), "o": Out(packets)})

    def elaborate(self, platform):
        m = Module()
        come, gone = self.i.p, Signal.like(self.i.p, reset_less=True)
        # What comes while the output is full is put by; it is never the first beat.
        data, last, spare = Signal.like(come.data, reset_less=True), Signal(), Signal()
        # Whether a packet is to begin, so that ``i.ready`` follows from registers.
        begins = Signal(init=1)
        m.d.comb += [
            self.o.payload.eq(gone),
            self.i.ready.eq(Mux(begins, ~self.o.valid, ~spare)),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += begins.eq(come.last)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(spare | (self.i.valid & self.i.ready)),
                gone.data.eq(Mux(spare, data, come.data)),
                gone.first.eq(come.first & ~spare),
                gone.last.eq(Mux(spare, last, come.last)),
                spare.eq(0),
            ]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += spare.eq(1)
        with m.If(~spare):
            m.d.sync += [data.eq(come.data), last.eq(come.last)]
        with m.If(~self.o.valid):
            m.d.sync += gone.header.eq(come.header)
        return m
