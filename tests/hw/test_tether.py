"""The tether from pin to device, and back."""

import random
from dataclasses import replace

import pytest

from hw.regs import Config
from hw.regs.tether import Identity
from hw.tether.tether import Tether

from .streams import Sink, offer, simulate, wire_beats, wire_dws
from .tether_bench import GRANTED, GRANTED_WORDS, random_tlp
from .tether_host import Host

IDENTITY = Identity(version=(0, 9, 1), parameters=5, clock_hz=100, baud=23, board="bench")


class Wire:
    """The host on the line, by bit times that are fractions of a clock."""

    def __init__(self, dut: Tether, host: Host, bit: float):
        self.dut, self.host, self.bit = dut, host, bit

    async def speak(self, ctx):
        now, then = 0, 0.0
        while True:
            byte = self.host.out.popleft() if self.host.out else None
            levels = [1] * 10 if byte is None else [0, *(byte >> k & 1 for k in range(8)), 1]
            for level in levels:
                ctx.set(self.dut.rx, level)
                then += self.bit
                await ctx.tick().repeat(int(then) - now)
                now = int(then)

    async def hear(self, ctx):
        """Sample in the middle of bits, counted from the edge of the start bit."""
        while True:
            await ctx.negedge(self.dut.tx)
            now, byte = 0, 0
            for k in range(10):
                middle = int((k + 0.5) * self.bit)
                await ctx.tick().repeat(middle - now)
                now, byte = middle, byte | ctx.get(self.dut.tx) << k
            assert byte & 1 == 0 and byte >> 9 == 1
            self.host.hear(byte >> 1 & 0xFF)


@pytest.mark.parametrize(("data_width", "deviation"), [(64, 1.0), (128, 0.985), (128, 1.015)])
def test_tlps_pass_from_pin_to_device_and_back(data_width, deviation):
    rng = random.Random(data_width)
    up, down = ([random_tlp(rng, n) for n in (3, 4, 5, 12, 3)] for _ in range(2))
    dut = Tether(Config(data_width=data_width), IDENTITY, linked_cycles=50_000)
    host = Host()
    wire = Wire(dut, host, deviation * IDENTITY.clock_hz / IDENTITY.baud)
    sink = Sink(dut.o, rng, 0.2)

    class Side:
        def __init__(self, run):
            self.run = run

    async def main(ctx):
        ctx.set(dut.granted, GRANTED)
        assert ctx.get(dut.tx) and ctx.get(dut.reset)
        for _ in range(20_000):
            if host.welcome:
                break
            await ctx.tick()
        for tlp in down:
            host.send(tlp)
        for tlp in up:
            spelled = [int.from_bytes(dw.to_bytes(4, "little"), "big") for dw in tlp]
            for beat in wire_beats(spelled, data_width):
                await offer(ctx, dut.i, beat)
        await sink.wait(ctx, len(down))
        for _ in range(20_000):
            if len(host.taken) == len(up):
                break
            await ctx.tick()
        assert ctx.get(dut.linked)

    simulate(dut, main, sinks=[sink, Side(wire.speak), Side(wire.hear)])
    assert host.taken == up
    got = [wire_dws(packet) for packet in sink.taken]
    assert [[int.from_bytes(dw.to_bytes(4, "big"), "little") for dw in tlp] for tlp in got] == down
    assert host.ear.bad == 0 and host.statuses[0][4:] == tuple(GRANTED_WORDS)
    assert Identity.from_words(sum(dw << 32 * k for k, dw in enumerate(host.welcome))) == IDENTITY


def test_rate_too_high_for_the_clock_is_refused():
    with pytest.raises(ValueError, match="a line of 30 baud needs a clock"):
        Tether(Config(), replace(IDENTITY, baud=30))
