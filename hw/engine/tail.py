"""The end of a descriptor: its interrupt, and the word that it is done."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from ..interrupts.records import Event
from ..queues.abandon import Abandon
from ..regs import Config
from .front import unwanted
from .records import Ending

ENDINGS = 8
"""Jobs whose writes may be on their way at once; a power of two."""

WRITES = 32
"""Writes that may be on their way."""


class Tail(Component):
    """Wait until all writes of a job have been accepted, then ring, then say that it is done.

    Jobs are numbered modulo ``2 * ENDINGS`` in the order of their execution, and so are their
    writes, so it is known of which job a write was dropped: a job whose record is not there does
    not ring.

    **Timing**: 3 clocks for a job; 1 more if it rings.

    Parameters
    ----------
    config
        Count of queues.

    Members
    -------
    i : ``In(stream.Signature(Ending))``
        Jobs in order, each when all its writes have been handed over.
    started : ``In(1)``
        Pulse: a write of the job that comes next on ``i`` has begun. Not while ``full``.
    full : ``Out(1)``
        No further write may start.
    i_written : ``In(stream.Signature(1))``
        For each write, in order: it has been accepted, or dropped if 1.
    abandon : ``In(Abandon(config))``
    o_event : ``Out(stream.Signature(Event))``
    done : ``Out(1)``
        Pulse: nothing of the job ``ended`` can leave any more.
    ended : ``Out(Ending)``
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "i": In(stream.Signature(Ending)),
                "started": In(1),
                "full": Out(1),
                "i_written": In(stream.Signature(1)),
                "abandon": In(Abandon(config)),
                "o_event": Out(stream.Signature(Event)),
                "done": Out(1),
                "ended": Out(Ending),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.waiting = waiting = SyncFIFO(width=Ending.as_shape().size, depth=ENDINGS)
        # The numbers of the job that comes next, and of the oldest one.
        newest, oldest = Signal(range(2 * ENDINGS)), Signal(range(2 * ENDINGS))
        m.submodules.writes = writes = SyncFIFO(width=len(newest), depth=WRITES + 2)
        dropped = Signal(2 * ENDINGS)
        job, held = self.ended, Signal()
        m.d.comb += [
            waiting.w_data.eq(self.i.payload),
            waiting.w_en.eq(self.i.valid),
            self.i.ready.eq(waiting.w_rdy),
            writes.w_data.eq(newest),
            writes.w_en.eq(self.started),
            self.i_written.ready.eq(1),
            writes.r_en.eq(self.i_written.valid),
            waiting.r_en.eq(~held | self.done),
            self.o_event.p.index.eq(job.handle),
            self.o_event.p.ims.eq(job.ims),
            self.o_event.p.completion.eq(1),
        ]
        # A clock late, so there is room for more.
        m.d.sync += self.full.eq(writes.level >= WRITES)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += newest.eq(newest + 1)
        with m.If(waiting.r_en):
            m.d.sync += [held.eq(waiting.r_rdy), job.eq(waiting.r_data)]
        with m.If(self.done):
            m.d.sync += [oldest.eq(oldest + 1), dropped.bit_select(oldest, 1).eq(0)]
        with m.If(self.i_written.valid & self.i_written.payload):
            m.d.sync += dropped.bit_select(writes.r_data, 1).eq(1)

        accepted, silent = Signal(), Signal()
        m.d.comb += [
            accepted.eq(~writes.r_rdy | (writes.r_data != oldest)),
            silent.eq(~job.ring | dropped.bit_select(oldest, 1) | unwanted(m, self.abandon, job)),
        ]
        with m.FSM():
            with m.State("WAIT"):
                with m.If(held & accepted):
                    m.next = "RING"
                    with m.If(silent):
                        m.next = "DONE"
            with m.State("RING"):
                m.d.comb += self.o_event.valid.eq(1)
                with m.If(self.o_event.ready):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "WAIT"
        return m
