"""From a descriptor that has been looked at to jobs and reads under way."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..interrupts.records import Check
from ..pcie.records import ReadCommand, Settings
from ..queues.abandon import Abandon
from ..regs import Config
from ..regs.descriptor import Opcode, Status
from .cutter import Cutter
from .records import Job, Token, TokenKind

JOBS = 16
"""Jobs that wait for their turn."""

TOKENS = 64
"""Tokens that wait with them."""


def unwanted(m, abandon, job):
    """Whether a job is one of those to abandon."""
    result = Signal()
    theirs = job.tenant.valid & (job.tenant.pasid == abandon.pasid)
    m.d.comb += result.eq(
        abandon.valid & abandon.affected.bit_select(job.queue, 1) & (~abandon.by_pasid | theirs)
    )
    return result


class Front(Component):
    """Check what remains to be checked, then let reads run ahead of execution.

    The interrupt that a descriptor asks for is checked for permission before anything is done
    (DSA §5.4). A batch goes to the batch unit, everything else into the row of jobs, and what it
    reads is asked for at once. In jobs that leave, ``interrupt`` says that the interrupt is allowed
    to be rung.

    **Timing**: 4 clocks for a descriptor, and with an interrupt the time of the check besides.

    Parameters
    ----------
    config
        Counts and sizes.

    Members
    -------
    i : ``In(stream.Signature(Job))``
    i_end : ``In(stream.Signature(Job))``
        Ends of batches.
    o_check : ``Out(stream.Signature(Check))``, i_verdict : ``In(stream.Signature(1))``
        May this descriptor ring this vector?
    o_batch : ``Out(stream.Signature(Job))``
    o : ``Out(stream.Signature(Job))``
    o_read : ``Out(stream.Signature(ReadCommand))``
    o_token : ``Out(stream.Signature(Token))``
        Of the jobs on ``o``, in order.
    cancel : ``In(1)``
        No further reads of the job that was taken last are wanted.
    abandon : ``In(Abandon(config))``
        What matches goes into the row marked as abandoned.
    settings : ``In(Settings)``
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(Job)),
                "i_end": In(stream.Signature(Job)),
                "o_check": Out(stream.Signature(Check)),
                "i_verdict": In(stream.Signature(1)),
                "o_batch": Out(stream.Signature(Job)),
                "o": Out(stream.Signature(Job)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "o_token": Out(stream.Signature(Token)),
                "cancel": In(1),
                "abandon": In(Abandon(config)),
                "settings": In(Settings),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.cutter = cutter = Cutter(self._config)
        connect(m, cutter.o_read, flipped(self.o_read))
        m.d.comb += cutter.settings.eq(self.settings)
        enter = self._keep_jobs(m, cutter)
        self._keep_tokens(m, cutter)

        job, chosen = self.i.p, Signal(Job)
        ending, gone = Signal(), Signal()
        # The interrupt may be rung; it may not, which is a fault; a batch goes to its unit.
        permitted, denied, batch = Signal(), Signal(), Signal()
        doomed = unwanted(m, self.abandon, job)
        sound = (job.fault == 0) & ~doomed & ~self.i_end.valid
        m.d.comb += [
            cutter.i.payload.eq(chosen),
            self.o_batch.payload.eq(chosen),
            self.o_check.p.vector.index.eq(job.handle),
            self.o_check.p.vector.ims.eq(job.ims),
            self.o_check.p.pasid.eq(job.tenant.pasid),
            self.o_check.p.pasid_enable.eq(job.tenant.valid),
        ]
        self._choose(m, chosen, ending, permitted, denied, gone)
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [permitted.eq(0), ending.eq(self.i_end.valid), gone.eq(doomed)]
                beyond = job.interrupt & job.handle_beyond
                m.d.sync += [
                    denied.eq(sound & beyond),
                    batch.eq(sound & ~beyond & (job.opcode == Opcode.BATCH)),
                ]
                with m.If(self.i_end.valid):
                    m.next = "PASS"
                with m.Elif(self.i.valid):
                    m.next = "PASS"
                    with m.If(job.interrupt & ~job.handle_beyond & ~doomed):
                        m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.o_check.valid.eq(1)
                with m.If(self.o_check.ready):
                    m.next = "HEAR"
            with m.State("HEAR"):
                m.d.comb += self.i_verdict.ready.eq(1)
                with m.If(self.i_verdict.valid):
                    m.d.sync += permitted.eq(self.i_verdict.payload)
                    with m.If(~self.i_verdict.payload):
                        m.d.sync += [denied.eq(job.fault == 0), batch.eq(0)]
                    m.next = "PASS"
            with m.State("PASS"):
                with m.If(batch):
                    m.d.comb += self.o_batch.valid.eq(1)
                with m.Else():
                    m.d.comb += enter.eq(1)
                with m.If(
                    (self.o_batch.valid & self.o_batch.ready) | (cutter.i.valid & cutter.i.ready)
                ):
                    m.d.comb += [self.i.ready.eq(~ending), self.i_end.ready.eq(ending)]
                    m.next = "IDLE"
        return m

    def _choose(self, m, chosen, ending, permitted, denied, gone):
        """What goes on: the end of a batch, or the descriptor with what has been found out."""
        job = self.i.p
        with m.If(ending):
            m.d.comb += chosen.eq(self.i_end.p)
        with m.Else():
            m.d.comb += [
                chosen.eq(job),
                chosen.interrupt.eq(permitted),
                chosen.abandoned.eq(gone),
            ]
            with m.If(denied):
                m.d.comb += chosen.fault.eq(Status.BAD_HANDLE)

    def _keep_jobs(self, m, cutter):
        """The row of jobs; a job enters with its reads."""
        jobs = SyncFIFO(width=len(Value.cast(self.o.payload)), depth=JOBS)
        m.submodules.jobs = jobs
        enter, oldest = Signal(), Signal(Job, reset_less=True)
        m.d.comb += [
            cutter.i.valid.eq(enter & jobs.w_rdy),
            jobs.w_data.eq(cutter.i.payload),
            jobs.w_en.eq(cutter.i.valid & cutter.i.ready),
            jobs.r_en.eq(~self.o.valid | self.o.ready),
            self.o.payload.eq(oldest),
        ]
        with m.If(jobs.r_en):
            m.d.sync += [self.o.valid.eq(jobs.r_rdy), oldest.eq(jobs.r_data)]
        return enter

    def _keep_tokens(self, m, cutter):
        """The row of tokens. Without an ``END`` in it, the cutter serves the job taken last."""
        m.submodules.tokens = tokens = SyncFIFO(width=Token.as_shape().size, depth=TOKENS)
        ends = Signal(range(JOBS + 3))
        put, take = (cutter.o_token, self.o_token)
        m.d.comb += [
            put.ready.eq(tokens.w_rdy),
            tokens.w_en.eq(put.valid),
            tokens.w_data.eq(put.payload),
            take.valid.eq(tokens.r_rdy),
            take.payload.eq(tokens.r_data),
            tokens.r_en.eq(take.ready),
            cutter.cancel.eq(self.cancel & (ends == 0)),
        ]

        def end(port):
            return port.valid & port.ready & (port.p.kind == TokenKind.END)

        m.d.sync += ends.eq(ends + end(put) - end(take))
