"""Differences gathered into a delta record (DSA §8.3.8)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs.descriptor import DELTA_BYTES
from .delta import WORD, DeltaPack
from .differ import Difference


class Gather(Component):
    """Turn differences into entries of a delta record, as far as there is room for them.

    With no room at all, this finds the first difference of a comparison.

    **Timing**: an entry per clock, but four in five clocks.

    Parameters
    ----------
    words
        Words of a block's entries; enough for the entries of as many words as a block has.

    Members
    -------
    i : ``In(stream.Signature(Difference))``
    limit_bytes : ``In(32)``
        Room of the record, a multiple of 10. Looked at with ``clear``.
    clear : ``In(1)``
        Begin a record; only while no difference is on its way.
    flush : ``In(1)``
        Give what is left of the block as a word; likewise.
    recorded : ``In(1)``, recorded_bytes : ``In(13)``
        So much of the block is being written; with the rest of it, the next one begins.
    o : ``Out(stream.Signature({place: range(words), data: 64}, always_ready=True))``
        Words of the block and where they go.
    block_bytes : ``Out(13)``
        Bytes of the block that have not been written.
    total_bytes : ``Out(32)``
        Bytes of the record, the block included.
    exceeded : ``Out(1)``
        An entry did not fit.
    offset : ``Out(32)``
        Of the first byte that differs in the word whose entry was the first not to fit.
    """

    def __init__(self, words: int):
        word = data.StructLayout({"place": range(words), "data": WORD})
        super().__init__(
            {
                "i": In(stream.Signature(Difference)),
                "limit_bytes": In(32),
                "clear": In(1),
                "flush": In(1),
                "recorded": In(1),
                "recorded_bytes": In(13),
                "o": Out(stream.Signature(word, always_ready=True)),
                "block_bytes": Out(13),
                "total_bytes": Out(32),
                "exceeded": Out(1),
                "offset": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.pack = pack = DeltaPack()
        # There is room for one entry more, and how much room there is.
        fits, room, cleared = Signal(), Signal(32), Signal()
        m.d.comb += [
            pack.i.valid.eq(self.i.valid & fits),
            pack.i.p.offset.eq(self.i.p.offset >> 3),
            pack.i.p.data.eq(self.i.p.data),
            self.i.ready.eq(pack.i.ready),
            pack.flush.eq(self.flush),
            pack.clear.eq(self.clear),
            self.o.valid.eq(pack.o.valid),
            self.o.p.data.eq(pack.o.payload),
        ]
        with m.If(pack.o.valid):
            m.d.sync += self.o.p.place.eq(self.o.p.place + 1)
        with m.If(self.i.valid & self.i.ready):
            with m.If(fits):
                m.d.sync += [
                    self.block_bytes.eq(self.block_bytes + DELTA_BYTES),
                    self.total_bytes.eq(self.total_bytes + DELTA_BYTES),
                    room.eq(room - DELTA_BYTES),
                    fits.eq(room != DELTA_BYTES),
                ]
            with m.Elif(~self.exceeded):
                m.d.sync += [self.exceeded.eq(1), self.offset.eq(self.i.p.offset + self.i.p.byte)]
        with m.If(self.recorded):
            m.d.sync += [
                self.block_bytes.eq(self.block_bytes - self.recorded_bytes),
                self.o.p.place.eq(0),
            ]
        with m.If(self.clear):
            m.d.sync += [
                self.total_bytes.eq(0),
                self.block_bytes.eq(0),
                self.o.p.place.eq(0),
                self.exceeded.eq(0),
                room.eq(self.limit_bytes),
            ]
        m.d.sync += cleared.eq(self.clear)
        with m.If(cleared):
            m.d.sync += fits.eq(room != 0)
        return m
