"""Words that differ are found, each with the offset of its first byte that does."""

import random

import pytest
from amaranth.sim import Simulator

from hw.engine.differ import Differ
from sim.checkers.streams import instrument

from .streams import Sink, offer


def differ(one, two, *, lane=0, start=0, width=64, pause=0.0, seed=1):
    """Compare two runs that begin at a lane; offsets and words that come out."""
    dut, rng, lanes = Differ(width), random.Random(seed), width // 8
    sink = Sink(dut.o, rng, pause)
    other = []

    async def memory(ctx):
        at = 0
        while True:
            ctx.set(dut.other, other[at] if at < len(other) else 0)
            _, _, valid, ready = await ctx.tick().sample(dut.i.valid, dut.i.ready)
            at += valid and ready

    async def main(ctx):
        end = lane + len(one)
        first, second = (
            rng.randbytes(lane) + content + rng.randbytes(-end % lanes) for content in (one, two)
        )
        for at in range(0, len(first), lanes):
            other.append(int.from_bytes(first[at : at + lanes], "little"))
        for at in range(0, len(first), lanes):
            counts = sum(1 << k for k in range(lanes) if lane <= at + k < end)
            beat = int.from_bytes(second[at : at + lanes], "little")
            ctx.set(dut.offset, start + at - lane & 0xFFFF_FFFF)
            await offer(ctx, dut.i, {"data": beat, "lanes": counts}, rng, pause)
        await ctx.tick().until(dut.idle)

    simulator = Simulator(instrument(dut))
    simulator.add_clock(8e-9)
    simulator.add_testbench(main)
    simulator.add_testbench(memory, background=True)
    simulator.add_testbench(sink.run, background=True)
    simulator.run()
    return [(item.offset + item.byte, item.data) for item in sink.taken]


def expect(one, two, lane, start):
    """Offset of the first difference in each aligned word that has one."""
    found = {}
    for k, (a, b) in enumerate(zip(one, two, strict=True)):
        if a != b:
            found.setdefault((lane + k) // 8, start + k)
    return list(found.values())


def variants(rng, *, lanes=8):
    """Runs with differences: none, few, many."""
    for number in range(80):
        one = rng.randbytes(rng.randrange(1, 120))
        two = bytearray(one)
        for _ in range((0, 1, 3, 60)[number % 4]):
            two[rng.randrange(len(two))] ^= 1 << rng.randrange(8)
        yield one, bytes(two), rng.randrange(lanes), rng.randrange(1 << 20)


@pytest.mark.parametrize("width", [64, 128, 256])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_first_byte_of_each_word_is_found(width, pause):
    rng = random.Random(width)
    for one, two, lane, start in variants(rng, lanes=width // 8):
        found = differ(one, two, lane=lane, start=start, width=width, pause=pause)
        assert [offset for offset, _ in found] == expect(one, two, lane, start)


def test_words_are_those_of_the_run_that_comes():
    rng = random.Random(2)
    one, two = rng.randbytes(64), rng.randbytes(64)
    found = differ(one, two)
    assert b"".join(word.to_bytes(8, "little") for _, word in found) == two


def test_lanes_outside_do_not_count():
    assert differ(b"ab", b"ab", lane=3) == []
