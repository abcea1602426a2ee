"""Events that wait, for vectors whose entries are in the host's memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..flow.block_memory import BlockMemory
from .records import Pending

PER_WORD = 16
"""Vectors in a word."""


class HeldEvents(Component):
    """What each vector holds, in words of :data:`PER_WORD` vectors.

    **Timing**: ``held`` is valid one clock after ``look``, until the next one; ``next`` and
    ``more`` go with it. A write takes a clock, and ``held`` does not follow it.

    Parameters
    ----------
    vectors
        How many there are; a power of two, at least :data:`PER_WORD`.

    Members
    -------
    index : ``In(range(vectors))``
        Stable from ``look`` until nobody is interested in it any more.
    look : ``In(1)``
    held : ``Out(Pending)``
    next : ``Out(range(vectors))``, more : ``Out(1)``
        The first vector of the word, from ``index`` on, that holds anything; whether there is one.
    write : ``In(1)``, value : ``In(Pending)``
        What it holds from now on; once after each look.
    wipe : ``In(1)``
        Nothing is held in the word of ``index``; whatever was looked up.
    """

    def __init__(self, vectors: int):
        self._vectors = vectors
        super().__init__(
            {
                "index": In(range(vectors)),
                "look": In(1),
                "held": Out(Pending),
                "next": Out(range(vectors)),
                "more": Out(1),
                "write": In(1),
                "value": In(Pending),
                "wipe": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        size, low = Pending.as_shape().size, (PER_WORD - 1).bit_length()
        inside, above = self.index[:low], self.index[low:]
        m.submodules.words = words = BlockMemory(max(self._vectors // PER_WORD, 2), PER_WORD * size)
        # Words are written whole: parts so small would each take a block RAM of their own.
        word, changed = (Signal(data.ArrayLayout(Pending, PER_WORD)) for _ in range(2))
        ahead, first = Signal(PER_WORD), Signal(low)
        m.d.comb += [
            word.eq(words.read_data),
            words.read.eq(self.look),
            words.read_address.eq(above),
            self.held.eq(word[inside]),
            self.more.eq(ahead.any()),
            self.next.eq(Cat(first, above)),
            words.write_address.eq(above),
            words.write_data.eq(Mux(self.wipe, 0, changed)),
            words.write.eq(self.wipe | self.write),
        ]
        for k in reversed(range(PER_WORD)):
            m.d.comb += [
                ahead[k].eq(Value.cast(word[k]).any() & (inside <= k)),
                changed[k].eq(Mux(inside == k, self.value, word[k])),
            ]
            with m.If(ahead[k]):
                m.d.comb += first.eq(k)
        return m
