"""Errors of all sources, and where each goes."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.arbiter import Arbiter
from ..queues.records import ErrorRecord
from ..regs.commands import SoftwareError

UNLOGGED = (
    SoftwareError.ENABLE_CHANGED,
    SoftwareError.QUEUE_FULL,
    SoftwareError.EVENT_LOG_APPEND,
)
"""Errors that go to SWERROR even if the event log is enabled (DSA §5.8.2)."""


class ErrorRouter(Component):
    """Gather errors and hand each to SWERROR or to the event log.

    **Timing**: an error is a clock late, and takes two; one for the event log waits until that
    takes it, and so do those behind it.

    **Errors**: a ``halt`` or ``refused`` that comes while the one before still waits is not told
    apart from it.

    Members
    -------
    i_queue, i_engine, i_log : ``In(stream.Signature(ErrorRecord))``
        Errors of the queues, of the engines, of the event log.
    halt : ``In(1)``
        Pulse: configuration space halts the device.
    refused : ``In(1)``
        Pulse: a command came while another was active.
    logged : ``In(1)``
        The event log is enabled.
    o_register, o_log : ``Out(stream.Signature(ErrorRecord))``
        For SWERROR, which never waits, and for the event log.
    """

    def __init__(self):
        errors = stream.Signature(ErrorRecord)
        super().__init__(
            {
                "i_queue": In(errors),
                "i_engine": In(errors),
                "i_log": In(errors),
                "halt": In(1),
                "refused": In(1),
                "logged": In(1),
                "o_register": Out(errors),
                "o_log": Out(errors),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.merge = merge = Arbiter(ErrorRecord, 4)
        # The event log's own error must pass what waits for the event log.
        m.submodules.join = join = Arbiter(ErrorRecord, 2)
        connect(m, flipped(self.i_queue), merge.i[0])
        connect(m, flipped(self.i_engine), merge.i[1])
        connect(m, flipped(self.i_log), join.i[1])
        connect(m, join.o, flipped(self.o_register))
        own = (
            (merge.i[2], SoftwareError.ENABLE_CHANGED, self.halt),
            (merge.i[3], SoftwareError.COMMAND_WHILE_ACTIVE, self.refused),
        )
        for source, code, event in own:
            m.d.comb += source.p.code.eq(code)
            with m.If(event):
                m.d.sync += source.valid.eq(1)
            with m.Elif(source.ready):
                m.d.sync += source.valid.eq(0)

        # Where an error goes is settled when it is taken.
        held, record, to_log = Signal(), Signal(ErrorRecord, reset_less=True), Signal()
        unlogged = Cat(merge.o.p.code == code for code in UNLOGGED).any()
        m.d.comb += [
            merge.o.ready.eq(~held),
            self.o_log.payload.eq(record),
            join.i[0].payload.eq(record),
            self.o_log.valid.eq(held & to_log),
            join.i[0].valid.eq(held & ~to_log),
        ]
        with m.If(~held):
            m.d.sync += [
                held.eq(merge.o.valid),
                record.eq(merge.o.payload),
                to_log.eq(self.logged & ~unlogged),
            ]
        with m.Elif(Mux(to_log, self.o_log.ready, join.i[0].ready)):
            m.d.sync += held.eq(0)
        return m
