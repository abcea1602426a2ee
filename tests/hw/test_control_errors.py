"""Registers, the software error register, and the interrupt that announces it."""

from hw.regs.bar0 import EXTENSION_PAGE, PERFMON_PAGE
from hw.regs.capabilities import constants
from hw.regs.commands import Command, SoftwareError
from hw.regs.descriptor import Status

from .command_bench import CONFIG, run
from .streams import offer

SHARED = {}


async def err(ctx, bench, opcode):
    """Let an engine report an error."""
    error = {"code": Status.BAD_OPCODE, "descriptor_valid": 1, "opcode": opcode}
    await offer(ctx, bench.dut.i_engine_error, error)
    await ctx.tick().repeat(10)


def test_first_error_is_kept_and_later_ones_overflow():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await err(ctx, bench, 0x81)
        first = await bench.get(ctx, "swerror")
        assert (first["valid"], first["overflow"]) == (1, 0)
        assert (first["code"], first["opcode"]) == (Status.BAD_OPCODE, 0x81)
        await err(ctx, bench, 0x82)
        await err(ctx, bench, 0x83)
        assert await bench.get(ctx, "swerror") == first | {"overflow": 1}
        # Cleared together, as the driver does.
        await bench.write(ctx, bench.offset("swerror"), 3)
        after = await bench.get(ctx, "swerror")
        assert (after["valid"], after["overflow"]) == (0, 0)
        await err(ctx, bench, 0x84)
        after = await bench.get(ctx, "swerror")
        assert (after["valid"], after["overflow"], after["opcode"]) == (1, 0, 0x84)

    run(scenario)


def test_valid_and_overflow_are_cleared_one_by_one():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await err(ctx, bench, 0x81)
        await err(ctx, bench, 0x82)
        await bench.write(ctx, bench.offset("swerror"), 2, 1)
        error = await bench.get(ctx, "swerror")
        assert (error["valid"], error["overflow"]) == (1, 0)
        await bench.write(ctx, bench.offset("swerror"), 0)
        assert (await bench.get(ctx, "swerror"))["valid"] == 1
        await bench.write(ctx, bench.offset("swerror"), 1, 1)
        assert (await bench.get(ctx, "swerror"))["valid"] == 0

    run(scenario)


def test_error_rings_only_where_that_is_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await err(ctx, bench, 0x81)
        assert bench.rings == 0
        assert not any((await bench.get(ctx, "intcause")).values())
        await bench.write(ctx, bench.offset("swerror"), 3)
        await bench.write(ctx, bench.offset("genctrl"), 1, 4)
        await err(ctx, bench, 0x82)
        assert bench.rings == 1
        assert (await bench.get(ctx, "intcause"))["error"] == 1
        # An overflow is not a new error.
        await err(ctx, bench, 0x83)
        assert bench.rings == 1

    run(scenario)


def test_constants_are_what_the_parameters_say():
    async def scenario(ctx, bench):
        for name, value in constants(CONFIG).items():
            register = bench.space.register(name)
            for word in range(-(-register.width // 64)):
                place = register.offset + 8 * word
                await bench.write(ctx, place, (1 << 64) - 1)
                mask = (1 << min(64, register.width)) - 1
                assert await bench.read(ctx, place) & mask == value >> 64 * word & mask, name

    run(scenario)


def test_what_is_not_a_register_reads_as_zero():
    async def scenario(ctx, bench):
        for place in (0x08, 0x18, 0x28, 0x70, 0x78, 0xB8, 0xF8, 0x100, 0x180, 0x1F8):
            await bench.write(ctx, place, (1 << 64) - 1)
            assert await bench.read(ctx, place) == 0, hex(place)
        for place in (EXTENSION_PAGE + 0x800, PERFMON_PAGE, bench.offset("cmd")):
            assert await bench.read(ctx, place) == 0, hex(place)

    run(scenario)


def test_writable_bits_read_back():
    async def scenario(ctx, bench):
        for name, mask in (
            ("gencfg", 0x30FF),
            ("genctrl", 7),
            ("evlcfg", (1 << 100) - 1 & ~0xFFC),
            ("evlstatus", 0xFFFF),
        ):
            register = bench.space.register(name)
            for word in range(-(-register.width // 64)):
                size = min(8, register.size_bytes)
                place = register.offset + 8 * word
                await bench.write(ctx, place, (1 << 8 * size) - 1, size)
                assert await bench.read(ctx, place, size) == mask >> 64 * word & ((1 << 64) - 1)
        # Halves of EVLSTATUS can be written apart; the upper one has nothing to keep.
        await bench.write(ctx, bench.offset("evlstatus") + 4, 0x40000000, 4)
        assert await bench.read(ctx, bench.offset("evlstatus")) == 0xFFFF
        await bench.write(ctx, bench.offset("evlstatus"), 5, 4)
        assert await bench.read(ctx, bench.offset("evlstatus")) == 5

    run(scenario)


def test_general_configuration_is_locked_while_the_device_is_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for name in ("gencfg", "evlcfg"):
            before = await bench.get(ctx, name)
            await bench.write(ctx, bench.offset(name), (1 << 64) - 1)
            assert await bench.get(ctx, name) == before
        await bench.write(ctx, bench.offset("genctrl"), 1, 4)
        assert (await bench.get(ctx, "genctrl"))["error_interrupt"] == 1

    run(scenario)


def test_causes_pile_up_until_software_clears_each():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        await bench.write(ctx, bench.offset("genctrl"), 3, 4)
        await err(ctx, bench, 0x81)
        assert await bench.command(ctx, Command.DRAIN_ALL, interrupt=1) == (0, 0)
        await ctx.tick().repeat(10)
        assert bench.rings == 2
        cause = await bench.get(ctx, "intcause")
        assert (cause["error"], cause["command"]) == (1, 1)
        await bench.write(ctx, bench.offset("intcause"), 1, 4)
        cause = await bench.get(ctx, "intcause")
        assert (cause["error"], cause["command"]) == (0, 1)

    run(scenario)


def test_errors_of_two_sources_in_one_clock_are_both_noticed():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        bench.set_settings(ctx, pasid=0)
        await bench.start(ctx, Command.RESET_DEVICE)
        await bench.start(ctx, Command.DRAIN_ALL)
        assert await bench.finish(ctx) == (0, 0)
        error = await bench.get(ctx, "swerror")
        assert error["code"] == SoftwareError.ENABLE_CHANGED
        assert error["overflow"] == 1

    run(scenario)
