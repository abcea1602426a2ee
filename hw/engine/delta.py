"""Entries of delta records, put together and taken apart (DSA §8.3.8)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs.descriptor import DELTA_BYTES
from .differ import WORD_BYTES, LaneBeat

WORD = 8 * WORD_BYTES
ENTRY = 8 * DELTA_BYTES
STEP = ENTRY - WORD
GROUP = WORD // STEP
"""So many entries fill whole words: one word more than there are entries."""


class Delta(data.Struct):
    """An entry of a delta record."""

    #: In units of 8 bytes.
    offset: 16
    data: WORD


class DeltaPack(Component):
    """Put entries into words, without gaps.

    **Timing**: an entry gives one word in the same clock; every fourth gives another in the next
    clock, in which no entry is taken.

    Members
    -------
    i : ``In(stream.Signature(Delta))``
    flush : ``In(1)``
        Give what is left as a word with zeros behind it, and begin anew with the next entry. Only
        while no entry is offered.
    clear : ``In(1)``
        Begin anew with the next entry.
    o : ``Out(stream.Signature(64, always_ready=True))``
    pending : ``Out(1)``
        There is something left to be given.
    """

    i: In(stream.Signature(Delta))
    flush: In(1)
    clear: In(1)
    o: Out(stream.Signature(WORD, always_ready=True))
    pending: Out(1)

    def elaborate(self, platform):
        m = Module()
        left, place, full = Signal(WORD, reset_less=True), Signal(range(GROUP)), Signal()
        both = Signal(WORD + ENTRY)
        with m.Switch(place):
            for step in range(GROUP):
                with m.Case(step):
                    held = left[: STEP * step]
                    m.d.comb += both.eq(Cat(held, self.i.p.offset, self.i.p.data))
        m.d.comb += [
            self.pending.eq(full | (place != 0)),
            self.i.ready.eq(~full),
            self.o.valid.eq(self.i.valid | full | (self.flush & self.pending)),
            self.o.payload.eq(Mux(full | self.flush, left, both[:WORD])),
        ]
        m.d.sync += full.eq(0)
        with m.If(self.clear | self.flush):
            m.d.sync += place.eq(0)
        with m.Elif(self.i.valid & ~full):
            m.d.sync += [
                left.eq(both[WORD:]),
                place.eq((place + 1) % GROUP),
                full.eq(place == GROUP - 1),
            ]
        return m


class DeltaUnpack(Component):
    """Take entries out of beats.

    The record lies dense in the beats, from lane 0 of the first, but a beat may come in parts: one
    after another, with the lanes that belong to each.

    **Timing**: a word per clock, thus four entries in five clocks; an entry comes a clock after its
    last byte.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i : ``In(stream.Signature(LaneBeat(data_width)))``
    clear : ``In(1)``
        Forget what has come; the next beat begins a record. Only while idle.
    o : ``Out(stream.Signature(Delta))``
    idle : ``Out(1)``
        Every entry that came whole has been taken.
    """

    def __init__(self, data_width: int):
        self._width = data_width
        super().__init__(
            {
                "i": In(stream.Signature(LaneBeat(data_width))),
                "clear": In(1),
                "o": Out(stream.Signature(Delta)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = self._width // WORD
        index = Signal(range(max(words, 2)))
        before, word = Signal(WORD, reset_less=True), Signal(WORD, reset_less=True)
        filled = Signal(WORD_BYTES)
        # Where the word stands in its group; the first only begins an entry.
        place, following = Signal(range(GROUP + 1)), Signal(range(GROUP + 1))
        entry, whole, settled = Signal(ENTRY), Signal(), Signal()
        given, take = Signal(), Signal()
        for step in range(GROUP):
            with m.If(place == step + 1):
                m.d.comb += entry.eq(Cat(before, word) >> STEP * step)
        m.d.comb += [
            Value.cast(self.o.payload).eq(entry),
            self.idle.eq(~self.o.valid),
            # Nothing more is to be given of the word as far as it has come.
            settled.eq(~self.o.valid | self.o.ready),
            take.eq(self.i.valid & settled),
            self.i.ready.eq(settled & (index == words - 1)),
        ]
        lanes = self.i.p.lanes.word_select(index, WORD_BYTES)
        fresh = self.i.p.data.word_select(index, WORD)
        full, come = filled[-1], Signal(WORD_BYTES)
        m.d.comb += [
            following.eq(place),
            come.eq(lanes | Mux(full, 0, filled)),
        ]
        with m.If(full):
            m.d.comb += following.eq(Mux(place == GROUP, 0, place + 1))
        for step in range(GROUP):
            with m.If(following == step + 1):
                m.d.comb += whole.eq(come[(step + 1) * STEP // 8 - 1])
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(take):
            m.d.sync += [
                # The entry is given once, in whatever parts the rest of the word comes.
                self.o.valid.eq(whole & (full | ~given)),
                given.eq(whole),
                place.eq(following),
                filled.eq(come),
                index.eq(Mux(index == words - 1, 0, index + 1)),
            ]
            with m.If(full):
                m.d.sync += before.eq(word)
            for lane in range(WORD_BYTES):
                with m.If(lanes[lane]):
                    m.d.sync += word.word_select(lane, 8).eq(fresh.word_select(lane, 8))
        with m.If(self.clear):
            m.d.sync += [filled.eq(0), place.eq(0), given.eq(0), index.eq(0)]
        return m
