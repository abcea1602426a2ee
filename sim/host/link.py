"""The wire between a device and the bench: whole TLPs on the bench's side, beats on the device's.

A bench that moved every beat in Python would be slower by the number of beats, so this part of it
is made of gates and simulated with the device.
"""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from hw.tlp.records import Credits, wire_stream

CAPACITY_DW = 136
"""DWs that fit through a port at once; longer TLPs go down in several pieces."""

HEAD_DW = 24
"""DWs of the first port of two, enough for most TLPs: the bench leaves the other one alone."""


class Linked(Component):
    """A device with a link to a bench.

    A TLP goes down when the bench stores it in ``down_head`` and ``down_tail`` (byte k in bits
    8k+7:8k), its length in ``down_dw``, and then increments ``down_put``; ``down_taken`` follows
    when the ports may be used again. A TLP that has come up lies in ``up_head`` and ``up_tail``
    when ``up_count`` increments, until the next clock.

    **Timing**: a TLP that is put while the link is idle is offered to the device in the next
    clock; without pauses the beats of successive TLPs follow one another without a gap. The bench
    reads a TLP in the clock after its last beat, and never holds the device up.

    Parameters
    ----------
    device
        Has ``i``, ``o``, ``granted`` and ``credits``, see :class:`hw.device.Device`.
    data_width
        Of its wire streams, in bits.
    """

    def __init__(self, device: Component, data_width: int = 64):
        self.device = device
        self.data_width = data_width
        tail = (CAPACITY_DW - HEAD_DW) * 32
        super().__init__(
            {
                #: Pauses in both directions: chance of a pause in each clock, in 1/256.
                "down_pause": In(8),
                "up_pause": In(8),
                "down_head": In(HEAD_DW * 32),
                "down_tail": In(tail),
                "down_dw": In(range(CAPACITY_DW + 1)),
                #: What was put is the last piece of its TLP.
                "down_final": In(1, init=1),
                "down_put": In(2),
                "down_taken": Out(2),
                "up_head": Out(HEAD_DW * 32),
                "up_tail": Out(tail),
                #: Length in DW; more than the capacity means that the rest was dropped.
                "up_dw": Out(12),
                "up_count": Out(16),
                #: Clock in which the first beat of the TLP that has come up was offered.
                "up_start": Out(32),
                #: Clocks since reset.
                "clock": Out(32),
                "granted": Out(Credits),
                "credits": In(Credits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.device = device = self.device
        m.d.comb += [self.granted.eq(device.granted), device.credits.eq(self.credits)]
        m.d.sync += self.clock.eq(self.clock + 1)

        m.submodules.down = down = Down(self.data_width)
        m.d.comb += [
            down.tlp.eq(Cat(self.down_head, self.down_tail)),
            down.length_dw.eq(self.down_dw),
            down.final.eq(self.down_final),
            down.put.eq(self.down_put),
            down.pause.eq(self.down_pause),
            self.down_taken.eq(down.taken),
            device.i.valid.eq(down.o.valid),
            device.i.payload.eq(down.o.payload),
            down.o.ready.eq(device.i.ready),
        ]
        m.submodules.up = up = Up(self.data_width)
        m.d.comb += [
            up.i.valid.eq(device.o.valid),
            up.i.payload.eq(device.o.payload),
            device.o.ready.eq(up.i.ready),
            up.pause.eq(self.up_pause),
            up.clock.eq(self.clock),
            Cat(self.up_head, self.up_tail).eq(up.tlp),
            self.up_dw.eq(up.length_dw),
            self.up_count.eq(up.count),
            self.up_start.eq(up.start),
        ]
        return m


class Dice(Component):
    """Says yes in one of 256 / ``chance`` clocks, in no pattern."""

    chance: In(8)
    yes: Out(1)

    def __init__(self, seed: int):
        self.seed = seed
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        state = Signal(31, init=self.seed)
        # Eight steps of the polynomial x^31 + x^28 + 1 in one clock.
        bits = list(state)
        for _ in range(8):
            bits = [bits[30] ^ bits[27], *bits[:30]]
        m.d.sync += state.eq(Cat(*bits))
        m.d.comb += self.yes.eq(state[:8] < self.chance)
        return m


class Down(Component):
    """Cuts TLPs into wire beats."""

    def __init__(self, data_width: int):
        self.data_width = data_width
        super().__init__(
            {
                "tlp": In(CAPACITY_DW * 32),
                "length_dw": In(range(CAPACITY_DW + 1)),
                "final": In(1),
                "put": In(2),
                "taken": Out(2),
                "pause": In(8),
                "o": Out(wire_stream(data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dice = dice = Dice(0x2545_F491)
        m.d.comb += dice.chance.eq(self.pause)
        beat_dw = self.data_width // 32
        buffer = Signal(CAPACITY_DW * 32)
        left = Signal(range(CAPACITY_DW + 1))
        final, inside, may_offer = Signal(), Signal(), Signal()
        ends = left <= beat_dw
        m.d.comb += [
            self.o.valid.eq((left != 0) & may_offer),
            self.o.p.data.eq(buffer[: self.data_width]),
            self.o.p.count.eq(Mux(ends, left, beat_dw)),
            self.o.p.first.eq(~inside),
            self.o.p.last.eq(ends & final),
        ]
        moves = Signal()
        m.d.comb += moves.eq(self.o.valid & self.o.ready)
        with m.If(moves):
            m.d.sync += [
                buffer.eq(buffer >> self.data_width),
                left.eq(Mux(ends, 0, left - beat_dw)),
                inside.eq(~self.o.p.last),
            ]
        # Once offered, a beat stays offered.
        with m.If(moves | ~may_offer):
            m.d.sync += may_offer.eq(~dice.yes)
        with m.If((self.put != self.taken) & ((left == 0) | (moves & ends))):
            m.d.sync += [
                buffer.eq(self.tlp),
                left.eq(self.length_dw),
                final.eq(self.final),
                self.taken.eq(self.taken + 1),
            ]
        return m


class Up(Component):
    """Collects wire beats into TLPs."""

    def __init__(self, data_width: int):
        self.data_width = data_width
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "tlp": Out(CAPACITY_DW * 32),
                "length_dw": Out(12),
                "count": Out(16),
                "start": Out(32),
                "clock": In(32),
                "pause": In(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.dice = dice = Dice(0x1234_5678)
        m.d.comb += [dice.chance.eq(self.pause), self.i.ready.eq(~dice.yes)]
        inside, index = Signal(), Signal(12)
        offered_before, offered_at = Signal(), Signal(32)
        starts = self.i.valid & ~inside & ~offered_before
        m.d.sync += offered_before.eq(self.i.valid & ~inside & ~self.i.ready)
        with m.If(starts):
            m.d.sync += offered_at.eq(self.clock)
        with m.If(self.i.valid & self.i.ready):
            with m.Switch(index):
                for beat in range(CAPACITY_DW * 32 // self.data_width):
                    with m.Case(beat):
                        m.d.sync += self.tlp.word_select(beat, self.data_width).eq(self.i.p.data)
            m.d.sync += [inside.eq(~self.i.p.last), index.eq(index + 1)]
            with m.If(self.i.p.last):
                m.d.sync += [
                    index.eq(0),
                    self.length_dw.eq(index * (self.data_width // 32) + self.i.p.count),
                    self.count.eq(self.count + 1),
                    self.start.eq(Mux(starts, self.clock, offered_at)),
                ]
        return m
