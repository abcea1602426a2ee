"""Commands: their checks, their error codes, and what they leave behind (DSA §3.15, §5.8.3)."""

import pytest

from hw.regs.commands import Command, CommandError, DeviceState, QueueState, SoftwareError
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED

from .command_bench import CONFIG, run

SHARED = {}
DEDICATED = {"dedicated": 1, "pasid_enable": 0}


async def state(ctx, bench):
    return (await bench.get(ctx, "gensts"))["state"]


async def queue_state(ctx, bench, queue):
    return (await bench.queue(ctx, queue, "status"))["state"]


def test_unknown_commands_are_refused():
    async def scenario(ctx, bench):
        for code in (0, 15, 16, 17, 31):
            assert await bench.command(ctx, code) == (CommandError.INVALID_COMMAND, 0), code

    run(scenario)


RESERVED = [
    *((code, 1 << 19) for code in range(1, 6)),
    (Command.ENABLE_DEVICE, 1 << 25),
    (Command.DRAIN_PASID, 1 << 30),
    (Command.ENABLE_QUEUE, 0x100),
    (Command.REQUEST_HANDLE, 1 << 17 | 1),
    (Command.RELEASE_HANDLE, 1 << 19 | 1),
]


def test_reserved_bits_of_commands_are_refused():
    async def scenario(ctx, bench):
        for code, operand in RESERVED:
            answer = await bench.command(ctx, code, operand)
            assert answer == (CommandError.RESERVED_NOT_ZERO, 0), (code, operand)

    run(scenario)


def test_device_is_enabled_and_disabled():
    async def scenario(ctx, bench):
        assert await state(ctx, bench) == DeviceState.DISABLED
        await bench.bring_up(ctx, SHARED)
        assert await state(ctx, bench) == DeviceState.ENABLED
        assert await queue_state(ctx, bench, 0) == QueueState.ENABLED
        assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
        assert await state(ctx, bench) == DeviceState.DISABLED
        assert await queue_state(ctx, bench, 0) == QueueState.DISABLED
        # Configuration is still there.
        assert (await bench.queue(ctx, 0, "size"))["size"] == 4
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)

    run(scenario)


async def refuse_enable(ctx, bench, error):
    assert await bench.command(ctx, Command.ENABLE_DEVICE) == (error, 0)
    assert await state(ctx, bench) == DeviceState.DISABLED


def test_enabled_device_is_not_enabled_again():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        answer = await bench.command(ctx, Command.ENABLE_DEVICE)
        assert answer == (CommandError.DEVICE_NOT_DISABLED, 0)
        assert await state(ctx, bench) == DeviceState.ENABLED

    run(scenario)


def test_device_without_bus_master_is_not_enabled():
    async def scenario(ctx, bench):
        bench.set_settings(ctx, bus_master=0)
        await refuse_enable(ctx, bench, CommandError.BUS_MASTER_DISABLED)

    run(scenario)


@pytest.mark.parametrize("sizes", [(8, 9), (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF), (17,)])
def test_queues_larger_than_the_device_are_refused(sizes):
    async def scenario(ctx, bench):
        for queue, size in enumerate(sizes):
            await bench.configure_queue(ctx, queue, size=size)
        await bench.configure_group(ctx, 0, queues=(1 << len(sizes)) - 1, engines=1)
        await refuse_enable(ctx, bench, CommandError.TOTAL_SIZE)
        # What was added up does not linger.
        for queue in range(len(sizes)):
            await bench.configure_queue(ctx, queue, size=4)
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)

    run(scenario)


@pytest.mark.parametrize(("queues", "engines"), [(1, 0), (0, 1)])
def test_lopsided_group_is_refused(queues, engines):
    async def scenario(ctx, bench):
        if queues:
            await bench.configure_queue(ctx, 0)
        await bench.configure_group(ctx, 0, queues=queues, engines=engines)
        await refuse_enable(ctx, bench, 0x15)

    run(scenario)


@pytest.mark.parametrize("bitmap", [0b0001, 0b0111])
def test_group_has_exactly_the_active_queues(bitmap):
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        await bench.configure_queue(ctx, 1)
        await bench.configure_group(ctx, 0, queues=bitmap, engines=1)
        await refuse_enable(ctx, bench, 0x16)
        await bench.configure_group(ctx, 0, queues=0b0011, engines=1)
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)

    run(scenario)


def test_limits_that_do_not_exist_are_refused():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        for name in ("global_limit", "work_limit", "batch_limit", "read_bandwidth"):
            await bench.configure_group(ctx, 0, queues=1, engines=1, **{name: 1})
            await refuse_enable(ctx, bench, CommandError.READ_BUFFERS)
            await bench.configure_group(ctx, 0, queues=1, engines=1, write_bandwidth=8)
            await refuse_enable(ctx, bench, CommandError.READ_BUFFERS)

    run(scenario)


def test_traffic_classes_and_read_buffers_are_accepted():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        await bench.configure_group(
            ctx,
            0,
            queues=1,
            engines=1,
            traffic_class_a=1,
            traffic_class_b=1,
            read_buffers_allowed=32,
        )
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)

    run(scenario)


def test_event_log_without_entries_is_refused():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        await bench.configure_group(ctx, 0, queues=1, engines=1)
        await bench.write(ctx, bench.offset("gencfg"), 1 << 13, 4)
        await refuse_enable(ctx, bench, CommandError.EVENT_LOG)

    run(scenario)


@pytest.mark.parametrize(
    ("value", "settings"),
    [(1, {"pasid": 0}), (2, {}), (3, {"privileged": 0})],
)
def test_event_log_pasid_that_may_not_be_sent_is_refused(value, settings):
    async def scenario(ctx, bench):
        bench.set_settings(ctx, **settings)
        await bench.write(ctx, bench.offset("evlcfg"), value)
        await refuse_enable(ctx, bench, CommandError.PASID)

    run(scenario)


def test_disabled_device_is_not_disabled():
    async def scenario(ctx, bench):
        answer = await bench.command(ctx, Command.DISABLE_DEVICE)
        assert answer == (CommandError.DISABLE_NOT_ENABLED, 0)

    run(scenario)


SEVERAL = [Command.DISABLE_QUEUE, Command.DRAIN_QUEUE, Command.ABORT_QUEUE]


def test_bitmap_with_a_queue_that_does_not_exist_is_refused():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for code in (*SEVERAL, Command.RESET_QUEUE):
            for operand in (1 << CONFIG.queues, 1 << 15, 0x10001, 0xF8000):
                answer = await bench.command(ctx, code, operand | 1)
                assert answer == (CommandError.INVALID_QUEUE, 0), (code, operand)
                assert await queue_state(ctx, bench, 0) == QueueState.ENABLED

    run(scenario)


def test_bitmap_with_a_disabled_queue_is_refused():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for code in SEVERAL:
            answer = await bench.command(ctx, code, 0b11)
            assert answer == (CommandError.QUEUE_NOT_ENABLED, 0), code
            assert await queue_state(ctx, bench, 0) == QueueState.ENABLED
        for code in reversed(SEVERAL):
            assert await bench.command(ctx, code, 0b01) == (0, 0), code

    run(scenario)


def test_reset_of_queues_accepts_disabled_ones_and_keeps_sizes():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED | {"size": 5, "priority": 9}, {"size": 6, "pasid": 77})
        assert await bench.command(ctx, Command.RESET_QUEUE, 0b101) == (0, 0)
        assert await queue_state(ctx, bench, 0) == QueueState.DISABLED
        assert (await bench.queue(ctx, 0, "size"))["size"] == 5
        assert not any((await bench.queue(ctx, 0, "mode")).values())
        assert (await bench.queue(ctx, 0, "threshold"))["threshold"] == 0
        operations = await bench.read(ctx, bench.space.table("wqcfg").entry(0, "operations"))
        assert operations == OPERATIONS_IMPLEMENTED
        # Its neighbour goes on.
        assert await queue_state(ctx, bench, 1) == QueueState.ENABLED
        assert (await bench.queue(ctx, 1, "mode"))["pasid"] == 77

    run(scenario)


def test_drain_and_abort_of_a_disabled_device_succeed():
    async def scenario(ctx, bench):
        for code in (3, 4, 11, 12):
            assert await bench.command(ctx, code) == (0, 0), code

    run(scenario)


def test_handle_is_the_index():
    async def scenario(ctx, bench):
        for index, ims in ((1, 0), (CONFIG.msix_vectors - 1, 0), (0, 1), (255, 1)):
            operand = index | ims << 16
            assert await bench.command(ctx, Command.REQUEST_HANDLE, operand) == (0, index)
            assert await bench.command(ctx, Command.REQUEST_HANDLE, operand) == (0, index)
            assert await bench.command(ctx, Command.RELEASE_HANDLE, operand) == (0, 0)
            answer = await bench.command(ctx, Command.RELEASE_HANDLE, operand)
            assert answer == (CommandError.HANDLE_INDEX, 0)

    run(scenario)


def test_handle_of_an_entry_that_does_not_exist_is_refused():
    async def scenario(ctx, bench):
        for code in (Command.REQUEST_HANDLE, Command.RELEASE_HANDLE):
            for operand in (0, CONFIG.msix_vectors, 0xFFFF, 1 << 16 | 256, 0x1FFFF):
                answer = await bench.command(ctx, code, operand)
                assert answer == (CommandError.HANDLE_INDEX, 0), (code, operand)

    run(scenario)


def test_reset_device_forgets_handles():
    async def scenario(ctx, bench):
        assert await bench.command(ctx, Command.REQUEST_HANDLE, 2) == (0, 2)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        answer = await bench.command(ctx, Command.RELEASE_HANDLE, 2)
        assert answer == (CommandError.HANDLE_INDEX, 0)

    run(scenario)


def test_reset_device_clears_what_it_should_and_spares_the_rest():
    async def scenario(ctx, bench):
        await bench.write(ctx, bench.offset("evlcfg"), 0x1234_5000)
        await bench.bring_up(ctx, SHARED, {"size": 2, "dedicated": 1, "pasid_enable": 0})
        await bench.write(ctx, bench.offset("genctrl"), 3, 4)
        await bench.write(ctx, bench.offset("evlstatus"), 9, 4)
        for _ in range(2):
            bench.stall = True
            await bench.submit(ctx, 1, deferrable=0)
        await bench.submit(ctx, 1, deferrable=0)
        before = await bench.get(ctx, "swerror")
        assert before["valid"]
        bench.stall = False
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert bench.resets == 1
        assert await state(ctx, bench) == DeviceState.DISABLED
        for name in ("gencfg", "genctrl", "intcause", "evlcfg"):
            assert not any((await bench.get(ctx, name)).values()), name
        assert await bench.get(ctx, "swerror") == before
        assert (await bench.get(ctx, "evlstatus"))["head"] == 9
        for queue in range(CONFIG.queues):
            assert await queue_state(ctx, bench, queue) == QueueState.DISABLED
            for name in ("size", "threshold", "mode", "limits"):
                assert not any((await bench.queue(ctx, queue, name)).values())
        group = bench.space.table("grpcfg").offset
        for offset in range(0, 64, 8):
            assert await bench.read(ctx, group + offset) == 0

    run(scenario)


def test_command_rings_after_status_and_cause_are_final():
    async def scenario(ctx, bench):
        await bench.start(ctx, Command.REQUEST_HANDLE, 1 << 16 | 77, interrupt=1)
        while not bench.rings:
            await ctx.tick()
        status = await bench.get(ctx, "cmdstatus")
        assert status == {"error": 0, "result": 77, "active": 0}
        assert (await bench.get(ctx, "intcause"))["command"] == 1
        await bench.write(ctx, bench.offset("intcause"), 2, 4)
        assert (await bench.get(ctx, "intcause"))["command"] == 0
        await ctx.tick().repeat(50)
        assert bench.rings == 1

    run(scenario)


def test_command_without_interrupt_rings_nothing():
    async def scenario(ctx, bench):
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        await ctx.tick().repeat(50)
        assert bench.rings == 0
        assert not any((await bench.get(ctx, "intcause")).values())

    run(scenario)


def test_failed_command_rings_too():
    async def scenario(ctx, bench):
        answer = await bench.command(ctx, Command.DISABLE_DEVICE, interrupt=1)
        assert answer == (CommandError.DISABLE_NOT_ENABLED, 0)
        await ctx.tick().repeat(20)
        assert bench.rings == 1

    run(scenario)


def test_command_during_a_command_is_discarded_and_reported():
    async def scenario(ctx, bench):
        await bench.start(ctx, Command.RESET_DEVICE)
        await bench.start(ctx, Command.REQUEST_HANDLE, 1, interrupt=1)
        assert await bench.finish(ctx) == (0, 0)
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["code"]) == (1, SoftwareError.COMMAND_WHILE_ACTIVE)
        assert (error["queue_valid"], error["descriptor_valid"]) == (0, 0)
        await ctx.tick().repeat(50)
        assert bench.rings == 0

    run(scenario)


def test_reset_waits_for_message_storage_to_clear_itself():
    async def scenario(ctx, bench):
        await bench.start(ctx, Command.RESET_DEVICE)
        while not bench.resets:
            await ctx.tick()
        ctx.set(bench.dut.store_busy, 1)
        for _ in range(60):
            assert (await bench.get(ctx, "cmdstatus"))["active"]
            await ctx.tick().repeat(20)
        ctx.set(bench.dut.store_busy, 0)
        assert await bench.finish(ctx) == (0, 0)

    run(scenario)
