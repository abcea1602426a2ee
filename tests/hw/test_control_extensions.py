"""Our own page, and causes that others ring."""

from hw.regs.commands import Command, SoftwareError

from .control_bench import run


def test_staged_submission_is_off_until_software_turns_it_on():
    async def scenario(ctx, bench):
        assert not ctx.get(bench.dut.staged)
        assert (await bench.get(ctx, "ext_features"))["staged_submission"] == 1
        await bench.put(ctx, "ext_control", staged_submission=1)
        assert ctx.get(bench.dut.staged)
        assert await bench.get(ctx, "ext_control") == {"staged_submission": 1}
        await bench.put(ctx, "ext_control")
        assert not ctx.get(bench.dut.staged)

    run(scenario)


def test_staged_submission_changes_while_the_device_is_enabled():
    async def scenario(ctx, bench):
        assert await bench.enable(ctx, log=0) == 0
        await bench.put(ctx, "ext_control", staged_submission=1)
        assert ctx.get(bench.dut.staged)
        assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
        assert ctx.get(bench.dut.staged)
        assert await bench.command(ctx, Command.RESET_DEVICE) == (0, 0)
        assert not ctx.get(bench.dut.staged)

    run(scenario)


def test_reserved_bits_of_the_switch_stay_0():
    async def scenario(ctx, bench):
        await bench.write(ctx, bench.offset("ext_control"), 0xFFFF_FFFF, 4)
        assert await bench.read(ctx, bench.offset("ext_control"), 4) == 1
        # Its neighbour in the same word of 8 bytes is none of it.
        await bench.write(ctx, bench.offset("ext_control") + 4, 0, 4)
        assert await bench.read(ctx, bench.offset("ext_control")) == 1

    run(scenario)


def test_occupancy_interrupt_of_vector_0_leaves_its_cause():
    async def scenario(ctx, bench):
        ctx.set(bench.dut.queues.below, 1)
        await ctx.tick()
        ctx.set(bench.dut.queues.below, 0)
        assert (await bench.get(ctx, "intcause"))["occupancy"] == 1
        await ctx.tick().repeat(10)
        assert bench.rings == 1
        await bench.write(ctx, bench.offset("intcause"), 4, 4)
        assert (await bench.get(ctx, "intcause"))["occupancy"] == 0

    run(scenario)


def test_error_of_a_member_says_which_of_its_batch_it_was():
    async def scenario(ctx, bench):
        error = {"code": 0x10, "descriptor_valid": 1, "batch": 1, "batch_index": 0xFEDC}
        await bench.err(ctx, **error)
        shown = await bench.get(ctx, "swerror")
        assert {name: shown[name] for name in error} == error
        assert shown["valid"]

    run(scenario)


def test_cause_is_there_before_its_vector_rings():
    async def scenario(ctx, bench):
        dut = bench.dut
        await bench.put(ctx, "genctrl", error_interrupt=1)
        bench.hold_rings = True
        await ctx.tick()
        await bench.err(ctx, code=SoftwareError.QUEUE_FULL)
        assert ctx.get(dut.o_event.valid)
        assert (await bench.get(ctx, "intcause"))["error"] == 1
        # A second cause before the vector is taken rings it once, not twice.
        assert await bench.command(ctx, Command.DRAIN_ALL, interrupt=1) == (0, 0)
        bench.hold_rings = False
        await ctx.tick().repeat(20)
        assert bench.rings == 1
        cause = await bench.get(ctx, "intcause")
        assert (cause["error"], cause["command"]) == (1, 1)

    run(scenario)
