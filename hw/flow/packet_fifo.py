"""A buffer that holds packets whole."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..tlp.records import Packet, packet_stream


class PacketFifo(Component):
    """Store and forward: a packet is offered once all of it has arrived, or not at all.

    When the last beat of a packet comes, ``discard`` decides: 0 commits the packet, 1 forgets it
    and frees its room at once. The beats of a packet that is going to be forgotten need not wait
    for ``i.ready``.

    **Timing**: the first beat is valid 2 clocks after the transfer of the last beat into an empty
    buffer; one beat per clock in and out; ``i`` is ready while there is room for a beat and a
    header, known from registers. Room that ``discard`` frees may show a clock late.

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
        Looked at with a last beat.
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
        m.submodules.headers = headers = Memory(shape=header, depth=self._packets, init=[])
        # Where each packet ends.
        m.submodules.ends = ends = Memory(shape=range(self._depth), depth=self._packets, init=[])
        beat_in, beat_out = beats.write_port(), beats.read_port()
        header_in, header_out = headers.write_port(), headers.read_port()
        end_in, end_out = ends.write_port(), ends.read_port(domain="comb")

        # Pointers carry one bit more than an index, so that full and empty differ.
        written = Signal(range(2 * self._depth))
        committed = Signal.like(written)
        fetched = Signal.like(written)
        stored = Signal(range(2 * self._packets))
        opened = Signal.like(stored)

        take, commit = Signal(), Signal()
        fetch, starts, ending = Signal(), Signal(init=1), Signal()
        beat_room = self._room(m, self._depth, written - fetched, take, fetch)
        header_room = self._room(m, self._packets, stored - opened, commit, fetch & ending)
        m.d.comb += [
            self.i.ready.eq(beat_room & header_room),
            take.eq(self.i.valid & self.i.ready),
            commit.eq(take & self.i.p.last & ~self.discard),
            beat_in.addr.eq(written),
            beat_in.data.eq(self.i.p.data),
            beat_in.en.eq(take),
            end_in.addr.eq(stored),
            end_in.data.eq(written),
            end_in.en.eq(take),
            header_in.addr.eq(stored),
            header_in.data.eq(self.i.p.header),
            header_in.en.eq(take & self.i.p.first),
        ]
        with m.If(take):
            m.d.sync += written.eq(written + 1)
        with m.If(self.i.valid & self.i.p.last & self.discard):
            m.d.sync += written.eq(committed)
        with m.If(commit):
            m.d.sync += [committed.eq(written + 1), stored.eq(stored + 1)]

        m.d.comb += [
            fetch.eq((fetched != committed) & (~self.o.valid | self.o.ready)),
            ending.eq(end_out.data == fetched[:-1]),
            beat_out.addr.eq(fetched),
            beat_out.en.eq(fetch),
            end_out.addr.eq(opened),
            header_out.addr.eq(opened),
            header_out.en.eq(fetch & starts),
            self.o.p.data.eq(beat_out.data),
            self.o.p.header.eq(header_out.data),
        ]
        with m.If(fetch):
            m.d.sync += [
                fetched.eq(fetched + 1),
                opened.eq(opened + ending),
                starts.eq(ending),
                self.o.valid.eq(1),
                self.o.p.first.eq(starts),
                self.o.p.last.eq(ending),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def _room(self, m, depth, level, enters, leaves):
        """Whether there is room, as a register: it stands at the end of long paths."""
        used, room = Signal(range(depth + 1)), Signal(init=1)
        m.d.comb += used.eq(level)
        m.d.sync += room.eq(leaves | ((used != depth) & ~(enters & (used == depth - 1))))
        return room
