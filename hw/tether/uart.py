"""Bytes on a serial line: 8 bits, no parity, one stop bit, least significant bit first."""

from math import gcd

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

CLOCKS_PER_BIT_MIN = 4
"""Fewer do not tell a bit from its edges."""


def clocks_per_bits(clock_hz: int, baud: int) -> tuple[int, int]:
    """The smallest whole numbers of clocks and of bits that take the same time.

    **Errors**: ``ValueError`` for a rate that leaves less than :data:`CLOCKS_PER_BIT_MIN` clocks to
    a bit.
    """
    if not 0 < CLOCKS_PER_BIT_MIN * baud <= clock_hz:
        raise ValueError(
            f"a line of {baud} baud needs a clock of {CLOCKS_PER_BIT_MIN} times as many Hz or "
            f"more, not {clock_hz}; take a lower rate or a faster clock"
        )
    common = gcd(clock_hz, baud)
    return clock_hz // common, baud // common


class BitClock(Elaboratable):
    """Strobe once per bit, as an exact fraction of the clock.

    **Timing**: strobes are within a clock of where they should be, however many come. While
    ``hold`` is 1 there are none; after it, the first comes half a bit later, less one clock, so
    that what the clock hides of an edge and of a strobe evens out.

    Parameters
    ----------
    clocks, bits
        Numbers that take the same time, without a common factor.

    Attributes
    ----------
    hold : Signal(), in
    strobe : Signal(), out
    """

    def __init__(self, clocks: int, bits: int):
        self._clocks, self._bits = clocks, bits
        self.hold = Signal()
        self.strobe = Signal()

    def elaborate(self, platform):
        m = Module()
        # Rises by `bits` a clock and falls by `clocks` a strobe; its sign says when.
        phase = Signal(range(-self._clocks, self._bits))
        m.d.comb += self.strobe.eq((phase >= 0) & ~self.hold)
        with m.If(self.hold):
            m.d.sync += phase.eq(2 * self._bits - self._clocks // 2)
        with m.Else():
            step = Mux(phase >= 0, self._bits - self._clocks, self._bits)
            m.d.sync += phase.eq(phase + step)
        return m


class SerialReceiver(Component):
    """Take bytes from a serial line.

    A start bit is looked at again in its middle, and every bit is sampled once, in its middle. The
    rates of both ends may differ by 2 %.

    **Timing**: a byte is out in the middle of its stop bit, and 2 clocks for the synchronizer. The
    next byte may follow at once.

    **Errors**: a low stop bit gives ``broken`` in place of ``valid``; the line then has to go high
    before another byte begins. A low level shorter than half a bit is no start bit. For the rate
    see :func:`clocks_per_bits`.

    Parameters
    ----------
    clock_hz, baud
        The clock, and bits per second.

    Members
    -------
    rx : ``In(1)``
        The line, from a pin.
    byte : ``Out(8)``
    valid : ``Out(1)``
        Strobe: ``byte`` has come.
    broken : ``Out(1)``
        Strobe: something else has come, a break or a spoiled byte.
    """

    rx: In(1, init=1)
    byte: Out(8)
    valid: Out(1)
    broken: Out(1)

    def __init__(self, clock_hz: int, baud: int):
        self._rate = clocks_per_bits(clock_hz, baud)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit_clock = bit_clock = BitClock(*self._rate)
        raw, line = Signal(init=1), Signal(init=1)
        m.d.sync += [raw.eq(self.rx), line.eq(raw), self.valid.eq(0), self.broken.eq(0)]
        left = Signal(range(9))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += bit_clock.hold.eq(1)
                m.d.sync += left.eq(8)
                with m.If(~line):
                    m.next = "START"
            with m.State("START"):
                with m.If(bit_clock.strobe):
                    m.next = "DATA"
                    with m.If(line):
                        m.next = "IDLE"
            with m.State("DATA"):
                with m.If(bit_clock.strobe):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left != 0):
                        m.d.sync += self.byte.eq(Cat(self.byte[1:], line))
                    with m.Else():
                        m.d.sync += [self.valid.eq(line), self.broken.eq(~line)]
                        m.next = "IDLE"
                        with m.If(~line):
                            m.next = "REST"
            with m.State("REST"):
                with m.If(line):
                    m.next = "IDLE"
        return m


class SerialTransmitter(Component):
    """Put bytes on a serial line.

    **Timing**: a start bit begins within a bit of the offer; 10 bits per byte, without gaps while
    bytes are offered.

    **Errors**: see :func:`clocks_per_bits`.

    Parameters
    ----------
    clock_hz, baud
        The clock, and bits per second.

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
        The line; 1 when idle.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)

    def __init__(self, clock_hz: int, baud: int):
        self._rate = clocks_per_bits(clock_hz, baud)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.bit_clock = bit_clock = BitClock(*self._rate)
        rest, left = Signal(9), Signal(range(10))
        m.d.comb += self.i.ready.eq(bit_clock.strobe & (left == 0))
        with m.If(bit_clock.strobe):
            with m.If(left != 0):
                m.d.sync += [Cat(self.tx, rest).eq(Cat(rest, C(1, 1))), left.eq(left - 1)]
            with m.Elif(self.i.valid):
                m.d.sync += [self.tx.eq(0), rest.eq(Cat(self.i.payload, C(1, 1))), left.eq(9)]
        return m
