"""The proof helper tells a design that holds from one that does not."""

import pytest
from amaranth import *
from amaranth.hdl import Assert, Assume

from .prove import prove, refute


class Counter(Elaboratable):
    """Counts to ``limit`` while enabled; promises to stay at or below ``promise``."""

    def __init__(self, limit, promise):
        self.enable = Signal()
        self.limit, self.promise = limit, promise

    def elaborate(self, platform):
        m = Module()
        count = Signal(8)
        with m.If(self.enable & (count != self.limit)):
            m.d.sync += count.eq(count + 1)
        m.d.comb += Assert(count <= self.promise)
        m.d.comb += Assume(self.enable | (count < 3))
        return m


def test_a_true_promise_is_proven():
    top = Counter(5, 5)
    prove(top, "prove_true", depth=3, ports=[top.enable])


def test_a_false_promise_is_refuted():
    top = Counter(5, 4)
    refute(top, "prove_false", depth=10, ports=[top.enable])


def test_a_false_promise_is_not_proven():
    top = Counter(5, 4)
    with pytest.raises(AssertionError, match=r"FAIL; see .*log.txt"):
        prove(top, "prove_false_too", depth=10, ports=[top.enable])


def test_a_true_promise_is_not_refuted():
    top = Counter(5, 5)
    with pytest.raises(AssertionError, match=r"PASS, although .*log.txt"):
        refute(top, "prove_true_too", depth=10, ports=[top.enable])
