"""Payload on its way between the wire and the register bus."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

PLACES = 16
"""Beats, or words: one for every value of the index, of which a payload needs nine."""

WIDTH = 64
"""Bits of a word on the register bus, at which the completer works whatever the wire's width."""


class Buffer(Component):
    """Payload of up to 17 DW, seen as beats from one side and as register words from the other.

    A register word is 8 bytes at an address divisible by 8; if the payload starts at an odd DW,
    each word straddles two beats. The two DW lanes of a beat are memories of their own, so either
    side moves 8 bytes a clock.

    **Timing**: reads are combinational, writes take effect on the next clock.

    Members
    -------
    index : ``In(4)``
        Beat, or word, at hand.
    words : ``In(1)``
        ``index`` is that of a word.
    odd : ``In(1)``
        The payload starts in the upper half of word 0.
    write : ``In(1)``
    data_in : ``In(64)``
    data_out : ``Out(64)``
    """

    index: In(4)
    words: In(1)
    odd: In(1)
    write: In(1)
    data_in: In(WIDTH)
    data_out: Out(WIDTH)

    def elaborate(self, platform):
        m = Module()
        swap = Signal()
        m.d.comb += swap.eq(self.words & self.odd)
        # With an odd start, lane 1 holds the lower half of a word, one place further down.
        halves = [self.data_in[:32], self.data_in[32:]]
        outs = []
        for lane in range(2):
            m.submodules[f"lane_{lane}"] = memory = Memory(shape=32, depth=PLACES, init=[])
            write, read = memory.write_port(), memory.read_port(domain="comb")
            place = Signal(4, name=f"place_{lane}")
            m.d.comb += [
                place.eq(self.index - (swap if lane else 0)),
                write.addr.eq(place),
                write.data.eq(Mux(swap, halves[1 - lane], halves[lane])),
                write.en.eq(self.write),
                read.addr.eq(place),
            ]
            outs.append(read.data)
        m.d.comb += self.data_out.eq(Mux(swap, Cat(outs[1], outs[0]), Cat(outs[0], outs[1])))
        return m
