"""Whose turn it is: queues of a group by priority (DSA §4.1)."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config


class Turns(Component):
    """Choose a queue, round robin among those with credit left.

    A queue starts with as many credits as its priority and pays one for each turn. Once no queue
    with work has credit left, all start anew. So a queue that has work gets a turn after at most
    as many turns of each other queue as that queue's priority, plus one: never more than 16 turns
    for each other queue, whatever they do. Shares over time are as the priorities.

    **Timing**: ``choice`` is combinational from ``ready``; starting anew costs one clock.

    Parameters
    ----------
    config
        ``queues`` counts.

    Members
    -------
    ready : ``In(queues)``
        Queues that have work.
    valid : ``Out(1)``, choice : ``Out(range(queues))``
        The queue whose turn it is.
    take : ``In(1)``
        Pulse while ``valid``: it had its turn.
    load : ``In(queues)``, priority : ``In(4)``
        Queues whose priority becomes this; they start with full credit.
    """

    def __init__(self, config: Config):
        self._queues = config.queues
        super().__init__(
            {
                "ready": In(config.queues),
                "valid": Out(1),
                "choice": Out(range(max(config.queues, 2))),
                "take": In(1),
                "load": In(config.queues),
                "priority": In(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        queues = self._queues
        credits = Signal(data.ArrayLayout(4, queues))
        priorities = Signal(data.ArrayLayout(4, queues))
        later = Signal(queues)
        able, above = Signal(queues), Signal(queues)
        m.d.comb += [
            able.eq(self.ready & Cat(credits[i] != 0 for i in range(queues))),
            above.eq(able & later),
            self.valid.eq(able.any()),
        ]
        candidates = Mux(above.any(), above, able)
        for index in reversed(range(queues)):
            with m.If(candidates[index]):
                m.d.comb += self.choice.eq(index)
        for index in range(queues):
            with m.If(self.load[index]):
                m.d.sync += [priorities[index].eq(self.priority), credits[index].eq(self.priority)]
            with m.Elif(self.ready.any() & ~self.valid):
                m.d.sync += credits[index].eq(priorities[index])
            with m.Elif(self.take & (self.choice == index)):
                m.d.sync += credits[index].eq(credits[index] - 1)
                # Those after this one, cyclically, come first next time.
                m.d.sync += later.eq(((1 << queues) - 1) & ~((2 << index) - 1))
        return m
