"""The event log: entries, their order, its limits and its interrupt (DSA §5.9)."""

from dataclasses import replace

import pytest

from hw.regs.commands import Command, CommandError, DeviceState, SoftwareError
from hw.regs.descriptor import Status

from .control_bench import CONFIG, LOG, run
from .streams import offer

ERROR = {
    "code": Status.BAD_FLAGS,
    "queue_valid": 1,
    "queue": 3,
    "descriptor_valid": 1,
    "opcode": 0x81,
    "privileged": 1,
    "pasid": 0xABCDE,
    "batch": 1,
    "batch_index": 0x1234,
    "info_valid": 1,
    "info": 0x00C0_FFEE,
}


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_entry_says_what_the_error_was(data_width):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        await bench.err(ctx, **ERROR)
        entry = bench.entry(0)
        assert {name: entry.pop(name) for name in ERROR} == ERROR
        assert not any(entry.values())
        assert len(bench.memory) == 64
        tenant = bench.writes[0].tenant
        assert (tenant.valid, tenant.privileged, tenant.execute) == (0, 0, 0)
        assert await bench.status(ctx) == (0, 1, 1)
        assert not any((await bench.get(ctx, "swerror")).values())

    run(scenario, config=replace(CONFIG, data_width=data_width))


@pytest.mark.parametrize("log", [0, 1])
def test_log_says_more_of_a_handle_than_the_register(log):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, log=log) == 0
        error = ERROR | {"code": Status.BAD_HANDLE, "info": 0x0007_1234}
        await bench.err(ctx, **error)
        if log:
            assert bench.entry(0)["info"] == 0x0007_1234
        else:
            assert (await bench.get(ctx, "swerror"))["info"] == 0x1234

    run(scenario)


def test_entries_are_written_with_the_pasid_of_the_log():
    async def scenario(ctx, bench):
        base = (1 << 64) - 0x1000
        assert await bench.enable(ctx, base=base, pasid_enable=1, privileged=1, pasid=0xFEDCB) == 0
        await bench.err(ctx, **ERROR)
        write = bench.writes[0]
        assert (write.address, write.length_bytes) == (base, 64)
        tenant = write.tenant
        assert (tenant.valid, tenant.pasid, tenant.privileged) == (1, 0xFEDCB, 1)

    run(scenario)


def test_tail_moves_only_once_the_entry_is_on_its_way():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        bench.answering = False
        await bench.err(ctx, **ERROR)
        assert bench.entry(0) is not None
        assert await bench.status(ctx) == (0, 0, 0)
        assert bench.rings == 0
        bench.answering = True
        await bench.wait_rings(ctx, 1)
        assert await bench.status(ctx) == (0, 1, 1)

    run(scenario)


def test_tail_wraps_and_entries_keep_their_order():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, size=67) == 0
        for number in range(150):
            await bench.err(ctx, **ERROR | {"pasid": number})
            assert bench.entry(number % 67)["pasid"] == number
            head, tail, _ = await bench.status(ctx)
            assert (head, tail) == (number % 67, (number + 1) % 67)
            await bench.write(ctx, bench.offset("evlstatus"), tail, 4)
        assert max(bench.memory) == LOG + 67 * 64 - 1

    run(scenario)


def test_full_log_drops_the_entry_and_says_so():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        for number in range(63):
            await bench.err(ctx, **ERROR | {"pasid": number})
        assert not (await bench.get(ctx, "swerror"))["valid"]
        await bench.err(ctx, **ERROR)
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["overflow"]) == (1, 0)
        assert error["code"] == SoftwareError.EVENT_LOG_APPEND
        assert (error["queue_valid"], error["descriptor_valid"]) == (0, 0)
        assert (await bench.status(ctx))[:2] == (0, 63)
        assert bench.entry(63) is None
        await bench.err(ctx, **ERROR)
        assert (await bench.get(ctx, "swerror"))["overflow"] == 1
        # Room for one more.
        await bench.write(ctx, bench.offset("evlstatus"), 1, 4)
        await bench.err(ctx, **ERROR | {"pasid": 99})
        assert bench.entry(63)["pasid"] == 99
        assert (await bench.status(ctx))[:2] == (1, 0)

    run(scenario)


def test_entry_that_may_not_be_written_is_reported():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        bench.taking = False
        await bench.err(ctx, **ERROR)
        bench.set_settings(ctx, bus_master=0)
        bench.taking = True
        await ctx.tick().repeat(60)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.HALTED
        error = await bench.get(ctx, "swerror")
        assert (error["code"], error["overflow"]) == (SoftwareError.ENABLE_CHANGED, 1)
        assert await bench.status(ctx) == (0, 0, 0)

    run(scenario)


def test_log_interrupts_once_until_software_acknowledges():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        for _ in range(3):
            await bench.err(ctx, **ERROR)
        assert bench.rings == 1
        assert (await bench.get(ctx, "intcause"))["event_log"] == 1
        await bench.write(ctx, bench.offset("intcause"), 0x20, 4)
        # As the stock driver does: pending, then all of it, then the head.
        await bench.write(ctx, bench.offset("evlstatus") + 4, 0x4000_0000, 4)
        assert await bench.status(ctx) == (0, 3, 0)
        await bench.write(ctx, bench.offset("evlstatus"), 3, 4)
        assert await bench.status(ctx) == (3, 3, 0)
        await bench.err(ctx, **ERROR)
        assert bench.rings == 2
        assert (await bench.get(ctx, "intcause"))["event_log"] == 1
        # In one access of 8 bytes.
        await bench.write(ctx, bench.offset("evlstatus"), 1 << 62 | 4)
        assert await bench.status(ctx) == (4, 4, 0)
        await bench.write(ctx, bench.offset("evlstatus") + 4, 0, 4)
        assert await bench.status(ctx) == (4, 4, 0)

    run(scenario)


def test_log_does_not_interrupt_where_that_is_not_enabled():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, interrupts=3) == 0
        await bench.err(ctx, **ERROR)
        assert await bench.status(ctx) == (0, 1, 0)
        assert not any((await bench.get(ctx, "intcause")).values())
        assert bench.rings == 0
        await bench.put(ctx, "genctrl", event_log_interrupt=1)
        await bench.err(ctx, **ERROR)
        assert await bench.status(ctx) == (0, 2, 1)
        assert bench.rings == 1

    run(scenario)


@pytest.mark.parametrize("code", [SoftwareError.QUEUE_FULL, SoftwareError.ENABLE_CHANGED])
def test_some_errors_are_never_logged(code):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        await bench.err(ctx, code=code)
        assert (await bench.get(ctx, "swerror"))["code"] == code
        assert await bench.status(ctx) == (0, 0, 0)

    run(scenario)


def test_command_during_a_command_is_logged():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        ctx.set(bench.dut.queues.settled, 0)
        await bench.start(ctx, Command.DRAIN_ALL)
        await bench.start(ctx, Command.DRAIN_ALL)
        await ctx.tick().repeat(40)
        ctx.set(bench.dut.queues.settled, 1)
        assert await bench.finish(ctx) == (0, 0)
        entry = bench.entry(0)
        assert entry.pop("code") == SoftwareError.COMMAND_WHILE_ACTIVE
        assert not any(entry.values())
        assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario)


def test_without_the_log_errors_go_to_the_register():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, log=0) == 0
        await bench.err(ctx, **ERROR)
        error = await bench.get(ctx, "swerror")
        assert {name: error[name] for name in ERROR} == ERROR
        assert bench.memory == {}

    run(scenario)


def test_log_is_off_while_the_device_is_disabled():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        await bench.err(ctx, **ERROR)
        assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
        await bench.err(ctx, **ERROR)
        assert (await bench.get(ctx, "swerror"))["code"] == ERROR["code"]
        assert await bench.status(ctx) == (0, 1, 1)
        # Enabled anew, it starts anew.
        await bench.write(ctx, bench.offset("evlstatus"), 7, 4)
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        assert await bench.status(ctx) == (0, 0, 0)

    run(scenario)


def test_refused_enable_leaves_the_log_as_it_was():
    async def scenario(ctx, bench):
        await bench.write(ctx, bench.offset("evlstatus"), 7, 4)
        assert await bench.enable(ctx, size=63) == CommandError.EVENT_LOG
        assert await bench.status(ctx) == (7, 0, 0)

    run(scenario)


def test_enable_without_the_log_leaves_its_status():
    async def scenario(ctx, bench):
        await bench.write(ctx, bench.offset("evlstatus"), 7, 4)
        assert await bench.enable(ctx, log=0) == 0
        assert await bench.status(ctx) == (7, 0, 0)

    run(scenario)


@pytest.mark.parametrize(
    ("size", "base", "error"),
    [
        (0, LOG, CommandError.EVENT_LOG),
        (63, LOG, CommandError.EVENT_LOG),
        (64, LOG, 0),
        (0xFFFF, 0, 0),
        (64, (1 << 64) - 0x1000, 0),
        (65, (1 << 64) - 0x1000, CommandError.EVENT_LOG),
        (0xFFFF, (1 << 64) - 0x40_0000, 0),
        (0xFFFF, (1 << 64) - 0x3F_F000, CommandError.EVENT_LOG),
    ],
)
def test_log_that_does_not_fit_keeps_the_device_disabled(size, base, error):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, size=size, base=base) == error
        assert await bench.enable(ctx, size=size, base=base, log=0) in (
            0,
            CommandError.DEVICE_NOT_DISABLED,
        )

    run(scenario)


@pytest.mark.parametrize("code", [Command.DRAIN_ALL, Command.ABORT_ALL, Command.RESET_DEVICE])
def test_commands_that_wait_for_descriptors_wait_for_their_entries(code):
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        bench.answering = False
        await bench.err(ctx, **ERROR)
        await bench.start(ctx, code)
        await ctx.tick().repeat(100)
        assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.answering = True
        assert await bench.finish(ctx) == (0, 0)

    run(scenario)


def test_errors_wait_for_the_log_and_none_is_lost():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        bench.taking = False
        await bench.err(ctx, **ERROR | {"pasid": 1})
        port = bench.dut.i_engine_error
        ctx.set(port.payload, ERROR | {"pasid": 2})
        ctx.set(port.valid, 1)
        await ctx.tick().repeat(20)
        assert not ctx.get(port.ready)
        bench.taking = True
        await offer(ctx, port, ERROR | {"pasid": 2})
        await ctx.tick().repeat(40)
        assert [bench.entry(k)["pasid"] for k in range(2)] == [1, 2]

    run(scenario)


def test_reset_spares_the_status_of_the_log():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx) == 0
        await bench.err(ctx, **ERROR)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert await bench.status(ctx) == (0, 1, 1)
        assert not any((await bench.get(ctx, "evlcfg")).values())

    run(scenario)
