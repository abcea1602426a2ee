"""Small designs that the tests of the harness and of the stream checker run on."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.tlp.records import wire_stream


class Register(wiring.Component):
    """One register on a stream of wire beats, with a choice of mistakes.

    Parameters
    ----------
    mistake
        ``None``, or the rule to break: ``"withdraw"``, ``"change"``, ``"first"``, ``"inside"``.
    """

    def __init__(self, mistake: str | None = None):
        self.mistake = mistake
        super().__init__({"i": In(wire_stream(64)), "o": Out(wire_stream(64))})

    def elaborate(self, platform):
        m = Module()
        tick = Signal(3)
        m.d.sync += tick.eq(tick + 1)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
            if self.mistake == "first":
                m.d.sync += self.o.p.first.eq(0)
            if self.mistake == "inside":
                m.d.sync += self.o.p.first.eq(1)
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        if self.mistake == "withdraw":
            with m.If(tick == 0):
                m.d.sync += self.o.valid.eq(0)
        if self.mistake == "change":
            with m.If(tick == 0):
                m.d.sync += self.o.p.data.eq(tick)
        return m


class Pipe(wiring.Component):
    """Two registers in a row, the second of which may make mistakes."""

    def __init__(self, mistake: str | None = None):
        self.mistake = mistake
        super().__init__({"i": In(wire_stream(64)), "o": Out(wire_stream(64))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fore = fore = Register()
        m.submodules.aft = aft = Register(self.mistake)
        wiring.connect(m, wiring.flipped(self.i), fore.i)
        wiring.connect(m, fore.o, aft.i)
        wiring.connect(m, aft.o, wiring.flipped(self.o))
        return m


class Counter(wiring.Component):
    """Counts beats of a stream that is always ready."""

    i: In(stream.Signature(8))
    count: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.sync += self.count.eq(self.count + 1)
        return m
