"""An engine: descriptors in; memory, completion records and interrupts out."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.arbiter import Arbiter
from ..interrupts.records import Check, Event
from ..pcie.records import ReadChunk, ReadCommand, ReadStatus, Settings, WriteCommand
from ..queues.abandon import Abandon
from ..queues.records import Done, ErrorRecord, Work
from ..regs import Config
from ..regs.descriptor import Opcode, Status
from ..tlp.records import Packet, packet_stream
from .decode import Decode
from .move import Move
from .record import RecordWriter
from .records import Job


class Engine(Component):
    """Execute descriptors one after another.

    The interrupt that a descriptor asks for is checked for permission before anything is executed
    (DSA §5.4). Data, then the completion record, then the interrupt: the event is offered once the
    transmitter has accepted every write. What is wrong with a descriptor goes into its completion
    record if it has a place for one, else to ``o_error``. Since descriptors are finished in order,
    a Drain descriptor has nothing to wait for, and all writes before its record leave before it.

    **Timing**: a descriptor is collected while the one before it is executed. A no-op with record
    and interrupt takes 15 clocks and what the requester takes to hand the record on.

    **Errors**: a read that fails ends the move with status 0x20 (DSA §5.8.1); ``bytes_completed``
    says where. Whatever a descriptor contains, it ends.

    Parameters
    ----------
    config
        Counts and sizes.

    Members
    -------
    i_work : ``In(packet_stream(Work, data_width))``
    o_check : ``Out(stream.Signature(Check))``, i_verdict : ``In(stream.Signature(1))``
        May this descriptor ring this vector?
    o_event : ``Out(stream.Signature(Event))``
        Completion interrupts.
    o_read, i_read, stop_read, o_write, i_written
        Of the requester; ``stop_read`` is its ``stop``.
    o_done : ``Out(stream.Signature(Done))``
        One for each descriptor: nothing of it can be written or rung any more but what message
        storage has accepted.
    o_error : ``Out(stream.Signature(ErrorRecord))``
    abandon : ``In(Abandon(config))``
        Descriptors that match end at the next opportunity without record and interrupt: before
        they start, between chunks of a move, or before the record.
    settings : ``In(Settings)``
    user_interrupts : ``In(1)``
        Unprivileged descriptors with a PASID may ask for interrupts.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i_work": In(packet_stream(Work, width)),
                "o_check": Out(stream.Signature(Check)),
                "i_verdict": In(stream.Signature(1)),
                "o_event": Out(stream.Signature(Event)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, width)),
                "stop_read": Out(1),
                "o_write": Out(packet_stream(WriteCommand, width)),
                "i_written": In(stream.Signature(1)),
                "o_done": Out(stream.Signature(Done)),
                "o_error": Out(stream.Signature(ErrorRecord)),
                "abandon": In(Abandon(config)),
                "settings": In(Settings),
                "user_interrupts": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decode = decode = Decode(self._config)
        m.submodules.move = move = Move(self._config)
        m.submodules.record = record = RecordWriter(self._config)
        connect(m, flipped(self.i_work), decode.i)
        connect(m, move.o_read, flipped(self.o_read))
        connect(m, flipped(self.i_read), move.i_read)
        m.d.comb += [
            decode.user_interrupts.eq(self.user_interrupts),
            decode.pasid_privileged.eq(self.settings.pasid_privileged),
            self.stop_read.eq(move.stop_read),
        ]
        job = Signal(Job)
        fault, permitted, bytes_completed = Signal(8), Signal(), Signal(32)
        unwritten, dropped = self._count_writes(m, move, record, clear=decode.o.ready)
        unwanted = self._unwanted(m, job)
        self._describe(m, job, fault, bytes_completed, move, record)

        # DSA §5.4: with a misaligned record the descriptor is discarded; §5.8.1: a status that
        # is never recorded.
        discarded = fault == Status.COMPLETION_ALIGNMENT
        recordable = job.record_valid & ~discarded & (fault != Status.PRIVILEGE)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += decode.o.ready.eq(1)
                m.d.sync += [job.eq(decode.o.payload), permitted.eq(0), bytes_completed.eq(0)]
                with m.If(decode.o.valid):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += fault.eq(job.fault)
                m.next = "DECIDE"
                with m.If(unwanted):
                    m.next = "DONE"
                with m.Elif(job.interrupt & ~job.handle_beyond):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.o_check.valid.eq(1)
                with m.If(self.o_check.ready):
                    m.next = "HEAR"
            with m.State("HEAR"):
                m.d.comb += self.i_verdict.ready.eq(1)
                with m.If(self.i_verdict.valid):
                    m.d.sync += permitted.eq(self.i_verdict.payload)
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "CONCLUDE"
                with m.If(unwanted):
                    m.next = "DONE"
                with m.Elif((fault == 0) & job.interrupt & ~permitted):
                    m.d.sync += fault.eq(Status.BAD_HANDLE)
                with m.Elif((fault == 0) & (job.opcode == Opcode.MEMORY_MOVE)):
                    m.next = "MOVE"
            with m.State("MOVE"):
                m.d.comb += [move.i.valid.eq(1), move.o.ready.eq(1)]
                with m.If(move.o.valid):
                    m.d.sync += bytes_completed.eq(move.o.p.bytes_completed)
                    with m.If(move.o.p.status != ReadStatus.SUCCESS):
                        m.d.sync += fault.eq(Status.HARDWARE)
                    m.next = "CONCLUDE"
            with m.State("CONCLUDE"):
                m.next = "FLUSH"
                with m.If(unwanted):
                    m.d.sync += permitted.eq(0)
                with m.Elif(recordable & (job.record | (fault != 0))):
                    m.next = "RECORD"
                with m.Elif(fault != 0):
                    m.next = "REPORT"
            with m.State("RECORD"):
                m.d.comb += record.i.valid.eq(1)
                with m.If(record.i.ready):
                    m.next = "FLUSH"
            with m.State("REPORT"):
                m.d.comb += self.o_error.valid.eq(1)
                with m.If(self.o_error.ready):
                    m.next = "FLUSH"
            with m.State("FLUSH"):
                with m.If(~unwritten):
                    m.next = "DONE"
                    with m.If(job.interrupt & permitted & ~discarded & ~dropped):
                        m.next = "RING"
            with m.State("RING"):
                m.d.comb += self.o_event.valid.eq(1)
                with m.If(self.o_event.ready):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.o_done.valid.eq(1)
                with m.If(self.o_done.ready):
                    m.next = "IDLE"
        m.d.comb += move.stop.eq(unwanted)
        return m

    def _unwanted(self, m, job):
        """Whether the job is one of those to abandon."""
        unwanted = Signal()
        theirs = job.tenant.valid & (job.tenant.pasid == self.abandon.pasid)
        m.d.comb += unwanted.eq(
            self.abandon.valid
            & self.abandon.affected.bit_select(job.queue, 1)
            & (~self.abandon.by_pasid | theirs)
        )
        return unwanted

    def _count_writes(self, m, move, record, *, clear):
        """Merge the writes; whether any has not been accepted yet, and whether any was dropped."""
        layout = Packet(WriteCommand, self._config.data_width)
        m.submodules.writes = writes = Arbiter(layout, 2)
        connect(m, move.o_write, writes.i[0])
        connect(m, record.o, writes.i[1])
        connect(m, writes.o, flipped(self.o_write))
        count, dropped = Signal(16), Signal()
        begun = self.o_write.valid & self.o_write.ready & self.o_write.p.first
        m.d.comb += self.i_written.ready.eq(1)
        m.d.sync += count.eq(count + begun - self.i_written.valid)
        with m.If(clear):
            m.d.sync += dropped.eq(0)
        with m.Elif(self.i_written.valid & self.i_written.payload):
            m.d.sync += dropped.eq(1)
        return count != 0, dropped

    def _describe(self, m, job, fault, bytes_completed, move, record):
        """Payloads of everything that a job has sent out."""
        flags = fault == Status.BAD_FLAGS
        moved_badly = fault == Status.HARDWARE
        m.d.comb += [
            self.o_check.p.vector.index.eq(job.handle),
            self.o_check.p.vector.ims.eq(job.ims),
            self.o_check.p.pasid.eq(job.tenant.pasid),
            self.o_check.p.pasid_enable.eq(job.tenant.valid),
            self.o_done.p.queue.eq(job.queue),
            self.o_event.p.index.eq(job.handle),
            self.o_event.p.ims.eq(job.ims),
            self.o_event.p.completion.eq(1),
            move.i.p.source.eq(job.source),
            move.i.p.destination.eq(job.destination),
            move.i.p.size_bytes.eq(job.size_bytes),
            move.i.p.tenant.eq(job.tenant),
            record.i.p.address.eq(job.completion_address),
            record.i.p.tenant.eq(job.tenant),
            record.i.p.status.eq(Mux(fault == 0, Status.SUCCESS, fault)),
            record.i.p.bytes_completed.eq(Mux(moved_badly, bytes_completed, 0)),
            record.i.p.invalid_flags.eq(Mux(flags, job.invalid_flags, 0)),
            self.o_error.p.code.eq(fault),
            self.o_error.p.queue_valid.eq(1),
            self.o_error.p.queue.eq(job.queue),
            self.o_error.p.descriptor_valid.eq(1),
            self.o_error.p.opcode.eq(job.opcode),
            self.o_error.p.privileged.eq(job.tenant.privileged),
            self.o_error.p.pasid.eq(job.tenant.pasid),
            self.o_error.p.info_valid.eq(flags | (fault == Status.BAD_HANDLE)),
        ]
        with m.If(flags):
            m.d.comb += self.o_error.p.info.eq(job.invalid_flags)
        with m.Elif(fault == Status.BAD_HANDLE):
            m.d.comb += self.o_error.p.info.eq(job.handle)
