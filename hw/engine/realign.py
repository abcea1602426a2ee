"""Bytes moved from one alignment to another."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out


class Alignment(data.StructLayout):
    """How a run of bytes lies in beats, and how it shall lie.

    Members
    -------
    source, destination : range(bytes of a beat)
        Where the first byte lies in its beat, before and after.
    length_bytes : 13
        At least 1.
    """

    def __init__(self, data_width: int):
        place = range(data_width // 8)
        super().__init__({"source": place, "destination": place, "length_bytes": 13})


class Realign(Component):
    """Shift a run of bytes to another alignment.

    **Timing**: the first beat comes in the clock of the first beat that goes in, or in that of the
    second if bytes move down; one beat per clock, with one more at the end where the run then
    reaches into one. A run needs two clocks besides its beats.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    alignment : ``In(stream.Signature(Alignment(data_width)))``
        Taken with the last beat of the run that it describes.
    i : ``In(stream.Signature(data_width))``
        Beats as they lie. Bytes outside the run are anything.
    o : ``Out(stream.Signature(data_width))``
        Beats as they shall lie. Bytes outside the run are anything.
    more : ``Out(1)``
        Beats of the run have not been taken yet.
    last : ``Out(1)``
        The beat on ``o`` is the last of its run.
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "alignment": In(stream.Signature(Alignment(data_width))),
                "i": In(stream.Signature(data_width)),
                "o": Out(stream.Signature(data_width)),
                "more": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 8
        alignment = self.alignment.p
        shift = Signal(range(lanes))
        ins, outs = Signal(14), Signal(14)
        rotated, before = Signal(self._width), Signal(self._width, reset_less=True)
        # Without beats left to take, what is left of the last one is given.
        rest = ~self.more
        fresh = Mux(rest, 0, rotated)
        with m.Switch(shift):
            for step in range(lanes):
                with m.Case(step):
                    m.d.comb += [
                        rotated.eq(self.i.payload.rotate_left(8 * step)),
                        self.o.payload.eq(Cat(before[: 8 * step], fresh[8 * step :])),
                    ]

        def beats(place):
            return (place + alignment.length_bytes + lanes - 1) >> (lanes - 1).bit_length()

        take, give = Signal(), Signal()
        m.d.comb += [
            take.eq(self.i.valid & self.i.ready),
            give.eq(self.o.valid & self.o.ready),
        ]
        with m.If(take):
            m.d.sync += [before.eq(rotated), ins.eq(ins - 1), self.more.eq(ins != 1)]
        with m.If(give):
            m.d.sync += [outs.eq(outs - 1), self.last.eq(outs == 2)]
        with m.FSM():
            with m.State("START"):
                with m.If(self.alignment.valid):
                    m.d.sync += [
                        shift.eq(alignment.destination - alignment.source),
                        ins.eq(beats(alignment.source)),
                        outs.eq(beats(alignment.destination)),
                        self.more.eq(1),
                        self.last.eq(beats(alignment.destination) == 1),
                    ]
                    m.next = "RUN"
                    with m.If(alignment.destination < alignment.source):
                        m.next = "PRIME"
            with m.State("PRIME"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid | rest),
                    self.i.ready.eq(self.o.ready & ~rest),
                ]
                with m.If(give & self.last):
                    m.d.comb += self.alignment.ready.eq(1)
                    m.next = "START"
        return m
