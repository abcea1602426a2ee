"""Flush: what is outstanding is an orphan, and reads begin anew."""

import pytest

from .requester_bench import Bench
from .requester_host import Answer, byte_at, chunk_bytes


@pytest.mark.parametrize("hold", [False, True])
def test_flush_orphans_what_is_outstanding(hold):
    for wait in range(4, 80, 25):
        bench = Bench(31 + wait, tags=4, read_slot_bytes=128)
        bench.host.hold = hold

        async def main(ctx, bench=bench, wait=wait):
            await bench.read(ctx, 0x40, 128 * 20)
            for _ in range(wait):
                await ctx.tick()
            await bench.flush(ctx)
            seen = len(bench.host.reads)
            old = len(bench.chunks.taken)
            bench.chunks.current.clear()
            await bench.read(ctx, 0x8000, 1000)
            await bench.idle(ctx, 30)
            if hold:
                assert len(bench.chunks.taken) == old
                assert ctx.get(bench.dut.pending)
                bench.host.hold = False
            await bench.chunks.wait(ctx, old + 8)
            await bench.idle(ctx)
            assert not ctx.get(bench.dut.pending)
            assert len(bench.host.reads) <= seen + 8 + 1
            new = bench.chunks.taken[old:]
            assert len(new) == 8
            got = b"".join(chunk_bytes(beats, 64) for beats in new)
            assert got == bytes(byte_at(0x8000 + k) for k in range(1000))

        bench.chunks.run = tolerant(bench.chunks, bench.dut)
        bench.run(main)
        assert not bench.errors.taken


def tolerant(sink, dut):
    """A sink that allows for answers to end with ``flush``."""

    async def run(ctx):
        current = sink.current
        while True:
            ctx.set(sink.port.ready, 1)
            _, _, valid, payload, flush = await ctx.tick().sample(
                sink.port.valid, sink.port.payload, dut.flush
            )
            sink.clock += 1
            if flush:
                current.clear()
            elif valid:
                current.append(payload)
                if payload.last:
                    sink.taken.append(list(current))
                    current.clear()

    return run


def test_orphans_expire_without_a_report():
    bench = Bench(32, tags=4, completion_timeout_cycles=64)
    bench.host.choose = lambda header: Answer.NEVER if header.address < 0x8000 else Answer.GOOD
    bench.host.check = lambda header: bench.host.open.pop(header.tag, None)

    async def main(ctx):
        await bench.read(ctx, 0, 2048)
        await bench.idle(ctx, 20)
        await bench.flush(ctx)
        await bench.idle(ctx, 20)
        assert ctx.get(bench.dut.pending)
        await bench.read(ctx, 0x8000, 16)
        await bench.idle(ctx, 100)
        assert not ctx.get(bench.dut.pending)
        await bench.chunks.wait(ctx, 1)

    bench.run(main)
    assert chunk_bytes(bench.chunks.taken[0], 64) == bytes(byte_at(0x8000 + k) for k in range(16))
    assert not bench.errors.taken
