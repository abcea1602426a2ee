"""The stream checker, on designs that keep the rules and on designs that break them."""

import random

import pytest
from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from hw.tlp.records import Packet
from sim.checkers.streams import instrument

from .designs import Pipe

PACKET = [(1, 0), (0, 0), (0, 1)]


def simulate(mistake, beats, *, pauses, seed=1):
    """Push beats of (first, last) through a :class:`Pipe` whose reader pauses now and then."""
    dut = Pipe(mistake)
    rng = random.Random(seed)
    taken = []

    async def push(ctx):
        for number, (first, last) in enumerate(beats):
            ctx.set(dut.i.payload, {"data": number + 100, "count": 2, "first": first, "last": last})
            ctx.set(dut.i.valid, 1)
            ready = False
            while not ready:
                _, _, ready = await ctx.tick().sample(dut.i.ready)
        ctx.set(dut.i.valid, 0)

    async def pull(ctx):
        for _ in range(len(beats) * 20 + 20):
            ctx.set(dut.o.ready, rng.random() >= pauses)
            _, _, valid, ready, beat = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            if valid and ready:
                taken.append(beat.data - 100)

    simulator = Simulator(instrument(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(push, background=True)
    simulator.add_testbench(pull)
    simulator.run()
    return taken


@pytest.mark.parametrize("pauses", [0, 0.5, 0.9])
def test_well_behaved_design_passes(pauses):
    assert simulate(None, PACKET * 10, pauses=pauses) == list(range(30))


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("withdraw", "valid was withdrawn"),
        ("change", "the payload changed"),
        ("first", "a packet began without first"),
        ("inside", "a packet began inside another"),
    ],
)
def test_each_broken_rule_is_named_with_its_stream(mistake, complaint):
    with pytest.raises(AssertionError, match=rf"stream top\.(aft\.)?o: {complaint}"):
        simulate(mistake, PACKET * 10, pauses=0.8)


def test_broken_input_is_noticed_too():
    with pytest.raises(AssertionError, match=r"a packet began without first"):
        simulate(None, [(0, 1)], pauses=0)


class Restarted(Component):
    """Offers packets of two beats that nobody takes to the end, and starts anew on ``again``."""

    o: Out(stream.Signature(Packet(4, 8)))
    again: In(1)

    def __init__(self, *, announced):
        self._announced = announced
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        inner = Module()
        begun = Signal()
        inner.d.comb += [self.o.valid.eq(1), self.o.p.first.eq(~begun)]
        with inner.If(self.o.ready):
            inner.d.sync += begun.eq(1)
        if self._announced:
            m.submodules.inner = ResetInserter(self.again)(inner)
        else:
            with inner.If(self.again):
                inner.d.sync += begun.eq(0)
            m.submodules.inner = inner
        return m


@pytest.mark.parametrize("announced", [True, False])
def test_only_a_part_that_starts_anew_may_break_off_a_packet(announced):
    dut = Restarted(announced=announced)

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().repeat(5)
        ctx.set(dut.again, 1)
        await ctx.tick()
        ctx.set(dut.again, 0)
        await ctx.tick().repeat(5)

    simulator = Simulator(instrument(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    if announced:
        simulator.run()
    else:
        with pytest.raises(AssertionError, match="a packet began inside another"):
            simulator.run()
