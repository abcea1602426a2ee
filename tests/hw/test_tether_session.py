"""The board's end of the tether delivers every TLP once, in order and unchanged."""

import random

import pytest

from hw.regs.tether import Identity

from .tether_bench import IDENTITY, Bench, random_tlp


def both_ways(bench: Bench, up: list[list[int]], down: list[list[int]]):
    """Send TLPs to the device and from it, and hold what comes against them."""

    async def main(ctx):
        await bench.welcome(ctx)
        for tlp in down:
            bench.host.send(swapped(tlp))
        bench.from_device.extend(list(tlp) for tlp in up)
        await bench.until(
            ctx, lambda: len(bench.to_device) >= len(down) and len(bench.host.taken) >= len(up)
        )
        await ctx.tick().repeat(2000)

    bench.run(main)
    assert bench.to_device == down
    assert [swapped(tlp) for tlp in bench.host.taken] == up


def swapped(tlp: list[int]) -> list[int]:
    """DWs as frames have them, from those that spell the wire's bytes big-endian."""
    return [int.from_bytes(dw.to_bytes(4, "big"), "little") for dw in tlp]


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_tlps_of_all_lengths_pass_both_ways_back_to_back(data_width):
    rng = random.Random(3)
    up, down = ([random_tlp(rng, n) for n in range(3, 135)] for _ in range(2))
    bench = Bench(data_width=data_width)
    both_ways(bench, up, down)
    assert bench.errors == 0 and bench.host.ear.bad == 0


def test_welcome_says_who_the_board_is():
    bench = Bench()

    async def main(ctx):
        await bench.welcome(ctx)

    bench.run(main)
    words = sum(dw << 32 * k for k, dw in enumerate(bench.host.welcome))
    assert Identity.from_words(words) == IDENTITY
