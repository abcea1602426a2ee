"""Members of a batch, fetched ahead."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import ReadChunk, ReadCommand, ReadStatus
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import Tenant, packet_stream

AHEAD = 8
"""Members that are asked for ahead; there is room for all of them."""


def fetched(data_width: int):
    """A beat of a member; a member that could not be read is one beat and ``broken``."""
    return data.StructLayout({"data": data_width, "last": 1, "broken": 1})


class Fetch(Component):
    """Read descriptors one after another from an array in memory.

    **Timing**: the first read is valid 2 clocks after ``start``, then one every 2 clocks. A beat is
    valid 2 clocks after its arrival.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    start : ``In(1)``
        Pulse, while ``idle``: take over ``address`` (64 bits, a multiple of 64), ``tenant`` and
        ``count``, the number of descriptors.
    go : ``In(1)``
        Ask for more.
    o_read : ``Out(stream.Signature(ReadCommand))``
    i_read : ``In(packet_stream(ReadChunk, data_width))``
        Taken at once.
    o : ``Out(stream.Signature(fetched(data_width)))``
    idle : ``Out(1)``
        Whatever was asked for has been taken on ``o``.
    """

    def __init__(self, config: Config):
        self._beats = DESCRIPTOR_BYTES // config.beat_bytes
        self._layout = fetched(config.data_width)
        super().__init__(
            {
                "start": In(1),
                "address": In(64),
                "tenant": In(Tenant),
                "count": In(16),
                "go": In(1),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, config.data_width)),
                "o": Out(stream.Signature(self._layout)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = SyncFIFOBuffered(
            width=self._layout.size, depth=AHEAD * self._beats
        )
        read, chunk = self.o_read.p, self.i_read
        left, under_way = Signal(16), Signal(range(AHEAD + 1))
        ask, taken = Signal(), Signal()
        m.d.comb += [
            read.length_bytes.eq(DESCRIPTOR_BYTES),
            chunk.ready.eq(beats.w_rdy),
            beats.w_en.eq(chunk.valid),
            beats.w_data.eq(
                Cat(chunk.p.data, chunk.p.last, chunk.p.header.status != ReadStatus.SUCCESS)
            ),
            self.o.valid.eq(beats.r_rdy),
            self.o.payload.eq(beats.r_data),
            beats.r_en.eq(self.o.ready),
            taken.eq(self.o.valid & self.o.ready & self.o.p.last),
            ask.eq(self.go & (left != 0) & (under_way != AHEAD) & ~self.o_read.valid),
            self.idle.eq(under_way == 0),
        ]
        m.d.sync += under_way.eq(under_way + ask - taken)
        with m.If(ask):
            m.d.sync += [self.o_read.valid.eq(1), left.eq(left - 1)]
        with m.Elif(self.o_read.valid & self.o_read.ready):
            m.d.sync += [
                self.o_read.valid.eq(0),
                read.address.eq(read.address + DESCRIPTOR_BYTES),
            ]
        with m.If(self.start):
            m.d.sync += [
                read.address.eq(self.address),
                read.tenant.eq(self.tenant),
                left.eq(self.count),
            ]
        return m
