"""From bytes to DWs: length and byte enables of a request."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out


class Extent(data.Struct):
    """What a request says about its length."""

    length_dw: 11
    first_be: 4
    last_be: 4


class ByteEnables(Component):
    """Length in DW and byte enables of a run of bytes (PCIe Base 6.x §2.2.5).

    A request of one DW has all its enables in ``first_be``, and ``last_be`` is 0.

    **Timing**: combinational.

    Members
    -------
    start : 2
        Byte address modulo 4.
    length_bytes : 13
        1 to 4096.
    o : :class:`Extent`
    """

    start: In(2)
    length_bytes: In(13)
    o: Out(Extent)

    def elaborate(self, platform):
        m = Module()
        end = Signal(14)
        first_be, last_be = Signal(4), Signal(4)
        m.d.comb += [
            end.eq(self.start + self.length_bytes),
            self.o.length_dw.eq((end + 3) >> 2),
            first_be.eq(0b1111 << self.start),
            last_be.eq(Mux(end[:2] == 0, 0b1111, (1 << end[:2]) - 1)),
        ]
        with m.If(self.o.length_dw == 1):
            m.d.comb += self.o.first_be.eq(first_be & last_be)
        with m.Else():
            m.d.comb += [self.o.first_be.eq(first_be), self.o.last_be.eq(last_be)]
        return m
