"""Several descriptors are in flight, and are finished in order."""

import pytest

from hw.regs.descriptor import Flag, Opcode, Status

from .engine_bench import RECORD, EngineBench, descriptor


def move(number, size, *, flags=RECORD, **fields):
    return descriptor(
        Opcode.MEMORY_MOVE,
        number,
        flags=flags,
        source=0x10_0000 + 0x1_0000 * number,
        destination=0x80_0000 + 0x1_0000 * number,
        size_bytes=size,
        **fields,
    )


def run(scenario, **options):
    bench = EngineBench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


@pytest.mark.parametrize("latency", [10, 125])
def test_small_moves_need_few_clocks_each_whatever_the_latency(latency):
    async def scenario(ctx, bench):
        bench.read_cycles = latency
        for number in range(24):
            await bench.submit(ctx, move(number, 64))
        await bench.wait(ctx, 24)
        times = bench.when("done")
        clocks = (times[-1] - times[8]) / (len(times) - 9)
        print(f"latency {latency}: {clocks:.1f} clocks for a move of 64 bytes")
        assert clocks <= 24

    run(scenario)


def test_pages_are_moved_at_the_rate_of_the_bus():
    async def scenario(ctx, bench):
        bench.read_cycles = 125
        for number in range(5):
            await bench.submit(ctx, move(number, 4096))
        await bench.wait(ctx, 5)
        times = bench.when("done")
        clocks = (times[-1] - times[1]) / (len(times) - 2)
        print(f"{clocks:.1f} clocks for 4096 bytes, {4096 / 8 / clocks:.3f} of the bus")
        assert clocks <= 560

    run(scenario)


def test_reads_of_later_descriptors_run_ahead():
    async def scenario(ctx, bench):
        bench.reads_held = True
        for number in range(10):
            await bench.submit(ctx, move(number, 64))
        await ctx.tick().repeat(60)
        assert len(bench.reads) == 10
        assert bench.log == []
        bench.reads_held = False
        await bench.wait(ctx, 10)

    run(scenario)


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_descriptors_are_finished_in_order(pause):
    async def scenario(ctx, bench):
        count = 20
        for number in range(count):
            flags = RECORD | Flag.REQUEST_INTERRUPT
            if number % 3:
                word = move(number, bench.rng.randrange(1, 1200), flags=flags, handle=number % 4)
            else:
                word = descriptor(number=number, flags=flags, handle=number % 4)
            await bench.submit(ctx, word, queue=number % 4)
        await bench.wait(ctx, count)
        assert bench.of("done") == [number % 4 for number in range(count)]
        assert bench.of("event") == [number % 4 for number in range(count)]
        addresses = [entry[1] for entry in bench.log if entry[0] == "write"]
        records = [address for address in addresses if address < 0x1_0000]
        assert records == [0x1000 + 32 * number for number in range(count)]
        # Whatever belongs to a descriptor leaves after the record of the one before.
        places = [(a - 0x1000) // 32 if a < 0x1_0000 else (a - 0x80_0000) >> 16 for a in addresses]
        assert places == sorted(places)
        assert all(bench.record(number)["status"] == Status.SUCCESS for number in range(count))

    run(scenario, seed=11, pause=pause)


def test_descriptor_is_done_only_after_its_interrupt_and_its_writes():
    async def scenario(ctx, bench):
        bench.write_cycles = 60
        flags = RECORD | Flag.REQUEST_INTERRUPT
        await bench.submit(ctx, descriptor(flags=flags, handle=2))
        await bench.wait(ctx, 1)
        assert [entry[0] for entry in bench.log] == ["write", "event", "done"]
        assert bench.times[1] >= bench.times[0] + 60

    run(scenario)


@pytest.mark.parametrize("dropped", [0x1000 + 32 * 3, 0x83_0000 + 512])
def test_descriptor_with_a_dropped_write_does_not_ring_and_others_do(dropped):
    async def scenario(ctx, bench):
        bench.write_cycles = 50
        bench.dropped.add(dropped)
        flags = RECORD | Flag.REQUEST_INTERRUPT
        for number in range(8):
            await bench.submit(ctx, move(number, 1024, flags=flags, handle=number % 4))
        await bench.wait(ctx, 8)
        assert bench.of("event") == [0, 1, 2, 0, 1, 2, 3]

    run(scenario)


def test_failed_read_stops_the_reads_of_its_descriptor_and_of_no_other():
    async def scenario(ctx, bench):
        bench.read_cycles = 200
        bench.broken.add(0x10_0000 + 512)
        bench.fill(0x11_0000, bytes(range(100)))
        await bench.submit(ctx, move(0, 65536))
        await bench.submit(ctx, move(1, 100))
        await bench.wait(ctx, 2)
        failed = bench.record(0)
        assert (failed["status"], failed["bytes_completed"]) == (Status.HARDWARE, 512)
        assert bench.record(1)["status"] == Status.SUCCESS
        assert bench.bytes_at(0x81_0000, 100) == bytes(range(100))
        assert len(bench.reads) < 128

    run(scenario)


@pytest.mark.parametrize("wait", [1, 30, 60, 90, 150, 300])
def test_abandoned_descriptors_leave_nothing_and_are_done(wait):
    async def scenario(ctx, bench):
        abandon = bench.dut.abandon
        for number in range(6):
            await bench.submit(ctx, move(number, 2000), queue=number % 2)
        await ctx.tick().repeat(wait)
        ctx.set(abandon.affected, 0b01)
        ctx.set(abandon.valid, 1)
        await ctx.tick().repeat(5)
        before = [entry[1] for entry in bench.log if entry[0] == "write"]
        await bench.wait(ctx, 6)
        after = [entry[1] for entry in bench.log if entry[0] == "write"][len(before) :]
        # A write that had begun may have ended since.
        of_queue = [a for a in after if a >= 0x80_0000 and (a >> 16) % 2 == 0]
        assert len(of_queue) <= 1
        records = [a for a in after if a < 0x1_0000]
        assert all((a - 0x1000) // 32 % 2 for a in records)
        assert bench.of("done") == [0, 1] * 3
        assert all(bench.record(number)["status"] == 1 for number in (1, 3, 5))

    run(scenario)


def test_refused_interrupt_is_an_error_and_nothing_is_done():
    async def scenario(ctx, bench):
        bench.permitted = False
        await bench.submit(ctx, move(0, 64, flags=RECORD | Flag.REQUEST_INTERRUPT, handle=2))
        await bench.submit(ctx, move(1, 64, flags=Flag.REQUEST_INTERRUPT, handle=2))
        await bench.wait(ctx, 2)
        assert bench.record(0)["status"] == Status.BAD_HANDLE
        (error,) = bench.of("error")
        asked_for = 1 << 16
        assert (error.code, error.info, error.batch) == (Status.BAD_HANDLE, asked_for | 2, 0)
        assert bench.of("event") == [] and bench.reads == []

    run(scenario)
