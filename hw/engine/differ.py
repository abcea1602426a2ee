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

    #: Offset of the word's first byte, modulo 2^32, and which byte is the first that differs.
    offset: 32
    byte: 3
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
        What the beat on ``i`` is compared with.
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
        taken, beat = Signal(), Signal(LaneBeat(self._width), reset_less=True)
        base, place = Signal(32, reset_less=True), Signal(32, reset_less=True)
        other = Signal(self._width, reset_less=True)
        differs, content = Signal(lanes), Signal(self._width, reset_less=True)
        rest = Signal(lanes)
        unequal, on = Signal(lanes), Signal()

        m.d.comb += [
            # What is left of the beat in which differences were found, after this word.
            on.eq(~self.o.valid | (self.o.ready & (rest == 0))),
            self.i.ready.eq(on),
            unequal.eq(
                Cat(
                    beat.lanes[k] & (beat.data.word_select(k, 8) != other.word_select(k, 8))
                    for k in range(lanes)
                )
            ),
            self.idle.eq(~taken & ~self.o.valid),
        ]

        def show(word):
            first = word * WORD_BYTES
            m.d.comb += [
                self.o.p.offset.eq(place + first),
                self.o.p.data.eq(content.word_select(word, 8 * WORD_BYTES)),
                rest.eq(differs[first + WORD_BYTES :] << first + WORD_BYTES),
            ]
            for k in reversed(range(WORD_BYTES)):
                with m.If(differs[first + k]):
                    m.d.comb += self.o.p.byte.eq(k)

        show(words - 1)
        for word in reversed(range(words - 1)):
            with m.If(differs.word_select(word, WORD_BYTES).any()):
                show(word)
        with m.If(on):
            m.d.sync += [
                taken.eq(self.i.valid),
                beat.eq(self.i.p),
                base.eq(self.offset),
                other.eq(self.other),
                differs.eq(unequal),
                self.o.valid.eq(taken & unequal.any()),
                content.eq(beat.data),
                place.eq(base),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [differs.eq(rest), self.o.valid.eq(rest.any())]
        return m
