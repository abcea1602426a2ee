"""Batches: descriptors fetched from memory (DSA §3.8)."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..pcie.records import ReadChunk, ReadCommand
from ..queues.abandon import Abandon
from ..queues.records import Work
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR, Status
from ..tlp.records import packet_stream
from .fetch import Fetch
from .front import unwanted
from .records import Job

FENCE_BIT = DESCRIPTOR["flags"].lsb
"""Where Fence is in the first beat; it is the lowest flag."""

_KEPT = (
    *("queue", "ims", "tenant", "opcode", "record", "record_valid", "interrupt", "handle"),
    "completion_address",
)
"""What the end of a batch needs of its descriptor."""


class BatchUnit(Component):
    """Fetch the members of a batch, hand them out, and end the batch when all are done.

    A member with the Fence flag waits until all before it are done. If one of those did not end
    with success, neither it nor any member after it is executed (DSA §3.9, §8.3.2). A member that
    cannot be fetched ends the batch in the same way. Either way the end tells how many members are
    done.

    **Timing**: the first member is asked for 2 clocks after the batch is taken; handed out, a
    member takes its beats and a clock.

    Parameters
    ----------
    config
        ``data_width``, count of queues.

    Members
    -------
    i : ``In(stream.Signature(Job))``
        Batches without a fault, one at a time.
    header : ``In(Work)``
        That the batch came with; its members have the same queue, tenant and limits.
    o_read : ``Out(stream.Signature(ReadCommand))``
    i_read : ``In(packet_stream(ReadChunk, data_width))``
        Taken at once.
    o_member : ``Out(packet_stream(Work, data_width))``
    done : ``In(1)``, failed : ``In(1)``
        Pulse: the oldest member that was handed out is done; with ``failed``, without success.
    abandon : ``In(Abandon(config))``
        A batch that matches hands out no more members.
    o_end : ``Out(stream.Signature(Job))``
        The end of the batch, to be reported.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i": In(stream.Signature(Job)),
                "header": In(Work),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, width)),
                "o_member": Out(packet_stream(Work, width)),
                "done": In(1),
                "failed": In(1),
                "abandon": In(Abandon(config)),
                "o_end": Out(stream.Signature(Job)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.fetch = fetch = Fetch(self._config)
        connect(m, fetch.o_read, flipped(self.o_read))
        connect(m, flipped(self.i_read), fetch.i_read)
        job, end, beat = self.i.p, self.o_end.p, fetch.o
        m.d.comb += [
            fetch.start.eq(self.i.valid & self.i.ready),
            fetch.address.eq(job.source),
            fetch.tenant.eq(job.tenant),
            fetch.count.eq(job.size_bytes),
        ]
        # Members handed out, and how many of them are not done; whether one of them failed.
        index, waiting, failed = Signal(16), Signal(16), Signal()
        count, unread, gone = Signal(16), Signal(), Signal()
        sent = self._hand_out(m, fetch, index)
        doomed = unwanted(m, self.abandon, end)
        fenced = beat.p.data.bit_select(FENCE_BIT, 1)
        m.d.sync += [
            waiting.eq(waiting + sent - self.done),
            index.eq(index + sent),
            failed.eq(failed | (self.done & self.failed)),
        ]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [end[name].eq(job[name]) for name in _KEPT]
                m.d.sync += [count.eq(job.size_bytes), index.eq(0)]
                m.d.sync += [failed.eq(0), unread.eq(0), gone.eq(0)]
                with m.If(self.i.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(doomed | (index == count)):
                    m.d.sync += gone.eq(doomed)
                    m.next = "DRAIN"
                with m.Elif(beat.valid & beat.p.broken):
                    m.d.sync += unread.eq(1)
                    m.next = "DRAIN"
                with m.Elif(beat.valid & ~(fenced & (waiting != 0))):
                    m.next = "SEND"
                    with m.If(fenced & failed):
                        m.next = "DRAIN"
            with m.State("SEND"):
                with m.If(sent):
                    m.next = "LOOK"
            with m.State("DRAIN"):
                with m.If(fetch.idle & (waiting == 0)):
                    m.next = "END"
            with m.State("END"):
                m.d.comb += self.o_end.valid.eq(1)
                with m.If(self.o_end.ready):
                    m.next = "IDLE"
            m.d.comb += [
                fetch.go.eq(fsm.ongoing("LOOK") | fsm.ongoing("SEND")),
                self.o_member.valid.eq(fsm.ongoing("SEND") & beat.valid),
                beat.ready.eq(fsm.ongoing("DRAIN") | (fsm.ongoing("SEND") & self.o_member.ready)),
            ]
        m.d.comb += [
            end.batch_end.eq(1),
            end.abandoned.eq(gone),
            end.size_bytes.eq(index),
            end.fault.eq(Mux(unread, Status.HARDWARE, Mux(failed, Status.BATCH_FAILED, 0))),
        ]
        return m

    def _hand_out(self, m, fetch, index):
        """Beats that were fetched, as a descriptor; returns whether the last one is transferred."""
        member, sent, begun = self.o_member, Signal(), Signal()
        m.d.comb += [
            member.p.data.eq(fetch.o.p.data),
            member.p.first.eq(~begun),
            member.p.last.eq(fetch.o.p.last),
            member.p.header.eq(self.header),
            member.p.header.member.eq(1),
            member.p.header.batch_index.eq(index),
            sent.eq(member.valid & member.ready & member.p.last),
        ]
        with m.If(member.valid & member.ready):
            m.d.sync += begun.eq(~member.p.last)
        return sent
