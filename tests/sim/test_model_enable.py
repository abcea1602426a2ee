"""What keeps the model from being enabled (DSA §5.1, table 5-8)."""

import pytest

from hw.regs.bar0 import GROUP_CONFIG
from hw.regs.commands import Command, CommandError

from .model_bench import Bench

GROUP_FLAGS = {item.name: item for item in GROUP_CONFIG}["flags"]


@pytest.fixture
def bench():
    return Bench()


def test_enable_device_without_bus_master(bench):
    bench.config_write(0x04, 0x2, 2)
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.BUS_MASTER_DISABLED


def test_enable_device_with_too_many_slots(bench):
    bench.configure(0, size=16)
    bench.configure(1, size=17)
    bench.group(0b11)
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.TOTAL_SIZE
    bench.configure(1, size=16)
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.NONE


@pytest.mark.parametrize(
    ("sizes", "queues", "engines", "error"),
    [
        ([4], 1, 0, 0x15),
        ([0], 0, 1, 0x15),
        ([4, 4], 0b01, 1, 0x16),
        ([4, 0], 0b11, 1, 0x16),
        ([4, 4], 0b11, 1, 0),
        ([0, 0], 0, 0, 0),
    ],
)
def test_enable_device_with_groups(bench, sizes, queues, engines, error):
    for queue, size in enumerate(sizes):
        bench.configure(queue, size=size)
    bench.group(queues, engines)
    assert bench.command(Command.ENABLE_DEVICE)[0] == error


@pytest.mark.parametrize(
    "field", ["global_limit", "work_limit", "batch_limit", "read_bandwidth", "write_bandwidth"]
)
def test_enable_device_with_limits_that_it_does_not_have(bench, field):
    bench.configure(0)
    bench.group(1, flags=GROUP_FLAGS.pack(**{field: 1}))
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.READ_BUFFERS


TOTAL = 32
"""Read buffers of the device: as many as it has tags."""


def flags(reserved=0, allowed=0, **fields):
    """GRPCFG flags with traffic classes as the stock driver sets them."""
    return GROUP_FLAGS.pack(
        traffic_class_a=1, traffic_class_b=1, read_buffers_reserved=reserved,
        read_buffers_allowed=allowed, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (flags(), flags(), CommandError.NONE),
        (flags(allowed=TOTAL), flags(allowed=TOTAL), CommandError.NONE),
        (flags(allowed=TOTAL + 1), flags(), CommandError.READ_BUFFERS),
        (flags(allowed=4), flags(), CommandError.NONE),
        (flags(allowed=3), flags(), CommandError.READ_BUFFERS),
        (flags(8, 7), flags(), CommandError.READ_BUFFERS),
        (flags(8, 8), flags(), CommandError.NONE),
        (flags(0, 24), flags(8, 8), CommandError.NONE),
        (flags(0, 25), flags(8, 8), CommandError.READ_BUFFERS),
        (flags(16), flags(16), CommandError.NONE),
        (flags(16), flags(17), CommandError.READ_BUFFERS),
        (flags(), flags(0, 1), CommandError.NONE),  # no engines, so it does not matter
        (flags(), flags(0, 255), CommandError.NONE),
    ],
)
def test_read_buffers_of_groups_have_to_fit_together(bench, first, second, error):
    bench.configure(0)
    bench.group(1, flags=first)
    bench.group(0, 0, flags=second, group=1)
    assert bench.command(Command.ENABLE_DEVICE)[0] == error


def test_read_buffers_allowed_have_to_do_for_all_engines_of_the_group(bench):
    bench.configure(0)
    bench.group(1, 0b11, flags=flags(allowed=7))
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.READ_BUFFERS
    bench.group(1, 0b11, flags=flags(allowed=8))
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.NONE


@pytest.mark.parametrize(
    ("groups", "error"),
    [
        ([(0b01, 0b01), (0b10, 0b10)], CommandError.NONE),
        ([(0b11, 0b11), (0, 0)], CommandError.NONE),
        ([(0, 0), (0b11, 0b10)], CommandError.NONE),
        ([(0b11, 0b01), (0, 0b10)], CommandError.GROUP_INCOMPLETE),
        ([(0b01, 0b11), (0b10, 0)], CommandError.GROUP_INCOMPLETE),
        ([(0b11, 0b01), (0b10, 0b10)], CommandError.GROUP_QUEUES),
        ([(0b01, 0b01), (0, 0)], CommandError.GROUP_QUEUES),
        ([(0b01, 0b01), (0b110, 0b10)], CommandError.GROUP_QUEUES),
        ([(0b01, 0b01), (0b10, 0b11)], CommandError.GROUP_ENGINES),
    ],
)
def test_queues_and_engines_of_groups(bench, groups, error):
    bench.configure(0)
    bench.configure(1)
    for number, (queues, engines) in enumerate(groups):
        bench.group(queues, engines, group=number)
    assert bench.command(Command.ENABLE_DEVICE)[0] == error


@pytest.mark.parametrize(
    ("size", "base", "error"),
    [
        (64, 0x1000, CommandError.NONE),
        (65535, 0, CommandError.NONE),
        (63, 0x1000, CommandError.EVENT_LOG),
        (0, 0, CommandError.EVENT_LOG),
        (64, (1 << 64) - 0x1000, CommandError.NONE),
        (65, (1 << 64) - 0x1000, CommandError.EVENT_LOG),
    ],
)
def test_event_log_has_to_be_long_enough_and_inside_memory(bench, size, base, error):
    bench.configure(0)
    bench.group(1)
    bench.set("evlcfg", size=size, base=base >> 12)
    bench.set("gencfg", event_log=1)
    assert bench.command(Command.ENABLE_DEVICE)[0] == error


def test_event_log_that_is_off_need_not_fit(bench):
    bench.configure(0)
    bench.group(1)
    bench.set("evlcfg", size=1)
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.NONE


@pytest.mark.parametrize(
    ("pasid", "fields", "error"),
    [
        (False, {"pasid_enable": 1}, CommandError.PASID),
        (True, {"pasid_enable": 1}, CommandError.NONE),
        (True, {"pasid_enable": 1, "privileged": 1}, CommandError.PASID),
        (True, {"privileged": 1}, CommandError.PASID),
    ],
)
def test_enable_device_with_event_log_pasid(pasid, fields, error):
    bench = Bench(pasid=pasid)
    bench.set("evlcfg", **fields)
    assert bench.command(Command.ENABLE_DEVICE)[0] == error
