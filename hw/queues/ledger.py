"""How many descriptors are where, and what state their queues are in."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config


class Ledger(Component):
    """Count descriptors from portal to completion, so that a drain knows when it is over.

    A descriptor enters a queue, leaves it to an engine or to nowhere, and is done when the engine
    says so. Engines finish in the order in which they were given work. ``watch`` remembers what
    the affected queues hold and, once that has left them, what the engine holds; later arrivals
    are not waited for.

    **Timing**: all outputs change one clock after what caused them. Reset: all queues disabled and
    empty.

    Parameters
    ----------
    config
        Counts of queues and slots.

    Members
    -------
    enter, leave : ``In(1)``, enter_queue, leave_queue : ``In``
        Pulses: a descriptor was put into, or taken out of a queue.
    given : ``In(1)``
        With ``leave``: to the engine. Without it, the descriptor is discarded.
    done : ``In(1)``
        Pulse: the engine can do nothing more for the oldest descriptor it holds.
    affected : ``In(queues)``, open, close, shut, watch : ``In(1)``
        See :class:`hw.queues.records.QueueControl`.
    enabled, busy, filled : ``Out(queues)``
        Accepting; no longer accepting, not yet disabled; holding at least one descriptor.
    occupancy : ``Out``
        Descriptors in each queue.
    settled : ``Out(1)``
        What ``watch`` remembered is done.
    """

    def __init__(self, config: Config):
        self._queues = config.queues
        self._count = range(config.queue_slots + 1)
        index = range(max(config.queues, 2))
        super().__init__(
            {
                "enter": In(1),
                "enter_queue": In(index),
                "leave": In(1),
                "leave_queue": In(index),
                "given": In(1),
                "done": In(1),
                "affected": In(config.queues),
                "open": In(1),
                "close": In(1),
                "shut": In(1),
                "watch": In(1),
                "enabled": Out(config.queues),
                "busy": Out(config.queues),
                "filled": Out(config.queues),
                "occupancy": Out(data.ArrayLayout(self._count, config.queues)),
                "settled": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        with m.If(self.open):
            m.d.sync += self.enabled.eq(self.enabled | self.affected)
        with m.Elif(self.close):
            m.d.sync += [
                self.enabled.eq(self.enabled & ~self.affected),
                self.busy.eq(self.busy | (self.enabled & self.affected)),
            ]
        with m.Elif(self.shut):
            m.d.sync += [
                self.enabled.eq(self.enabled & ~self.affected),
                self.busy.eq(self.busy & ~self.affected),
            ]

        remembered = Signal(self._queues)
        for index in range(self._queues):
            count, left = Signal(self._count), Signal(self._count)
            following = Signal(self._count)
            entering = self.enter & (self.enter_queue == index)
            leaving = self.leave & (self.leave_queue == index)
            m.d.comb += [
                following.eq(count + entering - leaving),
                self.occupancy[index].eq(count),
                self.filled[index].eq(count != 0),
                remembered[index].eq(left != 0),
            ]
            m.d.sync += count.eq(following)
            with m.If(self.watch):
                m.d.sync += left.eq(Mux(self.affected[index], following, 0))
            with m.Elif(leaving & (left != 0)):
                m.d.sync += left.eq(left - 1)

        # An engine holds few descriptors: one at work, and those on their way to it.
        working, last = Signal(8), Signal(8)
        giving = self.leave & self.given
        follow_on = Signal(8)
        m.d.comb += follow_on.eq(working + giving - self.done)
        m.d.sync += working.eq(follow_on)
        with m.FSM():
            with m.State("SETTLED"):
                m.d.comb += self.settled.eq(1)
                with m.If(self.watch):
                    m.next = "QUEUES"
            with m.State("QUEUES"):
                with m.If(~remembered.any() & ~self.watch):
                    m.d.sync += last.eq(follow_on)
                    m.next = "ENGINE"
            with m.State("ENGINE"):
                with m.If(self.watch):
                    m.next = "QUEUES"
                with m.Elif(last == 0):
                    m.next = "SETTLED"
                with m.Elif(self.done):
                    m.d.sync += last.eq(last - 1)
        return m
