"""Descriptors do what they say, or say what is wrong with them."""

import pytest

from hw.regs.descriptor import Flag, Opcode, Status

from .work_bench import Bench, descriptor

RECORD = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
SHARED = {}
DEDICATED = {"dedicated": 1, "pasid_enable": 0}


def test_no_op_writes_its_record():
    bench = Bench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        assert await bench.submit(ctx, 0, descriptor(pasid=7)) == 1
        record = await bench.completion(ctx)
        assert record["status"] == Status.SUCCESS
        await ctx.tick().repeat(50)
        [(_, address, data, pasid)] = bench.writes()
        assert (address, len(data), pasid) == (0x1000, 32, 7)
        assert bench.events() == []

    bench.run(scenario)


def test_interrupt_follows_the_record():
    bench = Bench()

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        flags = RECORD | Flag.REQUEST_INTERRUPT
        assert await bench.submit(ctx, 0, descriptor(flags=flags, pasid=9, handle=200), portal=2)
        await bench.completion(ctx)
        await ctx.tick().repeat(50)
        assert [entry[0] for entry in bench.log] == ["write", "event"]
        assert bench.events() == [(1, 200)]
        assert bench.checks == [(1, 200, 9, 1)]

    bench.run(scenario)


def test_interrupt_waits_until_every_write_has_been_accepted():
    bench = Bench()
    bench.write_cycles = 150

    async def scenario(ctx):
        await bench.bring_up(ctx, SHARED)
        word = descriptor(flags=RECORD | Flag.REQUEST_INTERRUPT, handle=1)
        assert await bench.submit(ctx, 0, word) == 1
        await bench.completion(ctx)
        await ctx.tick().repeat(120)
        assert bench.events() == []
        await ctx.tick().repeat(60)
        assert bench.events() == [(0, 1)]

    bench.run(scenario)


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_move_copies_every_alignment(pause):
    bench = Bench(pause=pause)

    async def scenario(ctx):
        await bench.bring_up(ctx, DEDICATED)
        sizes = (*range(1, 41), 100, 513, 1500)
        rng = bench.rng
        for size in sizes:
            source_offset, target_offset = rng.randrange(8), rng.randrange(8)
            await check_move(ctx, bench, 0x10000 + source_offset, 0x20000 + target_offset, size)

    bench.run(scenario)


async def check_move(ctx, bench, source, destination, size):
    data = bytes(bench.rng.randrange(256) for _ in range(size))
    bench.memory = {source + k: byte for k, byte in enumerate(data)}
    bench.log.clear()
    word = descriptor(Opcode.MEMORY_MOVE, source=source, destination=destination, size_bytes=size)
    assert await bench.submit(ctx, 0, word, deferrable=0) == 1
    record = await bench.completion(ctx)
    assert (record["status"], record["bytes_completed"]) == (Status.SUCCESS, 0)
    moved = bytes(bench.memory.get(destination + k, -1) & 0xFF for k in range(size))
    assert moved == data, f"{source:#x} to {destination:#x}, {size} bytes"
    touched = {k for k in bench.memory if k >= 0x18000}
    assert touched == set(range(destination, destination + size))
