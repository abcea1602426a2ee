"""Vectors: allocation, masks, moves and exhaustion, while others fire."""

from typing import Any

import pytest

from driver import Nop, Transport, VectorError, VectorsExhausted, VectorTable
from driver.irq import boot

from .registry import Bell, case, fire, settle, started

MOST_REQUESTS = 3


@case
async def vectors_come_and_go_while_another_fires(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    steady = Bell(transport)
    steady_vector = await device.alloc_vector(steady, pasid=adi.pasid)
    running = True
    fired = 0

    async def keep_firing() -> None:
        nonlocal fired
        while running:
            fired += 1
            await fire(transport, queue, adi.pasid, steady_vector)

    task = transport.start(keep_firing())
    for _ in range(12):
        bell = Bell(transport)
        vector = await device.alloc_vector(bell, pasid=adi.pasid)
        await fire(transport, queue, adi.pasid, vector)
        await bell.reach(1)
        await device.free_vector(vector)
        assert bell.count == 1
    running = False
    await task.join()
    await steady.reach(fired)
    await settle(transport)
    assert steady.count == fired and fired > 12
    assert device.strays == 0
    await device.close()


@case
async def masked_vector_holds_and_unmask_delivers_once(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell, neighbour = Bell(transport), Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    other = await device.alloc_vector(neighbour, pasid=adi.pasid)
    await vector.mask()
    assert not await vector.pending()
    for _ in range(3):
        await fire(transport, queue, adi.pasid, vector)
        await fire(transport, queue, adi.pasid, other)
    await neighbour.reach(3)
    await settle(transport)
    assert bell.count == 0 and await vector.pending()
    await vector.unmask()
    await bell.reach(1)
    await settle(transport)
    assert bell.count == 1 and not await vector.pending()
    await fire(transport, queue, adi.pasid, vector)
    await bell.reach(2)
    await device.close()
    assert (bell.count, neighbour.count) == (2, 3)


@case
async def unmask_without_an_event_is_silent(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    for _ in range(4):
        await vector.mask()
        await vector.unmask()
    await settle(transport)
    assert bell.count == 0
    await device.close()


@case
async def retarget_under_fire_loses_and_doubles_nothing(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    moving = True
    moves = 0

    async def keep_moving() -> None:
        nonlocal moves
        while moving:
            await vector.retarget()
            moves += 1

    task = transport.start(keep_moving())
    for fired in range(1, 61):
        await fire(transport, queue, adi.pasid, vector)
        await bell.reach(fired)
    moving = False
    await task.join()
    await settle(transport)
    assert bell.count == 60 and moves > 10, f"{bell.count} bells, {moves} moves"
    assert device.strays == 0
    await device.close()


@case
async def moved_vector_rings_on_its_new_processor_and_costs_no_request(
    transport: Transport,
) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    system = boot(transport.machine)
    for number, cpu in enumerate((3, 1, 2), start=1):
        before = transport.requests
        await vector.set_affinity(frozenset({cpu}))
        assert transport.requests == before
        await fire(transport, queue, adi.pasid, vector)
        await bell.reach(number)
        (line,) = (each for each in system.proc_interrupts() if each.irq == vector.irq)
        assert line.counts[cpu] == 1 and line.hwirq == vector.index
    await device.close()


@case
async def retarget_keeps_a_masked_vector_masked(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    await vector.mask()
    await fire(transport, queue, adi.pasid, vector)
    await settle(transport)
    await vector.retarget()
    await settle(transport)
    assert bell.count == 0 and await vector.pending()
    await vector.unmask()
    await bell.reach(1)
    await settle(transport)
    assert bell.count == 1
    await device.close()


@case
async def mask_and_unmask_under_fire_deliver_every_event(transport: Transport) -> None:
    """One event at a time, so none can merge with another: each must ring exactly once."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    toggling = True

    async def keep_toggling() -> None:
        while toggling:
            await vector.mask()
            await vector.unmask()

    task = transport.start(keep_toggling())
    for fired in range(1, 61):
        await fire(transport, queue, adi.pasid, vector)
        await bell.reach(fired)
    toggling = False
    await task.join()
    await settle(transport)
    assert bell.count == 60
    await device.close()


@case
async def every_vector_rings_its_own_handler(transport: Transport) -> None:
    """All of both tables at once, masked and not; then none is left; then one is used again."""
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bells, vectors = [], []
    for table in VectorTable:
        while device.free_vectors(table):
            bells.append(Bell(transport))
            vectors.append(await device.alloc_vector(bells[-1], pasid=adi.pasid, table=table))
        with pytest.raises(VectorsExhausted):
            await device.alloc_vector(lambda: None, table=table)
    tables = device.capabilities
    assert len(vectors) == tables.ims_vectors - 1 + tables.msix_vectors - 1
    for vector in vectors:
        await vector.mask()
        await fire(transport, queue, adi.pasid, vector)
    await settle(transport)
    assert not any(bell.count for bell in bells)
    for vector in vectors:
        await vector.unmask()
    for bell in bells:
        await bell.reach(1)
    for vector in vectors:
        await fire(transport, queue, adi.pasid, vector)
    for bell in bells:
        await bell.reach(2)
    await settle(transport)
    assert [bell.count for bell in bells] == [2] * len(bells)
    chosen = vectors[100]
    await device.free_vector(chosen)
    bell = Bell(transport)
    again = await device.alloc_vector(bell, pasid=adi.pasid)
    assert again.index == chosen.index
    await fire(transport, queue, adi.pasid, again)
    await bell.reach(1)
    await device.close()
    assert sum(bell.count for bell in bells) == 2 * len(bells)


@case
async def three_requests_allocate_and_three_free(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    for table in VectorTable:
        for pasid in (None, adi.pasid):
            before = transport.requests
            vector = await device.alloc_vector(lambda: None, pasid=pasid, table=table)
            allocated = transport.requests
            await device.free_vector(vector)
            freed = transport.requests
            assert allocated - before <= MOST_REQUESTS, (table, pasid)
            assert freed - allocated <= MOST_REQUESTS, (table, pasid)
    await device.close()


@case
async def freed_vector_rings_nobody(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    bell = Bell(transport)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    await device.free_vector(vector)
    await fire(transport, queue, adi.pasid, vector)
    await settle(transport)
    assert bell.count == 0 and device.strays == 0
    assert [report.name for report in device.errors] == ["BAD_HANDLE"]
    for call in (vector.mask, vector.unmask, vector.retarget, vector.pending):
        with pytest.raises(VectorError) as caught:
            await call()
        assert "was freed" in str(caught.value)
    await device.close()


@case
async def event_held_by_a_freed_vector_does_not_reach_the_next_owner(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    adi = await device.create_adi(queue)
    for table in VectorTable:
        first = Bell(transport)
        vector = await device.alloc_vector(first, pasid=adi.pasid, table=table)
        if table is VectorTable.MSIX:
            adi.add_vector(vector)
            await vector.mask()
            await adi.submit(Nop(), vector=1)
        else:
            await vector.mask()
            await fire(transport, queue, adi.pasid, vector)
        await settle(transport)
        assert await vector.pending()
        await device.free_vector(vector)
        bells = first.count
        heirs = [Bell(transport) for _ in range(device.free_vectors(table))]
        owned = [await device.alloc_vector(bell, pasid=adi.pasid, table=table) for bell in heirs]
        assert vector.index in {item.index for item in owned}
        await settle(transport)
        assert not any(bell.count for bell in heirs) and first.count == bells <= 1
        for item in owned:
            await device.free_vector(item)
    assert device.strays == 0
    await device.close()


@case
async def msix_vectors_are_allocated_after_probe_too(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    assert device.free_vectors(VectorTable.MSIX) == device.capabilities.msix_vectors - 1
    adi = await device.create_adi(queue, vectors=2, table=VectorTable.MSIX)
    for vector in (0, 1, 1):
        await (await adi.submit(Nop(), vector=vector)).wait()
    assert [vector.bells for vector in adi.vectors] == [1, 2]
    masked = adi.vectors[1]
    await masked.mask()
    operation = await adi.submit(Nop(), vector=1)
    await settle(transport)
    assert not operation.done and await masked.pending()
    await masked.retarget()
    await masked.unmask()
    await operation.wait()
    assert [vector.bells for vector in adi.vectors] == [1, 3]
    await device.destroy_adi(adi)
    assert device.free_vectors(VectorTable.MSIX) == device.capabilities.msix_vectors - 1
    await device.close()


@case
async def failed_allocation_gives_everything_back(transport: Transport) -> None:
    """A host that offers a message outside the window: refused before anything is written."""
    device, (queue,) = await started(transport)
    free = device.free_vectors()
    system = boot(transport.machine)
    before = transport.requests, system.counts()
    machine: Any = transport.machine
    window, machine.message_base = machine.message_base, 0x1_0000_0000
    try:
        for table in VectorTable:
            with pytest.raises(VectorError) as caught:
                await device.alloc_vector(lambda: None, table=table)
            assert "is not one" in str(caught.value)
        assert (transport.requests, system.counts()) == before
    finally:
        machine.message_base = window
    assert device.free_vectors() == free
    adi = await device.create_adi(queue)
    await (await adi.submit(Nop())).wait()
    await device.close()
