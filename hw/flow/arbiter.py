"""Several streams into one."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out


class Arbiter(Component):
    """Merge streams, a packet at a time, in turn.

    A stream whose payload has a ``last`` member keeps the output until its last beat has been
    transferred; without one, every beat is a packet. The turn goes to the next input that has
    something to say, so each input waits for at most one packet of every other.

    **Timing**: combinational from the inputs to the output; a beat per clock.

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
        turn = Signal(range(self._count))
        held = Signal()
        grant = self.grant
        requests = Cat(source.valid for source in self.i)

        m.d.comb += grant.eq(turn)
        with m.If(~held):
            with m.Switch(turn):
                for current in range(self._count):
                    with m.Case(current):
                        # The input whose turn it was comes last.
                        for step in reversed(range(1, self._count + 1)):
                            candidate = (current + step) % self._count
                            with m.If(requests.bit_select(candidate, 1)):
                                m.d.comb += grant.eq(candidate)
        with m.Switch(grant):
            for index, source in enumerate(self.i):
                with m.Case(index):
                    m.d.comb += [
                        self.o.valid.eq(source.valid),
                        self.o.payload.eq(source.payload),
                        source.ready.eq(self.o.ready),
                    ]
        with m.If(self.o.valid):
            # Offered once, an input is kept until it has been taken.
            m.d.sync += [turn.eq(grant), held.eq(1)]
            with m.If(self.o.ready):
                m.d.sync += held.eq(~self.o.p.last if self._framed else 0)
        return m
