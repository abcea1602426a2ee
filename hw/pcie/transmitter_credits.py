"""Whether the partner has room for a TLP."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..tlp.records import CreditLimit


class CreditGate(Component):
    """Count the credits of one type (PCIe Base 6.x §2.6.1).

    Keeps what is left, the difference of granted and consumed modulo the field width, so a TLP fits
    if it needs no more than that.

    **Timing**: ``enough`` follows ``data_credits`` in the same clock and a new ``limit`` after two
    clocks. Between grants it never falls but by ``take``.

    Members
    -------
    limit : :class:`CreditLimit`
        Granted so far.
    data_credits : 9
        Data credits that the next TLP needs; it always needs one header credit.
    enough : 1
        They are there.
    take : 1
        The TLP starts in this clock if there is ``enough``.
    """

    limit: In(CreditLimit)
    data_credits: In(9)
    enough: Out(1)
    take: In(1)

    def elaborate(self, platform):
        m = Module()
        header_left, header_granted, header_more = Signal(8), Signal(8), Signal(8)
        data_left, data_granted, data_more = Signal(12), Signal(12), Signal(12)
        m.d.comb += self.enough.eq(
            (self.limit.header_infinite | (header_left != 0))
            & (self.limit.data_infinite | (data_left >= self.data_credits))
        )
        header_sum, data_sum = header_left + header_more, data_left + data_more
        # Whether there is enough is known late.
        takes = self.take & self.enough
        m.d.sync += [
            header_granted.eq(self.limit.header),
            header_more.eq(self.limit.header - header_granted),
            data_granted.eq(self.limit.data),
            data_more.eq(self.limit.data - data_granted),
            header_left.eq(Mux(takes, header_sum - 1, header_sum)),
            data_left.eq(Mux(takes, data_sum - self.data_credits, data_sum)),
        ]
        return m
