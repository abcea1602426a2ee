"""Whose turn it is: groups in turn, and queues of a group by priority (DSA §4.1)."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config


class Turns(Component):
    """Choose a queue: groups round robin, and within a group those of its queues with credit left.

    A queue starts with as many credits as its priority and pays one for each turn. Once no queue
    of a group with work has credit left, all of the group start anew. So a queue that has work
    gets a turn after at most as many turns of each other queue of its group as that queue's
    priority, plus one: never more than 16 turns for each of them, whatever they do. Before each of
    those turns every other group has one at most. Shares within a group are as the priorities over
    time; a group that may not have a turn holds up no other.

    **Timing**: what can be chosen follows ``ready`` and the credits by one clock and ``open`` at
    once; starting anew costs two clocks. A group that is taken must have been chosen two clocks or
    more after the last one was.

    Parameters
    ----------
    config
        ``queues`` and ``groups`` counts.

    Members
    -------
    ready : ``In(queues)``
        Queues that have work.
    members : ``In``
        For each group the bitmap of its queues; a queue is in one group at most.
    open : ``In(groups)``
        Groups that may have a turn.
    valid : ``Out(1)``, group : ``Out(range(groups))``
        The group whose turn it is.
    chosen : ``In(range(groups))``, choice : ``Out(range(queues))``
        A group that was chosen, and its queue whose turn it is.
    take : ``In(1)``, taken : ``In(range(queues))``, taken_group : ``In(range(groups))``
        Pulse: this queue, once chosen and ready ever since, has had its turn.
    load : ``In(queues)``, priority : ``In(4)``
        Queues whose priority becomes this; they start with full credit.
    """

    def __init__(self, config: Config):
        self._queues, self._groups = config.queues, config.groups
        index, group = range(max(config.queues, 2)), range(max(config.groups, 2))
        super().__init__(
            {
                "ready": In(config.queues),
                "members": In(data.ArrayLayout(config.queues, config.groups)),
                "open": In(config.groups),
                "valid": Out(1),
                "group": Out(group),
                "chosen": In(group),
                "choice": Out(index),
                "take": In(1),
                "taken": In(index),
                "taken_group": In(group),
                "load": In(config.queues),
                "priority": In(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        queues, groups = self._queues, self._groups
        credits = Signal(data.ArrayLayout(4, queues))
        priorities = Signal(data.ArrayLayout(4, queues))
        # Looked at together, so that no queue seems to have work but no credit when it has both.
        waiting, able = Signal(queues), Signal(queues)
        m.d.sync += [
            waiting.eq(self.ready),
            able.eq(self.ready & Cat(credits[i] != 0 for i in range(queues))),
        ]
        anew = 0
        wanting = Signal(groups)
        for group in range(groups):
            members = self.members[group]
            spent = (waiting & members).any() & ~(able & members).any()
            anew |= members & spent.replicate(queues)
            m.d.comb += wanting[group].eq((able & members).any() & self.open[group])
        self._choose(m, wanting, able)
        for index in range(queues):
            with m.If(self.load[index]):
                m.d.sync += [priorities[index].eq(self.priority), credits[index].eq(self.priority)]
            with m.Elif(anew[index]):
                m.d.sync += credits[index].eq(priorities[index])
            with m.Elif(self.take & (self.taken == index)):
                m.d.sync += credits[index].eq(credits[index] - 1)
        return m

    def _choose(self, m, wanting, able):
        """The next group after the last one, and of its queues the next after its last one."""
        later_groups, later = Signal(self._groups), Signal(self._queues)
        first = Mux((wanting & later_groups).any(), wanting & later_groups, wanting)
        m.d.comb += self.valid.eq(wanting.any())
        for group in reversed(range(self._groups)):
            with m.If(first[group]):
                m.d.comb += self.group.eq(group)
        own, above = Signal(self._queues), Signal(self._queues)
        m.d.comb += [own.eq(able & self.members[self.chosen]), above.eq(own & later)]
        candidates = Mux(above.any(), above, own)
        for index in reversed(range(self._queues)):
            with m.If(candidates[index]):
                m.d.comb += self.choice.eq(index)

        def after(number, size):
            everything = (1 << size) - 1
            return everything & ~((C(2, size + 1) << number) - 1)

        with m.If(self.take):
            members = self.members[self.taken_group]
            m.d.sync += [
                later_groups.eq(after(self.taken_group, self._groups)),
                later.eq((later & ~members) | (after(self.taken, self._queues) & members)),
            ]
