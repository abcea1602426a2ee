"""Memory to memory."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import ReadChunk, ReadCommand, ReadStatus, WriteCommand
from ..regs import Config
from ..tlp.records import packet_stream
from .realign import Realign
from .records import Outcome, Transfer


class Move(Component):
    """Read a run of bytes and write it elsewhere, chunk by chunk.

    Each chunk that arrives becomes one write command. After a chunk that failed, or from ``stop``
    on, arriving chunks are thrown away; the transfer is over when its last chunk has arrived.

    **Timing**: reads are asked for at once; a chunk takes its beats and up to 4 clocks.

    **Errors**: the status of the first chunk that failed; bytes before it have been written.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i : ``In(stream.Signature(Transfer))``
    o : ``Out(stream.Signature(Outcome))``
        One for each transfer.
    stop : ``In(1)``
        While set, write nothing more of the transfer. It may come at any time; a write that has
        begun is finished.
    o_read, i_read, o_write : streams
        Of the requester.
    stop_read : ``Out(1)``
        Pulse: issue no more of the read.
    """

    def __init__(self, config: Config):
        self._width = config.data_width
        super().__init__(
            {
                "i": In(stream.Signature(Transfer)),
                "o": Out(stream.Signature(Outcome)),
                "stop": In(1),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, config.data_width)),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "stop_read": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = Realign(self._width)
        job, chunk, write = self.i.p, self.i_read.p, self.o_write.p
        alignment = realign.alignment.p
        status, done = Signal(ReadStatus), Signal(32)
        ended, final, opened, emptied = Signal(), Signal(), Signal(), Signal()
        running, failed = Signal(), Signal()
        source = Signal(64)
        length = Signal(13)

        m.d.comb += [
            self.o_read.p.address.eq(job.source),
            self.o_read.p.length_bytes.eq(job.size_bytes),
            self.o_read.p.tenant.eq(job.tenant),
            self.o.p.status.eq(status),
            self.o.p.bytes_completed.eq(done),
            write.header.address.eq(job.destination + done),
            write.header.length_bytes.eq(length),
            write.header.tenant.eq(job.tenant),
            write.data.eq(realign.o.payload),
            write.first.eq(~opened),
            write.last.eq(realign.last),
            alignment.source.eq(source),
            alignment.destination.eq(write.header.address),
            alignment.length_bytes.eq(length),
            realign.i.payload.eq(chunk.data),
        ]
        ending = running & (self.stop | failed)
        m.d.comb += self.stop_read.eq(ending & ~ended)
        with m.If(ending):
            m.d.sync += ended.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.o_read.valid.eq(self.i.valid)
                m.d.sync += [status.eq(ReadStatus.SUCCESS), done.eq(0), ended.eq(0)]
                with m.If(self.i.valid & self.o_read.ready):
                    m.next = "CHUNK"
            with m.State("CHUNK"):
                m.d.comb += running.eq(1)
                m.d.sync += [
                    final.eq(chunk.header.final),
                    length.eq(chunk.header.length_bytes),
                    source.eq(chunk.header.address),
                    opened.eq(0),
                    emptied.eq(0),
                ]
                with m.If(self.i_read.valid):
                    m.next = "WRITE"
                    with m.If(ended | self.stop):
                        m.next = "THROW AWAY"
                    with m.Elif(chunk.header.status != ReadStatus.SUCCESS):
                        m.d.comb += failed.eq(1)
                        m.d.sync += status.eq(chunk.header.status)
                        m.next = "THROW AWAY"
            with m.State("WRITE"):
                m.d.comb += [
                    running.eq(1),
                    realign.alignment.valid.eq(1),
                    realign.i.valid.eq(self.i_read.valid & ~emptied),
                    self.i_read.ready.eq(realign.i.ready & ~emptied),
                    self.o_write.valid.eq(realign.o.valid),
                    realign.o.ready.eq(self.o_write.ready),
                ]
                with m.If(realign.o.valid & realign.o.ready):
                    m.d.sync += opened.eq(1)
                with m.If(self.i_read.valid & self.i_read.ready & chunk.last):
                    m.d.sync += emptied.eq(1)
                with m.If(realign.alignment.ready):
                    m.d.sync += done.eq(done + length)
                    m.next = "CHUNK"
                    with m.If(final):
                        m.next = "REPORT"
            with m.State("THROW AWAY"):
                m.d.comb += [running.eq(~final), self.i_read.ready.eq(1)]
                with m.If(self.i_read.valid & chunk.last):
                    m.next = "CHUNK"
                    with m.If(final):
                        m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += [self.o.valid.eq(1), self.i.ready.eq(self.o.ready)]
                with m.If(self.o.ready):
                    m.next = "IDLE"
        return m
