"""A component with a serial line, and the bridge at the other end of the line, as gates."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

CAPACITY = 64
"""Bytes that pass between bench and gates at once."""

PATIENCE_BITS = 40
"""Bit times without a new byte after which those that have come are handed up."""


class Pace(Component):
    """Tells when a bit begins, at any rate below that of the clock.

    Parameters
    ----------
    clock_hz, baud
        Rates of the clock and of the bits.

    Members
    -------
    start : ``In(1)``
        A bit begins now.
    middle, end : ``Out(1)``
        The clock in the middle of a bit, and its last.
    """

    start: In(1)
    middle: Out(1)
    end: Out(1)

    def __init__(self, clock_hz: int, baud: int):
        self.clock_hz, self.baud = clock_hz, baud
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        phase = Signal(range(self.clock_hz + self.baud))
        after = phase + self.baud
        m.d.comb += [
            self.middle.eq((phase < self.clock_hz // 2) & (after >= self.clock_hz // 2)),
            self.end.eq(after >= self.clock_hz),
        ]
        m.d.sync += phase.eq(Mux(self.start, 0, Mux(self.end, after - self.clock_hz, after)))
        return m


class Wired(Component):
    """A board's logic on a serial line, 8N1.

    Bytes go down when the bench stores them in ``down_bytes`` (byte k in bits 8k+7:8k) and their
    number in ``down_count``, and then toggles ``down_put``; ``down_taken`` follows when the ports
    may be used again. Bytes that have come up lie in ``up_bytes`` when ``up_put`` toggles, at least
    until a byte time later.

    Parameters
    ----------
    board
        Has ``rx`` and ``tx``.
    clock_hz, baud
        Its clock, and the rate of the line.
    """

    def __init__(self, board: Component, clock_hz: int, baud: int):
        self.board, self.clock_hz, self.baud = board, clock_hz, baud
        super().__init__(
            {
                "down_bytes": In(8 * CAPACITY),
                "down_count": In(range(CAPACITY + 1)),
                "down_put": In(1),
                "down_taken": Out(1),
                "up_bytes": Out(8 * CAPACITY),
                "up_count": Out(range(CAPACITY + 1)),
                "up_put": Out(1),
                #: Stop bits that were low.
                "broken": Out(16),
                #: Times that each light has come on.
                "links": Out(16),
                "bells": Out(16),
                "errors": Out(16),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.board = board = self.board
        self._down(m, board.rx)
        self._up(m, board.tx)
        for light, count in (
            (board.link, self.links),
            (board.bell, self.bells),
            (board.error, self.errors),
        ):
            before = Signal(init=1)
            m.d.sync += [before.eq(light), count.eq(count + (light & ~before))]
        return m

    def _down(self, m, rx):
        m.submodules.down_pace = pace = Pace(self.clock_hz, self.baud)
        waiting, left = Signal(8 * CAPACITY), Signal(range(CAPACITY + 1))
        # The start bit first, the stop bit last.
        bits, count = Signal(10, init=-1), Signal(range(11))
        m.d.comb += [rx.eq(bits[0] | (count == 0)), pace.start.eq(count == 0)]
        with m.If(count != 0):
            with m.If(pace.end):
                m.d.sync += [bits.eq(Cat(bits[1:], 1)), count.eq(count - 1)]
        with m.Elif(left != 0):
            m.d.sync += [
                bits.eq(Cat(0, waiting[:8], 1)),
                count.eq(10),
                waiting.eq(waiting >> 8),
                left.eq(left - 1),
            ]
        with m.Elif(self.down_put != self.down_taken):
            m.d.sync += [
                waiting.eq(self.down_bytes),
                left.eq(self.down_count),
                self.down_taken.eq(self.down_put),
            ]

    def _up(self, m, tx):
        m.submodules.up_pace = pace = Pace(self.clock_hz, self.baud)
        came, number = Signal(8 * CAPACITY), Signal(range(CAPACITY + 1))
        bits, count = Signal(9), Signal(range(11))
        idle, whole = Signal(range(PATIENCE_BITS + 1)), Signal()
        m.d.comb += [pace.start.eq((count == 0) & ~tx), whole.eq((count == 1) & pace.middle)]
        with m.If(count != 0):
            m.d.sync += idle.eq(0)
            with m.If(pace.middle):
                m.d.sync += [bits.eq(Cat(bits[1:], tx)), count.eq(count - 1)]
        with m.Else():
            with m.If(~tx):
                m.d.sync += count.eq(10)
            with m.If(pace.end & (idle != PATIENCE_BITS)):
                m.d.sync += idle.eq(idle + 1)
        with m.If(whole):
            m.d.sync += [
                came.word_select(number, 8).eq(bits[1:]),
                number.eq(number + 1),
                self.broken.eq(self.broken + ~tx),
            ]
        with m.If((number == CAPACITY) | ((number != 0) & (idle == PATIENCE_BITS))):
            m.d.sync += [
                self.up_bytes.eq(came),
                self.up_count.eq(number),
                self.up_put.eq(~self.up_put),
                number.eq(0),
            ]
