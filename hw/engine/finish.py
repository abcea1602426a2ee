"""Completion records and error reports, in the order of the jobs."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..pcie.records import WriteCommand
from ..queues.abandon import Abandon
from ..queues.records import ErrorRecord
from ..regs import Config
from ..regs.descriptor import Flag, Status
from ..tlp.records import packet_stream
from .front import unwanted
from .record import RecordWriter
from .records import Ending, Job, Result


class Finish(Component):
    """Say what became of each job: in its completion record, or in the error report.

    With a misaligned record the descriptor is discarded (DSA §5.4), and a missing privilege is
    never recorded (§5.8.1).

    **Timing**: 4 clocks for a job without a record, and the beats of the record besides. The next
    job is executed meanwhile.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    job : ``In(Job)``, i : ``In(stream.Signature(Result))``
        The job whose result is on ``i``.
    abandon : ``In(Abandon(config))``
        What matches has neither record nor report.
    o_write : ``Out(packet_stream(WriteCommand, data_width))``
    o_error : ``Out(stream.Signature(ErrorRecord))``
    wait : ``In(1)``
        Something of the job is still to be written.
    o : ``Out(stream.Signature(Ending))``
        One for each job, valid when that and its record have been handed over.
    active : ``Out(1)``
        A job is being finished; after what is still to be written of it, its record comes before
        any other write.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "job": In(Job),
                "i": In(stream.Signature(Result)),
                "abandon": In(Abandon(config)),
                "wait": In(1),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "o_error": Out(stream.Signature(ErrorRecord)),
                "o": Out(stream.Signature(Ending)),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.record = record = RecordWriter(self._config)
        connect(m, record.o, flipped(self.o_write))
        # What is needed of the job, as execution goes on with the next one.
        job, result = Signal(Job, reset_less=True), Signal(Result, reset_less=True)
        status, ending = result.status, self.o.p
        discarded = status == Status.COMPLETION_ALIGNMENT
        recordable = job.record_valid & ~discarded & (status != Status.PRIVILEGE)
        good = status == Status.SUCCESS
        doomed = unwanted(m, self.abandon, job)
        self._describe(m, job, result, record)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [job.eq(self.job), result.eq(self.i.p)]
                with m.If(self.job.batch_end):
                    m.d.sync += result.bytes_completed.eq(self.job.size_bytes)
                m.d.sync += self.active.eq(self.i.valid)
                with m.If(self.i.valid):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "OFFER"
                m.d.sync += [
                    ending.good.eq(good),
                    ending.ring.eq(job.interrupt & ~discarded & ~doomed),
                ]
                with m.If(~doomed & ~job.abandoned):
                    with m.If(recordable & (job.record | ~good)):
                        m.next = "RECORD"
                    with m.Elif(~self._harmless(status)):
                        m.next = "REPORT"
            with m.State("RECORD"):
                m.d.comb += record.i.valid.eq(1)
                with m.If(record.i.ready):
                    m.next = "OFFER"
            with m.State("REPORT"):
                m.d.comb += self.o_error.valid.eq(1)
                with m.If(self.o_error.ready):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(~self.wait)
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += self.active.eq(0)
                    m.next = "IDLE"
        return m

    def _harmless(self, status):
        """Whether a status is nobody's error (DSA §5.8.1); members have reported theirs."""
        harmless = (Status.SUCCESS, Status.SUCCESS_PREDICATE, Status.BATCH_FAILED)
        return Cat(status == code for code in harmless).any()

    def _describe(self, m, job, result, record):
        """Payloads of everything that a job sends out."""
        status, error = result.status, self.o_error.p
        # As of the clock in which it is decided whether there is a record.
        written = Signal.like(record.i.p, reset_less=True)
        flags, handle = status == Status.BAD_FLAGS, status == Status.BAD_HANDLE
        asked = (job.flags & Flag.REQUEST_COMPLETION).any()
        interrupt = Cat(job.handle, C(1, 1), job.ims, asked)
        m.d.sync += [
            written.address.eq(job.completion_address),
            written.tenant.eq(job.tenant),
            written.status.eq(status),
            written.result.eq(result.result),
            written.bytes_completed.eq(result.bytes_completed),
            written.value.eq(Mux(flags, job.invalid_flags, result.value)),
        ]
        m.d.comb += [
            record.i.payload.eq(written),
            error.code.eq(status),
            error.queue_valid.eq(1),
            error.queue.eq(job.queue),
            error.descriptor_valid.eq(1),
            error.opcode.eq(job.opcode),
            error.privileged.eq(job.tenant.privileged),
            error.pasid.eq(job.tenant.pasid),
            error.batch.eq(job.member),
            error.batch_index.eq(job.batch_index),
            error.info_valid.eq(flags | handle),
            error.info.eq(Mux(flags, job.invalid_flags, Mux(handle, interrupt, 0))),
        ]
        for name in ("queue", "ims", "tenant", "handle", "opcode", "member"):
            m.d.comb += self.o.p[name].eq(job[name])
