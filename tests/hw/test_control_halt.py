"""A device that is halted, what still works, and the way back (DSA §5.7)."""

import pytest

from hw.regs.commands import Command, CommandError, DeviceState, ResetType, SoftwareError

from .command_bench import run

CHANGES = [{"bus_master": 0}, {"pasid": 0}, {"privileged": 0}]


async def halt(ctx, bench, change):
    bench.set_settings(ctx, **change)
    await ctx.tick().repeat(10)
    status = await bench.get(ctx, "gensts")
    assert status == {"state": DeviceState.HALTED, "reset_type": ResetType.SOFTWARE}


@pytest.mark.parametrize("change", CHANGES)
def test_change_under_an_enabled_device_halts_it(change):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        await bench.put(ctx, "genctrl", halt_interrupt=1)
        await halt(ctx, bench, change)
        assert bench.rings == 1
        cause = await bench.get(ctx, "intcause")
        assert (cause["halt"], cause["error"]) == (1, 0)
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["code"]) == (1, SoftwareError.ENABLE_CHANGED)
        assert await bench.submit(ctx, 0) == 0

    run(scenario)


@pytest.mark.parametrize("change", CHANGES)
def test_change_under_a_disabled_device_is_nothing(change):
    async def scenario(ctx, bench):
        bench.set_settings(ctx, **change)
        await ctx.tick().repeat(10)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.DISABLED
        assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario)


def test_halt_rings_only_where_that_is_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        await halt(ctx, bench, {"bus_master": 0})
        assert bench.rings == 0
        assert not any((await bench.get(ctx, "intcause")).values())

    run(scenario)


def test_halted_device_takes_only_reset_device_which_brings_it_back():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        await halt(ctx, bench, {"bus_master": 0})
        for code in set(Command) - {Command.RESET_DEVICE}:
            assert await bench.command(ctx, code) == (CommandError.DEVICE_HALTED, 0), code
        bench.set_settings(ctx)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.HALTED
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.DISABLED
        await bench.bring_up(ctx, {})
        assert await bench.submit(ctx, 0, serial=7) == 1
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert [item.serial for item in bench.effects] == [7]

    run(scenario)


@pytest.mark.parametrize("frozen", [False, True])
def test_halt_drops_what_is_under_way(frozen):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        bench.frozen = True
        for serial in range(4):
            assert await bench.submit(ctx, 0, serial=serial) == 1
        await ctx.tick().repeat(100)
        await halt(ctx, bench, {"bus_master": 0})
        bench.frozen = frozen
        await ctx.tick().repeat(300)
        bench.frozen = False
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert bench.effects == []
        assert not any(bench.held)

    run(scenario)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Command.DRAIN_ALL, CommandError.HARDWARE),
        (Command.DISABLE_DEVICE, CommandError.HARDWARE),
        (Command.ABORT_ALL, 0),
    ],
)
def test_halt_during_a_command_lets_it_end(code, error):
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        bench.frozen = True
        assert await bench.submit(ctx, 0) == 1
        await ctx.tick().repeat(60)
        await bench.start(ctx, code)
        await ctx.tick().repeat(20)
        await halt(ctx, bench, {"pasid": 0})
        bench.frozen = False
        assert await bench.finish(ctx) == (error, 0)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.HALTED
        assert bench.effects == []

    run(scenario)


def test_change_during_reset_device_does_not_halt():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        bench.frozen = True
        assert await bench.submit(ctx, 0) == 1
        await ctx.tick().repeat(60)
        await bench.start(ctx, Command.RESET_DEVICE)
        await ctx.tick().repeat(20)
        bench.set_settings(ctx, bus_master=0)
        await ctx.tick().repeat(20)
        bench.frozen = False
        assert await bench.finish(ctx) == (0, 0)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.DISABLED
        assert not (await bench.get(ctx, "swerror"))["valid"]

    run(scenario)


def test_halt_is_announced_after_its_cause_and_state_can_be_read():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, {})
        await bench.put(ctx, "genctrl", halt_interrupt=1, error_interrupt=1)
        bench.set_settings(ctx, bus_master=0)
        while not bench.rings:
            await ctx.tick()
        cause = await bench.get(ctx, "intcause")
        assert cause["halt"] == 1
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.HALTED

    run(scenario)
