"""The transmit path keeps order: proven for ever, for any traffic and any credits.

Order is told by tickets: each ordered packet that is accepted carries, in its payload, how many
were accepted before it. The solver chooses all else, whether it keeps the rules of streams or
not, but for the frame of packets. What has to hold:

- messages, completions and posted requests leave with their tickets in sequence, whole, and at the
  output that they belong to, so order in is order out;
- a completion begins to be accepted only while no message is offered, so a message that is offered
  leaves before it;
- a non-posted packet begins to leave only when no posted one is left of those that were inside when
  it was accepted.

The assumptions of the induction about the inside of the path are asserted too, in `_invariants`.
"""

import pytest
from amaranth import *
from amaranth.hdl import Assert, Assume
from amaranth.lib import data

from hw.pcie.transmitter_path import TransmitPath
from hw.pcie.transmitter_queue import Turn, decisive
from hw.regs import Config

from .prove import prove, refute


class Mark(data.Struct):
    """What the environment writes into the payload."""

    #: More than the packets inside, so it may wrap around.
    ticket: 4
    is_completion: 1
    is_non_posted: 1


def mark(beat) -> Value:
    """The mark in a beat."""
    return Mark(beat.data[: Mark.as_shape().size])


class Delay(Elaboratable):
    """A buffer for one beat between ``i`` and ``o``."""

    def __init__(self, port):
        self.valid, self.ready = Signal(), Signal()
        self.payload = Signal.like(port.payload)
        self._o = port

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.ready.eq(~self._o.valid | self._o.ready)
        with m.If(self.ready):
            m.d.sync += [self._o.valid.eq(self.valid), self._o.payload.eq(self.payload)]
        return m

    @property
    def p(self):
        return self.payload


class Order(Elaboratable):
    """A transmit path, its environment, and its contract.

    ``delayed`` names inputs that get a buffer in front of the path: enough to break the contract.
    """

    def __init__(self, *delayed: str, aspect: str = ""):
        self.path = TransmitPath(Config())
        self.delays = {name: Delay(getattr(self.path, name)) for name in delayed}
        self.aspect = aspect
        path = self.path
        self.inputs = [self.port(name) for name in ("i_message", "i_completion")]
        self.inputs += [self.port(name) for name in ("i_posted", "i_non_posted")]
        self.ports = [Value.cast(path.credits), Value.cast(path.settings)]
        self.ports += [path.o_request.ready, path.o_completion.ready]
        for port in self.inputs:
            self.ports += [port.valid, Value.cast(port.payload)]

    def port(self, name):
        return self.delays.get(name) or getattr(self.path, name)

    def elaborate(self, platform):
        m = Module()
        m.submodules.path = self.path
        for name, delay in self.delays.items():
            m.submodules[name] = delay
        self.m = m
        self.count()
        self.environment()
        self.contract()
        if not self.delays:
            self.invariants()
        return m

    def holds(self, aspect, condition):
        if self.aspect in ("", aspect):
            self.m.d.comb += Assert(condition)

    def count(self):
        """What was accepted and what has left, seen from outside."""
        m = self.m
        self.message, self.completion, self.posted, self.non_posted = self.inputs
        self.accepted, self.left = Signal(4), Signal(4)
        self.posted_accepted, self.posted_left = Signal(4), Signal(4)
        # Packets being accepted, and packets leaving.
        self.in_completion, self.in_posted, self.in_non_posted = Signal(), Signal(), Signal()
        self.out_ordered, self.out_non_posted = Signal(), Signal()
        self.out_completion = Signal()

        def begins(port):
            return port.valid & port.ready & port.p.first

        message = self.message.valid & self.message.ready
        posted = begins(self.posted)
        self.posted_in = message + posted
        m.d.sync += [
            self.accepted.eq(self.accepted + message + posted + begins(self.completion)),
            self.posted_accepted.eq(self.posted_accepted + self.posted_in),
        ]
        for port, inside in (
            (self.completion, self.in_completion),
            (self.posted, self.in_posted),
            (self.non_posted, self.in_non_posted),
        ):
            with m.If(port.valid & port.ready):
                m.d.sync += inside.eq(~port.p.last)

        request, completion = self.path.o_request, self.path.o_completion
        is_aside = mark(request.p).is_non_posted
        self.takes_aside = request.valid & request.ready & is_aside
        self.takes_posted = request.valid & request.ready & ~is_aside
        self.takes_completion = completion.valid & completion.ready
        posted_leaves = self.takes_posted & request.p.first
        m.d.sync += [
            self.left.eq(self.left + posted_leaves + (self.takes_completion & completion.p.first)),
            self.posted_left.eq(self.posted_left + posted_leaves),
        ]
        with m.If(self.takes_aside):
            m.d.sync += self.out_non_posted.eq(~request.p.last)
        with m.If(self.takes_posted):
            m.d.sync += [self.out_ordered.eq(~request.p.last), self.out_completion.eq(0)]
        with m.If(self.takes_completion):
            m.d.sync += [self.out_ordered.eq(~completion.p.last), self.out_completion.eq(1)]

        # Posted packets that the non-posted one inside has to let go first.
        self.debt = Signal(4)
        with m.If(begins(self.non_posted)):
            m.d.sync += self.debt.eq(
                self.posted_accepted + self.posted_in - self.posted_left - posted_leaves
            )
        with m.Elif(posted_leaves & (self.debt != 0)):
            m.d.sync += self.debt.eq(self.debt - 1)

    def environment(self):
        """Packets are framed, and carry their tickets when they are accepted."""
        for port, inside, is_completion, is_non_posted in (
            (self.completion, self.in_completion, 1, 0),
            (self.posted, self.in_posted, 0, 0),
            (self.non_posted, self.in_non_posted, 0, 1),
        ):
            written = mark(port.p)
            self.m.d.comb += [
                Assume(port.p.first == ~inside),
                Assume(written.is_completion == is_completion),
                Assume(written.is_non_posted == is_non_posted),
            ]
            if not is_non_posted:
                self.m.d.comb += Assume(
                    written.ticket == (self.accepted - inside)[: len(written.ticket)]
                )
        written = mark(self.message.p)
        self.m.d.comb += [
            Assume(written.ticket == self.accepted),
            Assume(~written.is_completion & ~written.is_non_posted),
        ]

    def contract(self):
        m = self.m
        request, completion = self.path.o_request, self.path.o_completion
        self.holds("one", ~(request.valid & completion.valid))
        self.holds("priority", ~(self.message.valid & self.completion.ready & ~self.in_completion))
        for port, taken in ((request, self.takes_posted), (completion, self.takes_completion)):
            ticket = mark(port.p).ticket
            with m.If(taken):
                self.holds("order", port.p.first == ~self.out_ordered)
                self.holds("order", ~self.out_non_posted)
                self.holds("order", mark(port.p).is_completion == (port is completion))
                self.holds("order", port.p.first | (self.out_completion == (port is completion)))
                self.holds("order", ticket == (self.left - self.out_ordered)[: len(ticket)])
        with m.If(self.takes_aside):
            self.holds("aside", request.p.first == ~self.out_non_posted)
            self.holds("aside", ~self.out_ordered)
            with m.If(request.p.first):
                self.holds("passing", self.debt == 0)

    def invariants(self):
        """What is inside agrees with what went in and has not come out."""
        m, path = self.m, self.path
        queue, aside = path._queue, path._aside
        head, head_valid = queue.o.p, queue.o.valid
        tail, tail_valid, turn = Signal.like(head), queue._waiting_valid, queue._turn
        oldest = Signal.like(head)
        m.d.comb += [
            tail.eq(Mux(queue._outof, *queue._places)),
            oldest.eq(Mux(queue._outof, *reversed(queue._places))),
            Assert(queue._into == (queue._outof ^ head_valid ^ tail_valid)),
            Assert(~head_valid | (head == oldest)),
            Assert(~tail_valid | (queue._then == decisive(tail))),
        ]
        newest_last = Mux(tail_valid, tail.last, Mux(head_valid, head.last, ~self.out_ordered))

        def of(beat):
            return beat.header.is_completion

        out = self.out_completion

        def inside(beat, valid):
            return valid & beat.first

        def posted(beat, valid):
            return valid & beat.first & ~of(beat)

        m.d.comb += [
            Assert(~tail_valid | head_valid),
            Assert(
                (self.accepted - self.left)[:4]
                == inside(head, head_valid) + inside(tail, tail_valid)
            ),
            Assert(
                (self.posted_accepted - self.posted_left)[:4]
                == posted(head, head_valid) + posted(tail, tail_valid)
            ),
            Assert(path._posted_waiting == posted(head, head_valid) + posted(tail, tail_valid)),
            Assert(newest_last == (turn == Turn.ANY)),
            Assert((turn == Turn.ANY) | (turn == Turn.COMPLETION) | (turn == Turn.POSTED)),
            Assert(self.in_completion == (turn == Turn.COMPLETION)),
            Assert(self.in_posted == (turn == Turn.POSTED)),
            Assert(~(self.out_ordered & self.out_non_posted)),
            Assert(~self.out_ordered | (path._held & ~path._side)),
            Assert(~self.out_non_posted | (path._held & path._side)),
            Assert(
                (turn == Turn.ANY)
                | (self.in_completion == Mux(tail_valid, of(tail), Mux(head_valid, of(head), out)))
            ),
            # What is held either is under way or has been offered and stays so.
            Assert(~path._held | path._side | self.out_ordered | head_valid),
            Assert(
                ~(path._held & path._side)
                | self.out_non_posted
                | (path._aside_valid & (path._ahead == 0))
            ),
            Assert(~path._side | path._held | path._aside_may_go),
            Assert(~path._aside_may_go | path._aside_valid),
            Assert(~path._aside_may_go | ~aside.first | (path._ahead == 0)),
        ]
        with m.If(head_valid):
            written = mark(head)
            m.d.comb += [
                Assert(head.first == ~self.out_ordered),
                Assert(head.first | (of(head) == out)),
                Assert(written.ticket == (self.left - self.out_ordered)[:4]),
                Assert(written.is_completion == of(head)),
                Assert(~written.is_non_posted),
            ]
        with m.If(tail_valid):
            written = mark(tail)
            m.d.comb += [
                Assert(tail.first == head.last),
                Assert(written.ticket == (self.accepted - 1)[:4]),
                Assert(written.is_completion == of(tail)),
                Assert(~written.is_non_posted),
                Assert(tail.first | (of(tail) == of(head))),
            ]
        with m.If(path._aside_valid):
            m.d.comb += [
                Assert(aside.first == ~self.out_non_posted),
                Assert(self.in_non_posted == ~aside.last),
                Assert(mark(aside).is_non_posted),
            ]
            with m.If(aside.first):
                m.d.comb += Assert(path._ahead == self.debt)
        with m.Else():
            m.d.comb += Assert(self.in_non_posted == self.out_non_posted)


def test_order_holds_for_ever():
    top = Order()
    prove(top, "transmit_order", depth=3, ports=top.ports)


@pytest.mark.parametrize(
    ("delayed", "aspect"),
    [("i_posted", "order"), ("i_posted", "passing"), ("i_message", "priority")],
)
def test_a_buffer_ahead_of_the_queue_breaks_order(delayed, aspect):
    top = Order(delayed, aspect=aspect)
    refute(top, f"transmit_order_broken_{aspect}", depth=12, ports=top.ports)
