"""Enable Queue: what it insists on (DSA §5.2, table 5-8)."""

import pytest

from hw.regs.commands import Command, CommandError, QueueState
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED

from .command_bench import CONFIG, run

SHARED: dict = {}


async def queue_state(ctx, bench, queue):
    return (await bench.queue(ctx, queue, "status"))["state"]


QUEUE_FAULTS = [
    ({"priority": 0}, CommandError.QUEUE_PRIORITY_ZERO),
    ({"block_on_fault": 1}, CommandError.QUEUE_BLOCK_ON_FAULT),
    ({"pasid_enable": 0}, CommandError.QUEUE_PASID),
    ({"max_batch_log2": 0}, CommandError.QUEUE_BATCH),
    ({"max_batch_log2": CONFIG.max_batch_log2 + 1}, CommandError.QUEUE_BATCH),
    ({"max_transfer_log2": CONFIG.max_transfer_log2 + 1}, CommandError.QUEUE_TRANSFER),
    ({"ats_disable": 1}, CommandError.QUEUE_ATS),
    ({"prs_disable": 1}, CommandError.QUEUE_PRS),
]
PASID_FAULTS = [
    ({}, {"pasid": 0}, CommandError.QUEUE_PASID),
    ({"dedicated": 1, "pasid_enable": 1}, {"pasid": 0}, CommandError.QUEUE_PASID),
    ({"dedicated": 1, "privileged": 1}, {"privileged": 0}, CommandError.QUEUE_PRIVILEGED),
]


def test_queue_with_a_fault_is_not_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        assert await bench.command(ctx, Command.DISABLE_QUEUE, 1) == (0, 0)
        for options, error in QUEUE_FAULTS:
            await bench.configure_queue(ctx, 0, **options)
            assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (error, 0), options
            assert await queue_state(ctx, bench, 0) == QueueState.DISABLED
        answer = await bench.command(ctx, Command.ENABLE_QUEUE, 1)
        assert answer == (CommandError.QUEUE_SIZE_ZERO, 0)
        await bench.configure_queue(ctx, 0)
        assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (0, 0)

    run(scenario)


@pytest.mark.parametrize(("options", "settings", "error"), PASID_FAULTS)
def test_queue_that_asks_for_more_than_the_function_may_is_not_enabled(options, settings, error):
    async def scenario(ctx, bench):
        bench.set_settings(ctx, **settings)
        await bench.configure_queue(ctx, 0, **options)
        await bench.configure_group(ctx, 0, queues=1, engines=1)
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (error, 0)
        assert await queue_state(ctx, bench, 0) == QueueState.DISABLED

    run(scenario)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"dedicated": 1, "pasid_enable": 0}, {"pasid": 0, "privileged": 0}),
        ({"dedicated": 1, "pasid_enable": 0, "privileged": 1}, {"privileged": 0}),
        ({"privileged": 1}, {"privileged": 0}),
        ({"max_transfer_log2": CONFIG.max_transfer_log2}, {}),
        ({"max_batch_log2": CONFIG.max_batch_log2, "priority": 15}, {}),
    ],
)
def test_sound_queue_is_enabled(options, settings):
    async def scenario(ctx, bench):
        bench.set_settings(ctx, **settings)
        await bench.bring_up(ctx, options)
        assert await queue_state(ctx, bench, 0) == QueueState.ENABLED

    run(scenario)


def test_operation_that_does_not_exist_keeps_the_queue_disabled():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        await bench.configure_group(ctx, 0, queues=1, engines=1)
        await bench.write(
            ctx,
            bench.space.table("wqcfg").entry(0, "operations"),
            OPERATIONS_IMPLEMENTED | 1 << 0x13,
        )
        assert await bench.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        answer = await bench.command(ctx, Command.ENABLE_QUEUE, 0)
        assert answer == (CommandError.QUEUE_OPERATIONS, 0)

    run(scenario)


def test_occupancy_interrupt_names_a_vector_that_exists():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for ims, handle, fine in (
            (0, 0, True),
            (0, CONFIG.msix_vectors - 1, True),
            (0, CONFIG.msix_vectors, False),
            (0, 0xFFFF, False),
            (1, CONFIG.ims_vectors - 1, True),
            (1, CONFIG.ims_vectors, False),
        ):
            if await queue_state(ctx, bench, 0) == QueueState.ENABLED:
                assert await bench.command(ctx, Command.DISABLE_QUEUE, 1) == (0, 0)
            await bench.configure_queue(ctx, 0, limit=2, handle=handle, ims=ims)
            # Whether it is enabled or not, as that can change any time.
            error = 0 if fine else CommandError.QUEUE_OCCUPANCY_HANDLE
            assert await bench.command(ctx, Command.ENABLE_QUEUE, 0) == (error, 0), (ims, handle)

    run(scenario)


def test_queue_of_a_disabled_device_is_not_enabled():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        answer = await bench.command(ctx, Command.ENABLE_QUEUE, 0)
        assert answer == (CommandError.DEVICE_NOT_ENABLED, 0)

    run(scenario)


def test_queue_that_does_not_exist_is_not_enabled():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        for queue in (CONFIG.queues, 63, 64, 255):
            answer = await bench.command(ctx, Command.ENABLE_QUEUE, queue)
            assert answer == (CommandError.INVALID_QUEUE, 0), queue

    run(scenario)


def test_enabled_queue_is_not_enabled_again():
    async def scenario(ctx, bench):
        await bench.bring_up(ctx, SHARED)
        answer = await bench.command(ctx, Command.ENABLE_QUEUE, 0)
        assert answer == (CommandError.QUEUE_NOT_DISABLED, 0)

    run(scenario)
