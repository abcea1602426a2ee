"""What the board says: WELCOME, STATUS, TLPs."""

from amaranth import *
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..regs.tether import (
    PROTOCOL,
    STATUS_DELAY_BYTES,
    STATUS_FIELDS,
    STATUS_INTERVAL_BYTES,
    WELCOME_FIELDS,
    Flag,
    Identity,
    Kind,
    words_of,
)
from ..tlp.records import Credits, wire_stream
from .framing import Words
from .ring import ReplayRing

TLPS_PER_STATUS = 4
"""TLPs without a STATUS in between, at most."""


class Frame(enum.Enum, shape=2):
    """What is being sent."""

    WELCOME = 0
    STATUS = 1
    TLP = 2


class Said(data.Struct):
    """What a STATUS says, but for the clock."""

    number: 8
    expected: 8
    credits: Credits


class Sender(Component):
    """Say WELCOME first, then STATUS when it is due, else TLPs.

    Starts a session each time that it comes out of reset.

    **Timing**: the first DW of a TLP is valid 3 clocks after its last beat, if nothing else is to
    be said; a DW every 3 clocks, or as the line takes them.

    **Errors**: see :class:`hw.tether.ring.ReplayRing`.

    Parameters
    ----------
    data_width
        Bits of a beat.
    identity
        What WELCOME says. Its clock and rate also give the time between two STATUS frames.

    Members
    -------
    i : ``In(wire_stream(data_width))``
    o : ``Out(stream.Signature(Words))``
        Frames, without their CRCs.
    nonce : ``In(16)``
        Of the HELLO that is answered.
    clock : ``In(32)``
        Clocks since configuration.
    granted : ``In(Credits)``
        Granted to the host.
    expected : ``In(8)``
        Number of the TLP that is due from the host.
    reject : ``In(1)``, reported : ``Out(1)``
        A STATUS is to reject; strobe: one does.
    acknowledgement : ``In(8)``, acknowledge : ``In(1)``, rejected : ``In(1)``
        From the host, as the ring takes them.
    """

    def __init__(self, data_width: int, identity: Identity):
        self._width = data_width
        self._identity = identity
        self._interval, self._delay = (
            10 * size_bytes * identity.clock_hz // identity.baud
            for size_bytes in (STATUS_INTERVAL_BYTES, STATUS_DELAY_BYTES)
        )
        super().__init__(
            {
                "i": In(wire_stream(data_width)),
                "o": Out(stream.Signature(Words)),
                "nonce": In(16),
                "clock": In(32),
                "granted": In(Credits),
                "expected": In(8),
                "reject": In(1),
                "reported": Out(1),
                "acknowledgement": In(8),
                "acknowledge": In(1),
                "rejected": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = ring = ReplayRing(self._width)
        frame, index, final = Signal(Frame), Signal(8), Signal(8)
        said, due, welcomed = Signal(Said), Signal(), Signal()
        rejecting = Signal()
        connect(m, flipped(self.i), ring.i)
        m.d.comb += [
            ring.acknowledgement.eq(self.acknowledgement),
            ring.acknowledge.eq(self.acknowledge),
            ring.reject.eq(self.rejected),
        ]

        def begin(what, length_dw):
            m.d.sync += [frame.eq(what), final.eq(length_dw)]
            m.next = "LOAD"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += ring.idle.eq(1)
                m.d.sync += index.eq(0)
                with m.If(~welcomed):
                    m.d.sync += welcomed.eq(1)
                    begin(Frame.WELCOME, words_of(WELCOME_FIELDS))
                with m.Elif(ring.busy):
                    pass
                with m.Elif(due):
                    m.d.comb += self.reported.eq(1)
                    m.d.sync += rejecting.eq(self.reject)
                    begin(Frame.STATUS, words_of(STATUS_FIELDS))
                with m.Elif(ring.waiting):
                    begin(Frame.TLP, ring.length_dw)
            with m.State("LOAD"):
                m.d.comb += ring.step.eq((frame == Frame.TLP) & (index != 0))
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(self._word(m, frame, index, said, rejecting, ring)),
                    self.o.p.first.eq(index == 0),
                    self.o.p.last.eq(index == final),
                    index.eq(index + 1),
                ]
                m.next = "PUT"
            with m.State("PUT"):
                with m.If(self.o.ready):
                    m.d.sync += self.o.valid.eq(0)
                    m.next = "WAIT"
                    with m.If(self.o.p.last):
                        m.d.comb += ring.sent.eq(frame == Frame.TLP)
                        m.next = "IDLE"
            with m.State("WAIT"):
                m.next = "LOAD"

        self._watch(m, said, due, ring)
        return m

    def _watch(self, m, said, due, ring):
        """Whether a STATUS is due."""
        now, changed, expired = Signal(Said), Signal(), Signal()
        since, timer = Signal(range(TLPS_PER_STATUS + 1)), Signal(range(self._interval + 1))
        m.d.comb += [
            now.number.eq(ring.number),
            now.expected.eq(self.expected),
            now.credits.eq(self.granted),
        ]
        fourth = since == TLPS_PER_STATUS
        m.d.comb += due.eq((changed & ~ring.waiting) | fourth | expired | self.reject)
        same, delay = Signal(), Signal(range(self._delay + 1))
        m.d.sync += [
            same.eq(now == said),
            delay.eq(Mux(same, self._delay, delay - (delay != 0))),
            changed.eq(~same & (delay == 0)),
            expired.eq(timer == 0),
        ]
        with m.If(self.reported):
            m.d.sync += [said.eq(now), since.eq(0), timer.eq(self._interval)]
        with m.Else():
            m.d.sync += [since.eq(since + ring.sent), timer.eq(timer - (timer != 0))]

    def _word(self, m, frame, index, said, rejecting, ring):
        """The DW at an index of a frame."""
        word, credits = Signal(32), said.credits
        rest, head = Signal(32), Signal(32)
        with m.Switch(frame):
            with m.Case(Frame.WELCOME):
                identity = Const(self._identity.words(), 32 * words_of(WELCOME_FIELDS))
                m.d.comb += [
                    head.eq(Cat(C(Kind.WELCOME, 8), C(PROTOCOL, 8), self.nonce)),
                    rest.eq(identity.word_select((index - 1)[:3], 32)),
                ]
            with m.Case(Frame.STATUS):
                fields = [self.clock, credits.posted, credits.non_posted, credits.completion]
                flags = Mux(rejecting, Flag.REJECT, 0)
                m.d.comb += [
                    head.eq(Cat(C(Kind.STATUS, 8), said.number, said.expected, flags)),
                    rest.eq(
                        Cat(*(Value.cast(f) | C(0, 32) for f in fields)).word_select(
                            (index - 1)[:2], 32
                        )
                    ),
                ]
            with m.Case(Frame.TLP):
                m.d.comb += [
                    head.eq(Cat(C(Kind.TLP, 8), ring.number, self.expected, ring.length_dw)),
                    rest.eq(ring.data),
                ]
        m.d.comb += word.eq(Mux(index == 0, head, rest))
        return word
