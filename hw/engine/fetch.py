"""Members of a batch, fetched ahead."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.block_memory import BlockMemory
from ..pcie.records import ReadChunk, ReadCommand, ReadStatus
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import Tenant, packet_stream
from ..tlp.slice import Slice

AHEAD = 8
"""Members that are asked for ahead; there is room for all of them."""


def fetched(data_width: int):
    """A beat of a member; a member that could not be read is one beat and ``broken``."""
    return data.StructLayout({"data": data_width, "last": 1, "broken": 1})


class Fetch(Component):
    """Read descriptors one after another from an array in memory.

    **Timing**: the first read is valid 2 clocks after ``start``, then one every 2 clocks. A beat is
    valid 3 clocks after its arrival.

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
        read = self.o_read.p
        left, under_way = Signal(16), Signal(range(AHEAD + 1))
        ask, taken = Signal(), Signal()
        m.d.comb += [
            read.length_bytes.eq(DESCRIPTOR_BYTES),
            taken.eq(self.o.valid & self.o.ready & self.o.p.last),
            ask.eq(self.go & (left != 0) & (under_way != AHEAD) & ~self.o_read.valid),
            self.idle.eq(under_way == 0),
        ]
        m.d.sync += under_way.eq(under_way + ask - taken)
        self._keep(m)
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

    def _keep(self, m):
        """Beats that have come; there is room for whatever was asked for."""
        depth = AHEAD * self._beats
        m.submodules.beats = beats = BlockMemory(depth, self._layout.size)
        m.submodules.slice = slice_ = Slice(self._layout)
        connect(m, slice_.o, flipped(self.o))
        chunk, written, fetched = self.i_read, Signal(range(2 * depth)), Signal(range(2 * depth))
        m.d.comb += [
            chunk.ready.eq(1),
            beats.write.eq(chunk.valid),
            beats.write_address.eq(written),
            beats.write_data.eq(
                Cat(chunk.p.data, chunk.p.last, chunk.p.header.status != ReadStatus.SUCCESS)
            ),
            beats.read.eq(slice_.i.ready | ~slice_.i.valid),
            beats.read_address.eq(fetched),
            slice_.i.payload.eq(beats.read_data),
        ]
        m.d.sync += written.eq(written + chunk.valid)
        with m.If(beats.read):
            some = fetched != written
            m.d.sync += [slice_.i.valid.eq(some), fetched.eq(fetched + some)]
