"""Between its registers, message storage still loses nothing and sends a message per clock."""

import random

import pytest
from amaranth.sim import Simulator

from hw.interrupts.standalone import Outlet, rtlil_of
from hw.regs.config import Config
from hw.tlp.slice import Slice


@pytest.mark.parametrize("kind", [Slice, Outlet])
@pytest.mark.parametrize("pause", [0.0, 0.3, 0.9])
def test_registers_keep_order_and_rate(kind, pause):
    dut = kind(16)
    rng = random.Random(3)
    sent, got, clocks = list(range(200)), [], []

    async def feed(ctx):
        for word in sent:
            while pause and rng.random() < 0.2:
                await ctx.tick()
            ctx.set(dut.i.payload, word)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def collect(ctx):
        for clock in range(20_000):
            ctx.set(dut.o.ready, rng.random() >= pause)
            _, _, valid, ready, word = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload
            )
            if valid and ready:
                got.append(word)
                clocks.append(clock)
            if len(got) == len(sent):
                return
        raise AssertionError(f"{len(got)} of {len(sent)} came out")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(feed)
    simulator.add_testbench(collect)
    simulator.run()
    assert got == sent
    if not pause:
        assert clocks[-1] - clocks[0] == len(sent) - 1


@pytest.mark.parametrize("registered", [False, True])
def test_rtlil_has_a_top_with_the_blocks_that_were_promised(registered):
    text = rtlil_of(Config(ims_vectors=2048, msix_vectors=64), registered=registered)
    assert "attribute \\top 1\nmodule \\top" in text
    assert text.count("cell \\DP16KD") == 12
