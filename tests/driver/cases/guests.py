"""Guests: the same driver, on virtual devices that the host's driver composes."""

import pytest

from driver import CommandFailed, Device, InterruptRefused, Mode, Nop, Queue, QueueSettings
from driver.irq import boot
from driver.transport import Transport
from driver.vdcm import Composer, Guest
from hw.regs.commands import Command, CommandError, DeviceState
from hw.regs.descriptor import Opcode, Status

from .registry import DEDICATED, QUICK, SHARED, Bell, balanced, case, copy, settle, started


async def host(transport: Transport, *settings: QueueSettings) -> tuple[Composer, list[Queue]]:
    """A started device, and what composes out of it."""
    device, queues = await started(transport, *settings)
    return await Composer.attach(device, transport), queues


async def inside(guest: Guest) -> tuple[Device, Queue]:
    """A guest's driver, probed and started with its queue as the host has given it."""
    device = await Device.probe(guest, QUICK)
    (queue,) = await device.start()
    return device, queue


async def shut_down(guest: Guest, device: Device) -> None:
    """The guest's driver leaves nothing in its own kernel; then the virtual machine ends."""
    await device.close()
    assert not any(boot(guest.machine).counts().values()), boot(guest.machine).counts()
    assert not guest.machine.strays
    await guest.shut_down()


async def leave(composer: Composer, free: int) -> None:
    """The host has all its vectors back, and has been told of no error."""
    assert composer.device.free_vectors() == free
    assert not composer.device.errors and not composer.device.strays
    composer.close()
    await composer.device.close()


@case
async def guest_runs_the_driver_as_it_is(transport: Transport) -> None:
    """On a queue shared with others, on one of its own, and on a dedicated one."""
    composer, queues = await host(transport, SHARED, SHARED, DEDICATED)
    free = composer.device.free_vectors()
    for queue, exclusive in zip(queues, (False, True, None), strict=True):
        guest = await Guest.boot(composer, queue, exclusive=exclusive)
        device, virtual = await inside(guest)
        adi = await device.create_adi(virtual)
        traps = guest.traps
        for size in (1, 64, 4097):
            await copy(adi, size, size)
        async with adi.batch() as batch:
            batch.noop()
            batch.noop()
        assert guest.traps == traps  # submissions and interrupts pass the composer by
        await balanced(adi)
        await device.destroy_adi(adi)
        assert not device.errors
        await shut_down(guest, device)
        assert composer.device.free_vectors() == free
    await leave(composer, free)


@case
async def guest_sees_a_small_device_without_storage(transport: Transport) -> None:
    composer, (queue, own) = await host(transport, SHARED, SHARED)
    free = composer.device.free_vectors()
    for place, exclusive in ((queue, False), (own, True)):
        guest = await Guest.boot(composer, place, exclusive=exclusive, vectors=4)
        device = await Device.probe(guest, QUICK)
        found = device.capabilities
        assert not found.ims_vectors and found.msix_vectors == 4 and found.requests_handles
        assert (found.queues, found.groups, found.engines) == (1, 1, 1)
        assert not found.configurable and not found.event_log
        assert found.operations == composer.device.capabilities.operations
        assert found.shared and found.dedicated is exclusive
        assert await guest.config_read(0, 4) == await transport.config_read(0, 4)
        await shut_down(guest, device)
    await leave(composer, free)


@case
async def guest_chooses_the_mode_of_a_queue_of_its_own(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queue, exclusive=True)
    for settings in (QueueSettings(size=8, mode=Mode.DEDICATED), QueueSettings(size=8)):
        device = await Device.probe(guest, QUICK)
        (virtual,) = await device.start([settings])
        adi = await device.create_adi(virtual)
        await copy(adi, 300, 1)
        await balanced(adi)
        await device.close()
    device = await Device.probe(guest, QUICK)
    await shut_down(guest, device)
    assert queue.settings == SHARED
    await queue.enable()  # the host may use it again
    await leave(composer, free)


@case
async def guests_share_a_queue_with_one_another_and_the_host(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()

    async def tenant(number: int) -> None:
        guest = await Guest.boot(composer, queue)
        device, virtual = await inside(guest)
        adis = [await device.create_adi(virtual, vectors=2) for _ in range(2)]
        for round_ in range(3):
            for adi in adis:
                await copy(adi, 90 + 13 * number, round_)
                await (await adi.submit(Nop(), vector=1)).wait()
        for adi in adis:
            await balanced(adi)
        assert not device.errors
        await shut_down(guest, device)

    tasks = [transport.start(tenant(number)) for number in range(3)]
    adi = await composer.device.create_adi(queue)
    for round_ in range(6):
        await copy(adi, 200, round_)
    await balanced(adi)
    for task in tasks:
        await task.join()
    await composer.device.destroy_adi(adi)
    await leave(composer, free)


@case
async def host_vectors_follow_what_the_guest_unmasks(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queue)
    device, _ = await inside(guest)
    assert composer.device.free_vectors() == free  # seven more in its table, none behind them
    vectors = [await device.alloc_vector(lambda: None) for _ in range(3)]
    assert composer.device.free_vectors() == free - 3
    for _ in range(5):
        await vectors[0].mask()
        await vectors[0].unmask()
    assert composer.device.free_vectors() == free - 3
    await device.free_vector(vectors[1])
    assert composer.device.free_vectors() == free - 2
    await device.function_level_reset()
    assert composer.device.free_vectors() == free
    device, _ = await inside(guest)
    await shut_down(guest, device)
    await leave(composer, free)


@case
async def masked_vector_of_a_guest_is_pending_and_rings_once(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queue)
    device, virtual = await inside(guest)
    adi = await device.create_adi(virtual)
    (vector,) = adi.vectors
    await vector.mask()
    operations = [await adi.submit(Nop()) for _ in range(3)]
    await settle(transport)
    assert await vector.pending() and not any(each.done for each in operations)
    await vector.unmask()
    for operation in operations:
        await operation.wait()
    assert not await vector.pending() and vector.bells == 1
    await shut_down(guest, device)
    await leave(composer, free)


@case
async def guest_cannot_use_the_handle_of_another(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    guests = [await Guest.boot(composer, queue) for _ in range(2)]
    mine, other = [await inside(guest) for guest in guests]
    adi = await mine[0].create_adi(mine[1])
    victim = await other[0].create_adi(other[1])
    own, adi.vectors[0].handle = adi.vectors[0].handle, victim.vectors[0].handle
    operation = await adi.submit(Nop())
    await adi.drain()
    adi.vectors[0].handle = own
    assert operation.record.read().status == Status.BAD_HANDLE
    assert not victim.bells
    with pytest.raises(InterruptRefused):
        await operation.wait()
    for each in (adi, victim):
        await copy(each, 100, 1)
    await balanced(victim)
    for guest, (device, _) in zip(guests, (mine, other), strict=True):
        await shut_down(guest, device)
    await leave(composer, free)


@case
async def handles_of_a_guest_are_indices_of_the_host(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    taken = [await composer.device.alloc_vector(lambda: None) for _ in range(2)]
    guest = await Guest.boot(composer, queue, vectors=4)
    device, _ = await inside(guest)
    vector = await device.alloc_vector(lambda: None)
    assert vector.handle != vector.index and vector.handle not in {each.index for each in taken}
    assert await device.command(Command.REQUEST_HANDLE, vector.index) == vector.handle
    masked = await device.command(Command.REQUEST_HANDLE, 2)  # never unmasked: it gets one as well
    for command, operand, error in (
        (Command.REQUEST_HANDLE, 0, CommandError.HANDLE_INDEX),
        (Command.REQUEST_HANDLE, 4, CommandError.HANDLE_INDEX),
        (Command.REQUEST_HANDLE, 1 << 16 | 1, CommandError.HANDLE_INDEX),
        (Command.REQUEST_HANDLE, 1 << 17, CommandError.RESERVED_NOT_ZERO),
        (Command.RELEASE_HANDLE, taken[0].index, CommandError.HANDLE_INDEX),
    ):
        with pytest.raises(CommandFailed) as caught:
            await device.command(command, operand)
        assert caught.value.error == error
    await device.command(Command.RELEASE_HANDLE, masked)
    with pytest.raises(CommandFailed):
        await device.command(Command.RELEASE_HANDLE, masked)
    await shut_down(guest, device)
    for each in taken:
        await composer.device.free_vector(each)
    await leave(composer, free)


@case
async def error_without_a_record_reaches_its_guest(transport: Transport) -> None:
    """In the guest's own terms: its queue, its PASID."""
    composer, (_, queue) = await host(transport, SHARED, SHARED)
    guests = [await Guest.boot(composer, queue) for _ in range(2)]
    (device, virtual), (bystander, _) = [await inside(guest) for guest in guests]
    pasid = guests[0].allocate_pasid()
    bell = Bell(transport)
    device.on_error = lambda report: bell()
    await virtual.enqueue(Nop().encode(pasid=pasid, handle=0xFFFF))
    await bell.reach(1)
    (report,) = device.errors
    assert (report.code, report.opcode) == (Status.BAD_HANDLE, Opcode.NOP)
    assert (report.queue, report.pasid) == (0, pasid)
    assert not bystander.errors and len(composer.device.errors) == 1
    guests[0].free_pasid(pasid)
    for guest, each in zip(guests, (device, bystander), strict=True):
        await shut_down(guest, each)
    assert await composer.device.state() is DeviceState.ENABLED
    composer.close()
    await composer.device.close()
