"""Bytes pass a serial line whatever the rate, and what is no byte is told from them."""

import random

import pytest

from hw.tether.uart import SerialReceiver, SerialTransmitter, clocks_per_bits

from .streams import offer, simulate


async def listen(ctx, dut, taken):
    """Bytes that come, and None for what is none."""
    while True:
        _, _, valid, broken, byte = await ctx.tick().sample(dut.valid, dut.broken, dut.byte)
        if broken:
            taken.append(None)
        if valid:
            taken.append(byte)


async def drive(ctx, rx, levels, clocks_per_level, start=0.0):
    """Put levels on a line, each for so many clocks, fractions carried on."""
    now, then = 0, start
    for level in levels:
        ctx.set(rx, level)
        then += clocks_per_level
        await ctx.tick().repeat(max(0, int(then) - now))
        now = int(then)
    ctx.set(rx, 1)


def levels(content: bytes) -> list[int]:
    return [bit for byte in content for bit in (0, *(byte >> k & 1 for k in range(8)), 1)]


def received(clock_hz, baud, line, clocks_per_level, start=0.0):
    dut, taken = SerialReceiver(clock_hz, baud), []

    class Ear:
        async def run(self, ctx):
            await listen(ctx, dut, taken)

    async def main(ctx):
        await ctx.tick().repeat(8)
        await drive(ctx, dut.rx, line, clocks_per_level, start)
        await ctx.tick().repeat(12 * clock_hz // baud)

    simulate(dut, main, sinks=[Ear()])
    return taken


RATES = [(4, 1), (100, 3), (100, 23), (9, 2), (100_000_000, 115_200)]


@pytest.mark.parametrize(("clock_hz", "baud"), RATES)
@pytest.mark.parametrize("deviation", [0.98, 1.0, 1.02])
def test_bytes_are_taken_back_to_back_at_rates_that_differ_by_two_percent(
    clock_hz, baud, deviation
):
    slow = clock_hz / baud > 100
    content = random.Random(1).randbytes(1 if slow else 20) + b"\x00\xff\x55"
    for start in (0.0,) if slow else (0.0, 0.5):
        line = levels(content)
        assert bytes(received(clock_hz, baud, line, clock_hz / baud * deviation, start)) == content


@pytest.mark.parametrize(("clock_hz", "baud"), [(4, 1), (100, 3)])
def test_low_stop_bit_and_break_are_no_bytes_and_cost_no_other(clock_hz, baud):
    spoiled = [*levels(b"\x12")[:-1], 0]
    line = levels(b"\x11") + spoiled + [1] * 2 + levels(b"\x13") + [0] * 35 + [1] * 2
    line += levels(b"\x14")
    assert received(clock_hz, baud, line, clock_hz / baud) == [0x11, None, 0x13, None, 0x14]


def test_short_low_level_is_no_start_bit():
    line = [1] * 5 + [0] * 4 + [1] * 12 + [bit for bit in levels(b"\xa5") for _ in range(10)]
    assert received(10, 1, line, 1) == [0xA5]


@pytest.mark.parametrize(("clock_hz", "baud"), RATES)
def test_transmitter_keeps_every_edge_within_a_clock(clock_hz, baud):
    dut, samples = SerialTransmitter(clock_hz, baud), []
    content = random.Random(2).randbytes(3 if clock_hz / baud > 100 else 40)

    class Scope:
        async def run(self, ctx):
            while True:
                _, _, level = await ctx.tick().sample(dut.tx)
                samples.append(level)

    async def main(ctx):
        for byte in content:
            await offer(ctx, dut.i, byte)
        await ctx.tick().repeat(12 * clock_hz // baud)

    simulate(dut, main, sinks=[Scope()])
    expected, bit = levels(content), clock_hz / baud
    start = samples.index(0)
    edges = [k - start for k in range(start + 1, len(samples)) if samples[k] != samples[k - 1]]
    due = [k * bit for k in range(1, len(expected)) if expected[k] != expected[k - 1]]
    assert len(edges) == len(due)
    assert all(abs(edge - time) < 1 for edge, time in zip(edges, due, strict=True))


def test_rate_too_high_for_the_clock_is_refused():
    with pytest.raises(ValueError, match=r"a line of 26 baud needs a clock of 4 times as many Hz"):
        clocks_per_bits(100, 26)
