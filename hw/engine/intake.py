"""Descriptors on their way in, and who is done."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out

from ..queues.records import Done, Work
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR, Opcode
from ..tlp.records import packet_stream

HELD = 32
"""Descriptors handed out by the queues that an engine may hold."""


class Intake(Component):
    """Take descriptors from the queues, and give them back in the same order when they are done.

    A batch is done after its last member, other descriptors in order. What was taken after a batch
    and is done before it is given back after it, so that the oldest is always the one given back.
    A second batch has to wait until the first one is done, and what is behind it waits too.

    **Timing**: combinational from ``i`` to ``o``, but a clock for each descriptor while a batch is
    under way; a descriptor is given back 2 clocks after it is done, one every 2 clocks.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i, o : packet streams of ``Work``
    batch : ``Out(Work)``
        Header of the batch that was taken last.
    done, done_batch : ``In(1)``
        Pulses: the oldest descriptor that is not a batch is done; the batch is.
    o_done : ``Out(stream.Signature(Done))``
    """

    def __init__(self, config: Config):
        packets = packet_stream(Work, config.data_width)
        super().__init__(
            {
                "i": In(packets),
                "o": Out(packets),
                "batch": Out(Work),
                "done": In(1),
                "done_batch": In(1),
                "o_done": Out(stream.Signature(Done)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        entry = data.StructLayout({"queue": 6, "batch": 1})
        m.submodules.held = held = SyncFIFO(width=entry.size, depth=HELD)
        opcode = DESCRIPTOR["opcode"]
        is_batch = self.i.p.data[opcode.lsb : opcode.msb + 1] == Opcode.BATCH
        open_, over = Signal(), Signal()
        count = Signal(range(HELD + 1))
        blocked, first = Signal(), Signal()
        # There is room for a descriptor: as of a clock ago, but then came no other. And what is
        # first on the input has been looked at, and is not a batch.
        room, looked = Signal(), Signal()
        m.d.sync += [
            room.eq(held.w_rdy),
            looked.eq(self.i.valid & self.i.p.first & ~is_batch),
        ]
        m.d.comb += [
            blocked.eq(self.i.p.first & (~room | (open_ & ~looked))),
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & ~blocked),
            self.i.ready.eq(self.o.ready & ~blocked),
            first.eq(self.i.valid & self.i.ready & self.i.p.first),
            held.w_en.eq(first),
            held.w_data.eq(Cat(self.i.p.header.queue, is_batch)),
        ]
        oldest = data.View(entry, held.r_data)
        ready = Mux(oldest.batch, over, count != 0)
        m.d.comb += held.r_en.eq(held.r_rdy & ready & (~self.o_done.valid | self.o_done.ready))
        m.d.sync += count.eq(count + self.done - (held.r_en & ~oldest.batch))
        with m.If(first & is_batch):
            m.d.sync += [open_.eq(1), self.batch.eq(self.i.p.header)]
        with m.If(self.done_batch):
            m.d.sync += over.eq(1)
        with m.If(held.r_en):
            m.d.sync += [self.o_done.valid.eq(1), self.o_done.p.queue.eq(oldest.queue)]
            with m.If(oldest.batch):
                m.d.sync += [open_.eq(0), over.eq(0)]
        with m.Elif(self.o_done.ready):
            m.d.sync += self.o_done.valid.eq(0)
        return m
