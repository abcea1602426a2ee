"""The target's side of the bus."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from .bus import Access, CsrSignature


class Answer(Component):
    """Answer accesses, each once, with what is read in the clock in which the target does it.

    **Timing**: the result is offered one clock after the access was done; the next access is
    offered once it has been taken.

    Members
    -------
    csr : ``In(CsrSignature())``
    valid : ``Out(1)``, access : ``Out(Access)``
        What is asked, until it is done.
    done : ``In(1)``, value : ``In(64)``
        The access is done now, if there is one, and reads this.
    """

    csr: In(CsrSignature())
    valid: Out(1)
    access: Out(Access)
    done: In(1)
    value: In(64)

    def elaborate(self, platform):
        m = Module()
        answering = Signal()
        m.d.comb += [
            self.access.eq(self.csr.access.payload),
            self.valid.eq(self.csr.access.valid & ~answering),
            self.csr.access.ready.eq(self.done & ~answering),
            self.csr.result.valid.eq(answering),
        ]
        with m.If(self.valid & self.done):
            m.d.sync += [answering.eq(1), self.csr.result.payload.eq(self.value)]
        with m.Elif(self.csr.result.ready):
            m.d.sync += answering.eq(0)
        return m
