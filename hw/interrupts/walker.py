"""Goes through the places of the pending bits."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from .compare import at_least
from .pending import Places


class Walker(Component):
    """Where the keeper is, and where its rescan goes on.

    A walk leads from ``places.first`` to the last place, and on from place 0 to ``places.end``. Who
    advances in every clock goes one place too far: one of no vector, or once more the first.

    **Timing**: everything takes effect in the next clock. Of ``enter``, ``resume`` and ``advance``,
    the last one wins.

    Parameters
    ----------
    places : Places

    Members
    -------
    enter, entry : ``In(1)``, ``In(range(places.count))``
        Go to a place.
    advance : ``In(1)``
        Go to the next place.
    rewind : ``In(1)``
        Put the bookmark at the beginning.
    mark : ``In(1)``
        Put the bookmark where the walker was two clocks ago.
    resume : ``In(1)``
        Go to the bookmark.
    place : ``Out(range(places.count))``
    at_end : ``Out(1)``
        The last place of the walk had been left a clock ago.
    """

    def __init__(self, places: Places):
        self._places = places
        super().__init__(
            {
                "enter": In(1),
                "entry": In(places.bits),
                "advance": In(1),
                "rewind": In(1),
                "mark": In(1),
                "resume": In(1),
                "place": Out(places.bits),
                "at_end": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self._places
        # One bit more than a place: it tells the end of a walk from its beginning.
        here, before, bookmark = (
            Signal(places.bits + 1, name=name) for name in ("here", "before", "bookmark")
        )
        earlier = Signal.like(here)
        self._here, self._bookmark = here, bookmark
        self._before, self._earlier = before, earlier
        m.d.sync += [before.eq(here), earlier.eq(before)]
        with m.If(self.enter):
            m.d.sync += here.eq(self.entry)
        with m.If(self.resume):
            m.d.sync += here.eq(bookmark)
        with m.If(self.advance):
            m.d.sync += here.eq(here + 1)
        with m.If(self.mark):
            m.d.sync += bookmark.eq(earlier)
        with m.If(self.rewind):
            m.d.sync += bookmark.eq(places.first)
        m.d.comb += self.place.eq(here)
        m.d.sync += self.at_end.eq(here[-1] & at_least(here[:-1], places.end))
        return m
