"""Several streams into one."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out


class Arbiter(Component):
    """Merge streams, a packet at a time, in turn.

    A stream whose payload has a ``last`` member keeps the output until its last beat has been
    transferred; without one, every beat is a packet. With each packet the turn goes to the next
    input that has something to say, so each input waits for at most one packet of every other.

    **Timing**: the output shows the input whose turn it is in the same clock; a beat per clock. The
    turn is a register: an input that comes while another one has the turn and nothing to say is
    shown a clock late.

    Parameters
    ----------
    shape
        Payload of the streams.
    count
        How many inputs there are.

    Members
    -------
    i : ``In(stream.Signature(shape)).array(count)``
    o : ``Out(stream.Signature(shape))``
    grant : ``Out(range(count))``
        Which input the output shows.
    """

    def __init__(self, shape, count: int):
        self._framed = isinstance(shape, StructLayout) and "last" in shape.members
        self._count = count
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(count),
                "o": Out(stream.Signature(shape)),
                "grant": Out(range(count)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        turn, following, begun = self.grant, Signal(range(self._count)), Signal()
        leaves, ends = Signal(), Signal()
        with m.Switch(turn):
            for current, source in enumerate(self.i):
                with m.Case(current):
                    m.d.comb += [
                        self.o.valid.eq(source.valid),
                        self.o.payload.eq(source.payload),
                        source.ready.eq(self.o.ready),
                        following.eq(current),
                    ]
                    for step in reversed(range(1, self._count)):
                        candidate = (current + step) % self._count
                        with m.If(self.i[candidate].valid):
                            m.d.comb += following.eq(candidate)
        m.d.comb += [
            leaves.eq(self.o.valid & self.o.ready),
            ends.eq(self.o.p.last if self._framed else 1),
        ]
        with m.If(leaves):
            m.d.sync += begun.eq(~ends)
        with m.If(Mux(self.o.valid, leaves & ends, ~begun)):
            m.d.sync += turn.eq(following)
        return m
