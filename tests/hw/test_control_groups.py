"""What groups may be when the device is enabled (DSA table 5-8, §9.2.23)."""

from dataclasses import replace

import pytest

from hw.regs.commands import Command, CommandError, DeviceState

from .command_bench import CONFIG, run

GROUPS = replace(CONFIG, queues=3, groups=4, engines=4, tags=64)
SOUND = (
    {"queues": 0b001, "engines": 0b0001},
    {"queues": 0b110, "engines": 0b0110},
)


async def refused(ctx, bench, *groups):
    """Write all groups, then try; returns the error."""
    for number in range(GROUPS.groups):
        await bench.configure_group(ctx, number, **(groups[number] if number < len(groups) else {}))
    error, result = await bench.command(ctx, Command.ENABLE_DEVICE)
    assert result == 0
    state = (await bench.get(ctx, "gensts"))["state"]
    assert state == (DeviceState.DISABLED if error else DeviceState.ENABLED)
    if not error:
        assert await bench.command(ctx, Command.DISABLE_DEVICE) == (0, 0)
    return error


def check(*cases):
    async def scenario(ctx, bench):
        for queue in range(GROUPS.queues):
            await bench.configure_queue(ctx, queue)
        for groups, error in cases:
            assert await refused(ctx, bench, *groups) == error, groups

    run(scenario, config=GROUPS)


def test_sound_groups_are_accepted():
    check(
        (SOUND, 0),
        (({}, {}, {}, {"queues": 0b111, "engines": 0b1000}), 0),
        (({}, *SOUND), 0),
        (({"queues": 0b111, "engines": 0b1111},), 0),
    )


@pytest.mark.parametrize("group", range(GROUPS.groups))
def test_group_with_only_queues_or_only_engines_is_refused(group):
    empty = [{}] * group
    check(
        ((*empty, {"queues": 0b111}), CommandError.GROUP_INCOMPLETE),
        ((*empty, {"engines": 0b1}), CommandError.GROUP_INCOMPLETE),
        ((*empty, {"queues": 0b111, "engines": 0b1}), 0),
    )


def test_queue_in_no_group_or_in_two_is_refused():
    first, second = SOUND
    check(
        ((first, second | {"queues": 0b100}), CommandError.GROUP_QUEUES),
        ((first, second | {"queues": 0b111}), CommandError.GROUP_QUEUES),
        ((first, {}, {}, second | {"queues": 0b011}), CommandError.GROUP_QUEUES),
        ((first, second), 0),
    )


def test_queue_without_slots_in_a_group_is_refused():
    async def scenario(ctx, bench):
        await bench.configure_queue(ctx, 0)
        await bench.configure_queue(ctx, 2)
        first, second = SOUND
        assert await refused(ctx, bench, first, second) == CommandError.GROUP_QUEUES
        assert await refused(ctx, bench, first, second | {"queues": 0b100}) == 0

    run(scenario, config=GROUPS)


def test_engine_in_two_groups_is_refused():
    first, second = SOUND
    check(
        ((first, second | {"engines": 0b0011}), CommandError.GROUP_ENGINES),
        ((first, {}, {}, second | {"engines": 0b1111}), CommandError.GROUP_ENGINES),
        ((first, {}, {}, second | {"engines": 0b1110}), 0),
    )


def test_read_buffers_beyond_those_there_are_refused():
    first, second = SOUND
    buffers = CommandError.READ_BUFFERS
    check(
        ((first | {"read_buffers_reserved": 64}, second), 0),
        ((first | {"read_buffers_reserved": 65}, second), buffers),
        ((first | {"read_buffers_reserved": 40}, second | {"read_buffers_reserved": 25}), buffers),
        # Reserved by a group without engines they are reserved all the same.
        ((*SOUND, {}, {"read_buffers_reserved": 65}), buffers),
        ((first | {"read_buffers_allowed": 64}, second | {"read_buffers_allowed": 64}), 0),
        ((first | {"read_buffers_allowed": 65}, second), buffers),
        # What another group has reserved is not for this one.
        ((first | {"read_buffers_allowed": 56}, second | {"read_buffers_reserved": 8}), 0),
        ((first | {"read_buffers_allowed": 57}, second | {"read_buffers_reserved": 8}), buffers),
        ((*SOUND, {"read_buffers_allowed": 64}), 0),
        ((*SOUND, {"read_buffers_allowed": 65}), buffers),
    )


def test_read_buffers_too_few_for_a_group_are_refused():
    first, second = SOUND
    buffers = CommandError.READ_BUFFERS
    check(
        ((first | {"read_buffers_allowed": 3}, second), buffers),
        ((first | {"read_buffers_allowed": 4}, second), 0),
        ((first, second | {"read_buffers_allowed": 7}), buffers),
        ((first, second | {"read_buffers_allowed": 8}), 0),
        ((first | {"read_buffers_allowed": 9, "read_buffers_reserved": 10}, second), buffers),
        ((first | {"read_buffers_allowed": 10, "read_buffers_reserved": 10}, second), 0),
    )


@pytest.mark.parametrize(
    "name", ["global_limit", "work_limit", "batch_limit", "read_bandwidth", "write_bandwidth"]
)
def test_limits_that_the_device_lacks_are_refused_in_every_group(name):
    cases = []
    for number in range(GROUPS.groups):
        groups = [*SOUND, {}, {}]
        groups[number] = groups[number] | {name: 1}
        cases.append((groups, CommandError.READ_BUFFERS))
    check(*cases)


def test_first_fault_in_order_of_codes_is_reported():
    first, second = SOUND
    check(
        (
            (first | {"work_limit": 1}, second | {"queues": 0b001, "engines": 1}),
            CommandError.GROUP_QUEUES,
        ),
        ((first | {"work_limit": 1}, second | {"engines": 1}), CommandError.GROUP_ENGINES),
        ((first | {"queues": 0}, second | {"engines": 1}), CommandError.GROUP_INCOMPLETE),
    )
