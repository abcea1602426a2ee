"""ADIs: what they cannot do to one another."""

import pytest

from driver import MemoryMove, Nop, OperationFailed, Transport
from driver.transport import Outcome
from hw.regs.bar2 import Portal
from hw.regs.descriptor import Status

from .registry import CONFIG, balanced, case, copy, pattern, settle, started


@case
async def handle_of_another_adi_is_refused(transport: Transport) -> None:
    """The thief gets a status and nothing is executed; the victim notices nothing."""
    device, (queue,) = await started(transport)
    thief, victim = await device.create_adi(queue), await device.create_adi(queue)
    source, destination = thief.allocate(64), thief.allocate(64)
    source.write(pattern(64, 1))
    record = thief.allocate(32, align=32)
    for handle in (victim.vectors[0].index, CONFIG.ims_vectors - 1, 0xFFFF):
        record.write(bytes(32))
        descriptor = MemoryMove(source.address, destination.address, 64).encode(
            pasid=thief.pasid, completion_address=record.address, handle=handle
        )
        assert await queue.enqueue(descriptor, Portal.LIMITED | Portal.IMS) is Outcome.ACCEPTED
        await settle(transport)
        assert record.read(0, 1)[0] == Status.BAD_HANDLE, hex(handle)
        assert destination.read() == bytes(64), "a refused operation was executed"
    assert victim.bells == thief.bells == 0
    for adi in (thief, victim):
        await copy(adi, 64, 5)
        await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def pasid_of_another_adi_is_refused(transport: Transport) -> None:
    """A descriptor that names a victim's PASID with the thief's own handle."""
    device, (queue,) = await started(transport)
    thief, victim = await device.create_adi(queue), await device.create_adi(queue)
    loot, record = victim.allocate(64), victim.allocate(32, align=32)
    descriptor = MemoryMove(loot.address, loot.address + 32, 32).encode(
        pasid=victim.pasid, completion_address=record.address, handle=thief.vectors[0].index
    )
    assert await queue.enqueue(descriptor, Portal.LIMITED | Portal.IMS) is Outcome.ACCEPTED
    await settle(transport)
    assert record.read(0, 1)[0] == Status.BAD_HANDLE
    assert victim.bells == thief.bells == 0
    for adi in (thief, victim):
        await copy(adi, 64, 5)
        await balanced(adi)
    await device.close()


@case
async def msix_portal_does_not_reach_message_storage(transport: Transport) -> None:
    """The same handle through an MSI-X portal means another table, which does not permit it."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    record = adi.allocate(32, align=32)
    descriptor = Nop().encode(
        pasid=adi.pasid, completion_address=record.address, handle=adi.vectors[0].index
    )
    assert await queue.enqueue(descriptor, Portal.LIMITED) is Outcome.ACCEPTED
    await settle(transport)
    assert record.read(0, 1)[0] == Status.BAD_HANDLE and adi.bells == 0
    await device.close()


@case
async def refused_memory_fails_one_operation_only(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi, other = await device.create_adi(queue), await device.create_adi(queue)
    buffer = adi.allocate(64)
    nowhere = 0x6660_0000_0000
    operation = await adi.submit(MemoryMove(nowhere, buffer.address, 64))
    with pytest.raises(OperationFailed) as caught:
        await operation.wait()
    assert not caught.value.completion.succeeded
    assert buffer.read() == bytes(64)
    for survivor in (adi, other):
        await copy(survivor, 64, 3)
        await balanced(survivor)
    await device.close()
