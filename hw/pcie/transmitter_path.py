"""Order and flow control of what leaves, before it gets its wire format."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..interrupts.records import Message
from ..regs import Config
from ..tlp.records import Completion, Credits, Packet, Request, packet_stream
from .records import Settings
from .transmitter_credits import CreditGate
from .transmitter_queue import OrderedQueue, data_credits


class TransmitPath(Component):
    """Bring what leaves into its order, and let it go as credits allow.

    The rules are those of :class:`.transmitter.Transmitter`, which adds the wire format.

    **Timing**: a message or the first beat of a packet is valid at an output one clock after its
    acceptance, if credits are there. One beat per clock, without a gap between packets. At most one
    of the outputs is valid, and each packet is whole before the next begins.

    Members
    -------
    i_message : ``In(stream.Signature(Message))``
    i_completion : ``In(packet_stream(Completion, data_width))``
    i_posted, i_non_posted : ``In(packet_stream(Request, data_width))``
    credits : ``In(Credits)``
    settings : ``In(Settings)``
    non_posted_leaving : 1
        A non-posted packet is offered or has been accepted, and does not wait for credits.
    o_request : ``Out(packet_stream(Request, data_width))``
    o_completion : ``Out(packet_stream(Completion, data_width))``
    is_completion : 1
        ``o_completion`` goes on; else ``o_request`` does. Known before either is valid.
    """

    def __init__(self, config: Config):
        self._queue = OrderedQueue(config)
        # The non-posted packet, one beat at a time, and how many posted ones it must let go first.
        self._aside = Signal(Packet(Request, config.data_width), reset_less=True)
        self._aside_valid = Signal()
        self._aside_may_go = Signal()
        self._ahead = Signal(2)
        self._posted_waiting = Signal(2)
        # Which of the two goes on; fixed from the first offer to the last beat.
        self._side = Signal()
        self._held = Signal()
        requests = packet_stream(Request, config.data_width)
        completions = packet_stream(Completion, config.data_width)
        super().__init__(
            {
                "i_message": In(stream.Signature(Message)),
                "i_completion": In(completions),
                "i_posted": In(requests),
                "i_non_posted": In(requests),
                "credits": In(Credits),
                "settings": In(Settings),
                "non_posted_leaving": Out(1),
                "o_request": Out(requests),
                "o_completion": Out(completions),
                "is_completion": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        m.submodules.posted_gate = posted_gate = CreditGate()
        m.submodules.non_posted_gate = non_posted_gate = CreditGate()
        m.submodules.completion_gate = completion_gate = CreditGate()
        connect(m, flipped(self.i_message), queue.i_message)
        connect(m, flipped(self.i_completion), queue.i_completion)
        connect(m, flipped(self.i_posted), queue.i_posted)
        m.d.comb += [
            posted_gate.limit.eq(self.credits.posted),
            non_posted_gate.limit.eq(self.credits.non_posted),
            completion_gate.limit.eq(self.credits.completion),
        ]

        aside, aside_valid, aside_credits = self._aside, self._aside_valid, Signal(9)
        ahead, posted_waiting = self._ahead, self._posted_waiting
        posted_waiting_next = Signal.like(posted_waiting)
        m.d.comb += self.i_non_posted.ready.eq(~aside_valid)

        m.d.comb += self.non_posted_leaving.eq(
            Mux(aside_valid, non_posted_gate.enough, self.i_non_posted.valid)
        )
        side, held, non_posted = self._side, self._held, self._aside_may_go
        ordered, may_go, held_next = Signal(), Signal(), Signal()
        valid, ready, last = Signal(), Signal(), Signal()
        is_completion = self.is_completion
        head = queue.o.p
        m.d.comb += [
            posted_gate.data_credits.eq(head.header.data_credits),
            completion_gate.data_credits.eq(head.header.data_credits),
            non_posted_gate.data_credits.eq(aside_credits),
            ordered.eq(
                queue.o.valid
                & Mux(head.header.is_completion, completion_gate.enough, posted_gate.enough)
            ),
            may_go.eq(aside_valid & (~aside.first | (non_posted_gate.enough & (ahead == 0)))),
            held_next.eq(Mux(valid, ~(ready & last), held)),
            is_completion.eq(~side & head.header.is_completion),
            last.eq(Mux(side, aside.last, head.last)),
            # Credits are for the whole packet, so only its first beat asks for them.
            valid.eq(Mux(side, aside_valid & non_posted, queue.o.valid & (~head.first | ordered))),
            ready.eq(Mux(is_completion, self.o_completion.ready, self.o_request.ready)),
            queue.o.ready.eq(valid & ready & ~side),
        ]
        m.d.sync += held.eq(held_next)
        with m.If(~held_next):
            # Much hangs on the side, so it is chosen a clock ahead: the other one than now, or, if
            # nothing goes now, the one that may.
            m.d.sync += side.eq(may_go & ~(valid & side))

        starts_ordered = ready & ~side & queue.o.valid & head.first
        posted_leaves = posted_gate.take & posted_gate.enough
        m.d.comb += [
            posted_gate.take.eq(starts_ordered & ~head.header.is_completion),
            completion_gate.take.eq(starts_ordered & head.header.is_completion),
            non_posted_gate.take.eq(ready & side & valid & aside.first),
            posted_waiting_next.eq(posted_waiting + queue.accept_posted - posted_leaves),
        ]
        m.d.sync += posted_waiting.eq(posted_waiting_next)
        with m.If(self.i_non_posted.valid & ~aside_valid):
            m.d.sync += [
                aside_valid.eq(1),
                aside.eq(self.i_non_posted.p),
                aside_credits.eq(data_credits(self.i_non_posted.p.header)),
                ahead.eq(posted_waiting_next),
            ]
        with m.Else():
            m.d.sync += non_posted.eq(may_go)
            with m.If(valid & ready & side):
                m.d.sync += [aside_valid.eq(0), non_posted.eq(0)]
            with m.If(posted_leaves & (ahead != 0)):
                m.d.sync += ahead.eq(ahead - 1)

        self._give(m, queue.o.p, is_completion, valid, ready & last)
        return m

    def _give(self, m, head, is_completion, valid, taken):
        """Drive the outputs, and fill in who we are."""
        aside, side = self._aside, self._side
        # The ID may change under a waiting packet, so each packet keeps the one it began with.
        routing_id = Signal.like(self.settings.routing_id)
        with m.If(~valid | taken):
            m.d.sync += routing_id.eq(self.settings.routing_id)
        request, completion = self.o_request, self.o_completion
        m.d.comb += [
            request.valid.eq(valid & ~is_completion),
            request.p.header.eq(Mux(side, aside.header, head.header.header.request)),
            request.p.header.requester.eq(routing_id),
            completion.valid.eq(valid & is_completion),
            completion.p.header.eq(head.header.header.completion),
            completion.p.header.completer.eq(routing_id),
        ]
        for output in (request, completion):
            m.d.comb += [
                output.p.data.eq(Mux(side, aside.data, head.data)),
                output.p.first.eq(Mux(side, aside.first, head.first)),
                output.p.last.eq(Mux(side, aside.last, head.last)),
            ]
