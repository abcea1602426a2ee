"""Queues that are full, drained, aborted or dedicated, and operations that miss their bell."""

import pytest

from driver import (
    Drain,
    MissedBell,
    Nop,
    OperationAborted,
    OperationFailed,
    QueueFull,
    QueueSettings,
    SettingsError,
    Transport,
)
from driver.transport import Outcome
from hw.regs.bar2 import Portal

from .registry import (
    DEDICATED,
    QUICK,
    SHARED,
    Bell,
    balanced,
    block,
    case,
    copy,
    occupy,
    settle,
    started,
)


@case
async def full_shared_queue_is_tried_again(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=2))
    adi = await device.create_adi(queue)
    operations = await block(adi) + await occupy(adi, 6, 256)
    assert adi.retries > 0, "the queue was never full"
    for operation in operations:
        await operation.wait()
    await balanced(adi)
    assert adi.submitted == 8
    await device.close()
    assert not device.errors


@case
async def threshold_keeps_limited_portals_out(transport: Transport) -> None:
    """Behind the threshold only the unlimited portal accepts, and behind the size none does."""
    device, (queue,) = await started(transport, QueueSettings(size=4, threshold=2))
    adi = await device.create_adi(queue)
    operations = await block(adi)
    accepted = {Portal.LIMITED: 0, Portal.UNLIMITED: 0}
    for kind in (Portal.LIMITED, Portal.UNLIMITED):
        while await queue.enqueue(Nop().encode(pasid=adi.pasid), kind) is Outcome.ACCEPTED:
            accepted[kind] += 1
            assert accepted[kind] < 8, "a queue accepted more than it holds"
    assert accepted[Portal.LIMITED] <= 2
    assert 1 <= accepted[Portal.UNLIMITED] <= 4
    assert await queue.occupancy() <= 4
    for operation in operations:
        await operation.wait()
    await queue.drain()
    assert await queue.occupancy() == 0
    await balanced(adi)
    await device.close()


@case
async def queue_that_stays_full_is_an_error(transport: Transport) -> None:
    """A disabled queue answers every ENQCMD with Retry: the back-off ends."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    await queue.disable()
    begun = transport.now()
    with pytest.raises(QueueFull) as caught:
        await adi.submit(Nop())
    assert str(caught.value) == f"queue 0 was full for {QUICK.submit} clocks"
    assert QUICK.submit <= transport.now() - begun < 2 * QUICK.submit
    assert adi.outstanding == adi.submitted == 0
    await queue.enable()
    await (await adi.submit(Nop())).wait()
    await device.close()


@case
async def dedicated_queue_serves_one_adi_after_another(transport: Transport) -> None:
    device, (shared, dedicated) = await started(transport, SHARED, DEDICATED)
    guest = await device.create_adi(shared)
    for life in range(2):
        adi = await device.create_adi(dedicated)
        with pytest.raises(SettingsError) as caught:
            await device.create_adi(dedicated)
        assert str(caught.value) == "the dedicated queue 1 has an ADI already"
        await copy(adi, 333, life)
        operations = [await adi.submit(Nop()) for _ in range(20)]
        operations.append(await adi.submit(Drain()))
        for operation in operations:
            await operation.wait()
        await copy(guest, 111, life)
        await balanced(adi)
        await device.destroy_adi(adi)
    await device.close()
    assert not device.errors


@case
async def dedicated_queue_overflow_is_reported(transport: Transport) -> None:
    device, (queue,) = await started(transport, DEDICATED)
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    adi = await device.create_adi(queue)
    await block(adi)
    await occupy(adi, 6, 64)
    for _ in range(8):
        await queue.post(Nop().encode(), Portal.UNLIMITED)
    await reports.reach(1)
    report = device.errors[0]
    assert (report.name, report.queue) == ("QUEUE_FULL", queue.index), report
    await queue.drain()
    await settle(transport)
    await balanced(adi)
    await copy(adi, 64, 1)
    await device.close()


@case
async def drain_waits_for_the_bells(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi, other = await device.create_adi(queue), await device.create_adi(queue)
    await occupy(adi, 6, 4096)
    (neighbour,) = await occupy(other, 1, 64)
    await adi.drain()
    assert adi.completed == adi.bells == 6, "the drain ended before the last bell"
    await neighbour.wait()
    await balanced(adi)
    await balanced(other)
    await device.close()


@case
async def abort_discards_one_adi_and_spares_the_other(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=16))
    adi, other = await device.create_adi(queue), await device.create_adi(queue)
    doomed = await occupy(adi, 6, 16384)
    spared = await occupy(other, 4, 64)
    await adi.abort()
    bells = adi.bells
    aborted = 0
    for operation in doomed:
        try:
            await operation.wait()
        except OperationAborted:
            aborted += 1
        except OperationFailed:
            pass
    for operation in spared:
        await operation.wait()
    await settle(transport)
    assert aborted > 0, "nothing was left to abort"
    assert adi.bells == bells, "an aborted operation rang"
    await balanced(other)
    await copy(adi, 64, 1)
    await device.close()


@case
async def destroy_ends_operations_that_nobody_waits_for(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    operations = await occupy(adi, 5, 1024)
    await device.destroy_adi(adi)
    assert all(operation.done for operation in operations)
    for operation in operations:
        assert (await operation.wait()).succeeded
    await device.close()


@case
async def missed_bell_is_an_error_and_leaks_nothing(transport: Transport) -> None:
    """A vector masked behind the ADI's back: the record is there, the bell is not."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    await adi.vectors[0].mask()
    operation = await adi.submit(Nop())
    with pytest.raises(MissedBell) as caught:
        await operation.wait(2000)
    assert "its interrupt did not arrive" in str(caught.value)
    assert adi.outstanding == 0 and operation.rung_at is None
    await adi.vectors[0].unmask()
    await (await adi.submit(Nop())).wait()
    await device.close()
