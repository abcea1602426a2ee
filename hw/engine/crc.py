"""CRC-32C of a run of bytes (DSA appendix A)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

POLYNOMIAL = 0x82F6_3B78
"""Of CRC-32C, reflected: bit 0 is the coefficient of x^31."""


def _back(state: int) -> int:
    """The state before eight zero bits: the polynomial has x^0, so a step can be undone."""
    for _ in range(8):
        carry = state >> 31
        state = (state ^ (POLYNOMIAL if carry else 0)) << 1 & 0xFFFF_FFFF | carry
    return state


def _linear(function, value):
    """A function that is linear over bits, as a network of exclusive-ors."""
    columns = [function(1 << bit) for bit in range(len(value))]
    return Cat(
        Cat(value[k] for k, column in enumerate(columns) if column >> row & 1).xor()
        for row in range(32)
    )


class CrcStart(data.StructLayout):
    """What has to be known before the first byte.

    Members
    -------
    seed : 32
        CRC of what came before, or 0.
    raw : 1
        Seed and result are neither inverted nor reflected.
    high_first : 1
        Bit 7 of each byte comes first, instead of bit 0.
    lane : range(bytes of a beat)
        Where the first byte lies in its beat.
    size_bytes : 32
        At least 1.
    """

    def __init__(self, data_width: int):
        super().__init__(
            {
                "seed": 32,
                "raw": 1,
                "high_first": 1,
                "lane": range(data_width // 8),
                "size_bytes": 32,
            }
        )


class Crc(Component):
    """Compute the CRC-32C of bytes that come in beats, from any lane to any lane.

    Every beat is folded in whole. Lanes outside the run count as zeros, and the zeros are undone
    one byte per clock: those before the run in advance, those after it at the end. ``start`` may
    come at any time and begins anew. Data is not padded: the appendix speaks of zeros up to a
    multiple of 4 bytes, but what software expects of the hardware is the CRC of the bytes alone.

    **Timing**: beats are taken from the clock after ``start``, and one clock later for each lane
    before the first byte; then one per clock. The result is known 3 clocks after the last beat, and
    one clock later for each lane behind the last byte.

    Parameters
    ----------
    data_width
        Bits of a beat.

    Members
    -------
    start : ``In(stream.Signature(CrcStart(data_width)))``
        Always ready. The payload holds still until the result has been read.
    i : ``In(stream.Signature({data: data_width, last: 1}))``
        Beats as they lie. Bytes outside the run are anything.
    known : ``Out(1)``
        All bytes have come, and ``value`` is the CRC, until the next ``start``.
    value : ``Out(32)``
    """

    def __init__(self, data_width: int):
        self._width = data_width
        beat = data.StructLayout({"data": data_width, "last": 1})
        super().__init__(
            {
                "start": In(stream.Signature(CrcStart(data_width))),
                "i": In(stream.Signature(beat)),
                "known": Out(1),
                "value": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._width // 8
        start, state, beat = self.start.p, Signal(32), Signal(self._width, reset_less=True)
        # A beat as it came, whether it is the first and the last; then what is folded in of it.
        came = Signal(self.i.payload.shape(), reset_less=True)
        taken, first, begins = Signal(), Signal(), Signal()
        folding = Signal()
        # Lanes of the last beat behind the last byte, and zero bytes that are to be undone.
        after, surplus = Signal(range(lanes)), Signal(range(lanes))
        m.d.comb += [
            self.start.ready.eq(1),
            after.eq(-(start.lane + start.size_bytes)),
            self.value.eq(Mux(start.raw, state[::-1], ~state)),
        ]
        m.d.sync += [
            taken.eq(self.i.valid & self.i.ready),
            came.eq(self.i.p),
            begins.eq(first),
            folding.eq(taken),
            beat.eq(self._select(came, begins, after)),
        ]
        with m.If(folding):
            m.d.sync += state.eq(_linear(self._fold, beat ^ state))
        with m.Elif(~taken & (surplus != 0)):
            m.d.sync += [state.eq(_linear(_back, state)), surplus.eq(surplus - 1)]

        def begin():
            with m.If(self.start.valid):
                m.d.sync += [
                    state.eq(Mux(start.raw, start.seed[::-1], ~start.seed)),
                    surplus.eq(start.lane),
                    taken.eq(0),
                    folding.eq(0),
                    first.eq(1),
                ]
                m.next = "FOLD"

        with m.FSM():
            with m.State("FOLD"):
                m.d.comb += self.i.ready.eq(surplus == 0)
                with m.If(self.i.valid & self.i.ready):
                    m.d.sync += first.eq(0)
                    with m.If(self.i.p.last):
                        m.d.sync += surplus.eq(after)
                        m.next = "UNDO"
                begin()
            with m.State("UNDO"):
                m.d.comb += self.known.eq(~taken & ~folding & (surplus == 0))
                begin()
        return m

    def _fold(self, beat: int) -> int:
        """The state after a beat that the state before it has been added to."""
        for _ in range(self._width):
            beat = beat >> 1 ^ (POLYNOMIAL if beat & 1 else 0)
        return beat

    def _select(self, beat, first, after):
        """Of a beat the bytes of the run, in the order of bits that is asked for."""
        lanes, bytes_ = self._width // 8, []
        for lane in range(lanes):
            byte = beat.data.word_select(lane, 8)
            outside = (first & (lane < self.start.p.lane)) | (beat.last & (lane >= lanes - after))
            ordered = Mux(self.start.p.high_first, byte[::-1], byte)
            bytes_.append(Mux(outside, 0, ordered))
        return Cat(bytes_)
