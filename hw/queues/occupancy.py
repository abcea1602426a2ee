"""Interrupts that tell of room in a queue."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..interrupts.records import Event
from ..regs import Config
from .records import QueueEntry


class OccupancyInterrupts(Component):
    """Ring when an enabled queue holds as many descriptors as its limit says, or fewer.

    That is a state: it rings as well when software asks for the interrupt, or the queue is enabled,
    while it holds. Once rung, a queue does not ring again before software has cleared its bit (DSA
    §9.2.24). A fall to the limit counts, however short. That the vector exists is checked when the
    queue is enabled.

    **Timing**: the bit is set one clock after a descriptor has left, and one round of all queues
    after anything else; the event is offered within another round. A round takes a clock for each
    queue, and for each access to their configuration.

    Parameters
    ----------
    config
        Counts of queues and slots.

    Members
    -------
    o_event : ``Out(stream.Signature(Event))``
        Not a completion, so Ignore does not concern it. Never vector 0 of the MSI-X table.
    own : ``Out(1)``
        Pulse: that vector is to ring, with its cause in INTCAUSE.
    enabled : ``In(queues)``, occupancy : ``In``
        Of the queues.
    left : ``In(1)``, left_queue, left_entry : ``In``
        Pulse: this queue, whose configuration is this, holds one descriptor less from now on.
    scan : ``Out``, scanned : ``In(1)``, entry : ``In``
        Queue whose configuration is wanted; ``scanned``: ``entry`` is that of one clock ago.
    acknowledge : ``In(queues)``
        Pulses: software clears the bit.
    clear : ``In(queues)``
        Pulses: the bit is cleared, and what has not been taken yet is forgotten.
    generated : ``Out(queues)``
        The bits.
    ringing : ``Out(1)``
        An event has not been taken yet.
    """

    def __init__(self, config: Config):
        self._config = config
        index = range(max(config.queues, 2))
        count = range(config.queue_slots + 1)
        super().__init__(
            {
                "o_event": Out(stream.Signature(Event)),
                "own": Out(1),
                "enabled": In(config.queues),
                "occupancy": In(data.ArrayLayout(count, config.queues)),
                "left": In(1),
                "left_queue": In(index),
                "left_entry": In(QueueEntry),
                "scan": Out(index),
                "scanned": In(1),
                "entry": In(QueueEntry),
                "acknowledge": In(config.queues),
                "clear": In(config.queues),
                "generated": Out(config.queues),
                "ringing": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        queues = self._config.queues
        waiting, low = Signal(queues), Signal(queues)
        shown = Signal.like(self.scan)
        m.d.comb += self.scan.eq(shown)
        with m.If(self.scanned):
            m.d.comb += self.scan.eq(Mux(shown == queues - 1, 0, shown + 1))
        m.d.sync += shown.eq(self.scan)
        for index in range(queues):
            count = self.occupancy[index]
            seen = self.scanned & (shown == index) & self.entry.enable
            leaving = self.left & (self.left_queue == index) & self.left_entry.enable
            m.d.comb += low[index].eq(
                (seen & (count <= self.entry.limit))
                | (leaving & (count <= self.left_entry.limit + 1))
            )
        new = low & self.enabled & ~self.generated
        taken = Signal(queues)
        m.d.sync += [
            self.generated.eq(((self.generated & ~self.acknowledge) | new) & ~self.clear),
            waiting.eq(((waiting & ~taken) | new) & ~self.clear),
        ]
        m.d.comb += self.ringing.eq(waiting.any() | self.o_event.valid)
        with m.If(self.o_event.ready):
            m.d.sync += self.o_event.valid.eq(0)
        own = ~self.entry.ims & (self.entry.handle == 0)
        with m.If(self.scanned & ~self.o_event.valid):
            m.d.comb += [taken.eq(waiting & (1 << shown)), self.own.eq(taken.any() & own)]
            m.d.sync += [
                self.o_event.valid.eq(taken.any() & ~own),
                self.o_event.p.index.eq(self.entry.handle),
                self.o_event.p.ims.eq(self.entry.ims),
            ]
        return m
