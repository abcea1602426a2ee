"""Where two runs of bytes differ."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

WORD_BYTES = 8


class LaneBeat(data.StructLayout):
    """A beat, some lanes of which count.

    Members
    -------
    data : ``data_width``
    lanes : bytes of a beat
        Lanes that count: one run.
    """

    def __init__(self, data_width: int):
        super().__init__({"data": data_width, "lanes": data_width // 8})


class Difference(data.Struct):
    """An aligned word in which the runs differ."""

    #: Offset of the first byte that differs.
    offset: 32
    #: The word, from the run on ``i``.
    data: 64


class Differ(Component):
    """Compare beats as they come with beats from a memory, and tell which words differ.

    **Timing**: a beat per clock while nothing differs, or as long as every word that differs is
    taken at once and is the only one of its beat; a difference is valid 2 clocks after its beat.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i : ``In(stream.Signature(LaneBeat(data_width)))``
    offset : ``In(32)``
        Offset of lane 0 of the beat on ``i``, modulo 2^32.
    other : ``In(data_width)``
        What a beat is compared with: valid from the clock after the beat was taken until the next
        is taken.
    o : ``Out(stream.Signature(Difference))``
        In rising order.
    idle : ``Out(1)``
        All beats that were taken have been compared, and their differences taken.
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "i": In(stream.Signature(LaneBeat(data_width))),
                "offset": In(32),
                "other": In(data_width),
                "o": Out(stream.Signature(Difference)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, words = self._width // 8, self._width // 8 // WORD_BYTES
        taken, beat, base = Signal(), Signal(LaneBeat(self._width)), Signal(32)
        differs, content, place = Signal(lanes), Signal(self._width), Signal(32)
        lane, rest = Signal(range(lanes)), Signal(lanes)
        unequal, take, on = Signal(lanes), Signal(), Signal()

        m.d.comb += [
            # What is left of the beat in which differences were found, after this word.
            on.eq(~self.o.valid | (self.o.ready & (rest == 0))),
            self.i.ready.eq(~taken | on),
            take.eq(self.i.valid & self.i.ready),
            unequal.eq(
                Cat(
                    beat.lanes[k] & (beat.data.word_select(k, 8) != self.other.word_select(k, 8))
                    for k in range(lanes)
                )
            ),
            self.o.p.offset.eq(place + lane),
            self.idle.eq(~taken & ~self.o.valid),
        ]
        m.d.comb += rest.eq(0)
        for word in reversed(range(words)):
            first = word * WORD_BYTES
            with m.If(differs[first : first + WORD_BYTES].any()):
                m.d.comb += [
                    self.o.p.data.eq(content.word_select(word, 8 * WORD_BYTES)),
                    rest.eq(differs & ~((1 << first + WORD_BYTES) - 1)),
                ]
        for k in reversed(range(lanes)):
            with m.If(differs[k]):
                m.d.comb += lane.eq(k)
        with m.If(on):
            m.d.sync += [
                taken.eq(0),
                differs.eq(unequal),
                self.o.valid.eq(taken & unequal.any()),
                content.eq(beat.data),
                place.eq(base),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [differs.eq(rest), self.o.valid.eq(rest.any())]
        with m.If(take):
            m.d.sync += [taken.eq(1), beat.eq(self.i.p), base.eq(self.offset)]
        return m
