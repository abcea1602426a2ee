"""Errors that the requester finds, as reports."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..tlp.header import completion_dws
from ..tlp.records import Completion
from .records import ErrorKind, ErrorReport


class RequesterErrors(Component):
    """Report an error of a completion, or a timeout.

    Unexpected and poisoned completions are advisory, as the device carries on (PCIe Base 6.x
    §6.2.3.2.4).

    **Timing**: a report is valid one clock after its error. An error that comes while a report
    waits is not reported.

    Members
    -------
    error : ErrorKind
        ``NONE`` but for one clock.
    header : Completion
        What it is about.
    timeout : 1
        For one clock.
    o : ``Out(stream.Signature(ErrorReport))``
    """

    error: In(ErrorKind)
    header: In(Completion)
    timeout: In(1)
    o: Out(stream.Signature(ErrorReport))

    def elaborate(self, platform):
        m = Module()
        header = self.header
        with_data = Signal()
        some = Signal()
        m.d.comb += [
            with_data.eq(header.length_dw != 0),
            some.eq(self.error != ErrorKind.NONE),
        ]
        dws = completion_dws(header, with_data)
        with m.If(~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(some | self.timeout),
                self.o.p.kind.eq(Mux(some, self.error, ErrorKind.COMPLETION_TIMEOUT)),
                self.o.p.advisory.eq(some & (self.error != ErrorKind.MALFORMED)),
                self.o.p.header_valid.eq(some),
                self.o.p.header.eq(Mux(some, Cat(*dws), 0)),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
