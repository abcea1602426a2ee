"""Commands, configuration, and what the device says when it is misused."""

import pytest

from driver import (
    CommandFailed,
    Device,
    DeviceHalted,
    DriverError,
    MemoryMove,
    Mode,
    Nop,
    QueueSettings,
    SettingsError,
    Timeouts,
    Transport,
)
from driver.queues import PORTAL_BAR
from driver.transport import Outcome
from hw.regs.bar0 import REGISTERS, bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, CommandError, DeviceState, QueueState
from hw.regs.configspace import PASID

from .registry import CONFIG, QUICK, SHARED, Bell, case, settle, started

CMD = next(register for register in REGISTERS if register.name == "cmd")


async def _fails(device: Device, error: CommandError, command: int, operand: int = 0) -> None:
    with pytest.raises(CommandFailed, match=error.name) as caught:
        await device.command(command, operand)
    assert caught.value.error == error, (command, operand)


@case
async def commands_are_refused_with_their_error_codes(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    await _fails(device, CommandError.INVALID_COMMAND, 0)
    await _fails(device, CommandError.INVALID_COMMAND, 31)
    await _fails(device, CommandError.DISABLE_NOT_ENABLED, Command.DISABLE_DEVICE)
    await _fails(device, CommandError.DEVICE_NOT_ENABLED, Command.ENABLE_QUEUE, 0)
    await device.start([SHARED])
    await _fails(device, CommandError.DEVICE_NOT_DISABLED, Command.ENABLE_DEVICE)
    await _fails(device, CommandError.INVALID_QUEUE, Command.ENABLE_QUEUE, CONFIG.queues)
    await _fails(device, CommandError.QUEUE_NOT_DISABLED, Command.ENABLE_QUEUE, 0)
    await _fails(device, CommandError.QUEUE_NOT_ENABLED, Command.DISABLE_QUEUE, 1 << 1)
    await _fails(device, CommandError.QUEUE_NOT_ENABLED, Command.DRAIN_QUEUE, 1 << 1)
    await _fails(device, CommandError.RESERVED_NOT_ZERO, Command.DRAIN_ALL, 1)
    await _fails(device, CommandError.RESERVED_NOT_ZERO, Command.ENABLE_QUEUE, 1 << 8)
    await _fails(device, CommandError.HANDLE_INDEX, Command.REQUEST_HANDLE, 0xFFFF | 1 << 16)
    await _fails(device, CommandError.HANDLE_INDEX, Command.REQUEST_HANDLE, CONFIG.msix_vectors)
    await device.close()
    assert not device.errors


@case
async def handles_are_table_indices(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    for index in (0, 1, CONFIG.ims_vectors - 1):
        operand = index | 1 << 16
        assert await device.command(Command.REQUEST_HANDLE, operand) == index
        await device.command(Command.RELEASE_HANDLE, operand)
    await device.close()


@case
async def only_configured_queues_are_enabled(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    with pytest.raises(SettingsError, match="nothing to enable"):
        await device.enable()
    await device.start([SHARED])
    await _fails(device, CommandError.QUEUE_SIZE_ZERO, Command.ENABLE_QUEUE, 1)
    assert await device.queues[1].state() is QueueState.DISABLED
    await device.close()


@case
async def settings_are_checked_before_the_hardware_sees_them(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    before = transport.requests
    slots, queues = CONFIG.queue_slots, CONFIG.queues
    for settings, words in (
        ([QueueSettings(size=0)], f"size is 1 to {slots}, not 0"),
        ([QueueSettings(size=slots), QueueSettings(size=1)], f"need {slots + 1} descriptors"),
        ([QueueSettings(size=8, priority=0)], "priority is 1 to 15, not 0"),
        ([QueueSettings(size=8, priority=16)], "priority is 1 to 15, not 16"),
        ([QueueSettings(size=8, threshold=9)], "threshold is 1 to 8, not 9"),
        ([QueueSettings(size=8, pasid=5)], "comes with each descriptor"),
        ([QueueSettings(size=8, mode=Mode.DEDICATED, threshold=2)], "has no threshold"),
        ([QueueSettings(size=8, mode=Mode.DEDICATED, pasid=1 << 20)], "PASID is 0 to 1048575"),
        ([QueueSettings(size=8, max_transfer_log2=22)], "max_transfer_log2 is 0 to 21, not 22"),
        ([QueueSettings(size=8, max_batch_log2=6)], "max_batch_log2 is 0 to 5, not 6"),
        ([QueueSettings(size=8, operations=1 << 200)], "are not implemented"),
        ([QueueSettings(size=1)] * (queues + 1), f"has {queues} queues, not {queues + 1}"),
    ):
        with pytest.raises(SettingsError) as caught:
            await device.start(settings)
        assert words in str(caught.value), caught.value
    with pytest.raises(SettingsError, match="queue 3 has no configuration"):
        await device.create_adi(device.queues[3])
    assert transport.requests == before, "something was written"
    await device.close()


@case
async def enabled_queue_keeps_its_configuration(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    with pytest.raises(DriverError) as caught:
        await queue.configure(QueueSettings(size=4, priority=3))
    assert "queue 0 did not take its" in str(caught.value)
    await (await adi.submit(Nop())).wait()
    await device.close()


@case
async def queue_is_disabled_reset_and_enabled_again(transport: Transport) -> None:
    device, (queue, other) = await started(transport, SHARED, SHARED)
    adi, neighbour = await device.create_adi(queue), await device.create_adi(other)
    await queue.drain()
    assert await queue.state() is QueueState.ENABLED
    await queue.disable()
    assert await queue.state() is QueueState.DISABLED
    await queue.enable()
    await (await adi.submit(Nop())).wait()
    await queue.reset()
    assert await queue.state() is QueueState.DISABLED
    await queue.configure(SHARED)
    await queue.enable()
    await (await adi.submit(Nop())).wait()
    await (await neighbour.submit(Nop())).wait()
    await device.close()


@case
async def device_is_disabled_and_enabled_again(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    operations = [await adi.submit(Nop()) for _ in range(4)]
    await device.disable()
    assert adi.bells == 4, "the device was disabled before the last bell"
    assert await device.state() is DeviceState.DISABLED
    assert await queue.state() is QueueState.DISABLED
    for operation in operations:
        await operation.wait()
    await device.start([SHARED])
    await (await adi.submit(Nop())).wait()
    await device.close()


@case
async def command_while_another_runs_is_reported(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    adi = await device.create_adi(queue)
    source, destination = adi.allocate(16384), adi.allocate(16384)
    move = MemoryMove(source.address, destination.address, 16384)
    operations = [await adi.submit(move) for _ in range(8)]
    draining = transport.start(adi.drain())
    await transport.sleep(50)
    word = CMD.pack(code=Command.DRAIN_ALL)
    await transport.write(0, CMD.offset, word.to_bytes(4, "little"))
    await draining.join()
    assert adi.bells == 8
    await reports.reach(1)
    assert device.errors[0].name == "COMMAND_WHILE_ACTIVE"
    for operation in operations:
        await operation.wait()
    await device.close()


@case
async def halt_is_reported_and_a_function_level_reset_ends_it(transport: Transport) -> None:
    """PASID Enable taken away under a running device (DSA §9.2.15, error 0x51)."""
    device, (queue,) = await started(transport)
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    adi = await device.create_adi(queue)
    await transport.config_write(PASID + 6, 0, 2)
    await reports.reach(1)
    assert device.halted and await device.state() is DeviceState.HALTED
    assert device.errors[0].name == "ENABLE_CHANGED" and device.errors[0].halted
    with pytest.raises(DeviceHalted, match="the device has halted"):
        await device.command(Command.DRAIN_ALL)
    with pytest.raises(DriverError):
        await (await adi.submit(Nop())).wait(1000)
    await device.close()
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    await (await adi.submit(Nop())).wait()
    await device.close()


@case
async def commands_from_many_tasks_take_turns(transport: Transport) -> None:
    device, queues = await started(transport, SHARED, SHARED)
    adis = [await device.create_adi(queues[number % 2]) for number in range(6)]
    tasks = [transport.start(adi.drain()) for adi in adis for _ in range(3)]
    for task in tasks:
        await task.join()
    await device.close()
    assert not device.errors


@case
async def timeouts_of_nothing_are_refused(transport: Transport) -> None:
    with pytest.raises(SettingsError) as caught:
        Timeouts(command=0)
    assert str(caught.value) == "the command timeout takes 1 clock or more"


@case
async def halves_of_two_entries_written_in_turn_do_not_mix(transport: Transport) -> None:
    """Two tenants' entries, a DW at a time: no write waits in a place that both share."""
    device = await Device.probe(transport, QUICK)
    table = bar0(CONFIG).table("ims")
    pasids = {20: 0x11111, 21: 0x22222}
    for offset in (0, 8, 12, 4):
        for index, pasid in pasids.items():
            word = {0: 0xFEE0_0000 | pasid & ~3, 4: 0, 8: ~pasid & 0xFFFF_FFFF}
            value = word.get(offset, pasid << 12 | 8 | 1)
            place = table.offset + 16 * index + offset
            await transport.write(0, place, value.to_bytes(4, "little"))
    for index, pasid in pasids.items():
        entry = await transport.read(0, table.offset + 16 * index, 16)
        words = [int.from_bytes(entry[at : at + 4], "little") for at in range(0, 16, 4)]
        address, data = 0xFEE0_0000 | pasid & ~3, ~pasid & 0xFFFF_FFFF
        assert words == [address, 0, data, pasid << 12 | 8 | 1], (index, words)
    await device.close()


@case
async def ignore_of_vector_0_silences_completions_but_no_command(transport: Transport) -> None:
    """What the driver is woken for shows in the requests that it makes to find the cause."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    permission = bar0(CONFIG).table("msixperm")
    nop = Nop().encode(pasid=adi.pasid, handle=0)
    for ignore in (1, 0):
        word = permission.registers[0].pack(ignore=ignore, pasid_enable=1, pasid=adi.pasid)
        await transport.write(0, permission.entry(0), word.to_bytes(4, "little"))
        await device.command(Command.DRAIN_ALL)
        await settle(transport)
        before = transport.requests
        place = portal(queue.index, Portal.LIMITED)
        assert await transport.deferrable_write(PORTAL_BAR, place, nop) is Outcome.ACCEPTED
        await settle(transport)
        assert (transport.requests == before + 1) == bool(ignore), "for a completion"
    assert not device.errors
    await device.close()
