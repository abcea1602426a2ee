"""Entries of delta records go into words and come out of beats unchanged."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from hw.engine.delta import DeltaPack, DeltaUnpack
from sim.checkers.streams import instrument

from .streams import Sink, offer


def entries(rng, count):
    return [(rng.getrandbits(16), rng.getrandbits(64)) for _ in range(count)]


def record(items):
    return b"".join(o.to_bytes(2, "little") + d.to_bytes(8, "little") for o, d in items)


def run(dut, main, *benches):
    simulator = Simulator(instrument(dut))
    simulator.add_clock(8e-9)
    simulator.add_testbench(main)
    for bench in benches:
        simulator.add_testbench(bench, background=True)
    simulator.run()


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_entries_are_packed_without_gaps(pause):
    dut, rng = DeltaPack(), random.Random(1)
    words = []

    async def collect(ctx):
        while True:
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid:
                words.append(word.to_bytes(8, "little"))

    async def main(ctx):
        for count in (*range(1, 12), 64):
            words.clear()
            items = entries(rng, count)
            for offset, content in items:
                await offer(ctx, dut.i, {"offset": offset, "data": content}, rng, pause)
            ctx.set(dut.flush, 1)
            await ctx.tick()
            ctx.set(dut.flush, 0)
            await ctx.tick()
            assert ctx.get(dut.pending) == 0
            packed = record(items)
            assert b"".join(words) == packed + bytes(-len(packed) % 8)

    run(dut, main, collect)


def test_cleared_entries_leave_nothing():
    dut = DeltaPack()

    async def main(ctx):
        await offer(ctx, dut.i, {"offset": 1, "data": 2})
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        assert ctx.get(dut.pending) == 0
        ctx.set(dut.i.payload, {"offset": 3, "data": 4})
        ctx.set(dut.i.valid, 1)
        assert ctx.get(dut.o.payload) == 4 << 16 | 3

    run(dut, main)


def unpack(content, cuts, *, width=64, pause=0.0, seed=1, dut=None, clear=False):
    """Take a record apart that comes in parts which end at the cuts."""
    dut, rng, lanes = dut or DeltaUnpack(width), random.Random(seed), width // 8
    sink = Sink(dut.o, rng, pause)

    async def main(ctx):
        if clear:
            for _ in range(3):
                await offer(ctx, dut.i, {"data": rng.getrandbits(64), "lanes": 0xFF})
            await ctx.tick().until(dut.idle)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            sink.taken.clear()
        edges = [0, *sorted(cuts), len(content)]
        for begin, end in itertools.pairwise(edges):
            for at in range(begin - begin % lanes, end, lanes):
                counts = [begin <= at + k < end for k in range(lanes)]
                inside = [k for k in range(lanes) if counts[k]]
                beat = bytearray(rng.randbytes(lanes))
                for k in inside:
                    beat[k] = content[at + k]
                payload = {
                    "data": int.from_bytes(beat, "little"),
                    "lanes": sum(1 << k for k in inside),
                }
                await offer(ctx, dut.i, payload, rng, pause)
        for _ in range(200):
            await ctx.tick()
            if ctx.get(dut.idle):
                break
        await ctx.tick()

    run(dut, main, sink.run)
    return [(item.offset, item.data) for item in sink.taken]


@pytest.mark.parametrize("width", [64, 128, 256])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_record_is_taken_apart_wherever_it_is_cut(width, pause):
    rng = random.Random(width)
    for _ in range(40):
        items = entries(rng, rng.randrange(1, 30))
        content = record(items)
        places = range(1, len(content))
        cuts = rng.sample(places, min(len(places), rng.randrange(8)))
        assert unpack(content, cuts, width=width, pause=pause) == items


def test_every_single_cut():
    items = entries(random.Random(3), 5)
    content = record(items)
    for cut in range(1, len(content)):
        assert unpack(content, [cut]) == items, cut


def test_rest_of_a_record_gives_no_entry():
    items = entries(random.Random(4), 3)
    assert unpack(record(items)[:-1], []) == items[:2]


def test_cleared_bytes_are_forgotten():
    items = entries(random.Random(5), 6)
    assert unpack(record(items), [13], clear=True) == items
