"""A submission is answered once; a refusal leaves no trace; an overflow is never silent.

Invariant 5 of the design, for :class:`hw.queues.portals.Portals` between a sender that obeys the
rules of streams and a queue that empties itself whenever it likes, is disabled and enabled at any
clock, and changes its configuration while it is disabled and empty. What holds for one queue is
shown for queue 0; the other queue's state is anything at all.

A small instance stands for all: two queues, eight slots, submissions of two beats. The portals
treat beats alike but for the first and the last, and nothing depends on how many there are.
"""

import types
from pathlib import Path

import pytest
from amaranth import *
from amaranth.hdl import Assert, Assume

import hw.queues.portals
from hw.queues.portals import Portals
from hw.queues.records import QueueEntry
from hw.regs import Config
from hw.regs.commands import SoftwareError

from .prove import prove, refute

CONFIG = Config(queues=2, queue_slots=8, data_width=256)
BEATS = 2
DEPTH = 20
STALL = 1
"""Clocks for which the sender or the receivers pause at most; the design does not look at time."""


class PortalProof(Elaboratable):
    """Portals, their surroundings, and what has to hold."""

    def __init__(self, portals: type = Portals):
        self.dut = portals(CONFIG)
        self.beat = Signal.like(self.dut.i.payload)
        self.valid, self.verdict_ready, self.error_ready = Signal(), Signal(), Signal()
        self.enabled = Signal(CONFIG.queues)
        self.leave, self.change = Signal(), Signal()
        self.new_size, self.new_threshold = Signal(4), Signal(4)
        self.new_dedicated = Signal()
        self.other_entry = Signal(QueueEntry)
        self.other_tail, self.new_tail = Signal(3), Signal(3)
        self.other_occupancy = Signal(4)
        self.ports = [
            *(self.beat, self.valid, self.verdict_ready, self.error_ready),
            *(
                self.enabled,
                self.leave,
                self.change,
                self.new_size,
                self.new_threshold,
                self.new_dedicated,
            ),
            *(self.other_entry, self.other_tail, self.new_tail, self.other_occupancy),
        ]

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        self._send(m)
        self._receive(m)
        self._be_a_queue(m)
        self._demand(m)
        return m

    def _send(self, m):
        """Packets of two beats, offered until they are taken."""
        stream, count = self.dut.i, Signal(range(BEATS))
        self.count, self.mine = count, stream.p.header.queue == 0
        m.d.comb += [stream.valid.eq(self.valid), stream.payload.eq(self.beat)]
        beat, offered, before = stream.p, Signal(), Signal.like(self.beat)
        header, idle = Signal.like(Value.cast(beat.header)), Signal(range(STALL + 2))
        m.d.comb += [
            Assume(beat.first == (count == 0)),
            Assume(beat.last == (count == BEATS - 1)),
            Assume(idle <= STALL),
        ]
        m.d.sync += [offered.eq(stream.valid & ~stream.ready), before.eq(self.beat)]
        m.d.sync += idle.eq(Mux(stream.valid, 0, idle + 1))
        with m.If(offered):
            m.d.comb += [Assume(stream.valid), Assume(Value.cast(self.beat) == Value.cast(before))]
        self.taken = stream.valid & stream.ready
        with m.If(self.taken):
            m.d.sync += [count.eq(Mux(beat.last, 0, count + 1)), header.eq(beat.header)]
        with m.If(count != 0):
            m.d.comb += Assume(Value.cast(beat.header) == header)

    def _receive(self, m):
        """Verdicts and errors are taken sooner or later."""
        for port, ready in (
            (self.dut.o_verdict, self.verdict_ready),
            (self.dut.o_error, self.error_ready),
        ):
            waiting = Signal(range(STALL + 2))
            m.d.comb += [port.ready.eq(ready), Assume(waiting <= STALL)]
            m.d.sync += waiting.eq(Mux(port.valid & ~ready, waiting + 1, 0))

    def _be_a_queue(self, m):
        """Queue 0: its ring, its occupancy, its configuration."""
        dut = self.dut
        self.size, self.threshold, self.dedicated = Signal(4), Signal(4), Signal()
        self.occupancy, tail = Signal(4), Signal(3)
        here = dut.queue == 0
        self.filled_here = dut.fill & here
        shown_here, entry = Signal(), Signal(QueueEntry)
        m.d.comb += [
            dut.enabled.eq(self.enabled),
            dut.occupancy.eq(Mux(here, self.occupancy, self.other_occupancy)),
            dut.entry.eq(Mux(shown_here, entry, self.other_entry)),
        ]
        m.d.sync += [
            shown_here.eq(here),
            entry.size.eq(self.size),
            entry.threshold.eq(self.threshold),
            entry.dedicated.eq(self.dedicated),
            dut.tail.eq(Mux(here, tail, self.other_tail)),
            self.occupancy.eq(
                self.occupancy + self.filled_here - (self.leave & (self.occupancy != 0))
            ),
        ]
        # A command later it may be enabled: by then every lookup shows what it is like.
        changed = Signal(2)
        m.d.sync += changed.eq(changed << 1)
        m.d.comb += Assume(~(changed.any() & self.enabled[0]))
        with m.If(self.change & ~self.enabled[0] & (self.occupancy == 0)):
            m.d.sync += [
                changed[0].eq(1),
                self.size.eq(self.new_size),
                self.threshold.eq(self.new_threshold),
                self.dedicated.eq(self.new_dedicated),
                tail.eq(self.new_tail),
            ]
        with m.Elif(self.filled_here):
            m.d.sync += tail.eq(tail + 1)
        self.tail = tail
        m.d.comb += [Assume(self.size <= 8), Assume(self.new_size <= 8)]

    def _demand(self, m):
        self.ended = self.taken & self.beat.last
        self._demand_one_verdict(m)
        self._demand_order(m)
        self._demand_no_trace(m)
        self._demand_a_report(m)

    def _demand_one_verdict(self, m):
        """One for each submission, after its end and before the end of the next."""
        dut, verdict = self.dut, self.dut.o_verdict
        owed, filled = Signal(), Signal()
        told = verdict.valid & verdict.ready
        m.d.sync += [
            owed.eq((owed | self.ended) & ~told),
            filled.eq((filled | dut.fill) & ~told),
        ]
        m.d.comb += [
            Assert(~(self.ended & owed)),
            Assert(~verdict.valid | owed),
            # Accepted is what has been put into the queue, once, with its last beat.
            Assert(~dut.fill | (self.ended & ~filled)),
            Assert(~verdict.valid | (verdict.payload == filled)),
        ]

    def _demand_order(self, m):
        """Accepted only as the table of portals has it."""
        header = self.beat.header
        self.suits = self.mine & (header.deferrable != self.dedicated)
        self.limited = header.portal[0] & ~self.dedicated
        with m.If(self.filled_here):
            m.d.comb += [
                Assert(self.suits & self.enabled[0]),
                Assert(self.occupancy < self.size),
                Assert(~self.limited | (self.occupancy < self.threshold)),
            ]
        m.d.comb += Assert(self.occupancy <= self.size)

    def _demand_no_trace(self, m):
        """Nothing is written but the next free slot, and that whole if it is to be filled."""
        dut, whole = self.dut, Signal()
        written = dut.slot_write & self.taken
        with m.If(self.taken):
            m.d.sync += whole.eq((whole | self.beat.first) & written)
        with m.If(dut.slot_write & (dut.queue == 0)):
            m.d.comb += [
                Assert(self.mine & (self.occupancy < self.size)),
                Assert(dut.slot_address == Cat(self.count, self.tail)),
                Assert(dut.slot_data == self.beat.data),
                Assert(dut.slot_ims == self.beat.header.portal[1]),
            ]
        m.d.comb += Assert(~dut.fill | (written & whole))

    def _demand_a_report(self, m):
        """Overflow of a dedicated queue is reported, nothing else is; no refusal without reason."""
        dut, error = self.dut, self.dut.o_error
        seen, steady, room, about = Signal(), Signal(), Signal(), Signal()
        steady_now = self.enabled[0] & (~seen | steady)
        room_now = Mux(seen, room, self.occupancy < self.size)
        m.d.sync += [
            seen.eq(self.valid & ~self.ended | seen & ~self.ended),
            steady.eq(steady_now),
            room.eq(room_now),
        ]
        # What the end of a submission says about its report, which begins a clock later.
        owed, excused, offered = Signal(), Signal(init=1), Signal()
        m.d.sync += [
            owed.eq(self.ended & self.suits & steady_now & self.dedicated & ~dut.fill),
            excused.eq(~self.ended | dut.fill | self.beat.header.deferrable),
            offered.eq(error.valid & ~error.ready),
        ]
        with m.If(self.ended & self.suits & steady_now):
            m.d.comb += Assert(~(room_now & ~self.limited) | dut.fill)
        with m.If(self.ended):
            m.d.sync += about.eq(self.mine)
        m.d.comb += Assert(~owed | error.valid)
        with m.If(error.valid):
            m.d.comb += [
                Assert(offered | ~excused),
                Assert(error.p.code == SoftwareError.QUEUE_FULL),
                Assert((error.p.queue == 0) == about),
            ]


def mutant(wrong: dict[str, str]) -> type:
    """The portals with a mistake put into their source."""
    source = Path(hw.queues.portals.__file__).read_text()
    for right, replacement in wrong.items():
        assert right in source, f"{right!r} is no longer there to be broken"
        source = source.replace(right, replacement)
    module = types.ModuleType("hw.queues.broken_portals")
    module.__package__ = "hw.queues"
    exec(compile(source, "broken_portals.py", "exec"), module.__dict__)
    return module.Portals


def test_portals_hold_what_they_promise():
    proof = PortalProof()
    prove(proof, "portals", mode="prove", depth=DEPTH, ports=proof.ports)


MISTAKES = {
    "accepts_though_disabled": {"self.fill.eq(room & open)": "self.fill.eq(room)"},
    "says_retry_of_what_it_took": {"accepted.eq(room & open)": "accepted.eq(room & open & full)"},
    "says_taken_of_what_it_refused": {"accepted.eq(room & open)": "accepted.eq(open)"},
    "overfills": {"below = self.occupancy < self.entry.size": "below = self.occupancy <= 8"},
    "forgets_the_threshold": {"fits = below &": "fits = below | 0 &"},
    "writes_over_a_full_queue": {"self.i.valid & room)": "self.i.valid)"},
    "drops_in_silence": {"with m.If(full & open):": "with m.If(Const(0)):"},
    "takes_posted_writes_to_shared_queues": {"room.eq(suits &": "room.eq("},
    "answers_twice": {
        "with m.If(self.o_verdict.ready):": "with m.If(self.o_verdict.ready & beat[0]):",
    },
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name):
    proof = PortalProof(mutant(MISTAKES[name]))
    refute(proof, f"portals_{name}", depth=24, ports=proof.ports)
