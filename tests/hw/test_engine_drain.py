"""Drain, abort, disable and reset end when nothing of the work can leave any more."""

import pytest

from hw.regs.commands import Command, CommandError, DeviceState, SoftwareError
from hw.regs.descriptor import Flag, Opcode, Status

from .work_bench import CONFIG, Bench, descriptor

RECORD = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
INTERRUPT = Flag.REQUEST_INTERRUPT
SHARED = {"size": 6}
DRAINS = [
    (Command.DRAIN_ALL, 0),
    (Command.DRAIN_QUEUE, 1),
    (Command.DRAIN_PASID, 3),
    (Command.DISABLE_QUEUE, 1),
    (Command.DISABLE_DEVICE, 0),
]
ABORTS = [
    (Command.ABORT_ALL, 0),
    (Command.ABORT_QUEUE, 1),
    (Command.ABORT_PASID, 3),
    (Command.RESET_QUEUE, 1),
    (Command.RESET_DEVICE, 0),
]


def run(scenario, **options):
    bench = Bench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)


def move(number, *, pasid=3, size_bytes=1500):
    return descriptor(
        Opcode.MEMORY_MOVE,
        flags=RECORD | INTERRUPT,
        pasid=pasid,
        handle=1,
        completion_address=0x1000 + 32 * number,
        source=0x100000,
        destination=0x200000 + 0x1000 * number,
        size_bytes=size_bytes,
    )


def no_op(number, *, pasid=3):
    return descriptor(
        flags=RECORD | INTERRUPT,
        pasid=pasid,
        handle=1,
        completion_address=0x1000 + 32 * number,
    )


@pytest.mark.parametrize(("code", "operand"), DRAINS)
def test_drain_ends_after_all_records_and_interrupts(code, operand):
    async def scenario(ctx, bench):
        bench.write_cycles = 40
        await bench.bring_up(ctx, SHARED)
        for number in range(5):
            assert await bench.submit(ctx, 0, (move if number % 2 else no_op)(number)) == 1
        await bench.start(ctx, code, operand)
        assert len(bench.events()) < 5
        assert await bench.finish(ctx) == (0, 0)
        assert len(bench.events()) == 5
        left = len(bench.log)
        await ctx.tick().repeat(300)
        assert len(bench.log) == left
        assert all(bench.record(0x1000 + 32 * number)["status"] == 1 for number in range(5))

    run(scenario)


@pytest.mark.parametrize(("code", "operand"), ABORTS)
def test_after_an_abort_nothing_leaves(code, operand):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for number in range(5):
            assert await bench.submit(ctx, 0, move(number, size_bytes=4096)) == 1
        while len(bench.writes()) < 2:
            await ctx.tick()
        assert await bench.command(ctx, code, operand) == (0, 0)
        left = list(bench.log)
        await ctx.tick().repeat(600)
        assert bench.log == left
        # The first move was stopped between chunks; none has a record.
        assert len(bench.writes()) < 8
        assert bench.events() == []
        assert not any(bench.memory.get(0x1000 + 32 * number) for number in range(5))

    run(scenario)


@pytest.mark.parametrize(("code", "operand"), ABORTS[:3])
def test_work_goes_on_after_an_abort(code, operand):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for number in range(5):
            assert await bench.submit(ctx, 0, move(number)) == 1
        assert await bench.command(ctx, code, operand) == (0, 0)
        assert (await bench.queue(ctx, 0, "status"))["occupancy"] == 0
        for number in range(8, 13):
            assert await bench.submit(ctx, 0, no_op(number)) == 1
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert all(bench.record(0x1000 + 32 * n)["status"] == 1 for n in range(8, 13))

    run(scenario)


def test_abort_of_one_queue_spares_the_other():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED, SHARED)
        ctx.set(bench.dut.stall, 1)
        for number in range(4):
            assert await bench.submit(ctx, 0, no_op(number)) == 1
            assert await bench.submit(ctx, 1, no_op(number + 10)) == 1
        await bench.start(ctx, Command.ABORT_QUEUE, 0b01)
        await ctx.tick().repeat(100)
        ctx.set(bench.dut.stall, 0)
        assert await bench.finish(ctx) == (0, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert not any(bench.memory.get(0x1000 + 32 * n) for n in range(1, 4))
        assert all(bench.record(0x1000 + 32 * n)["status"] == 1 for n in range(10, 14))

    run(scenario)


def test_abort_of_a_pasid_spares_the_others():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED | {"size": 8}, {"size": 4, "dedicated": 1, "pasid": 3})
        ctx.set(bench.dut.stall, 1)
        for number in range(8):
            assert await bench.submit(ctx, 0, no_op(number, pasid=3 if number % 2 else 4)) == 1
        for number in range(8, 12):
            assert await bench.submit(ctx, 1, no_op(number, pasid=4), deferrable=0) == 1
        await bench.start(ctx, Command.ABORT_PASID, 3)
        ctx.set(bench.dut.stall, 0)
        assert await bench.finish(ctx) == (0, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        done = {n for n in range(12) if bench.memory.get(0x1000 + 32 * n)}
        assert done == {0, 2, 4, 6}

    run(scenario)


def test_drain_waits_for_message_storage():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        assert await bench.submit(ctx, 0, no_op(0)) == 1
        ctx.set(bench.dut.store_busy, 1)
        await bench.start(ctx, Command.DRAIN_QUEUE, 1)
        await ctx.tick().repeat(400)
        assert len(bench.events()) == 1
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        ctx.set(bench.dut.store_busy, 0)
        assert await bench.finish(ctx) == (0, 0)

    run(scenario)


def test_drain_does_not_wait_for_what_comes_later():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED, SHARED)
        for number in range(3):
            assert await bench.submit(ctx, 0, no_op(number)) == 1
        await bench.start(ctx, Command.DRAIN_ALL)
        ended = False
        for number in range(60):
            await bench.submit(ctx, number & 1, no_op(number + 10))
            ended |= not (await bench.get(ctx, "cmdstatus"))["active"]
        assert ended

    run(scenario)


def test_draining_queue_accepts_nothing():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.reads_held = True
        assert await bench.submit(ctx, 0, move(0)) == 1
        await bench.start(ctx, Command.DISABLE_QUEUE, 1)
        await ctx.tick().repeat(10)
        assert (await bench.queue(ctx, 0, "status"))["state"] == 2
        assert await bench.submit(ctx, 0, no_op(5)) == 0
        bench.reads_held = False
        assert await bench.finish(ctx) == (0, 0)
        assert (await bench.queue(ctx, 0, "status"))["state"] == 0
        assert bench.record(0x1000)["status"] == Status.SUCCESS

    run(scenario)


def test_reset_waits_for_reads_on_their_way_and_writes_nothing():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.reads_held = True
        assert await bench.submit(ctx, 0, move(0)) == 1
        await ctx.tick().repeat(60)
        assert bench.reads
        await bench.start(ctx, Command.RESET_DEVICE)
        await ctx.tick().repeat(200)
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.reads_held = False
        assert await bench.finish(ctx) == (0, 0)
        assert bench.log == []

    run(scenario)


@pytest.mark.parametrize("change", [{"bus_master": 0}, {"pasid": 0}, {"privileged": 0}])
def test_change_of_settings_halts_the_device(change):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await bench.write(ctx, bench.offset("genctrl"), 3, 4)
        for number in range(3):
            assert await bench.submit(ctx, 0, move(number, size_bytes=4096)) == 1
        await ctx.tick().repeat(60)
        bench.set_settings(ctx, **change)
        await ctx.tick().repeat(400)
        assert await bench.get(ctx, "gensts") == {"state": DeviceState.HALTED, "reset_type": 0}
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["code"]) == (1, SoftwareError.ENABLE_CHANGED)
        cause = await bench.get(ctx, "intcause")
        assert (cause["halt"], cause["error"]) == (1, 1)
        assert ("own",) in bench.log
        assert bench.events() == []
        assert await bench.submit(ctx, 0, no_op(0)) == 0
        answer = await bench.command(ctx, Command.ENABLE_QUEUE, 0)
        assert answer == (CommandError.DEVICE_HALTED, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (CommandError.DEVICE_HALTED, 0)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.DISABLED
        # And then as if nothing had happened.
        bench.set_settings(ctx)
        await bench.bring_up(ctx, SHARED)
        bench.memory.clear()
        assert await bench.submit(ctx, 0, no_op(0)) == 1
        assert (await bench.completion(ctx))["status"] == Status.SUCCESS

    run(scenario)


def test_drain_that_a_halt_cuts_short_says_so():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.reads_held = True
        assert await bench.submit(ctx, 0, move(0)) == 1
        await bench.start(ctx, Command.DRAIN_ALL)
        await ctx.tick().repeat(30)
        bench.set_settings(ctx, bus_master=0)
        await ctx.tick().repeat(30)
        bench.reads_held = False
        assert await bench.finish(ctx) == (CommandError.HARDWARE, 0)

    run(scenario)


def test_settings_of_a_disabled_device_may_change():
    async def scenario(ctx, bench):
        bench.set_settings(ctx, bus_master=0, pasid=0)
        await ctx.tick().repeat(5)
        bench.set_settings(ctx)
        await ctx.tick().repeat(5)
        assert not any((await bench.get(ctx, "gensts")).values())
        assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario)


def test_random_work_under_random_commands():
    async def scenario(ctx, bench):
        rng = bench.rng
        queues = [SHARED, SHARED, {"size": 4, "dedicated": 1, "pasid": 3}]
        await bench.bring_up(ctx, *queues)
        number = 0
        for _ in range(40):
            for _ in range(rng.randrange(6)):
                queue = rng.randrange(3)
                make = rng.choice((no_op, move))
                word = make(number % 200, pasid=rng.randrange(3, 5))
                await bench.submit(ctx, queue, word, deferrable=queue < 2)
                number += 1
            code, operand = rng.choice(DRAINS[:4] + ABORTS[:4])
            error, _ = await bench.command(ctx, code, operand)
            assert error in (0, CommandError.QUEUE_NOT_ENABLED)
            if code in (Command.RESET_QUEUE, Command.DISABLE_QUEUE):
                await bench.configure_queue(ctx, 0, **SHARED)
                assert (await bench.queue(ctx, 0, "size"))["size"] == SHARED["size"]
                assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        left = len(bench.log)
        await ctx.tick().repeat(300)
        assert len(bench.log) == left
        assert CONFIG.queue_slots >= sum(queue["size"] for queue in queues)

    run(scenario, seed=5, pause=0.2)
