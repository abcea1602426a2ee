"""Tasks that are cancelled wherever they wait: nothing is leaked, and the device stays usable."""

import asyncio

import pytest

from driver import Device, MemoryMove, Nop, QueueSettings, SettingsError
from driver.irq import boot
from driver.lock import Lock
from sim.model.transport import ModelTransport, run

from .cases.registry import CONFIG, balanced, block, copy, occupy, started

SIZE = 16384


async def ready(*settings: QueueSettings) -> tuple[ModelTransport, Device, list]:
    transport = ModelTransport(CONFIG)
    device, queues = await started(transport, *settings)
    return transport, device, queues


async def cancel(task: asyncio.Task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def close(transport: ModelTransport, device: Device) -> None:
    await device.close()
    assert not transport.platform.check()
    assert not transport.platform.interrupts.live, "entries of the remapping table were leaked"
    assert not any(boot(transport.platform).counts().values()), "interrupts were leaked"


def test_cancelled_wait_drains_and_gives_its_record_back():
    async def play():
        transport, device, (queue,) = await ready()
        adi = await device.create_adi(queue)
        await adi.vectors[0].mask()
        operation = await adi.submit(Nop())
        task = asyncio.create_task(operation.wait())
        await transport.sleep(300)
        await cancel(task)
        await transport.sleep(3000)
        assert operation.done and adi.outstanding == 0 and queue.outstanding == 0
        assert len(adi.records._free) == 8
        await adi.vectors[0].unmask()
        await copy(adi, 100, 1)
        await close(transport, device)

    run(play())


def test_wait_cancelled_at_any_time_leaves_a_working_adi():
    async def play():
        transport, device, (queue,) = await ready(QueueSettings(size=4))
        adi = await device.create_adi(queue)
        source, destination = adi.allocate(SIZE), adi.allocate(SIZE)
        move = MemoryMove(source.address, destination.address, SIZE)
        for delay in (0, 1, 2, 5, 20, 80, 200, 500):
            task = asyncio.create_task(adi.run(move))
            for _ in range(delay):
                await asyncio.sleep(0)
            if not task.done():
                await cancel(task)
            await copy(adi, 64, delay)
            await transport.sleep(2000)
            assert adi.outstanding == 0, delay
            assert len(adi.records._free) == 8, delay
        await device.destroy_adi(adi)
        await close(transport, device)

    run(play())


def test_cancelled_submission_to_a_full_queue_gives_its_record_back():
    async def play():
        transport, device, (queue,) = await ready(QueueSettings(size=2))
        adi = await device.create_adi(queue)
        operations = [*await block(adi), await adi.submit(Nop())]
        task = asyncio.create_task(adi.submit(Nop()))
        for _ in range(6):
            await asyncio.sleep(0)
        if not task.done():
            await cancel(task)
        for operation in operations:
            await operation.wait()
        await transport.sleep(3000)
        assert adi.outstanding == 0 and queue.outstanding == 0
        assert len(adi.records._free) == 8
        await copy(adi, 64, 1)
        await close(transport, device)

    run(play())


class Lingering(ModelTransport):
    """Its caller learns of an accepted descriptor only later, and may be cancelled until then."""

    async def deferrable_write(self, bar, offset, data):
        outcome = await super().deferrable_write(bar, offset, data)
        for _ in range(5):
            await asyncio.sleep(0)
        return outcome


def test_record_of_a_submission_cancelled_too_late_stays_out_until_it_is_drained():
    async def play():
        transport = Lingering(CONFIG)
        device, (queue,) = await started(transport)
        adi = await device.create_adi(queue)
        await adi.vectors[0].mask()
        task = asyncio.create_task(adi.submit(Nop()))
        for _ in range(3):
            await asyncio.sleep(0)
        await cancel(task)
        assert adi.outstanding == 1 and len(adi.records._free) == 7
        await transport.sleep(5000)
        assert adi.outstanding == queue.outstanding == 0 and len(adi.records._free) == 8
        await close(transport, device)

    run(play())


def test_cancelled_batch_keeps_its_list_until_the_device_is_done_with_it():
    async def play():
        transport, device, (queue,) = await ready()
        adi = await device.create_adi(queue)
        source, destination = adi.allocate(SIZE), adi.allocate(SIZE)
        before = len(adi._buffers)

        async def work():
            async with adi.batch() as batch:
                for _ in range(4):
                    batch.copy(source, destination, SIZE)

        for delay in (1, 3, 10, 40):
            task = asyncio.create_task(work())
            for _ in range(delay):
                await asyncio.sleep(0)
            await cancel(task)
            await adi.drain()
            await transport.sleep(2000)
            assert len(adi._buffers) == before, "the list was not given back"
            assert len(adi.records._free) == 8
        await copy(adi, 64, 1)
        await close(transport, device)

    run(play())


@pytest.mark.parametrize("destroyed", [False, True])
def test_batch_that_waits_for_an_abort_gives_its_list_back(destroyed):
    """Its task is cancelled, or its ADI is gone when the abort is over."""

    async def play():
        transport, device, (queue,) = await ready()
        adi = await device.create_adi(queue)
        before = len(adi._buffers)

        async def work():
            async with adi.batch() as batch:
                batch.noop()

        adi.submissions.hold()
        task = asyncio.create_task(work())
        await transport.sleep(200)
        assert len(adi._buffers) == before + 1 and not adi.submitted
        if destroyed:
            await device.destroy_adi(adi)
            adi.submissions.go_on()
            with pytest.raises(SettingsError, match="the ADI was destroyed"):
                await task
            with pytest.raises(SettingsError, match="the ADI was destroyed"):
                await work()
        else:
            await cancel(task)
            assert len(adi._buffers) == before and len(adi.records._free) == 8
            adi.submissions.go_on()
            await copy(adi, 64, 1)
        await close(transport, device)

    run(play())


def test_adi_is_destroyed_while_its_deserted_work_is_drained():
    async def play():
        transport, device, (queue,) = await ready()
        adi, other = await device.create_adi(queue), await device.create_adi(queue)
        (operation,) = await occupy(adi, 1, SIZE)
        task = asyncio.create_task(operation.wait())
        await asyncio.sleep(0)
        await cancel(task)
        await device.destroy_adi(adi)
        await copy(other, 64, 1)
        await balanced(other)
        await close(transport, device)

    run(play())


def test_cancelled_command_does_not_disturb_the_next():
    async def play():
        transport, device, (queue,) = await ready()
        adi = await device.create_adi(queue)
        await occupy(adi, 4, SIZE)
        task = asyncio.create_task(adi.drain())
        for _ in range(8):
            await asyncio.sleep(0)
        await cancel(task)
        await adi.drain()
        assert adi.completed == 4 and not device.errors
        await close(transport, device)

    run(play())


@pytest.mark.parametrize("late", [False, True])
def test_lock_passes_over_a_waiter_that_was_cancelled(late):
    """Cancelled while it waits, or just when its turn has come."""

    async def play():
        lock = Lock(ModelTransport(CONFIG))
        order = []

        async def hold(name):
            async with lock:
                order.append(name)

        await lock.__aenter__()
        tasks = [asyncio.create_task(hold(name)) for name in "abc"]
        await asyncio.sleep(0)
        if late:
            await lock.__aexit__(None, None, None)
            await cancel(tasks[0])
        else:
            await cancel(tasks[0])
            await lock.__aexit__(None, None, None)
        await asyncio.gather(*tasks[1:])
        assert order == ["b", "c"]

    run(play())
