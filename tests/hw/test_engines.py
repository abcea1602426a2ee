"""Engines share the way to memory and do not get into each other's way."""

from dataclasses import replace

import pytest

from hw.engine.engines import Engines
from hw.regs.descriptor import DESCRIPTOR_BYTES, Flag, Opcode, Status

from .engine_bench import CONFIG, RECORD, EngineBench, descriptor

BOTH = replace(CONFIG, engines=2)


class EnginesBench(EngineBench):
    """Two engines, each in a group of its own."""

    make = Engines

    def __init__(self, **options):
        super().__init__(BOTH, **options)

    def prepare(self, ctx):
        for number in range(BOTH.engines):
            ctx.set(self.dut.groups[number].engines, 1 << number)

    def works(self):
        return list(self.dut.i_work)

    def dones(self):
        return list(self.dut.o_done)


def work(bench, number):
    """A descriptor, and what memory holds at an address when it is done."""
    rng = bench.rng
    size = rng.choice((8, 64, 300, 1200))
    source, target = 0x10_0000 + 0x1_0000 * number, 0x80_0000 + 0x1_0000 * number
    data = rng.randbytes(size)
    bench.fill(source, data)
    places = {"source": source, "destination": target, "size_bytes": size}
    flags = RECORD | Flag.REQUEST_INTERRUPT
    if number % 3 == 0:
        fields = places | {"source": int.from_bytes(data[:8], "little")}
        return descriptor(Opcode.FILL, number, flags=flags, **fields), target, data[:8]
    if number % 3 == 1:
        member = descriptor(Opcode.MEMORY_MOVE, number + 64, **places)
        bench.fill(0x4_0000 + 0x1000 * number, member.to_bytes(DESCRIPTOR_BYTES, "little"))
        fields = {"source": 0x4_0000 + 0x1000 * number, "size_bytes": 1}
        return descriptor(Opcode.BATCH, number, flags=flags, **fields), target, data
    return descriptor(Opcode.MEMORY_MOVE, number, flags=flags, **places), target, data


@pytest.mark.parametrize(("seed", "pause"), [(1, 0.0), (2, 0.3)])
def test_both_engines_do_all_their_work(seed, pause):
    bench, count = EnginesBench(seed=seed, pause=pause), 24

    async def scenario(ctx):
        wanted = []
        for number in range(count):
            word, target, data = work(bench, number)
            await bench.submit(ctx, word, engine=number % 2, queue=number % 2)
            wanted.append((target, data))
        await bench.wait(ctx, count)
        for number, (target, data) in enumerate(wanted):
            assert bench.record(number)["status"] == Status.SUCCESS
            assert bench.bytes_at(target, len(data)) == data
        assert sorted(bench.of("done")) == [0] * (count // 2) + [1] * (count // 2)
        assert len(bench.of("event")) == count

    bench.run(scenario)


def test_batch_that_waits_for_memory_holds_up_no_other_descriptor():
    bench = EnginesBench()

    async def scenario(ctx):
        bench.reads_held = True
        for engine in range(2):
            word, _, _ = work(bench, 1 + 3 * engine)
            await bench.submit(ctx, word, engine=engine, queue=1)
            fill = descriptor(Opcode.FILL, 50 + engine, destination=0x100, size_bytes=8)
            await bench.submit(ctx, fill, engine=engine, queue=2)
        await ctx.tick().repeat(100)
        assert bench.record(50)["status"] == bench.record(51)["status"] == Status.SUCCESS
        assert bench.of("done") == []
        bench.reads_held = False
        await bench.wait(ctx, 4)
        assert bench.record(1)["status"] == bench.record(4)["status"] == Status.SUCCESS

    bench.run(scenario)
