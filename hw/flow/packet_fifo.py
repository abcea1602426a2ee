"""A buffer that holds packets whole."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..tlp.records import Packet, packet_stream


class PacketFifo(Component):
    """Store and forward: a packet is offered once all of it has arrived, or not at all.

    While the last beat of a packet is transferred in, ``discard`` decides: 0 commits the packet, 1
    forgets it and frees its room at once.

    **Timing**: the first beat is valid 2 clocks after the transfer of the last beat into an empty
    buffer; one beat per clock in and out; ``i`` is ready while there is room for a beat and, at the
    start of a packet, for a header.

    **Errors**: a packet of more beats than ``depth`` never fits, and ``i`` stays not ready; whoever
    feeds the buffer bounds the length.

    Parameters
    ----------
    header
        Shape of the packets' header; the header of the first beat is kept.
    data_width
        Bits of payload in a beat.
    depth
        Beats that fit; a power of two.
    packets
        Packets that fit; a power of two.

    Members
    -------
    i : ``In(packet_stream(header, data_width))``
    discard : ``In(1)``
        Looked at when the last beat is transferred.
    o : ``Out(packet_stream(header, data_width))``
    """

    def __init__(self, header, data_width: int, *, depth: int, packets: int):
        self._layout = Packet(header, data_width)
        self._depth = depth
        self._packets = packets
        super().__init__(
            {
                "i": In(packet_stream(header, data_width)),
                "discard": In(1),
                "o": Out(packet_stream(header, data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header, width = self._layout.members["header"], self._layout.data_width
        m.submodules.beats = beats = Memory(shape=width, depth=self._depth, init=[])
        m.submodules.ends = ends = Memory(
            shape=1, depth=self._depth, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.headers = headers = Memory(shape=header, depth=self._packets, init=[])
        beat_in, beat_out = beats.write_port(), beats.read_port()
        # Where packets end decides the next step, so it does not come late out of block RAM.
        end_in, end_out = ends.write_port(), ends.read_port(domain="comb")
        header_in, header_out = headers.write_port(), headers.read_port()

        # Pointers carry one bit more than an index, so that full and empty differ.
        written = Signal(range(2 * self._depth))
        committed = Signal.like(written)
        fetched = Signal.like(written)
        stored = Signal(range(2 * self._packets))
        opened = Signal.like(stored)

        take = Signal()
        m.d.comb += [
            self.i.ready.eq(
                ((written - fetched)[: len(written)] != self._depth)
                & ~(self.i.p.first & ((stored - opened)[: len(stored)] == self._packets))
            ),
            take.eq(self.i.valid & self.i.ready),
            beat_in.addr.eq(written),
            beat_in.data.eq(self.i.p.data),
            beat_in.en.eq(take),
            end_in.addr.eq(written),
            end_in.data.eq(self.i.p.last),
            end_in.en.eq(take),
            header_in.addr.eq(stored),
            header_in.data.eq(self.i.p.header),
            header_in.en.eq(take & self.i.p.first),
        ]
        with m.If(take):
            m.d.sync += written.eq(written + 1)
            with m.If(self.i.p.last):
                with m.If(self.discard):
                    m.d.sync += written.eq(committed)
                with m.Else():
                    m.d.sync += [committed.eq(written + 1), stored.eq(stored + 1)]

        last = self.o.p.last
        at_start = Signal(init=1)
        starts = Signal()
        fetch = Signal()
        m.d.comb += [
            starts.eq(Mux(self.o.valid, last, at_start)),
            fetch.eq((fetched != committed) & (~self.o.valid | self.o.ready)),
            beat_out.addr.eq(fetched),
            beat_out.en.eq(fetch),
            end_out.addr.eq(fetched),
            header_out.addr.eq(opened),
            header_out.en.eq(fetch & starts),
            self.o.p.data.eq(beat_out.data),
            self.o.p.header.eq(header_out.data),
        ]
        with m.If(fetch):
            m.d.sync += [
                fetched.eq(fetched + 1),
                self.o.valid.eq(1),
                self.o.p.first.eq(starts),
                self.o.p.last.eq(end_out.data),
            ]
            with m.If(starts):
                m.d.sync += opened.eq(opened + 1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += at_start.eq(last)
        return m
