"""Finished chunks, read from their slots."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.utils import exact_log2

from ..regs import Config
from ..tlp.records import Packet, packet_stream
from ..tlp.slice import Slice
from .records import ReadChunk, ReadStatus


class Delivery(data.Struct):
    """A chunk that is ready."""

    tag: 8
    chunk: ReadChunk


class ReadDelivery(Component):
    """Give chunks in the order of ``i``, a beat per clock, without a gap between them.

    **Timing**: the first beat is valid 4 clocks after its chunk is accepted, if nothing is ahead.

    Members
    -------
    i : ``In(stream.Signature(Delivery))``
    read_address : ``range(tags * read_slot_bytes // beat_bytes)``
    read_enable : 1
    read_data : ``data_width``
        One clock after the address, and held.
    release : 1
        A slot has been read.
    o : ``Out(packet_stream(ReadChunk, data_width))``
    """

    def __init__(self, config: Config):
        self._config = config
        words = config.tags * config.read_slot_bytes // config.beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(Delivery)),
                "read_address": Out(range(words)),
                "read_enable": Out(1),
                "read_data": In(config.data_width),
                "release": Out(1),
                "o": Out(packet_stream(ReadChunk, config.data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        low = exact_log2(self._config.beat_bytes)
        high = exact_log2(self._config.read_slot_bytes)
        # The chunk being read, and the words that are left of it less one.
        job, job_valid, begun = Signal(Delivery), Signal(), Signal()
        word, left = Signal(high - low), Signal(high - low)
        end = Signal(high + 1)
        source = self.i.p.chunk
        m.d.comb += [
            end.eq(source.address[:low] + source.length_bytes - 1),
            self.i.ready.eq(~job_valid | self.release),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                job.eq(self.i.p),
                job_valid.eq(self.i.valid),
                begun.eq(0),
                word.eq(source.address[low:high]),
                left.eq(Mux(source.status == ReadStatus.SUCCESS, end[low:], 0)),
            ]

        # Memory, then registers: block RAM is slow, and whoever takes chunks may be late.
        m.submodules.slice = out = Slice(Packet(ReadChunk, self._config.data_width))
        connect(m, out.o, flipped(self.o))
        middle = Signal(data.StructLayout({"chunk": ReadChunk, "first": 1, "last": 1}))
        middle_valid = Signal()
        fetch, last = Signal(), Signal()
        m.d.comb += [
            fetch.eq(job_valid & (~middle_valid | out.i.ready)),
            last.eq(left == 0),
            self.release.eq(fetch & last),
            self.read_enable.eq(fetch),
            self.read_address.eq(Cat(word, job.tag)),
            out.i.valid.eq(middle_valid),
            out.i.p.header.eq(middle.chunk),
            out.i.p.first.eq(middle.first),
            out.i.p.last.eq(middle.last),
            out.i.p.data.eq(self.read_data),
        ]
        with m.If(fetch):
            m.d.sync += [
                middle.chunk.eq(job.chunk),
                middle.first.eq(~begun),
                middle.last.eq(last),
            ]
            with m.If(~last):
                m.d.sync += [begun.eq(1), word.eq(word + 1), left.eq(left - 1)]
        with m.If(~middle_valid | out.i.ready):
            m.d.sync += middle_valid.eq(job_valid)
        return m
