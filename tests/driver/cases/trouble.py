"""What the device logs, what is aborted and drained under load, and how it recovers."""

import contextlib

import pytest

from driver import (
    BatchFailed,
    Device,
    DeviceHalted,
    DriverError,
    MemoryMove,
    Nop,
    OperationAborted,
    OperationFailed,
    QueueSettings,
    SettingsError,
    Transport,
)
from driver.transport import Outcome
from hw.regs.bar2 import Portal
from hw.regs.commands import DeviceState
from hw.regs.configspace import PASID

from .mistakes import NOWHERE
from .registry import QUICK, SHARED, Bell, balanced, case, copy, occupy, settle, started

LOG_ENTRIES = 64


async def _logged(transport: Transport) -> tuple:
    """A device with an event log, and a bell that rings for each report."""
    device = await Device.probe(transport, QUICK)
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    (queue,) = await device.start([QueueSettings(size=16)], event_log_entries=LOG_ENTRIES)
    return device, queue, await device.create_adi(queue), reports


async def _offend(transport: Transport, queue, adi, index: int) -> None:
    """Submit work that fails and has no completion record to say so."""
    work = MemoryMove(NOWHERE, 64 * index, 1 + index).encode(pasid=adi.pasid)
    for _ in range(400):
        outcome = await queue.enqueue(work, Portal.LIMITED)
        if outcome is Outcome.ACCEPTED:
            return
        assert outcome is Outcome.RETRY
        await transport.sleep(50)
    raise AssertionError("the queue stayed full")


@case
async def errors_without_a_record_are_logged(transport: Transport) -> None:
    """Several at once, which the software error register could not tell apart."""
    device, queue, adi, reports = await _logged(transport)
    for index in range(5):
        await _offend(transport, queue, adi, index)
    await reports.reach(5)
    for report in device.errors:
        assert report.logged and not report.overflow
        assert (report.name, report.queue, report.pasid) == ("HARDWARE", 0, adi.pasid), report
        assert report.opcode == 3 and report.batch_index is None
    with pytest.raises(BatchFailed):
        async with adi.batch() as batch:
            batch.copy(NOWHERE, 0, 8)
    await copy(adi, 64, 1)
    await adi.drain()
    assert reports.count == 5, "what has a record is not logged"
    await balanced(adi)
    await device.close()


@case
async def event_log_goes_around_its_end(transport: Transport) -> None:
    device, queue, adi, reports = await _logged(transport)
    for index in range(LOG_ENTRIES + 6):
        await _offend(transport, queue, adi, index % 16)
        if index % 8 == 7:
            await reports.reach(index + 1)
    await reports.reach(LOG_ENTRIES + 6)
    assert all(report.logged for report in device.errors)
    await copy(adi, 64, 1)
    await device.close()
    assert reports.count == LOG_ENTRIES + 6


@case
async def event_log_is_sized_before_the_hardware_sees_it(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    before = transport.requests
    for entries in (1, 63, 1 << 16):
        with pytest.raises(SettingsError, match="an event log has 64 to 65535 entries"):
            await device.start([SHARED], event_log_entries=entries)
    assert transport.requests == before
    await device.close()


@case
async def abort_under_load_ends_batches_too(transport: Transport) -> None:
    device, (queue, other) = await started(transport, QueueSettings(size=16), SHARED)
    adi, spared = await device.create_adi(queue), await device.create_adi(other)
    source, destination = adi.allocate(16384), adi.allocate(16384)

    async def work() -> int:
        try:
            async with adi.batch() as batch:
                for _ in range(6):
                    batch.copy(source, destination, 16384)
        except (OperationAborted, OperationFailed):
            return 1
        return 0

    tasks = [transport.start(work()) for _ in range(3)]
    spare = await occupy(spared, 4, 256)
    doomed = await occupy(adi, 4, 4096)
    await adi.abort()
    bells, written = adi.bells, destination.read()
    destination.write(bytes(16384))
    ended = sum([await task.join() for task in tasks])
    for operation in doomed:
        with pytest.raises((OperationAborted, OperationFailed)):
            await operation.wait()
    for operation in spare:
        await operation.wait()
    await settle(transport, 1000)
    assert ended > 0, "no batch was left to abort"
    assert len(written) == 16384 and destination.read() == bytes(16384), "aborted work wrote"
    assert adi.bells == bells, "aborted work rang"
    await balanced(spared)
    await copy(adi, 64, 1)
    await device.close()
    assert not device.errors


@case
async def drain_under_load_waits_for_batches_too(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=16))
    adis = [await device.create_adi(queue) for _ in range(2)]
    source, destination = adis[0].allocate(4096), adis[0].allocate(4096)
    source.write(b"\x3c" * 4096)

    async def work() -> None:
        async with adis[0].batch() as batch:
            for at in range(0, 4096, 1024):
                batch.copy(source.address + at, destination.address + at, 1024)

    tasks = [transport.start(work()) for _ in range(2)]
    await occupy(adis[1], 3, 4096)
    while adis[0].submitted < 2:
        await transport.sleep(20)
    await adis[0].drain()
    assert destination.read() == b"\x3c" * 4096, "the drain ended before the batch"
    assert adis[0].bells == adis[0].completed == 2
    await queue.drain()
    assert adis[1].bells == 3
    for task in tasks:
        await task.join()
    for adi in adis:
        await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def disabled_device_has_finished_its_batches(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=16))
    adi = await device.create_adi(queue)
    buffer = adi.allocate(2048)

    async def work() -> None:
        async with adi.batch() as batch:
            for at in range(0, 2048, 256):
                batch.fill(buffer.address + at, 256, 0x7777_7777_7777_7777)

    task = transport.start(work())
    while not adi.submitted:
        await transport.sleep(10)
    await device.disable()
    assert buffer.read() == b"\x77" * 2048 and adi.bells == 1
    await task.join()
    await device.close()


@case
async def halted_device_recovers(transport: Transport) -> None:
    """PASID Enable taken away under work; the same object works on after its recovery."""
    device, (queue,) = await started(transport)
    with pytest.raises(SettingsError, match="the device has not halted"):
        await device.recover()
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    free = device.free_vectors()
    adi = await device.create_adi(queue, vectors=3)
    operations = await occupy(adi, 4, 4096)
    await transport.config_write(PASID + 6, 0, 2)
    await reports.reach(1)
    assert device.halted
    with pytest.raises(DeviceHalted):
        await device.disable()
    await device.recover()
    assert not device.halted and await device.state() is DeviceState.DISABLED
    assert device.free_vectors() == free and all(item.done for item in operations)
    for operation in operations:
        with contextlib.suppress(DriverError):
            await operation.wait()
    with pytest.raises(SettingsError, match="was destroyed"):
        await adi.submit(Nop())
    for _ in range(2):
        (queue,) = await device.start([SHARED])
        adi = await device.create_adi(queue)
        await copy(adi, 200, 4)
        await balanced(adi)
        await device.destroy_adi(adi)
        await device.disable()
    assert device.strays == 0
    await device.close()
