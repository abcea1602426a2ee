"""Configuration space of the model: register data, come alive."""

import pytest

from hw.regs import configspace
from hw.regs.bar2 import bar2_bytes
from hw.regs.config import Config
from hw.regs.schema import Access
from sim.model.config_space import ConfigSpace
from sim.model.tlp import Status, config_read, config_write

from .model_bench import SMALL, Bench

CONFIG = Config()
REGISTERS = configspace.config_space(CONFIG).registers


@pytest.mark.parametrize("register", REGISTERS, ids=lambda item: item.name)
def test_every_register_starts_and_writes_as_its_data_says(register):
    space = ConfigSpace(CONFIG)
    assert space.read(register.offset) == register.reset
    if register.name == "pm_control":
        return
    space.write(register.offset, 0xFFFF_FFFF)
    constant = register.reset & ~register.mask(Access.RW)
    assert space.read(register.offset) == constant | register.mask(Access.RW)
    space.write(register.offset, 0)
    assert space.read(register.offset) == constant


@pytest.mark.parametrize("register", REGISTERS, ids=lambda item: item.name)
def test_what_hardware_sets_is_cleared_by_writing_one(register):
    for field in register.fields:
        if field.access is Access.RW1C:
            space = ConfigSpace(CONFIG)
            space.set_field(register.name, field.name, (1 << field.width) - 1)
            space.write(register.offset, 0)
            assert space.field(register.name, field.name)
            space.write(register.offset, field.mask)
            assert not space.field(register.name, field.name)


@pytest.mark.parametrize("byte", range(4))
def test_byte_enables_select_bytes(byte):
    space = ConfigSpace(CONFIG)
    space.write(0x14, 0xFFFF_FFFF, 1 << byte)
    assert space.read(0x14) == 0xFF << 8 * byte


def test_what_is_not_there_reads_as_zero_and_ignores_writes():
    space = ConfigSpace(CONFIG)
    known = {item.offset for item in REGISTERS}
    for offset in range(0, configspace.BYTES, 4):
        if offset not in known:
            space.write(offset, 0xFFFF_FFFF)
            assert space.read(offset) == 0


@pytest.mark.parametrize(("offset", "size"), [(0x10, None), (0x18, bar2_bytes(CONFIG))])
def test_bars_are_sized_by_all_ones(offset, size):
    space = ConfigSpace(CONFIG)
    space.write(offset, 0xFFFF_FFFF)
    space.write(offset + 4, 0xFFFF_FFFF)
    value = space.read(offset) | space.read(offset + 4) << 32
    assert value & 0xF == 0xC
    found = (1 << 64) - (value & ~0xF)
    assert found & (found - 1) == 0
    assert found == (size or found) >= 0x1_0000


@pytest.mark.parametrize("offset", [0x20, 0x24, 0x30])
def test_other_bars_do_not_exist(offset):
    space = ConfigSpace(CONFIG)
    space.write(offset, 0xFFFF_FFFF)
    assert space.read(offset) == 0


def test_every_write_captures_the_routing_id():
    bench = Bench()
    bench.device.handle(config_write(0x3C, 0, destination=0x1238))
    (answer,) = bench.device.handle(config_read(0, destination=0x5550))
    assert answer.completer == 0x1238


@pytest.mark.parametrize("function", range(1, 8))
def test_other_functions_do_not_exist(function):
    bench = Bench()
    for request in (
        config_read(0, destination=0x0300 | function),
        config_write(4, 0, destination=0x0300 | function),
    ):
        (answer,) = bench.device.handle(request)
        assert answer.status is Status.UNSUPPORTED_REQUEST
    assert bench.config_read(4, 2) & 6 == 6


@pytest.mark.parametrize("state", [1, 2])
def test_power_states_that_do_not_exist_are_not_entered(state):
    space = ConfigSpace(CONFIG)
    for before in (0, 3):
        space.write(configspace.PM + 4, before)
        space.write(configspace.PM + 4, state)
        assert space.read(configspace.PM + 4) & 3 == before


def test_d3_stops_memory_space_and_bus_master():
    space = ConfigSpace(CONFIG)
    space.write(0x04, 6)
    assert space.settings.memory_space and space.settings.bus_master
    space.write(configspace.PM + 4, 3)
    assert not space.settings.memory_space and not space.settings.bus_master
    space.write(configspace.PM + 4, 0)
    assert space.settings.memory_space and space.settings.bus_master


@pytest.mark.parametrize(
    ("code", "payload", "read"),
    [(0, 128, 128), (1, 256, 256), (2, 512, 512), (3, 512, 1024), (5, 512, 4096), (7, 512, 4096)],
)
def test_sizes_are_decoded_and_bounded(code, payload, read):
    space = ConfigSpace(CONFIG)
    space.write(configspace.PCIE + 8, code << 5 | code << 12)
    assert space.settings.max_payload_bytes == payload
    assert space.settings.max_read_bytes == read


# Function Level Reset


def test_flr_answers_first_and_then_resets_all_that_is_not_sticky():
    bench = Bench()
    bench.enable(0)
    bench.ims(3)
    bench.msix(2)
    control = bench.config_read(configspace.PCIE + 8, 2)
    bench.config_write(configspace.PCIE + 8, control | 1 << 15, 2)
    for item in configspace.config_space(SMALL).registers:
        assert bench.device.space.read(item.offset) == item.reset, item.name
    bench.config_write(0x10, 0)
    bench.config_write(0x14, 0x80)
    bench.config_write(0x04, 6, 2)
    assert bench.get("gensts") == bench.get("gencfg") == bench.get("cmdstatus") == 0
    assert bench.ims_control(3) == 1
    assert bench.read(bench.space.table("msix").entry(2), 8) == 0
    assert bench.read(bench.space.table("msix").entry(2, "control")) == 1
    assert bench.read(bench.queue_offset(0, "size")) == 0


@pytest.mark.parametrize("name", ["aer_uncorrectable_mask", "aer_severity", "link_control_2"])
def test_sticky_registers_survive_flr(name):
    space = ConfigSpace(CONFIG)
    register = next(item for item in REGISTERS if item.name == name)
    space.write(register.offset, ~register.reset & 0xFFFF_FFFF)
    value = space.read(register.offset)
    assert value != register.reset
    space.reset()
    assert space.read(register.offset) == value
    space.reset(cold=True)
    assert space.read(register.offset) == register.reset


# Error log


@pytest.fixture
def space():
    return ConfigSpace(CONFIG)


@pytest.mark.parametrize("error", configspace.UNCORRECTABLE)
def test_error_sets_its_status_and_the_log(space, error):
    space.report(error, (1, 2, 3, 4), prefix=0x9100_0005)
    assert space.field("aer_uncorrectable", error) == 1
    assert space.field("aer_control", "first_error") == configspace.UNCORRECTABLE[error]
    assert [space.field(f"aer_header_{n}", "dw") for n in range(4)] == [1, 2, 3, 4]
    assert space.field("aer_prefix_0", "dw") == 0x9100_0005
    fatal = configspace.UNCORRECTABLE_FATAL >> configspace.UNCORRECTABLE[error] & 1
    severity = "fatal" if fatal else "non_fatal"
    assert space.field("device_control", f"{severity}_detected") == 1
    assert space.field("device_control", "correctable_detected") == 0


def test_only_the_first_error_is_logged_until_it_is_cleared(space):
    space.report("unsupported", (1, 1, 1))
    space.report("completer_abort", (2, 2, 2))
    assert space.field("aer_header_0", "dw") == 1
    assert space.field("aer_uncorrectable", "completer_abort") == 1
    space.write(configspace.AER + 4, 1 << configspace.UNCORRECTABLE["unsupported"])
    space.report("poisoned", (3, 3, 3))
    assert space.field("aer_header_0", "dw") == 3
    assert space.field("aer_header_3", "dw") == 0


def test_masked_error_has_a_status_and_no_log(space):
    space.write(configspace.AER + 8, 1 << configspace.UNCORRECTABLE["unsupported"])
    assert space.report("unsupported", (1, 1, 1)) is None
    assert space.field("aer_uncorrectable", "unsupported") == 1
    assert space.field("aer_header_0", "dw") == 0


def test_advisory_error_is_correctable_and_leaves_nothing_else_while_masked(space):
    space.report("unsupported", (1, 1, 1), advisory=True)
    assert space.field("aer_correctable", "advisory") == 1
    assert space.field("device_control", "correctable_detected") == 1
    assert space.field("device_control", "unsupported_detected") == 1
    assert space.field("device_control", "non_fatal_detected") == 0
    assert space.field("aer_uncorrectable", "unsupported") == 0
    space.write(configspace.AER + 0x14, 0)
    space.report("unsupported", (5, 5, 5), advisory=True)
    assert space.field("aer_uncorrectable", "unsupported") == 1
    assert space.field("aer_header_0", "dw") == 5


def test_fatal_severity_overrules_advisory(space):
    space.write(configspace.AER + 0xC, 1 << configspace.UNCORRECTABLE["unsupported"])
    space.report("unsupported", (1, 1, 1), advisory=True)
    assert space.field("device_control", "fatal_detected") == 1
    assert space.field("aer_correctable", "advisory") == 0


@pytest.mark.parametrize(
    ("enables", "error", "advisory", "severity"),
    [
        (0b1111, "unsupported", False, "non_fatal"),
        (0b0111, "unsupported", False, None),
        (0b1010, "completer_abort", False, "non_fatal"),
        (0b1101, "completer_abort", False, None),
        (0b0100, "malformed", False, "fatal"),
        (0b1011, "malformed", False, None),
        (0b1001, "unsupported", True, "correctable"),
        (0b1110, "unsupported", True, None),
    ],
)
def test_messages_are_sent_as_device_control_says(space, enables, error, advisory, severity):
    space.write(configspace.PCIE + 8, enables)
    space.write(configspace.AER + 0x14, 0)
    assert space.report(error, (1, 2, 3), advisory=advisory) == severity


def test_serr_enable_sends_and_says_so(space):
    space.write(0x04, 1 << 8)
    assert space.report("malformed", (1, 2, 3)) == "fatal"
    assert space.field("command", "signaled_error") == 1
