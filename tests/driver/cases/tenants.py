"""ADIs: their life and their work."""

import random
from collections.abc import Coroutine
from typing import Any

import pytest

from driver import (
    Device,
    MemoryMove,
    Nop,
    OperationFailed,
    Queue,
    QueueSettings,
    SettingsError,
    Transport,
)
from hw.regs.bar2 import Portal
from hw.regs.descriptor import Status

from .registry import (
    DEDICATED,
    QUICK,
    SHARED,
    Bell,
    balanced,
    case,
    copy,
    fire,
    pattern,
    started,
)


async def _fails(work: Coroutine[Any, Any, Any], status: Status) -> None:
    with pytest.raises(OperationFailed, match=status.name) as caught:
        await work
    assert caught.value.completion.status == status


@case
async def adi_lives_works_and_leaves(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    free = device.free_vectors()
    for round_ in range(3):
        adi = await device.create_adi(queue, vectors=2)
        assert device.free_vectors() == free - 2
        await copy(adi, 700, round_)
        await (await adi.submit(Nop(), vector=1)).wait()
        assert [vector.bells for vector in adi.vectors] == [1, 1]
        await balanced(adi)
        await device.destroy_adi(adi)
        assert device.free_vectors() == free
        for call in (adi.submit(Nop()), device.destroy_adi(adi)):
            with pytest.raises(SettingsError) as caught:
                await call
            assert "was destroyed" in str(caught.value)
    await device.close()
    assert not device.errors


@case
async def moves_of_every_size_and_alignment_are_exact(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    sizes = (
        1,
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        31,
        63,
        64,
        65,
        127,
        128,
        129,
        511,
        513,
        1000,
        4095,
        4096,
        4097,
    )
    for number, size in enumerate(sizes):
        await copy(adi, size, number)
    for into in range(0, 9):
        for out in (0, 1, 2, 3, 5, 6, 7):
            await copy(adi, 37, into * 16 + out, skew=(into, out))
    for into, out, size in ((61, 3, 300), (1, 63, 4097), (64, 1, 777), (5, 5, 2050)):
        await copy(adi, size, size, skew=(into, out))
    await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def tenants_share_queues_without_touching_one_another(transport: Transport) -> None:
    """ADIs on two queues work, come and go at once; each byte and each bell is checked."""
    device, queues = await started(transport, SHARED, SHARED)

    async def tenant(queue: Queue, seed: int) -> None:
        for life in range(2):
            adi = await device.create_adi(queue)
            await copy(adi, 50 + 97 * seed, seed + life)
            operations = [await adi.submit(Nop()) for _ in range(3)]
            for operation in operations:
                await operation.wait()
            await balanced(adi)
            await device.destroy_adi(adi)

    tasks = [transport.start(tenant(queues[seed % 2], seed)) for seed in range(8)]
    for task in tasks:
        await task.join()
    assert not device.errors and device.strays == 0
    await device.close()


@case
async def bad_transfer_size_names_its_status(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=8, max_transfer_log2=12))
    adi = await device.create_adi(queue)
    buffer = adi.allocate(8192)
    move = MemoryMove(buffer.address, buffer.address, 4097)
    with pytest.raises(SettingsError, match="on this queue copies 1 to 4096 bytes, not 4097"):
        await adi.submit(move)
    await _fails((await adi.submit(move, check=False)).wait(), Status.BAD_TRANSFER_SIZE)
    await copy(adi, 4096, 1)
    await device.close()


@case
async def operation_that_a_queue_does_not_allow_names_its_status(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=8, operations=1))
    adi = await device.create_adi(queue)
    buffer = adi.allocate(64)
    move = MemoryMove(buffer.address, buffer.address, 64)
    with pytest.raises(SettingsError, match="does not allow MEMORY_MOVE; it allows NOP"):
        await adi.submit(move)
    await _fails((await adi.submit(move, check=False)).wait(), Status.BAD_OPCODE)
    await (await adi.submit(Nop())).wait()
    await balanced(adi)
    await device.close()


@case
async def work_survives_retargeted_vectors(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    working = True

    async def keep_moving() -> None:
        while working:
            await adi.vectors[0].retarget()

    task = transport.start(keep_moving())
    for number in range(20):
        await copy(adi, 100 + number, number)
    working = False
    await task.join()
    await balanced(adi)
    assert device.strays == 0
    await device.close()


@case
async def interrupt_without_a_record_rings_too(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    for count in range(1, 6):
        await fire(transport, queue, adi.pasid, vector)
        await bell.reach(count)
    await device.close()
    assert bell.count == 5 and not device.errors


@case
async def host_uses_a_dedicated_queue_for_itself(transport: Transport) -> None:
    """No PASID at all: memory of the function, and a vector without an owner."""
    device = await Device.probe(transport, QUICK)
    (queue,) = await device.start([DEDICATED])
    await queue.enable()
    bell = Bell(transport)
    vector = await device.alloc_vector(bell)
    source, destination = transport.allocate(200), transport.allocate(200)
    record = transport.allocate(32, align=32)
    source.write(pattern(200, 9))
    await queue.post(
        MemoryMove(source.address, destination.address, 200).encode(
            completion_address=record.address, handle=vector.index
        ),
        Portal.UNLIMITED | Portal.IMS,
    )
    await bell.reach(1)
    assert record.read(0, 1)[0] == Status.SUCCESS and destination.read() == pattern(200, 9)
    await device.close()
    for buffer in (source, destination, record):
        buffer.free()


@case
async def random_churn_keeps_every_account(transport: Transport) -> None:
    """Tenants come, work, mask, move their vectors and go, all at once and in random order."""
    device, queues = await started(transport, SHARED, SHARED, QueueSettings(size=2))
    free = device.free_vectors()

    async def tenant(number: int) -> None:
        rng = random.Random(number)
        adi = await device.create_adi(queues[number % 3], vectors=2)
        for step in range(20):
            vector = rng.choice(adi.vectors)
            match rng.choice(("move", "burst", "mask", "retarget", "drain", "rebirth")):
                case "move":
                    await copy(adi, rng.randint(1, 600), step, skew=(rng.randrange(9), number))
                case "burst":
                    count = rng.randint(1, 6)
                    batch = [await adi.submit(Nop(), vector=rng.randrange(2)) for _ in range(count)]
                    for operation in rng.sample(batch, count):
                        await operation.wait()
                case "mask":
                    await vector.mask()
                    operation = await adi.submit(Nop(), vector=adi.vectors.index(vector))
                    await transport.sleep(rng.randrange(400))
                    assert not operation.done
                    await vector.unmask()
                    await operation.wait()
                case "retarget":
                    operation = await adi.submit(Nop(), vector=adi.vectors.index(vector))
                    await vector.retarget()
                    await operation.wait()
                case "drain":
                    await adi.submit(Nop(), vector=1)
                    await adi.drain()
                    assert adi.outstanding == 0
                case "rebirth":
                    await balanced(adi)
                    await device.destroy_adi(adi)
                    adi = await device.create_adi(queues[number % 3], vectors=2)
            await balanced(adi)
        await device.destroy_adi(adi)

    tasks = [transport.start(tenant(number)) for number in range(9)]
    for task in tasks:
        await task.join()
    assert device.free_vectors() == free and device.strays == 0 and not device.errors
    await device.close()
