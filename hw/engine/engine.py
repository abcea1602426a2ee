"""An engine: descriptors in; memory, completion records and interrupts out."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.arbiter import Arbiter
from ..flow.share import Share
from ..interrupts.records import Check, Event
from ..pcie.records import ReadChunk, ReadCommand, Settings, WriteCommand
from ..queues.abandon import Abandon
from ..queues.records import Done, ErrorRecord, Work
from ..regs import Config
from ..regs.descriptor import Opcode
from ..tlp.records import Packet, packet_stream
from ..tlp.slice import Slice
from .batch import BatchUnit
from .decode import Decode
from .execute import Execute
from .finish import Finish
from .front import Front, unwanted
from .intake import Intake
from .records import Job
from .tail import Tail


class Engine(Component):
    """Execute descriptors, several in flight and finished in order.

    Reads run ahead: while one descriptor is executed, what later ones read is on its way. Each is
    checked before anything of it is done. Data, then the completion record, then the interrupt: the
    event is offered once the transmitter has accepted every write. What is wrong with a descriptor
    goes into its completion record if it has a place for one, else to ``o_error``. Since
    descriptors are finished in order, all writes before a Drain descriptor's record leave before
    it. Members of a batch are executed like descriptors of the queues and in turn with them.

    **Timing**: a descriptor every 16 clocks at 64 bits; a long move takes 65 to 67 clocks for 512
    bytes. The record of a no-op with interrupt has left 30 clocks after the descriptor's first
    beat, its event 2 clocks after the record was accepted.

    **Errors**: a read that fails ends its operation with status 0x20 (DSA §5.8.1);
    ``bytes_completed`` says where. Whatever a descriptor contains, it ends.

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
    o_read, i_read, o_write, i_written
        Of the requester.
    o_done : ``Out(stream.Signature(Done))``
        One for each descriptor, in the order in which they were handed out: nothing of it can be
        written or rung any more but what message storage has accepted.
    o_error : ``Out(stream.Signature(ErrorRecord))``
    abandon : ``In(Abandon(config))``
        Descriptors that match end at the next opportunity without record and interrupt: before
        they start, between chunks, or before the record.
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
        config = self._config
        m.submodules.intake = intake = Intake(config)
        m.submodules.merge = merge = Arbiter(Packet(Work, config.data_width), 2)
        m.submodules.decode = decode = Decode(config)
        m.submodules.front = front = Front(config)
        m.submodules.batch = batch = BatchUnit(config)
        m.submodules.execute = execute = Execute(config)
        m.submodules.finish = finish = Finish(config)
        m.submodules.tail = tail = Tail(config)

        connect(m, flipped(self.i_work), intake.i)
        connect(m, intake.o, merge.i[0])
        connect(m, batch.o_member, merge.i[1])
        connect(m, merge.o, decode.i)
        connect(m, decode.o, front.i)
        connect(m, front.o_check, flipped(self.o_check))
        connect(m, flipped(self.i_verdict), front.i_verdict)
        connect(m, front.o_batch, batch.i)
        connect(m, batch.o_end, front.i_end)
        connect(m, front.o, execute.i)
        connect(m, front.o_token, execute.i_token)
        connect(m, execute.o, finish.i)
        connect(m, finish.o, tail.i)
        connect(m, finish.o_error, flipped(self.o_error))
        connect(m, tail.o_event, flipped(self.o_event))
        connect(m, intake.o_done, flipped(self.o_done))
        m.submodules.chunks = chunks = Slice(Packet(ReadChunk, config.data_width))
        connect(m, chunks.o, execute.i_read)
        self._share_reads(m, (front.o_read, batch.o_read), (chunks.i, batch.i_read))
        connect(m, flipped(self.i_written), tail.i_written)
        self._order_writes(m, execute, finish, tail)

        # A clock late, which is early enough: whoever abandons waits for the end.
        for part in (front, batch, finish, tail):
            for name in self.abandon.signature.members:
                m.d.sync += getattr(part.abandon, name).eq(getattr(self.abandon, name))
        job, ended = execute.job, tail.ended
        ends_batch = ended.opcode == Opcode.BATCH
        # A clock late as well; Execute is not at it yet when it takes a job.
        current = Signal(Job)
        m.d.comb += current.eq(Mux(front.o.ready, front.o.p, job))
        m.d.sync += execute.stop.eq(unwanted(m, front.abandon, current))
        m.d.comb += [
            decode.user_interrupts.eq(self.user_interrupts),
            decode.pasid_privileged.eq(self.settings.pasid_privileged),
            front.settings.eq(self.settings),
            front.cancel.eq(execute.cancel),
            finish.job.eq(job),
            finish.wait.eq(execute.lags),
            batch.header.eq(intake.batch),
            batch.done.eq(tail.done & ended.member),
            batch.failed.eq(~ended.good),
            intake.done.eq(tail.done & ~ended.member & ~ends_batch),
            intake.done_batch.eq(tail.done & ~ended.member & ends_batch),
        ]
        return m

    def _share_reads(self, m, commands, chunks):
        """Jobs and batches read in turn."""
        layout = Packet(ReadChunk, self._config.data_width)
        m.submodules.reads = reads = Share(ReadCommand, layout, 2, 2 * self._config.tags)
        connect(m, reads.o, flipped(self.o_read))
        connect(m, flipped(self.i_read), reads.i_answer)
        for index, (command, chunk) in enumerate(zip(commands, chunks, strict=True)):
            connect(m, command, reads.i[index])
            connect(m, reads.o_answer[index], chunk)

    def _order_writes(self, m, execute, finish, tail):
        """A completion record goes before all that is executed after its descriptor."""
        write, recording = self.o_write, Signal()
        m.d.comb += recording.eq(finish.active & ~execute.lags)
        with m.If(recording):
            m.d.comb += write.payload.eq(finish.o_write.payload)
        with m.Else():
            m.d.comb += write.payload.eq(execute.o_write.payload)
        for source, turn in ((finish.o_write, recording), (execute.o_write, ~recording)):
            with m.If(turn & ~(source.p.first & tail.full)):
                m.d.comb += [write.valid.eq(source.valid), source.ready.eq(write.ready)]
        m.d.comb += tail.started.eq(write.valid & write.ready & write.p.first)
