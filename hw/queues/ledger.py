"""How many descriptors are where, and what state their queues are in."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from .records import Done

HELD_MOST = 255
"""Descriptors that an engine can hold, of those handed out; far more than it takes."""


class Ledger(Component):
    """Count descriptors from portal to completion, so that a drain knows when it is over.

    A descriptor enters a queue, leaves it to an engine or to nowhere, and is done when the engine
    says so. An engine finishes in the order in which it was given work. ``watch`` remembers what
    the affected queues hold and, once that has left them, what each engine holds; later arrivals
    are not waited for.

    **Timing**: all outputs change one clock after what caused them. Reset: all queues disabled and
    empty.

    Parameters
    ----------
    config
        Counts of queues, slots and engines.

    Members
    -------
    enter, leave : ``In(1)``, enter_queue, leave_queue : ``In``
        Pulses: a descriptor was put into, or taken out of a queue.
    given : ``In(1)``, engine : ``In``
        With ``leave``: to this engine. Without ``given``, the descriptor is discarded.
    i_done : ``In(stream.Signature(Done)).array(engines)``
        Taken at once.
    affected : ``In(queues)``, open, close, shut, watch : ``In(1)``
        See :class:`hw.queues.records.QueueControl`.
    enabled, busy, filled : ``Out(queues)``
        Accepting; no longer accepting, not yet disabled; holding at least one descriptor.
    occupancy : ``Out``
        Descriptors in each queue.
    running : ``Out(queues)``
        Queues of which an engine holds a descriptor.
    held : ``Out``
        Descriptors that each engine holds.
    settled : ``Out(1)``
        What ``watch`` remembered is done.
    """

    def __init__(self, config: Config):
        self._queues, self._engines = config.queues, config.engines
        self._count = range(config.queue_slots + 1)
        self._held = range(HELD_MOST + 1)
        index = range(max(config.queues, 2))
        super().__init__(
            {
                "enter": In(1),
                "enter_queue": In(index),
                "leave": In(1),
                "leave_queue": In(index),
                "given": In(1),
                "engine": In(range(max(config.engines, 2))),
                "i_done": In(stream.Signature(Done)).array(config.engines),
                "affected": In(config.queues),
                "open": In(1),
                "close": In(1),
                "shut": In(1),
                "watch": In(1),
                "enabled": Out(config.queues),
                "busy": Out(config.queues),
                "filled": Out(config.queues),
                "occupancy": Out(data.ArrayLayout(self._count, config.queues)),
                "running": Out(config.queues),
                "held": Out(data.ArrayLayout(self._held, config.engines)),
                "settled": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._state(m)
        remembered = Signal(self._queues)
        for index in range(self._queues):
            self._count_queue(m, index, remembered)
        capture = Signal()
        pending = self._count_engines(m, capture)
        with m.FSM():
            with m.State("SETTLED"):
                m.d.comb += self.settled.eq(1)
                with m.If(self.watch):
                    m.next = "QUEUES"
            with m.State("QUEUES"):
                with m.If(~remembered.any() & ~self.watch):
                    m.d.comb += capture.eq(1)
                    m.next = "ENGINES"
            with m.State("ENGINES"):
                with m.If(self.watch):
                    m.next = "QUEUES"
                with m.Elif(~pending.any()):
                    m.next = "SETTLED"
        return m

    def _state(self, m):
        """Enabled, busy, disabled."""
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

    def _count_queue(self, m, index, remembered):
        """Descriptors in a queue, how many of them are remembered, and how many engines hold."""
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

        given = Signal(range(self._engines * HELD_MOST + 1))
        done = sum(port.valid & (port.p.queue == index) for port in self.i_done)
        m.d.sync += given.eq(given + (leaving & self.given) - done)
        m.d.comb += self.running[index].eq(given != 0)

    def _count_engines(self, m, capture):
        """Descriptors that engines hold; which of them hold any of those at ``capture``."""
        pending = Signal(self._engines)
        for index, done in enumerate(self.i_done):
            held, last = self.held[index], Signal(self._held)
            following = Signal(self._held)
            giving = self.leave & self.given & (self.engine == index)
            m.d.comb += [
                done.ready.eq(1),
                following.eq(held + giving - done.valid),
                pending[index].eq(last != 0),
            ]
            m.d.sync += held.eq(following)
            with m.If(capture):
                m.d.sync += last.eq(following)
            with m.Elif(done.valid & (last != 0)):
                m.d.sync += last.eq(last - 1)
        return pending
