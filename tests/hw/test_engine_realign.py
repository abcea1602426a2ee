"""Bytes arrive where they shall, from every alignment to every alignment."""

import dataclasses
import random

import pytest
from amaranth.sim import Simulator

from hw.engine.realign import Realign
from hw.regs.commands import Command
from hw.regs.descriptor import Opcode, Status
from sim.checkers.streams import instrument

from .streams import Sink, offer
from .work_bench import CONFIG, Bench, descriptor


def realign(width, cases, *, pause=0.0):
    """Run cases of source, destination and length; the beats that come out."""
    dut, rng = Realign(width), random.Random(width)
    lanes = width // 8
    runs = [(source, target, rng.randbytes(length)) for source, target, length in cases]

    async def describe(ctx):
        for source, target, data in runs:
            payload = {"source": source, "destination": target, "length_bytes": len(data)}
            ctx.set(dut.alignment.payload, payload)
            ctx.set(dut.alignment.valid, 1)
            await ctx.tick().until(dut.alignment.ready)
        ctx.set(dut.alignment.valid, 0)

    async def feed(ctx):
        for source, _, data in runs:
            padded = rng.randbytes(source) + data
            padded += rng.randbytes(-len(padded) % lanes)
            for start in range(0, len(padded), lanes):
                beat = int.from_bytes(padded[start : start + lanes], "little")
                await offer(ctx, dut.i, beat, rng, pause)

    sink = Sink(dut.o, rng, pause)
    expected = [-(-(target + len(data)) // lanes) for _, target, data in runs]

    async def main(ctx):
        await sink.wait(ctx, sum(expected))
        await ctx.tick().repeat(5)

    simulator = Simulator(instrument(dut))
    simulator.add_clock(8e-9)
    for part in (describe, feed):
        simulator.add_testbench(part, background=True)
    simulator.add_testbench(sink.run, background=True)
    simulator.add_testbench(main)
    simulator.run()
    assert len(sink.taken) == sum(expected)
    taken = iter(sink.taken)
    for (_, target, data), count in zip(runs, expected, strict=True):
        moved = b"".join(next(taken).to_bytes(lanes, "little") for _ in range(count))
        assert moved[target : target + len(data)] == data


def test_every_alignment_and_length():
    cases = [(s, t, n) for s in range(8) for t in range(8) for n in range(1, 41)]
    realign(64, cases)


@pytest.mark.parametrize("width", [64, 128, 256])
def test_pauses_on_both_sides(width):
    rng = random.Random(7)
    lanes = width // 8
    cases = [
        (
            rng.randrange(lanes),
            rng.randrange(lanes),
            rng.choice((1, 2, lanes, rng.randrange(1, 99))),
        )
        for _ in range(200)
    ]
    realign(width, cases, pause=0.4)


@pytest.mark.parametrize("width", [128, 256])
def test_whole_path_at_other_widths(width):
    config = dataclasses.replace(CONFIG, data_width=width)
    bench = Bench(config, seed=width)

    async def scenario(ctx):
        await bench.bring_up(ctx, {"size": 8})
        for number in range(8):
            bench.memory.clear()
            source = 0x10000 + bench.rng.randrange(64)
            target = 0x20000 + bench.rng.randrange(64)
            data = bench.rng.randbytes(bench.rng.randrange(1, 700))
            bench.memory.update(enumerate(data, source))
            word = descriptor(
                Opcode.MEMORY_MOVE,
                pasid=number,
                source=source,
                destination=target,
                size_bytes=len(data),
            )
            assert await bench.submit(ctx, 0, word) == 1
            assert (await bench.completion(ctx))["status"] == Status.SUCCESS
            moved = bytes(bench.memory[target + k] for k in range(len(data)))
            assert moved == data
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)

    bench.run(scenario)
