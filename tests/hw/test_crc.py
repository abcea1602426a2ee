"""CRC-32C of runs of bytes, held against bit-by-bit division."""

import random

import pytest
from amaranth.sim import Simulator

from hw.engine.crc import Crc
from sim.checkers.streams import instrument

from .streams import WATCHDOG, offer


def reverse(value, bits):
    return int(f"{value:0{bits}b}"[::-1], 2)


def reference(data, seed=0, raw=False, high_first=False):
    """The definition: coefficients of a polynomial, divided by the generator one by one."""
    remainder = seed if raw else reverse(~seed & 0xFFFF_FFFF, 32)
    for byte in data:
        order = range(7, -1, -1) if high_first else range(8)
        for bit in order:
            carry = (remainder >> 31) ^ (byte >> bit & 1)
            remainder = (remainder << 1 & 0xFFFF_FFFF) ^ (0x1EDC_6F41 if carry else 0)
    return remainder if raw else reverse(remainder, 32) ^ 0xFFFF_FFFF


async def result(ctx, dut):
    for _ in range(WATCHDOG):
        if ctx.get(dut.known):
            return ctx.get(dut.value)
        await ctx.tick()
    raise AssertionError("the CRC is never known")


def crcs(cases, *, width=64, pause=0.0, seed=1):
    """Run cases of data, lane and options; what comes out."""
    dut, rng, lanes = Crc(width), random.Random(seed), width // 8
    found = []

    async def main(ctx):
        for content, lane, options in cases:
            start = {"lane": lane, "size_bytes": len(content), **options}
            await offer(ctx, dut.start, start)
            padded = rng.randbytes(lane) + content
            padded += rng.randbytes(-len(padded) % lanes)
            for at in range(0, len(padded), lanes):
                beat = int.from_bytes(padded[at : at + lanes], "little")
                last = at + lanes == len(padded)
                await offer(ctx, dut.i, {"data": beat, "last": last}, rng, pause)
            found.append(await result(ctx, dut))

    simulator = Simulator(instrument(dut))
    simulator.add_clock(8e-9)
    simulator.add_testbench(main)
    simulator.run()
    return found


def check(cases, **options):
    expected = [reference(content, **flags) for content, _, flags in cases]
    assert crcs(cases, **options) == expected


def test_reference_agrees_with_published_values():
    assert reference(bytes(32)) == 0x8A91_36AA
    assert reference(b"\xff" * 32) == 0x62A8_AB43
    assert reference(bytes(range(32))) == 0x46DD_794E
    assert reference(b"123456789") == 0xE306_9283


def test_published_values():
    cases = [(bytes(32), 0, {}), (b"\xff" * 32, 3, {}), (bytes(range(32)), 7, {})]
    cases += [(b"123456789", 5, {})]
    assert crcs(cases) == [0x8A91_36AA, 0x62A8_AB43, 0x46DD_794E, 0xE306_9283]


def test_every_lane_and_length():
    rng = random.Random(3)
    check([(rng.randbytes(n), lane, {}) for lane in range(8) for n in range(1, 27)])


@pytest.mark.parametrize("raw", [0, 1])
@pytest.mark.parametrize("high_first", [0, 1])
def test_order_of_bits_is_that_asked_for(raw, high_first):
    rng = random.Random(4)
    options = {"raw": raw, "high_first": high_first}
    cases = [
        (rng.randbytes(rng.randrange(1, 40)), rng.randrange(8), {**options, "seed": seed})
        for seed in (0, 1, 0x8000_0000, rng.getrandbits(32))
    ]
    check(cases)


def test_result_seeds_the_rest():
    whole = random.Random(5).randbytes(100)
    [part] = crcs([(whole[:64], 1, {})])
    assert crcs([(whole[64:], 6, {"seed": part})]) == [reference(whole)]


@pytest.mark.parametrize("width", [64, 128, 256])
def test_pauses_and_widths(width):
    rng, lanes = random.Random(width), width // 8
    cases = [
        (rng.randbytes(rng.randrange(1, 200)), rng.randrange(lanes), {"seed": rng.getrandbits(32)})
        for _ in range(60)
    ]
    check(cases, width=width, pause=0.4)


def test_start_ends_what_has_begun():
    dut = Crc(64)

    async def main(ctx):
        await offer(ctx, dut.start, {"size_bytes": 40})
        await offer(ctx, dut.i, {"data": 0x1234, "last": 0})
        await offer(ctx, dut.start, {"size_bytes": 8})
        content = int.from_bytes(b"12345678", "little")
        await offer(ctx, dut.i, {"data": content, "last": 1})
        assert await result(ctx, dut) == reference(b"12345678")

    simulator = Simulator(instrument(dut))
    simulator.add_clock(8e-9)
    simulator.add_testbench(main)
    simulator.run()
