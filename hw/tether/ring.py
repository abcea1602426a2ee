"""TLPs that have not been acknowledged."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..regs.tether import WINDOW
from ..tlp.records import wire_stream

RING_DW = 1024
"""Seven of the longest TLPs."""


class ReplayRing(Component):
    """Number TLPs, and keep each until it has been acknowledged.

    Whoever sends reads one TLP after the other: it steps through its DWs, then says ``sent``.
    Acknowledgements and rejects wait for ``idle``, so that nothing is taken back while it is being
    read.

    **Timing**: a DW per clock in, and a clock between TLPs; ``waiting`` rises 1 clock after the
    last beat. ``data`` follows ``step`` after 3 clocks. An acknowledgement takes two clocks for
    each TLP, and two.

    **Errors**: an acknowledgement of a TLP that has not been sent, or was acknowledged before, is
    ignored. ``i`` is not ready while :data:`WINDOW` TLPs, or all DWs of the ring, are taken.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    i : ``In(wire_stream(data_width))``
        A TLP has :data:`hw.regs.tether.LONGEST_TLP_DW` DWs at most.
    acknowledgement : ``In(8)``
        Number of the first TLP that the host has not taken.
    acknowledge : ``In(1)``
        Strobe: it has come.
    reject : ``In(1)``
        Strobe: send again what has not been acknowledged.
    idle : ``In(1)``
        No TLP is being read.
    busy : ``Out(1)``
        Acknowledgements wait; what is below may still change.
    waiting : ``Out(1)``
        There is a TLP to send.
    number, length_dw : ``Out(8)``
        Number of the TLP to send next; and its length, if there is one.
    data : ``Out(32)``
        The DW to send next.
    step : ``In(1)``
        Strobe: on to the next DW.
    sent : ``In(1)``
        Strobe: on to the next TLP, after its last DW was stepped over.
    """

    def __init__(self, data_width: int):
        self._lanes = data_width // 32
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "acknowledgement": In(8),
                "acknowledge": In(1),
                "reject": In(1),
                "idle": In(1),
                "busy": Out(1),
                "waiting": Out(1),
                "number": Out(8),
                "length_dw": Out(8),
                "data": Out(32),
                "step": In(1),
                "sent": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dws = dws = Memory(shape=32, depth=RING_DW, init=[])
        m.submodules.lengths = lengths = Memory(shape=8, depth=WINDOW, init=[])
        # Numbers of the oldest TLP kept, the first one never sent, and the next to come in; where
        # the oldest begins, and where DWs are read and written. Pointers carry one bit more than an
        # index, so that full and empty differ.
        oldest, fresh, coming = Signal(8), Signal(8), Signal(8)
        start, read, write = (
            Signal(range(2 * RING_DW), name=n) for n in ("start", "read", "write")
        )

        self._store(m, dws, lengths, coming, oldest, write, start)

        dw_out, length_out = dws.read_port(), lengths.read_port(domain="comb")
        m.d.comb += [
            dw_out.addr.eq(read),
            dw_out.en.eq(1),
            length_out.addr.eq(self.number),
            self.length_dw.eq(length_out.data),
            self.waiting.eq(self.number != coming),
        ]
        # It comes late out of block RAM.
        dw = Signal(32, reset_less=True)
        m.d.sync += dw.eq(dw_out.data)
        m.d.comb += self.data.eq(dw)
        with m.If(self.step):
            m.d.sync += read.eq(read + 1)
        with m.If(self.sent):
            m.d.sync += self.number.eq(self.number + 1)
            with m.If(self.number == fresh):
                m.d.sync += fresh.eq(fresh + 1)

        self._release(m, lengths, oldest, fresh, start, read)
        return m

    def _store(self, m, dws, lengths, coming, oldest, write, start):
        """Take beats apart, and write what belongs to a TLP."""
        dw_in, length_in = dws.write_port(), lengths.write_port()
        place, length, room = Signal(range(self._lanes)), Signal(8, init=1), Signal()
        take, final = Signal(), Signal()
        m.d.comb += [
            take.eq(self.i.valid & room),
            final.eq(place + 1 == self.i.p.count),
            self.i.ready.eq(room & final),
            dw_in.addr.eq(write),
            dw_in.data.eq(self.i.p.data.word_select(place, 32)),
            dw_in.en.eq(take),
            length_in.addr.eq(coming),
            length_in.data.eq(length),
            length_in.en.eq(take),
        ]
        # One DW may be written before room is seen to be gone.
        kept, used = Signal(8), Signal(range(2 * RING_DW))
        m.d.comb += [kept.eq(coming - oldest), used.eq(write - start)]
        m.d.sync += room.eq((kept != WINDOW) & (used < RING_DW - 1))
        with m.If(take):
            m.d.sync += [
                write.eq(write + 1),
                length.eq(length + 1),
                place.eq(Mux(final, 0, place + 1)),
            ]
            with m.If(final & self.i.p.last):
                m.d.sync += [coming.eq(coming + 1), length.eq(1), room.eq(0)]

    def _release(self, m, lengths, oldest, fresh, start, read):
        """Forget what has been acknowledged, one TLP per clock, and go back when told to."""
        length_out = lengths.read_port(domain="comb")
        m.d.comb += length_out.addr.eq(oldest)
        latest, unseen, again = Signal(8), Signal(), Signal()
        more, sent = Signal(8), Signal(8)
        # Whether one more is acknowledged is worked out in one clock, and carried out in the next.
        named, looked = Signal(), Signal()
        after = start + length_out.data
        m.d.comb += [
            more.eq(latest - oldest),
            sent.eq(fresh - oldest),
            self.busy.eq(unseen | again),
        ]
        m.d.sync += [named.eq((more != 0) & (more <= sent)), looked.eq(unseen & ~looked)]
        with m.If(self.idle & unseen):
            with m.If(looked & named):
                m.d.sync += [oldest.eq(oldest + 1), start.eq(after)]
                with m.If(self.number == oldest):
                    m.d.sync += [self.number.eq(oldest + 1), read.eq(after)]
            with m.Elif(looked):
                m.d.sync += unseen.eq(0)
        with m.Elif(self.idle & again):
            m.d.sync += [again.eq(0), self.number.eq(oldest), read.eq(start)]
        with m.If(self.acknowledge):
            m.d.sync += [latest.eq(self.acknowledgement), unseen.eq(1), looked.eq(0)]
        with m.If(self.reject):
            m.d.sync += again.eq(1)
