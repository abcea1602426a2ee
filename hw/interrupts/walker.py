"""Goes through the places of the pending bits."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from .compare import at_least
from .pending import Places


class Walker(Component):
    """Where the keeper is: at the entry that software asks for, or on a walk through all of them.

    A walk leads from ``places.first`` to the last place, and on from place 0 to ``places.end``. Who
    advances in every clock goes one place too far: one of no vector, or once more the first.

    **Timing**: everything takes effect in the next clock. Of ``advance``, ``back`` and ``rewind``,
    the last one wins.

    Parameters
    ----------
    places : Places

    Members
    -------
    enter, entry : ``In(1)``, ``In(range(places.count))``
        Note the place that software asks for.
    offset : ``In(range(places.count))``
        Is or-ed to it.
    advance : ``In(1)``
        Go to the next place of the walk.
    back : ``In(1)``
        Go back to where the walk was two clocks ago.
    rewind : ``In(1)``
        Go back to the beginning of the walk.
    walks : ``In(1)``
        Whether the place of the walk counts, or that of software.
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
                "offset": In(places.bits),
                "advance": In(1),
                "back": In(1),
                "rewind": In(1),
                "walks": In(1),
                "place": Out(places.bits),
                "at_end": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self._places
        # One bit more than a place: it tells the end of a walk from its beginning.
        self._here, self._before, self._earlier = here, before, earlier = tuple(
            Signal(places.bits + 1, name=name) for name in ("here", "before", "earlier")
        )
        self._asked = asked = Signal(places.bits)
        m.d.sync += [before.eq(here), earlier.eq(before)]
        with m.If(self.advance):
            m.d.sync += here.eq(here + 1)
        with m.If(self.back):
            m.d.sync += here.eq(earlier)
        with m.If(self.rewind):
            m.d.sync += here.eq(places.first)
        with m.If(self.enter):
            m.d.sync += asked.eq(self.entry)
        m.d.comb += self.place.eq(Mux(self.walks, here, asked | self.offset))
        m.d.sync += self.at_end.eq(here[-1] & at_least(here[:-1], places.end))
        return m
