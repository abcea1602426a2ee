"""Entries on their way from memory to the cache."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out


class Fetches(Component):
    """Remember what was asked for, in the order in which it comes.

    An entry that was changed while it is under way is stale: what comes is not to be used.

    **Timing**: ``found`` and what describes the oldest follow combinationally from registers; what
    is done in a clock shows in the next.

    Parameters
    ----------
    index_bits
        Bits of an index.
    depth
        How many may be under way; a power of two.

    Members
    -------
    index : ``In(index_bits)``
        Whom all but ``pop`` is about.
    found : ``Out(1)``
        It is under way and not stale.
    full, empty : ``Out(1)``
    push : ``In(1)``
        Now it is under way.
    spoil, spoil_all : ``In(1)``
        It is stale from now on, or all are. Not together with ``push``.
    oldest : ``Out(index_bits)``, oldest_stale : ``Out(1)``
    pop : ``In(1)``
        Forget the oldest.
    """

    def __init__(self, index_bits: int, depth: int):
        self._depth = depth
        super().__init__(
            {
                "index": In(index_bits),
                "found": Out(1),
                "full": Out(1),
                "empty": Out(1),
                "push": In(1),
                "spoil": In(1),
                "spoil_all": In(1),
                "oldest": Out(index_bits),
                "oldest_stale": Out(1),
                "pop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        self._indices = indices = Array(
            Signal.like(self.index, name=f"index_{k}") for k in range(depth)
        )
        self._live, self._fresh = live, fresh = Signal(depth), Signal(depth)
        self._head, self._tail = head, tail = Signal(range(depth)), Signal(range(depth))
        same = Signal(depth)
        m.d.comb += [same[k].eq(indices[k] == self.index) for k in range(depth)]
        m.d.comb += [
            self.found.eq((same & live & fresh).any()),
            self.full.eq(live.all()),
            self.empty.eq(~live.any()),
            self.oldest.eq(indices[head]),
            self.oldest_stale.eq(~fresh.bit_select(head, 1)),
        ]
        spoiled = same & self.spoil.replicate(depth) | self.spoil_all.replicate(depth)
        m.d.sync += fresh.eq(fresh & ~spoiled)
        with m.If(self.push):
            m.d.sync += [
                indices[tail].eq(self.index),
                live.bit_select(tail, 1).eq(1),
                fresh.bit_select(tail, 1).eq(1),
                tail.eq(tail + 1),
            ]
        with m.If(self.pop):
            m.d.sync += [live.bit_select(head, 1).eq(0), head.eq(head + 1)]
        return m
