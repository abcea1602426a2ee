"""Which engine gets a descriptor."""

from functools import reduce

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from .ledger import HELD_MOST


class Assign(Component):
    """Choose the engine of a group that holds the fewest descriptors, of those that have room.

    **Timing**: ``open`` is combinational; ``engine`` follows ``group`` by one clock.

    Parameters
    ----------
    config
        Counts of groups and engines.

    Members
    -------
    engines : ``In``
        For each group the bitmap of its engines; an engine is in one group at most.
    room : ``In(engines)``, held : ``In``
        Engines that can be given a descriptor, and how many each holds.
    open : ``Out(groups)``
        Groups with an engine that has room.
    group : ``In``, engine : ``Out``
        A group that is open, and its engine; the lowest of several that are equal.
    """

    def __init__(self, config: Config):
        self._engines, self._groups = config.engines, config.groups
        super().__init__(
            {
                "engines": In(data.ArrayLayout(config.engines, config.groups)),
                "room": In(config.engines),
                "held": In(data.ArrayLayout(range(HELD_MOST + 1), config.engines)),
                "open": Out(config.groups),
                "group": In(range(max(config.groups, 2))),
                "engine": Out(range(max(config.engines, 2))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for group in range(self._groups):
            m.d.comb += self.open[group].eq((self.engines[group] & self.room).any())
        fit = Signal(self._engines)
        m.d.comb += fit.eq(self.engines[self.group] & self.room)

        def better(one, other):
            """Of two candidates, each a cost and a number, the one that costs less."""
            second = other[0] < one[0]
            return Mux(second, other[0], one[0]), Mux(second, other[1], one[1])

        # What does not fit costs more than anything that does.
        candidates = [(Cat(self.held[i], ~fit[i]), C(i, 3)) for i in range(self._engines)]
        m.d.sync += self.engine.eq(reduce(better, candidates)[1])
        return m
