"""Whether any two of three runs of memory overlap."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out


class Overlap(Component):
    """Compare the three pairs of three addresses, one after another.

    Addresses and distances are modulo 2^64. The first of two runs has ``first_bytes``, the second
    ``second_bytes``, in each pair; a run of 0 bytes may be found to overlap.

    **Timing**: ``found`` is right from the fourth clock after ``begin`` on, until the next
    ``begin``. Addresses are looked at from the clock of ``begin`` on, sizes and ``wanted`` from
    the clock after it, and all for three clocks.

    Members
    -------
    begin : ``In(1)``
        Pulse.
    address : ``In(64).array(3)``
    first_bytes, second_bytes : ``In(32)``
    wanted : ``In(3)``
        Pairs that count: of the addresses 0 and 1, 0 and 2, 1 and 2.
    found : ``Out(1)``
        One of them overlaps.
    """

    def __init__(self):
        super().__init__(
            {
                "begin": In(1),
                "address": In(64).array(3),
                "first_bytes": In(32),
                "second_bytes": In(32),
                "wanted": In(3),
                "found": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Bit n: the distances, there and back, are those of pair n.
        shown = Signal(3)
        there, back = Signal(64, reset_less=True), Signal(64, reset_less=True)
        first = Mux(shown[1], self.address[1], self.address[0])
        second = Mux(shown[:2].any(), self.address[2], self.address[1])
        m.d.sync += [
            shown.eq(Cat(self.begin, shown[:2])),
            there.eq(second - first),
            back.eq(first - second),
        ]

        def inside(distance, size_bytes):
            return (distance[32:] == 0) & (distance[:32] < size_bytes)

        # The second begins inside the first, or the first inside the second.
        near = inside(there, self.first_bytes) | inside(back, self.second_bytes)
        with m.If(self.begin):
            m.d.sync += self.found.eq(0)
        with m.Elif(near & (shown & self.wanted).any()):
            m.d.sync += self.found.eq(1)
        return m
