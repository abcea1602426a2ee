"""A stage of registers in a stream."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out


class Slice(Component):
    """Cut every path through a stream, forward and back.

    **Timing**: one clock, and a payload per clock. ``i.ready`` is a register.

    Parameters
    ----------
    shape
        Payload.

    Members
    -------
    i : ``In(stream.Signature(shape))``
    o : ``Out(stream.Signature(shape))``
    """

    def __init__(self, shape):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        # What comes while the output is full is put by.
        kept = Signal.like(self.i.payload, reset_less=True)
        spare = Signal.like(self.i.payload, reset_less=True)
        spare_valid = Signal()
        m.d.comb += [self.i.ready.eq(~spare_valid), self.o.payload.eq(kept)]
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(self.i.valid | spare_valid),
                kept.eq(Mux(spare_valid, spare, self.i.payload)),
                spare_valid.eq(0),
            ]
        with m.Elif(self.i.valid & ~spare_valid):
            m.d.sync += spare_valid.eq(1)
        with m.If(~spare_valid):
            m.d.sync += spare.eq(self.i.payload)
        return m
