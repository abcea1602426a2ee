"""A set-associative cache of entries of interrupt message storage."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..flow.block_memory import BlockMemory
from .records import CachedEntry, Geometry


class EntryCache(Component):
    """Entries by index.

    **Timing**: three clocks for a look-up. In the first, ``look`` and ``index``; in the second,
    the tags are compared; from the third on, ``hit``, ``way`` and from the fourth on ``entry`` are
    valid until the next look. ``fill``, ``drop`` and ``wipe`` take a clock and may come from the
    third clock on.

    Parameters
    ----------
    geometry : Geometry

    Members
    -------
    index : ``In(index_bits)``
        Stable from ``look`` until nobody is interested in its entry any more.
    look : ``In(1)``
    hit : ``Out(1)``, entry : ``Out(CachedEntry)``
    fill : ``In(1)``, fresh : ``In(CachedEntry)``
        After a look that hit nothing: keep this entry at ``index``, instead of another of its set.
    drop : ``In(1)``
        Forget the entry that was hit.
    wipe : ``In(1)``
        Forget all of the set in which ``index`` would be.
    """

    def __init__(self, geometry: Geometry):
        self._geometry = geometry
        super().__init__(
            {
                "index": In(geometry.index_bits),
                "look": In(1),
                "hit": Out(1),
                "entry": Out(CachedEntry),
                "fill": In(1),
                "fresh": In(CachedEntry),
                "drop": In(1),
                "wipe": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        geometry = self._geometry
        ways, place = geometry.ways, geometry.set_of(self.index)
        mark = data.StructLayout({"valid": 1, "tag": geometry.tag_bits})
        marks = data.ArrayLayout(mark, ways)
        m.submodules.tags = tags = BlockMemory(geometry.sets, marks.size)
        m.submodules.entries = entries = BlockMemory(
            geometry.sets * ways, CachedEntry.as_shape().size
        )
        # The victim moves on with every fill, whatever the set.
        matches, victim = Signal(ways), Signal(range(max(ways, 2)))
        self._hits = hits = Signal(ways)
        self._looked, self._compared = looked, compared = Signal(), Signal()
        found = Signal(marks)
        way = Signal.like(victim)
        m.d.comb += [
            found.eq(tags.read_data),
            tags.read.eq(self.look),
            tags.read_address.eq(place),
            entries.read.eq(compared),
            self.hit.eq(hits.any()),
            self.entry.eq(entries.read_data),
        ]
        for k in range(ways):
            m.d.comb += matches[k].eq(
                found[k].valid & (found[k].tag == geometry.tag_of(self.index))
            )
            with m.If(hits[k]):
                m.d.comb += way.eq(k)
        m.d.sync += [looked.eq(self.look), compared.eq(looked)]
        with m.If(looked):
            m.d.sync += hits.eq(matches)

        m.d.comb += [
            tags.write_address.eq(place),
            entries.write_address.eq(Cat(victim[: (ways - 1).bit_length()], place)),
            entries.read_address.eq(Cat(way[: (ways - 1).bit_length()], place)),
            entries.write_data.eq(self.fresh),
            entries.write.eq(self.fill),
            tags.write.eq(self.fill | self.drop | self.wipe),
        ]
        kept, changed = Signal(mark), Signal(marks)
        m.d.comb += [
            kept.valid.eq(self.fill),
            kept.tag.eq(geometry.tag_of(self.index)),
            tags.write_data.eq(Mux(self.wipe, 0, changed)),
        ]
        for k in range(ways):
            replaced = Mux(self.fill, victim == k, hits[k])
            m.d.comb += changed[k].eq(Mux(replaced, kept, found[k]))
        with m.If(self.fill):
            m.d.sync += victim.eq(victim + 1)
        return m
