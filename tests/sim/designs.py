"""Small designs that the tests of the harness and of the stream checker run on."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.tlp.records import Credits, wire_stream


class Register(wiring.Component):
    """One register on a stream of wire beats, with a choice of mistakes.

    Parameters
    ----------
    mistake
        ``None``, or the rule to break: ``"withdraw"``, ``"change"``, ``"first"``, ``"inside"``.
    """

    def __init__(self, mistake: str | None = None, data_width: int = 64):
        self.mistake = mistake
        super().__init__({"i": In(wire_stream(data_width)), "o": Out(wire_stream(data_width))})

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


class Mirror(wiring.Component):
    """Stands where a device would, and sends every TLP back as it came.

    So a bench that sends what a device would send sees how the host answers.
    """

    def __init__(self, data_width: int = 64):
        self.data_width = data_width
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "o": Out(wire_stream(data_width)),
                "granted": Out(Credits),
                "credits": In(Credits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.register = register = Register(data_width=self.data_width)
        wiring.connect(m, wiring.flipped(self.i), register.i)
        wiring.connect(m, register.o, wiring.flipped(self.o))
        for limit in (self.granted.posted, self.granted.non_posted, self.granted.completion):
            m.d.comb += [limit.header_infinite.eq(1), limit.data_infinite.eq(1)]
        return m
