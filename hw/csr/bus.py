"""The bus behind BAR0: one access at a time, each answered once.

A master offers an :class:`Access` and then takes its result, for writes too, before it offers the
next. So a write is over when its result has come, and order between accesses needs no rules.
"""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature


class Access(data.Struct):
    """A read or write of one aligned 8-byte word."""

    #: Byte offset in the BAR; bits 2:0 are 0.
    address: 24
    #: 1 for a write.
    write: 1
    #: Bytes concerned. A read may ignore it, as no read has side effects.
    strobe: 8
    #: Data to write; byte k in bits 8k+7:8k.
    data: 64


class CsrSignature(Signature):
    """A master's side of the bus.

    Members
    -------
    access : ``Out(stream.Signature(Access))``
        What is asked.
    result : ``In(stream.Signature(64))``
        One for each access: the word read, or anything after a write.
    """

    def __init__(self):
        super().__init__(
            {"access": Out(stream.Signature(Access)), "result": In(stream.Signature(64))}
        )
