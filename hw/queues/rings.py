"""Where in the slot memory each queue's descriptors are."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config


class Rings(Component):
    """First, last, next free and next filled slot of each queue.

    A queue owns ``size`` consecutive slots and uses them in turn. Who advances a pointer knows
    that there is room, or that there is something to take.

    **Timing**: ``tail`` and ``head`` belong to the index of one clock before.

    Parameters
    ----------
    config
        Counts of queues and slots.

    Members
    -------
    place : ``In(1)``, place_queue, base, size : ``In``
        Pulse: the queue's slots start at ``base``; it is empty.
    tail_queue : ``In``, tail : ``Out``, fill : ``In(1)``
        Next free slot; ``fill`` is a pulse that advances it while it is shown.
    head_queue : ``In``, head : ``Out``, drop : ``In(1)``
        Next filled slot; ``drop`` is a pulse that advances it while it is shown.
    """

    def __init__(self, config: Config):
        self._queues = max(config.queues, 2)
        index, slot = range(self._queues), range(config.queue_slots)
        self._slot = slot
        super().__init__(
            {
                "place": In(1),
                "place_queue": In(index),
                "base": In(slot),
                "size": In(16),
                "tail_queue": In(index),
                "tail": Out(slot),
                "fill": In(1),
                "head_queue": In(index),
                "head": Out(slot),
                "drop": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        ring = data.StructLayout({"base": self._slot, "last": self._slot})
        m.submodules.rings = rings = Memory(shape=ring, depth=self._queues, init=[])
        placing = rings.write_port()
        last = (self.base + self.size - 1)[: len(self.base)]
        m.d.comb += [
            placing.en.eq(self.place),
            placing.addr.eq(self.place_queue),
            placing.data.base.eq(self.base),
            placing.data.last.eq(last),
        ]
        sides = (
            ("tails", self.tail_queue, self.tail, self.fill),
            ("heads", self.head_queue, self.head, self.drop),
        )
        for name, queue, pointer, advance in sides:
            m.submodules[name] = memory = Memory(shape=self._slot, depth=self._queues, init=[])
            write, read, bounds = memory.write_port(), memory.read_port(), rings.read_port()
            shown = Signal.like(queue)
            m.d.sync += shown.eq(queue)
            m.d.comb += [
                read.addr.eq(queue),
                bounds.addr.eq(queue),
                pointer.eq(read.data),
                write.en.eq(advance | self.place),
                write.addr.eq(shown),
                write.data.eq(Mux(read.data == bounds.data.last, bounds.data.base, read.data + 1)),
            ]
            with m.If(self.place):
                m.d.comb += [write.addr.eq(self.place_queue), write.data.eq(self.base)]
        return m
