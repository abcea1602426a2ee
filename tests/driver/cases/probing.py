"""Probe, close, reset."""

import contextlib

import pytest

from driver import Device, DriverError, MemoryMove, Nop, ProbeError, Transport
from hw.regs.bar0 import bar0
from hw.regs.commands import Command, DeviceState
from hw.regs.configspace import MSIX, PASID

from .registry import CONFIG, QUICK, SHARED, Bell, case, fire, pattern, settle, started

COMMAND = 0x04
BUS_MASTER = 4


async def _works(transport: Transport) -> None:
    """Probe, move bytes, close."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    source, destination = adi.allocate(100), adi.allocate(100)
    source.write(pattern(100, 1))
    operation = await adi.submit(MemoryMove(source.address, destination.address, 100))
    await operation.wait()
    assert destination.read() == pattern(100, 1)
    await device.close()


@case
async def probe_reads_what_the_device_is(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    found = device.capabilities
    assert found.version == (2, 0)
    assert (found.ims_vectors, found.msix_vectors) == (CONFIG.ims_vectors, CONFIG.msix_vectors)
    assert (found.queues, found.queue_slots) == (CONFIG.queues, CONFIG.queue_slots)
    assert found.window == CONFIG.message_window
    assert await device.state() is DeviceState.DISABLED
    await device.close()


@case
async def probe_refuses_a_function_that_lost_its_bar(transport: Transport) -> None:
    """A BAR that is taken away between enumeration and probe reads as all ones."""
    saved = await transport.config_read(0x14, 4)
    await transport.config_write(0x14, saved ^ 0x8000, 4)
    with pytest.raises(ProbeError) as caught:
        await Device.probe(transport, QUICK)
    assert "does not answer memory reads" in str(caught.value)
    await transport.config_write(0x14, saved, 4)
    await _works(transport)


@case
async def close_leaves_a_quiet_device(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    bell = Bell(transport)
    adi = await device.create_adi(queue)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    await fire(transport, queue, adi.pasid, vector)
    await bell.reach(1)
    await device.close()
    assert not await transport.config_read(COMMAND, 2) & BUS_MASTER
    assert not await transport.config_read(MSIX + 2, 2) & 0x8000
    assert not await transport.config_read(PASID + 6, 2)
    await _works(transport)


@case
async def close_lets_submitted_work_complete(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    operations = [await adi.submit(Nop()) for _ in range(6)]
    await device.close()
    for operation in operations:
        assert (await operation.wait()).succeeded
    assert adi.bells == 6


@case
async def close_twice_is_close_once(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    await device.close()
    before = transport.requests
    await device.close()
    assert transport.requests == before


@case
async def probe_cleans_up_after_a_driver_that_vanished(transport: Transport) -> None:
    """Whatever the previous driver left armed and enabled, the next one starts from scratch."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    await (await adi.submit(Nop())).wait()
    again = await Device.probe(transport, QUICK)
    assert await again.state() is DeviceState.DISABLED
    await again.close()
    await device.function_level_reset()
    await _works(transport)


@case
async def function_level_reset_forgets_everything(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    source, destination = adi.allocate(4096), adi.allocate(4096)
    for _ in range(8):
        await adi.submit(MemoryMove(source.address, destination.address, 4096))
    await device.function_level_reset()
    bells = adi.bells
    await settle(transport)
    assert adi.bells == bells, "an interrupt left the device after its reset"
    assert not await transport.config_read(COMMAND, 2) & BUS_MASTER
    await _works(transport)


@case
async def reset_device_is_survived_by_the_driver(transport: Transport) -> None:
    device, _ = await started(transport)
    await device.command(Command.RESET_DEVICE)
    assert await device.state() is DeviceState.DISABLED
    await device.close()
    await _works(transport)


@case
async def nothing_leaves_while_bus_master_is_off(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    await (await adi.submit(Nop())).wait()
    command = await transport.config_read(COMMAND, 2)
    await transport.config_write(COMMAND, command & ~BUS_MASTER, 2)
    with contextlib.suppress(DriverError):
        await adi.submit(Nop())
    await settle(transport)
    assert adi.bells == 1, "an interrupt left the device without Bus Master"
    await device.function_level_reset()
    await settle(transport)
    assert adi.bells == 1
    await _works(transport)


@case
async def bus_master_off_and_on_while_disabled_changes_nothing(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    command = await transport.config_read(COMMAND, 2)
    await transport.config_write(COMMAND, command & ~BUS_MASTER, 2)
    await transport.config_write(COMMAND, command, 2)
    (queue,) = await device.start([SHARED])
    adi = await device.create_adi(queue)
    await (await adi.submit(Nop())).wait()
    await device.close()


@case
async def registers_are_reached_by_up_to_64_bytes_at_any_address(transport: Transport) -> None:
    """Written and read across entries of the MSI-X table, of which only some bits exist."""
    device = await Device.probe(transport, QUICK)
    table = bar0(CONFIG).table("msix")
    exists = bytes([0xFC, *[0xFF] * 11, 1, 0, 0, 0])
    start, size = table.entry(2), 7 * table.stride
    expected = bytearray(size)

    async def contents() -> bytes:
        return b"".join([await transport.read(0, start + k, 8) for k in range(0, size, 8)])

    expected[:] = await contents()
    for skew in range(9):
        for length in (64, 63, 61, 5, 1):
            data = pattern(length, skew + length)
            await transport.write(0, start + skew, data)
            for place, byte in enumerate(data, skew):
                expected[place] = byte & exists[place % table.stride]
            assert await transport.read(0, start + skew, length) == expected[skew : skew + length]
        assert await contents() == expected, skew
    await device.close()
