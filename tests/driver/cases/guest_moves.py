"""Guests that are suspended, resumed and moved while they work, and guests that mean harm."""

import random

import pytest

from driver import Adi, Mode, Nop, Queue
from driver.errors import DriverError
from driver.irq import boot
from driver.transport import Transport
from driver.vdcm import ComposeError, Composer, Guest
from hw.regs.commands import Command

from .guests import host, inside, leave, shut_down
from .registry import DEDICATED, SHARED, balanced, case, copy, settle

MOVES = 4

Place = tuple[Composer, Queue]
"""Where a guest can be: the scenarios with several are played on one device, and on two."""


async def _work(adi: Adi, rounds: int) -> None:
    """Copies, and bursts whose bells are counted."""
    for round_ in range(rounds):
        await copy(adi, 150, round_)
        for operation in [await adi.submit(Nop()) for _ in range(3)]:
            await operation.wait()


async def move_while_it_works(places: list[Place]) -> None:
    """Its handles change with each move; what the old ones made fail is submitted again."""
    transport = places[0][0].transport
    guest = await Guest.boot(*places[0])
    device, virtual = await inside(guest)
    shared = virtual.settings is not None and virtual.settings.mode is Mode.SHARED
    adis = [await device.create_adi(virtual) for _ in range(2 if shared else 1)]
    before = {adi.vectors[0].handle for adi in adis}
    tasks = [transport.start(_work(adi, 8)) for adi in adis]
    for move in range(1, 1 + MOVES):
        await transport.sleep(150)
        await guest.migrate(*places[move % 2])
    for task in tasks:
        await task.join()
    for adi in adis:
        await balanced(adi)
    assert not before & {adi.vectors[0].handle for adi in adis} and not device.errors
    await shut_down(guest, device)


@case
async def guest_moves_between_queues_and_loses_no_bell(transport: Transport) -> None:
    composer, queues = await host(transport, SHARED, SHARED)
    free = composer.device.free_vectors()
    await move_while_it_works([(composer, queue) for queue in queues])
    await leave(composer, free)


@case
async def guest_with_a_dedicated_queue_moves_too(transport: Transport) -> None:
    composer, queues = await host(transport, DEDICATED, DEDICATED)
    free = composer.device.free_vectors()
    await move_while_it_works([(composer, queue) for queue in queues])
    await leave(composer, free)


async def move_with_an_event_held(places: list[Place]) -> None:
    """What a masked vector holds rings over there, once."""
    guest = await Guest.boot(*places[0])
    device, virtual = await inside(guest)
    adi = await device.create_adi(virtual)
    (vector,) = adi.vectors
    await vector.mask()
    operation = await adi.submit(Nop())
    await adi.drain()
    await guest.migrate(*places[1])
    assert await vector.pending() and not operation.done
    await vector.unmask()
    await operation.wait()
    assert vector.bells == 1
    await copy(adi, 70, 1)
    await balanced(adi)
    await shut_down(guest, device)


@case
async def held_event_of_a_guest_survives_its_move(transport: Transport) -> None:
    composer, queues = await host(transport, SHARED, SHARED)
    free = composer.device.free_vectors()
    await move_with_an_event_held([(composer, queue) for queue in queues])
    await leave(composer, free)


@case
async def event_that_came_too_late_for_a_mask_survives_a_move(transport: Transport) -> None:
    """The device had sent it before it saw the mask; then only the host's kernel knows of it."""
    composer, queues = await host(transport, SHARED, SHARED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queues[0])
    device, virtual = await inside(guest)
    adi = await device.create_adi(virtual)
    (vector,) = adi.vectors
    await vector.mask()
    (behind,) = guest.virtual.msix.interrupts.vectors
    system = boot(transport.machine)
    (cpu,) = system.irq_to_desc(behind.irq).effective_affinity
    taken = system.vector_domain.vector_irq[cpu]
    (number,) = (number for number, desc in taken.items() if desc.irq == behind.irq)
    assert system.interrupt(cpu, number) and not vector.bells
    assert await vector.pending()
    await guest.migrate(composer, queues[1])
    assert await vector.pending() and not vector.bells
    await vector.unmask()
    assert vector.bells == 1 and not await vector.pending()
    await copy(adi, 70, 1)
    assert vector.bells == 2
    await shut_down(guest, device)
    await leave(composer, free)


@case
async def guest_stays_where_it_was_if_the_queue_does_not_fit(transport: Transport) -> None:
    composer, queues = await host(transport, SHARED, DEDICATED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queues[0])
    device, virtual = await inside(guest)
    adi = await device.create_adi(virtual)
    with pytest.raises(ComposeError, match="differs from the one that the guest knows"):
        await guest.migrate(composer, queues[1])
    await copy(adi, 70, 1)
    await balanced(adi)
    await shut_down(guest, device)
    await leave(composer, free)


async def _harm(guest: Guest, rng: random.Random) -> None:
    """Anything that a guest can do to configuration space and BAR0."""
    layout = guest.virtual.layout
    table = layout.bar0.table("msix")
    match rng.choice(("config", "bar0", "command", "mask", "portal")):
        case "config":
            size = rng.choice((1, 2, 4))
            place = rng.choice((rng.randrange(0, 0x100), rng.randrange(0x1000)))
            await guest.config_write(place // size * size, rng.getrandbits(8 * size), size)
            await guest.config_write(4, 6, 2)
        case "bar0":
            size = rng.randint(1, 64)
            places = (rng.randrange(0x200), rng.randrange(layout.bar_bytes[0] - 64))
            await guest.write(0, rng.choice(places), rng.randbytes(size))
            await guest.read(0, rng.choice(places), size)
        case "command":
            code, operand = rng.choice((*Command, 0, 15, 31)), rng.choice((0, 1, 2, 0xFFFFF))
            word = rng.getrandbits(1) << 31 | code << 20 | operand
            await guest.write(0, layout.registers["cmd"].offset, word.to_bytes(4, "little"))
        case "mask":
            await guest.config_write(layout.msix + 2, 0x8000, 2)
            entry = table.entry(rng.randrange(table.count))
            for mask in (0, 1, 0):
                await guest.write(0, entry + 12, mask.to_bytes(4, "little"))
        case "portal":
            data = Nop().encode(pasid=rng.getrandbits(20), handle=rng.randrange(64))
            await guest.deferrable_write(2, rng.randrange(64) * 64 + 0x1000, data)
            await guest.write(2, rng.randrange(0x100) * 64, data)


@case
async def hostile_guest_harms_nobody_else(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    hostile, good = [await Guest.boot(composer, queue) for _ in range(2)]
    device, virtual = await inside(good)
    adi = await device.create_adi(virtual)
    await inside(hostile)
    rng, working = random.Random(5), True

    async def attack() -> None:
        while working:
            await _harm(hostile, rng)

    task = transport.start(attack())
    await _work(adi, 12)
    working = False
    await task.join()
    await balanced(adi)
    assert not device.errors
    assert free - composer.device.free_vectors() <= 1 + 7
    await shut_down(good, device)
    await hostile.shut_down()
    assert composer.device.free_vectors() == free and not composer.device.strays
    composer.close()
    await composer.device.close()


@case
async def guest_cannot_take_more_than_its_table_has(transport: Transport) -> None:
    composer, (queue,) = await host(transport, SHARED)
    free = composer.device.free_vectors()
    guest = await Guest.boot(composer, queue, vectors=4)
    device, virtual = await inside(guest)
    for _ in range(3):
        await device.alloc_vector(lambda: None)
    with pytest.raises(DriverError):
        await device.create_adi(virtual)
    assert composer.device.free_vectors() == free - 3
    await shut_down(guest, device)
    await leave(composer, free)


async def move_amid_submissions(places: list[Place]) -> None:
    """Descriptors are encoded before the move and arrive after it, with handles of before."""
    transport = places[0][0].transport
    guest = await Guest.boot(*places[0])
    device, virtual = await inside(guest)
    adi = await device.create_adi(virtual)
    old = adi.vectors[0].handle
    await guest.pause()
    tasks = [transport.start(adi.submit(Nop())) for _ in range(3)]
    await settle(transport, 100)  # they wait for a processor that runs
    await guest.migrate(*places[1])
    operations = [await task.join() for task in tasks]
    for operation in operations:
        await operation.wait()
        assert operation.handle == adi.vectors[0].handle != old
    await balanced(adi)
    assert adi.resubmitted == len(operations)
    await shut_down(guest, device)


@case
async def work_with_a_revoked_handle_is_submitted_again(transport: Transport) -> None:
    """To a shared queue, and to a dedicated one."""
    composer, queues = await host(transport, SHARED, SHARED, DEDICATED, DEDICATED)
    free = composer.device.free_vectors()
    for pair in (queues[:2], queues[2:]):
        await move_amid_submissions([(composer, queue) for queue in pair])
    await leave(composer, free)
