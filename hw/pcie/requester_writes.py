"""The writing half of the requester."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.dw_banks import DwBanks
from ..regs import Config
from ..tlp.records import Kind, Packet, Request, packet_stream
from ..tlp.slice import Slice
from .records import Settings, WriteCommand
from .requester_split import PacketRecord, WriteSplitter

PACKETS = 16
"""Packets that the buffer holds at most."""

RESULTS = 4
"""Commands that may be between the start of their last packet and their result."""


class WriteSender(Component):
    """Send packets from the buffer, or drop them.

    Whether a packet may leave is decided when it is about to be offered: Bus Master Enable is on,
    and it is not a tenant's while PASIDs are not enabled. Once offered it leaves to its end,
    whatever ``flush`` says.

    **Timing**: a beat per clock, without a gap between packets; the first beat is valid two clocks
    after its record. A packet that is dropped takes one clock.

    Members
    -------
    packet : PacketRecord
        The next packet in the buffer.
    packet_valid : 1
    packet_taken : 1
        It is no longer needed.
    settings : ``In(Settings)``
    flush : 1
        Forget what has not been offered; ``boundary`` is where the buffer goes on.
    reading : ``range(depth)``
        The next word to be read. What lies before it is free.
    boundary : ``range(depth)``
        The word after the packet being sent.
    read_enable : 1
    read_data : ``data_width``
        One clock after the address ``reading``, and held.
    o : ``Out(packet_stream(Request, data_width))``
    o_written : ``Out(stream.Signature(1))``
    """

    def __init__(self, config: Config, depth: int):
        self._lanes = config.beat_dw
        super().__init__(
            {
                "packet": In(PacketRecord),
                "packet_valid": In(1),
                "packet_taken": Out(1),
                "settings": In(Settings),
                "flush": In(1),
                "reading": Out(range(depth)),
                "boundary": Out(range(depth)),
                "read_enable": Out(1),
                "read_data": In(config.data_width),
                "o": Out(packet_stream(Request, config.data_width)),
                "o_written": Out(stream.Signature(1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Offered packets go through registers, and what is to be told of them goes along.
        beat = data.StructLayout(
            {"packet": Packet(Request, 32 * self._lanes), "ends": 1, "result": 1}
        )
        m.submodules.slice = slice_ = Slice(beat)
        packet, out = self.packet, slice_.i
        request = out.p.packet.header
        free, ready, allowed = Signal(), Signal(), Signal()
        start, drop, fetch = Signal(), Signal(), Signal()
        left, words = Signal(9), Signal(9)
        # Whether words are left, as a register; and whether the one being read is the last.
        more, last = Signal(), Signal()
        m.d.comb += [
            words.eq((packet.extent.length_dw + self._lanes - 1) // self._lanes),
            allowed.eq(
                self.settings.bus_master & (~packet.tenant.valid | self.settings.pasid_enable)
            ),
            ready.eq(self.packet_valid & ~more & ~self.flush),
            start.eq(ready & free & allowed & (~out.valid | out.ready)),
            drop.eq(ready & free & ~allowed & ~out.valid & ~self.o.valid),
            self.packet_taken.eq(start | drop),
            fetch.eq(start | (more & (~out.valid | out.ready))),
            last.eq(Mux(start, words == 1, left == 1)),
            self.read_enable.eq(fetch),
            self.boundary.eq(self.reading + left),
            self.o.valid.eq(slice_.o.valid),
            self.o.payload.eq(slice_.o.p.packet),
            slice_.o.ready.eq(self.o.ready),
            out.p.packet.data.eq(self.read_data),
        ]
        with m.If(fetch):
            m.d.sync += [
                left.eq(Mux(start, words, left) - 1),
                more.eq(~last),
                self.reading.eq(self.reading + 1),
                out.valid.eq(1),
                out.p.packet.first.eq(start),
                out.p.packet.last.eq(last),
            ]
        with m.Elif(out.ready):
            m.d.sync += out.valid.eq(0)
        with m.If(drop):
            m.d.sync += self.reading.eq(self.reading + words)
        with m.If(start):
            m.d.sync += [
                request.kind.eq(Kind.MEMORY_WRITE),
                request.address.eq(packet.address),
                request.length_dw.eq(packet.extent.length_dw),
                request.first_be.eq(packet.extent.first_be),
                request.last_be.eq(packet.extent.last_be),
                request.tenant.valid.eq(packet.tenant.valid),
                request.tenant.pasid.eq(packet.tenant.pasid),
                request.tenant.privileged.eq(
                    packet.tenant.privileged & self.settings.pasid_privileged
                ),
            ]

        m.d.comb += free.eq(self._results(m, start, drop, slice_))
        return m

    def _results(self, m, start, drop, slice_):
        """Tell what became of each command; returns whether the next packet may go."""
        packet = self.packet
        # Results that are due once the packets now being sent are through.
        owed = Signal(range(RESULTS + 1))
        lost = Signal()
        # Packets in the slice, and how many of them nobody waits for any more.
        offered, stale = Signal(2), Signal(2)
        leaves, remaining = Signal(), Signal.like(offered)
        results = SyncFIFOBuffered(width=1, depth=RESULTS)
        m.submodules.results = ResetInserter(self.flush)(results)
        m.d.comb += [
            leaves.eq(self.o.valid & self.o.ready & self.o.p.last),
            remaining.eq(offered - leaves),
        ]
        m.d.sync += offered.eq(remaining + start)
        sent = leaves & slice_.o.p.ends & (stale == 0)
        with m.If(self.flush):
            m.d.sync += stale.eq(remaining)
        with m.Elif(leaves & (stale != 0)):
            m.d.sync += stale.eq(stale - 1)
        with m.If(start):
            m.d.sync += slice_.i.p.ends.eq(packet.ends)
        with m.If(drop):
            m.d.sync += lost.eq(~packet.ends)
        with m.Elif(start & packet.ends):
            m.d.sync += [lost.eq(0), slice_.i.p.result.eq(lost)]
        m.d.comb += [
            self.o_written.valid.eq(results.r_rdy),
            self.o_written.payload.eq(results.r_data),
            results.r_en.eq(self.o_written.ready),
        ]
        m.d.sync += [
            results.w_en.eq((sent | (drop & packet.ends)) & ~self.flush),
            results.w_data.eq(drop | slice_.o.p.result),
        ]
        m.d.sync += owed.eq(
            owed + (self.packet_taken & packet.ends) - (self.o_written.valid & self.o_written.ready)
        )
        with m.If(self.flush):
            m.d.sync += [owed.eq(0), lost.eq(0)]
        return ~(packet.ends & (owed == RESULTS))


class Writes(Component):
    """Write to host memory: each packet is stored whole before it is offered.

    The contract is that of :class:`.requester.Requester`.

    Members
    -------
    i : ``In(packet_stream(WriteCommand, data_width))``
    settings : ``In(Settings)``
    flush : 1
    o : ``Out(packet_stream(Request, data_width))``
    o_written : ``Out(stream.Signature(1))``
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(packet_stream(WriteCommand, config.data_width)),
                "settings": In(Settings),
                "flush": In(1),
                "o": Out(packet_stream(Request, config.data_width)),
                "o_written": Out(stream.Signature(1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # As deep as a block RAM that is 36 bits wide; at least four packets.
        depth = max(512, 4 * self._config.max_payload_bytes // self._config.beat_bytes)
        m.submodules.splitter = splitter = WriteSplitter(self._config, depth)
        m.submodules.sender = sender = WriteSender(self._config, depth)
        m.submodules.banks = banks = DwBanks(self._config.data_width, depth)
        packets = SyncFIFOBuffered(width=len(Value.cast(splitter.packet)), depth=PACKETS)
        m.submodules.packets = ResetInserter(self.flush)(packets)
        connect(m, flipped(self.i), splitter.i)
        connect(m, sender.o, flipped(self.o))
        connect(m, sender.o_written, flipped(self.o_written))
        used = Signal(range(depth))
        m.d.comb += [
            splitter.settings.eq(self.settings),
            splitter.flush.eq(self.flush),
            splitter.base.eq(sender.boundary),
            banks.write_address.eq(splitter.write_address),
            banks.write_data.eq(splitter.write_data),
            banks.write_enable.eq(splitter.write_enable),
            packets.w_data.eq(splitter.packet),
            packets.w_en.eq(splitter.packet_valid),
            sender.packet.eq(packets.r_data),
            sender.packet_valid.eq(packets.r_rdy),
            packets.r_en.eq(sender.packet_taken),
            sender.settings.eq(self.settings),
            sender.flush.eq(self.flush),
            banks.read_address.eq(sender.reading),
            banks.read_enable.eq(sender.read_enable),
            sender.read_data.eq(banks.read_data),
            used.eq(splitter.filling - sender.reading),
        ]
        # Beats and packets on their way when it falls still fit.
        m.d.sync += splitter.room.eq((used < depth - 8) & (packets.w_level < PACKETS - 4))
        return m
