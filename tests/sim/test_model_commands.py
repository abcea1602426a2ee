"""Commands of the model: all but Enable Device, code by code (DSA §3.15, §5.2, §5.8.3)."""

import pytest

from hw.regs.commands import Command, CommandError, DeviceState, QueueState, SoftwareError
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED
from sim.model.tlp import Status

from .model_bench import Bench, descriptor

BITMAP_COMMANDS = (
    Command.DISABLE_QUEUE,
    Command.DRAIN_QUEUE,
    Command.ABORT_QUEUE,
    Command.RESET_QUEUE,
)
NO_OPERAND = range(1, 6)


@pytest.fixture
def bench():
    return Bench()


def enabled(*queues, **fields):
    bench = Bench()
    bench.enable(*(queues or (0,)), **fields)
    return bench


@pytest.mark.parametrize("code", [0, *range(15, 32)])
def test_command_that_does_not_exist(bench, code):
    assert bench.command(code) == (CommandError.INVALID_COMMAND, 0)


@pytest.mark.parametrize("code", NO_OPERAND)
def test_operand_where_there_is_none(bench, code):
    assert bench.command(code, 1) == (CommandError.RESERVED_NOT_ZERO, 0)


def test_reserved_bits_of_the_command(bench):
    bench.write(0xA0, Command.RESET_DEVICE << 20 | 1 << 25)
    bench.device.settle()
    assert bench.get("cmdstatus", "error") == CommandError.RESERVED_NOT_ZERO


def test_command_register_reads_as_zero(bench):
    bench.command(Command.RESET_DEVICE)
    assert bench.get("cmd") == 0


def test_enable_and_disable_device(bench):
    bench.configure(0)
    bench.group(1)
    assert bench.command(Command.ENABLE_DEVICE) == (0, 0)
    assert bench.get("gensts", "state") == DeviceState.ENABLED
    assert bench.command(Command.ENABLE_DEVICE)[0] == CommandError.DEVICE_NOT_DISABLED
    assert bench.command(Command.DISABLE_DEVICE) == (0, 0)
    assert bench.get("gensts", "state") == DeviceState.DISABLED


def test_enable_queue_before_the_device(bench):
    bench.configure(0)
    assert bench.command(Command.ENABLE_QUEUE, 0)[0] == CommandError.DEVICE_NOT_ENABLED


def test_enable_queue_that_does_not_exist():
    assert enabled().command(Command.ENABLE_QUEUE, 8)[0] == CommandError.INVALID_QUEUE


def test_enable_queue_with_reserved_operand_bits():
    assert enabled().command(Command.ENABLE_QUEUE, 0x100)[0] == CommandError.RESERVED_NOT_ZERO


def test_enable_queue_twice():
    assert enabled().command(Command.ENABLE_QUEUE, 0)[0] == CommandError.QUEUE_NOT_DISABLED


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"priority": 0}, CommandError.QUEUE_PRIORITY_ZERO),
        ({"block_on_fault": 1}, CommandError.QUEUE_BLOCK_ON_FAULT),
        ({"pasid_enable": 0}, CommandError.QUEUE_PASID),
        ({"max_batch_log2": 6}, CommandError.QUEUE_BATCH),
        ({"max_batch_log2": 0}, CommandError.QUEUE_BATCH),
        ({"max_transfer_log2": 22}, CommandError.QUEUE_TRANSFER),
        ({"max_transfer_log2": 31}, CommandError.QUEUE_TRANSFER),
        ({"dedicated": 1, "privileged": 1}, CommandError.QUEUE_PRIVILEGED),
        ({"ats_disable": 1}, CommandError.QUEUE_ATS),
        ({"prs_disable": 1}, CommandError.QUEUE_PRS),
        ({"handle": 8}, CommandError.QUEUE_OCCUPANCY_HANDLE),
        ({"handle": 256, "ims": 1}, CommandError.QUEUE_OCCUPANCY_HANDLE),
        ({"handle": 255, "ims": 1, "enable": 1}, CommandError.NONE),
        ({"privileged": 1}, CommandError.NONE),
        ({"dedicated": 1, "pasid_enable": 0, "privileged": 1}, CommandError.NONE),
        ({"max_batch_log2": 5, "max_transfer_log2": 21}, CommandError.NONE),
    ],
)
def test_enable_queue_checks(fields, error):
    bench = enabled()
    bench.command(Command.DISABLE_QUEUE, 1)
    bench.configure(0, **fields)
    assert bench.command(Command.ENABLE_QUEUE, 0)[0] == error
    state = QueueState.DISABLED if error else QueueState.ENABLED
    assert bench.queue_field(0, "status", "state") == state


def test_enable_queue_of_size_zero():
    assert enabled().command(Command.ENABLE_QUEUE, 1)[0] == CommandError.QUEUE_SIZE_ZERO


def test_enable_queue_with_pasid_while_the_capability_is_off():
    bench = Bench(pasid=False)
    bench.configure(0, dedicated=1)
    bench.group(1)
    bench.command(Command.ENABLE_DEVICE)
    assert bench.command(Command.ENABLE_QUEUE, 0)[0] == CommandError.QUEUE_PASID


def test_enable_queue_with_operations_that_do_not_exist():
    bench = enabled()
    bench.command(Command.DISABLE_QUEUE, 1)
    bench.write(bench.queue_offset(0, "operations"), 1 << 10, 8)
    assert bench.command(Command.ENABLE_QUEUE, 0)[0] == CommandError.QUEUE_OPERATIONS


def test_disable_device_that_is_not_enabled(bench):
    assert bench.command(Command.DISABLE_DEVICE)[0] == CommandError.DISABLE_NOT_ENABLED


@pytest.mark.parametrize("code", BITMAP_COMMANDS)
@pytest.mark.parametrize("operand", [0x0100, 0x8000, 0x1_0001, 0xF_0001])
def test_bitmap_that_names_a_queue_that_does_not_exist(code, operand):
    assert enabled().command(code, operand)[0] == CommandError.INVALID_QUEUE


@pytest.mark.parametrize("code", BITMAP_COMMANDS[:3])
def test_bitmap_with_a_queue_that_is_not_enabled(code):
    bench = enabled(0, 1)
    bench.command(Command.DISABLE_QUEUE, 2)
    assert bench.command(code, 0b11)[0] == CommandError.QUEUE_NOT_ENABLED
    assert bench.queue_field(0, "status", "state") == QueueState.ENABLED


def test_reset_queue_accepts_disabled_queues_and_keeps_the_size():
    bench = enabled(0, 1)
    bench.command(Command.DISABLE_QUEUE, 2)
    bench.write(bench.queue_offset(1, "operations"), 1, 8)
    assert bench.command(Command.RESET_QUEUE, 0b11) == (0, 0)
    for queue in (0, 1):
        assert bench.queue_field(queue, "status", "state") == QueueState.DISABLED
        assert bench.read(bench.queue_offset(queue, "size")) == 4
        for name in ("threshold", "mode", "limits", "occupancy_handle", "occupancy_limit"):
            assert bench.read(bench.queue_offset(queue, name)) == 0
        assert bench.read(bench.queue_offset(queue, "operations"), 8) == OPERATIONS_IMPLEMENTED


@pytest.mark.parametrize("code", [*NO_OPERAND[2:4], 11, 12])
def test_commands_without_error_codes_succeed_on_a_disabled_device(bench, code):
    assert bench.command(code) == (0, 0)


# Handles


@pytest.mark.parametrize("ims", [0, 1])
@pytest.mark.parametrize("index", [1, 7])
def test_request_handle_returns_the_index(bench, ims, index):
    assert bench.command(Command.REQUEST_HANDLE, ims << 16 | index) == (0, index)
    assert bench.command(Command.REQUEST_HANDLE, ims << 16 | index) == (0, index)
    assert bench.command(Command.RELEASE_HANDLE, ims << 16 | index) == (0, 0)


@pytest.mark.parametrize("operand", [8, 0xFFFF, 1 << 16 | 256, 1 << 16 | 0xFFFF, 0])
@pytest.mark.parametrize("code", [Command.REQUEST_HANDLE, Command.RELEASE_HANDLE])
def test_handle_of_an_entry_that_is_none(bench, code, operand):
    assert bench.command(code, operand) == (CommandError.HANDLE_INDEX, 0)


def test_release_of_a_handle_that_was_not_requested(bench):
    assert bench.command(Command.RELEASE_HANDLE, 1 << 16 | 9)[0] == CommandError.HANDLE_INDEX


@pytest.mark.parametrize("code", [Command.REQUEST_HANDLE, Command.RELEASE_HANDLE])
def test_reserved_bits_of_a_handle_operand(bench, code):
    assert bench.command(code, 1 << 17 | 1)[0] == CommandError.RESERVED_NOT_ZERO


# Completion


def test_interrupt_follows_a_final_status(bench):
    message = bench.msix(0)
    bench.command(Command.RESET_DEVICE, interrupt=True)
    assert bench.memory.messages == [message]
    assert bench.get("intcause", "command") == 1
    bench.set("intcause", command=1)
    assert bench.get("intcause") == 0


def test_no_interrupt_unless_asked_for(bench):
    bench.msix(0)
    bench.command(Command.RESET_DEVICE)
    assert bench.memory.messages == []
    assert bench.get("intcause") == 0


def test_interrupt_of_a_failed_command(bench):
    message = bench.msix(0)
    assert bench.command(31, interrupt=True)[0] == CommandError.INVALID_COMMAND
    assert bench.memory.messages == [message]


def test_status_is_active_until_the_command_is_done(bench):
    bench.command(Command.RESET_DEVICE, settle=False)
    assert bench.get("cmdstatus", "active") == 1
    bench.device.step("command")
    assert bench.get("cmdstatus") == 0


def test_command_while_one_is_active_is_an_error(bench):
    bench.command(Command.RESET_DEVICE, settle=False)
    bench.command(31, settle=False)
    bench.device.settle()
    assert bench.get("cmdstatus") == 0
    assert bench.get("swerror", "code") == SoftwareError.COMMAND_WHILE_ACTIVE
    assert bench.get("swerror", "queue_valid") == bench.get("swerror", "descriptor_valid") == 0


# Waiting


def busy(*pasids, **fields):
    """A bench whose queue 0 holds descriptors, the first of them begun."""
    bench = enabled(**fields)
    for number, pasid in enumerate(pasids):
        data = descriptor(pasid=pasid, completion_address=0x1000 + 0x20 * number)
        assert bench.submit(0, data) is Status.SUCCESS
    bench.device.step("engine")
    return bench


def recorded(bench):
    return [address for _, address, _ in bench.memory.writes]


@pytest.mark.parametrize(
    ("code", "operand"),
    [
        (Command.DRAIN_ALL, 0),
        (Command.DRAIN_QUEUE, 1),
        (Command.DRAIN_PASID, 5),
        (Command.DISABLE_QUEUE, 1),
        (Command.DISABLE_DEVICE, 0),
    ],
)
def test_drain_completes_only_after_the_last_record(code, operand):
    bench = busy(5, 5, 5)
    bench.command(code, operand, settle=False)
    while bench.get("cmdstatus", "active"):
        assert bench.device.step()
    assert recorded(bench) == [0x1000, 0x1020, 0x1040]
    assert bench.device.idle


@pytest.mark.parametrize(
    ("code", "operand"),
    [
        (Command.ABORT_ALL, 0),
        (Command.ABORT_QUEUE, 1),
        (Command.ABORT_PASID, 5),
        (Command.RESET_QUEUE, 1),
        (Command.RESET_DEVICE, 0),
    ],
)
def test_nothing_is_written_after_an_abort(code, operand):
    bench = busy(5, 5, 5)
    bench.command(code, operand, settle=False)
    while bench.get("cmdstatus", "active"):
        assert bench.device.step("command")
    written = recorded(bench)
    bench.device.settle()
    assert recorded(bench) == written
    assert bench.queue_field(0, "status", "occupancy") == 0


@pytest.mark.parametrize("code", [Command.DRAIN_PASID, Command.ABORT_PASID])
def test_other_pasids_are_not_affected(code):
    bench = busy(5, 6, 5, 6)
    bench.command(code, 5)
    bench.device.settle()
    assert {0x1020, 0x1060} <= set(recorded(bench))
    if code is Command.ABORT_PASID:
        assert 0x1040 not in recorded(bench)


def test_drain_all_does_not_wait_for_what_comes_later():
    bench = busy(5)
    bench.command(Command.DRAIN_ALL, settle=False)
    bench.device.step("command")
    bench.submit(0, descriptor(pasid=5, completion_address=0x2000))
    while bench.get("cmdstatus", "active"):
        bench.device.step()
    assert recorded(bench) == [0x1000]


@pytest.mark.parametrize("code", [Command.DISABLE_QUEUE, Command.DISABLE_DEVICE])
def test_queue_is_busy_and_accepts_nothing_while_it_is_disabled(code):
    bench = busy(5, 5)
    bench.command(code, 1 if code is Command.DISABLE_QUEUE else 0, settle=False)
    bench.device.step("command")
    assert bench.queue_field(0, "status", "state") == QueueState.BUSY
    assert bench.submit(0, descriptor(pasid=5)) is Status.REQUEST_RETRY
    bench.device.settle()
    assert bench.queue_field(0, "status", "state") == QueueState.DISABLED


# Reset


def test_reset_device_clears_and_spares_what_the_specification_says():
    bench = enabled()
    bench.msix(3)
    bench.ims(7, pasid=5)
    bench.set("genctrl", error_interrupt=1)
    bench.set("cmd", code=Command.DRAIN_ALL)
    bench.set("cmd", code=Command.DRAIN_ALL)
    bench.device.settle()
    assert bench.get("intcause") == 1
    bench.set("evlcfg", size=64)
    assert bench.command(Command.RESET_DEVICE) == (0, 0)
    for name in ("gencfg", "genctrl", "gensts", "intcause", "evlcfg", "cmdstatus"):
        assert bench.get(name) == 0, name
    assert bench.get("swerror", "valid") == 1
    assert bench.read(bench.queue_offset(0, "size")) == 0
    assert bench.read(bench.space.table("grpcfg").entry(0), 8) == 0
    assert bench.read(bench.space.table("msixperm").entry(3)) == 0
    assert bench.read(bench.space.table("msix").entry(3), 8) == 0xFEE1_000C
    assert bench.ims_control(7) == 1
    assert bench.read(bench.space.table("ims").entry(7), 8) == 0xFEE0_0000
    assert bench.command(Command.RELEASE_HANDLE, 1 << 16 | 7)[0] == CommandError.HANDLE_INDEX


# Halt


@pytest.mark.parametrize(("offset", "value"), [(0x04, 0x2), (0x186, 0), (0x186, 5)])
def test_change_of_configuration_while_enabled_halts_the_device(offset, value):
    bench = busy(5, 5)
    bench.msix(0)
    bench.set("genctrl", halt_interrupt=1)
    bench.config_write(offset, value, 2)
    assert bench.get("gensts", "state") == DeviceState.HALTED
    assert bench.get("swerror", "code") == SoftwareError.ENABLE_CHANGED
    assert bench.get("intcause", "halt") == 1
    assert bench.submit(0, descriptor(pasid=5)) is Status.REQUEST_RETRY
    bench.device.settle()
    assert recorded(bench) == []
    assert bench.command(Command.DRAIN_ALL)[0] == CommandError.DEVICE_HALTED
    assert bench.command(Command.RESET_DEVICE) == (0, 0)
    assert bench.get("gensts", "state") == DeviceState.DISABLED


def test_drain_under_way_ends_when_the_device_halts():
    bench = busy(5, 5)
    bench.command(Command.DRAIN_ALL, settle=False)
    bench.device.step("command")
    bench.config_write(0x04, 0x2, 2)
    bench.device.settle()
    assert bench.get("cmdstatus") == CommandError.HARDWARE


# Locked registers


def test_configuration_of_the_device_is_locked_unless_it_is_disabled():
    bench = enabled()
    before = bench.get("gencfg"), bench.get("evlcfg"), bench.read(0x80, 16)
    groups = bench.space.table("grpcfg").entry(0)
    members = bench.read(groups, 8)
    bench.set("gencfg", read_buffer_limit=9)
    bench.set("evlcfg", size=77)
    bench.group(0b11)
    assert (bench.get("gencfg"), bench.get("evlcfg"), bench.read(0x80, 16)) == before
    assert bench.read(groups, 8) == members
    bench.command(Command.DISABLE_DEVICE)
    bench.set("gencfg", read_buffer_limit=9)
    bench.set("evlcfg", size=77)
    bench.group(0b11)
    assert bench.get("gencfg") == 9
    assert bench.get("evlcfg", "size") == 77
    assert bench.read(groups, 8) == 0b11
