"""Commands while descriptors keep coming, with several engines (DSA §3.15).

When a command has ended, nothing it concerned writes or interrupts any more; a drain has lost
nothing, and an abort loses only what it concerned.
"""

from dataclasses import replace

import pytest

from hw.regs.commands import Command, DeviceState, QueueState

from .command_bench import CONFIG, Bench, Item
from .register_bench import pause

LOADED = replace(CONFIG, groups=3, engines=3)
GROUPS = (
    {"queues": 0b0001, "engines": 0b001},
    {"queues": 0b1110, "engines": 0b110},
)
PASIDS = (1, 2, 3)
ABORTS = (Command.ABORT_ALL, Command.ABORT_QUEUE, Command.ABORT_PASID, Command.RESET_QUEUE)
DRAINS = (Command.DRAIN_ALL, Command.DRAIN_QUEUE, Command.DRAIN_PASID, Command.DISABLE_QUEUE)
ALL = (1 << LOADED.queues) - 1


class Loaded(Bench):
    """A bench whose queues are offered descriptors all the time, unless ``quiet``."""

    def __init__(self, seed):
        super().__init__(LOADED, seed=seed)
        self.accepted: list[Item] = []
        self.quiet = False

    async def submitter(self, ctx):
        serial = 0
        while True:
            await pause(ctx, self.rng.randrange(12))
            if self.quiet:
                continue
            serial += 1
            item = Item(self.rng.randrange(LOADED.queues), self.rng.choice(PASIDS), serial)
            if await self.submit(ctx, item.queue, pasid=item.pasid, serial=serial):
                self.accepted.append(item)

    async def enable(self, ctx):
        for queue in range(LOADED.queues):
            await self.configure_queue(ctx, queue)
        for number, group in enumerate(GROUPS):
            await self.configure_group(ctx, number, **group)
        assert await self.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        for queue in range(LOADED.queues):
            assert await self.command(ctx, Command.ENABLE_QUEUE, queue) == (0, 0)

    async def bring_back(self, ctx):
        """Configure and enable queues that a command has left disabled."""
        for queue in range(LOADED.queues):
            if (await self.queue(ctx, queue, "status"))["state"] == QueueState.DISABLED:
                await self.configure_queue(ctx, queue)
                assert await self.command(ctx, Command.ENABLE_QUEUE, queue) == (0, 0)

    async def wait_for_load(self, ctx):
        """Until queues and engines have something to do."""
        goal = len(self.accepted) + 4
        while len(self.accepted) < goal or not all(self.held):
            await ctx.tick()


def concerned(code, operand, item):
    """Whether a command is about a descriptor."""
    if code in (Command.DRAIN_PASID, Command.ABORT_PASID):
        return item.pasid == operand
    if code in (Command.DRAIN_ALL, Command.ABORT_ALL, Command.RESET_DEVICE):
        return True
    return bool(operand >> item.queue & 1)


def operand_of(bench, code):
    if code in (Command.DRAIN_ALL, Command.ABORT_ALL):
        return 0
    if code in (Command.DRAIN_PASID, Command.ABORT_PASID):
        return bench.rng.choice(PASIDS)
    return bench.rng.randrange(1, ALL + 1)


async def give(ctx, bench, code, operand):
    """Run a command under load; returns what it concerned and what of that has had no effect."""
    await bench.wait_for_load(ctx)
    before = list(bench.accepted)
    assert await bench.command(ctx, code, operand) == (0, 0), (code, operand)
    effects = set(bench.effects)
    mine = [item for item in before if concerned(code, operand, item)]
    return mine, {item for item in mine if item not in effects}


@pytest.mark.parametrize("seed", [1, 2])
def test_commands_under_load_end_when_all_they_concern_is_over(seed):
    bench = Loaded(seed)

    async def scenario(ctx, bench):
        await bench.enable(ctx)
        gone, may_be_lost = set(), set()
        for code in bench.rng.sample([*ABORTS, *DRAINS], len(ABORTS + DRAINS)):
            operand = operand_of(bench, code)
            _, missing = await give(ctx, bench, code, operand)
            missing -= may_be_lost
            if code in DRAINS:
                assert not missing, (code, operand)
            else:
                gone |= missing
                await ctx.tick().repeat(100)
                may_be_lost |= {i for i in bench.accepted if concerned(code, operand, i)}
            await bench.bring_back(ctx)
        bench.quiet = True
        await ctx.tick().repeat(100)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        effects = set(bench.effects)
        assert len(effects) == len(bench.effects), "a descriptor was executed twice"
        assert gone, "the aborts found nothing to abort"
        assert not gone & effects
        assert not set(bench.accepted) - effects - may_be_lost

    bench.background.append(bench.submitter)
    bench.run(scenario)


@pytest.mark.parametrize("code", [Command.RESET_DEVICE, Command.DISABLE_DEVICE])
def test_device_that_is_reset_or_disabled_under_load_is_silent_after(code):
    bench = Loaded(3)

    async def scenario(ctx, bench):
        await bench.enable(ctx)
        await bench.wait_for_load(ctx)
        assert await bench.command(ctx, code) == (0, 0)
        assert (await bench.get(ctx, "gensts"))["state"] == DeviceState.DISABLED
        accepted, effects = len(bench.accepted), list(bench.effects)
        if code == Command.DISABLE_DEVICE:
            assert set(bench.accepted) == set(effects)
        assert not any(bench.held)
        await ctx.tick().repeat(500)
        assert bench.effects == effects
        assert len(bench.accepted) == accepted

    bench.background.append(bench.submitter)
    bench.run(scenario)


@pytest.mark.parametrize("code", [Command.DRAIN_QUEUE, Command.ABORT_QUEUE])
def test_command_does_not_wait_for_what_comes_later(code):
    bench = Loaded(4)

    async def scenario(ctx, bench):
        await bench.enable(ctx)
        for _ in range(2):
            # Ends although every queue is kept full all the time.
            await give(ctx, bench, code, ALL)

    bench.background.append(bench.submitter)
    bench.run(scenario)


def test_abort_of_a_pasid_spares_the_others_of_its_queue():
    bench = Loaded(5)

    async def scenario(ctx, bench):
        await bench.enable(ctx)
        bench.frozen = True
        for serial, pasid in enumerate((1, 2, 1, 2)):
            assert await bench.submit(ctx, 0, pasid=pasid, serial=serial) == 1
        await ctx.tick().repeat(200)
        await bench.start(ctx, Command.ABORT_PASID, 2)
        await ctx.tick().repeat(50)
        bench.frozen = False
        assert await bench.finish(ctx) == (0, 0)
        assert await bench.command(ctx, Command.DRAIN_ALL) == (0, 0)
        assert [item.serial for item in bench.effects] == [0, 2]

    bench.run(scenario)


def test_drain_waits_for_every_engine_that_has_work_of_the_queue():
    bench = Loaded(6)

    async def scenario(ctx, bench):
        await bench.enable(ctx)
        bench.frozen = True
        for serial in range(2):
            assert await bench.submit(ctx, 1, pasid=1, serial=serial) == 1
        await ctx.tick().repeat(200)
        assert [len(held) for held in bench.held] == [0, 1, 1]
        await bench.start(ctx, Command.DRAIN_QUEUE, 0b0010)
        for _ in range(20):
            assert (await bench.get(ctx, "cmdstatus"))["active"]
        bench.frozen = False
        assert await bench.finish(ctx) == (0, 0)
        assert {item.serial for item in bench.effects} == {0, 1}

    bench.run(scenario)
