"""What frames say."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..regs.tether import LONGEST_TLP_DW, STATUS_FIELDS, Flag, Kind, words_of
from ..tlp.records import CreditLimit, Credits


class Parser(Component):
    """Take the frames of the host apart.

    A frame is taken for what its first byte says if it has the length for it; the strobes say so at
    its end. The DWs of a TLP leave before that, two DWs after they came.

    **Timing**: strobes come 1 clock after ``end``, DWs 1 clock after ``word`` or ``end``. What goes
    with a strobe stays until the next frame begins.

    **Errors**: ``error`` strobes for a frame that is not good, of another kind or length. A TLP
    longer than :data:`hw.regs.tether.LONGEST_TLP_DW` gives no DWs; DWs that are too many do not
    leave either.

    Members
    -------
    data : ``In(32)``, word : ``In(1)``, end : ``In(1)``, good : ``In(1)``
        From :class:`hw.tether.framing.Deframer`.
    hello, status, tlp, error : ``Out(1)``
        Strobe: this is what it was.
    nonce : ``Out(16)``
        Of a HELLO.
    number : ``Out(8)``
        Sequence number of a TLP; known from its first DW on.
    acknowledgement : ``Out(8)``
        Of a STATUS or a TLP.
    reject : ``Out(1)``
        Of a STATUS.
    credits : ``Out(Credits)``
        Of a STATUS.
    tlp_data : ``Out(32)``, tlp_word : ``Out(1)``, tlp_first : ``Out(1)``, tlp_last : ``Out(1)``
        A DW of something that may be a TLP; if it is, ``tlp`` comes with the last.
    """

    data: In(32)
    word: In(1)
    end: In(1)
    good: In(1)
    hello: Out(1)
    status: Out(1)
    tlp: Out(1)
    error: Out(1)
    nonce: Out(16)
    number: Out(8)
    acknowledgement: Out(8)
    reject: Out(1)
    credits: Out(Credits)
    tlp_data: Out(32)
    tlp_word: Out(1)
    tlp_first: Out(1)
    tlp_last: Out(1)

    def elaborate(self, platform):
        m = Module()
        head = Signal(32)
        kind = head[:8]
        # DWs that still come before the CRC; whether the CRC has come, or too much.
        left, closed, over = Signal(8), Signal(), Signal()
        inside, known = Signal(), Signal()
        # DWs since the first, until the oldest one held here is one of them.
        filled, sent = Signal(range(3)), Signal()
        held = [Signal(32, name=f"held_{k}") for k in range(4)]

        with m.If(self.word):
            m.d.sync += Cat(held).eq(Cat(self.data, *held[:-1]))
            with m.If(~inside):
                m.d.sync += [inside.eq(1), head.eq(self.data)]
                self._expect(m, left, known)
            with m.Else():
                m.d.sync += [left.eq(left - (left != 0)), filled.eq(filled + (filled != 2))]
                with m.If(left == 0):
                    m.d.sync += [closed.eq(1), over.eq(closed)]
        maybe_tlp = known & (kind == Kind.TLP) & (filled == 2)
        leaves = Signal()
        m.d.comb += leaves.eq(maybe_tlp & ((self.word & ~over) | self.end))
        with m.If(leaves):
            m.d.sync += sent.eq(1)
        with m.If(self.end):
            m.d.sync += Cat(inside, known, closed, over, filled, sent).eq(0)

        sound = Signal()
        m.d.comb += [
            sound.eq(self.end & self.good & known & closed & ~over),
            self.nonce.eq(head[16:]),
            self.number.eq(head[8:]),
            self.acknowledgement.eq(head[16:]),
            self.reject.eq((head[24:] & Flag.REJECT).any()),
        ]
        m.d.sync += [
            self.hello.eq(sound & (kind == Kind.HELLO)),
            self.status.eq(sound & (kind == Kind.STATUS)),
            self.tlp.eq(sound & (kind == Kind.TLP)),
            self.error.eq(self.end & ~sound),
            self.tlp_data.eq(held[1]),
            self.tlp_word.eq(leaves),
            self.tlp_first.eq(~sent),
            self.tlp_last.eq(self.end),
        ]
        # The CRC came last, so the fields are one further down.
        for limit, words in zip(
            (self.credits.posted, self.credits.non_posted, self.credits.completion),
            reversed(held[1:]),
            strict=True,
        ):
            m.d.comb += limit.eq(CreditLimit(words[: CreditLimit.as_shape().size]))
        return m

    def _expect(self, m, left, known):
        """From the first DW: how many follow it, if it is one that is known."""
        kind, length = self.data[:8], self.data[24:]
        with m.Switch(kind):
            with m.Case(Kind.HELLO):
                m.d.sync += [left.eq(0), known.eq(1)]
            with m.Case(Kind.STATUS):
                m.d.sync += [left.eq(words_of(STATUS_FIELDS)), known.eq(1)]
            with m.Case(Kind.TLP):
                m.d.sync += [left.eq(length), known.eq((length != 0) & (length <= LONGEST_TLP_DW))]
