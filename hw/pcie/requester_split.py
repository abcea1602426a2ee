"""Writes of up to a page, cut into packets and realigned."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from ..regs import Config
from ..tlp.records import Packet, Tenant, packet_stream
from .byte_enables import Extent
from .records import Settings, WriteCommand


class PacketRecord(data.Struct):
    """A packet that is in the buffer from its first byte to its last."""

    #: DW-aligned.
    address: 64
    extent: Extent
    tenant: Tenant
    #: The last packet of its command.
    ends: 1


class WriteSplitter(Component):
    """Cut write commands at multiples of the maximum payload, and lay each packet into a buffer.

    The buffer is a ring of words. Each packet begins at lane 0 of a word; only a command's first
    packet has to be realigned for that, as all others begin at a multiple of the payload.

    After ``flush`` all is forgotten, and beats are dropped until one with ``first`` comes.

    **Timing**: a beat per clock while ``room``; the buffer is written one clock after a beat is
    accepted, and ``packet`` is told with the last one of a packet. ``room`` may fall while two
    more beats are on their way.

    **Errors**: a command with more or fewer beats than its length asks for is written as long as
    its beats go; ``i`` has to be right.

    Members
    -------
    i : ``In(packet_stream(WriteCommand, data_width))``
    settings : ``In(Settings)``
    flush : 1
    base : ``range(depth)``
        The first free word, taken over by ``flush``.
    room : 1
        The buffer takes 4 more words, and ``packet`` 4 more packets.
    filling : ``range(depth)``
        The next word to be filled.
    write_address : ``range(depth * data_width // 32)``
    write_data : ``data_width``
    write_enable : ``data_width // 32``
    packet : PacketRecord
    packet_valid : 1
        For one clock.
    """

    def __init__(self, config: Config, depth: int):
        self._config = config
        super().__init__(
            {
                "i": In(packet_stream(WriteCommand, config.data_width)),
                "settings": In(Settings),
                "flush": In(1),
                "base": In(range(depth)),
                "room": In(1),
                "filling": Out(range(depth)),
                "write_address": Out(range(depth * config.beat_dw)),
                "write_data": Out(config.data_width),
                "write_enable": Out(config.beat_dw),
                "packet": Out(PacketRecord),
                "packet_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = Packet(WriteCommand, self._config.data_width)
        beat, valid = Signal(layout, reset_less=True), Signal()
        inside = Signal()
        m.d.comb += self.i.ready.eq(self.room)
        m.d.sync += [
            valid.eq(self.i.valid & self.i.ready & (self.i.p.first | inside) & ~self.flush),
            beat.eq(self.i.p),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += inside.eq((self.i.p.first | inside) & ~self.i.p.last)
        with m.If(self.flush):
            m.d.sync += inside.eq(0)
        self._fill(m, beat, valid)
        return m

    def _fill(self, m, beat, valid):
        """Write a beat, and tell of the packet that ends with it."""
        command = beat.header
        lanes, low = self._config.beat_dw, exact_log2(self._config.beat_bytes)
        payload_mask = Signal(12)
        place, address = Signal(12 - low), Signal(64, reset_less=True)
        place_now, address_now = Signal.like(place), Signal.like(address)
        # The packet is the first one of its command, and this is its first beat.
        leading, leading_now, opening, opening_now = Signal(), Signal(), Signal(), Signal()
        # Lanes before the first DW of the packet; DWs of earlier beats; lanes filled up to here.
        shift, before, filled = Signal(range(lanes)), Signal(11), Signal(range(lanes + 1))
        end, ends = Signal(low + 1), Signal()
        m.d.sync += payload_mask.eq(self.settings.max_payload_bytes - 1)
        m.d.comb += [
            place_now.eq(Mux(beat.first, command.address[low:12], place)),
            address_now.eq(Mux(beat.first, command.address, address)),
            leading_now.eq(beat.first | leading),
            opening_now.eq(beat.first | opening),
            shift.eq(Mux(leading_now, command.address[2:low], 0)),
            end.eq((command.address + command.length_bytes - 1)[:low] + 1),
            filled.eq(Mux(beat.last, (end + 3) >> 2, lanes)),
            ends.eq(beat.last | ((place_now | ~payload_mask[low:]).all())),
            self.write_address.eq(Cat(C(0, range(lanes)), self.filling) - shift),
            self.write_data.eq(beat.data),
            # What lies behind the end of a packet is overwritten by the next.
            self.write_enable.eq(
                Cat(valid & ((lane >= shift) | ~opening_now) for lane in range(lanes))
            ),
        ]
        with m.If(valid):
            m.d.sync += [
                place.eq(place_now + 1),
                address.eq(address_now),
                leading.eq(leading_now & ~ends),
                opening.eq(ends),
                before.eq(Mux(opening_now, lanes, before + lanes)),
                self.filling.eq(self.filling + 1),
            ]
            with m.If(ends):
                m.d.sync += [
                    address.eq((address_now | payload_mask) + 1),
                    self.filling.eq(self.filling + (filled > shift)),
                ]
        with m.If(self.flush):
            m.d.sync += self.filling.eq(self.base)

        first_be, last_be = Signal(4), Signal(4)
        single, length_dw = Signal(), Signal(11)
        m.d.comb += [
            first_be.eq(Mux(leading_now, (0b1111 << command.address[:2])[:4], 0b1111)),
            last_be.eq(Mux(beat.last & (end[:2] != 0), (1 << end[:2]) - 1, 0b1111)),
            length_dw.eq(Mux(opening_now, 0, before) + filled - shift),
            # Two beats hold two DWs at least.
            single.eq(opening_now & (filled == shift + 1)),
        ]
        m.d.sync += [
            self.packet_valid.eq(valid & ends & ~self.flush),
            self.packet.address.eq(Cat(C(0, 2), address_now[2:])),
            self.packet.extent.length_dw.eq(length_dw),
            self.packet.extent.first_be.eq(Mux(single, first_be & last_be, first_be)),
            self.packet.extent.last_be.eq(Mux(single, 0, last_be)),
            self.packet.tenant.eq(command.tenant),
            self.packet.ends.eq(beat.last),
        ]
