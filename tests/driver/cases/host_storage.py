"""Interrupt message storage in the host's memory: more vectors than the device caches, syncs while
entries are on their way, and entries that cannot be read."""

import random
from collections.abc import Awaitable, Callable
from itertools import accumulate
from typing import Any

import pytest

from driver import Adi, Device, ErrorReport, Nop, QueueSettings, SettingsError, Transport, Vector
from driver.entries import ENTRY_BYTES
from driver.irq import boot
from driver.registers import Registers
from hw.regs.commands import FetchFailure

from .registry import (
    HOST_CONFIG,
    QUICK,
    SHARED,
    Bell,
    copy,
    finish,
    fire,
    host_case,
    settle,
    started,
)

MANY = 2 * HOST_CONFIG.host_cache_entries
EVENTS = 600
PAGE_BYTES = 4096
PER_PAGE = PAGE_BYTES // ENTRY_BYTES

LOG_ENTRIES = 64


async def _many(
    transport: Transport, count: int, host_vectors: int = HOST_CONFIG.host_vectors
) -> tuple[Device, Adi, list[Vector], list[Bell]]:
    """A device, an ADI, and so many more vectors of its."""
    device, (queue,) = await started(transport, host_vectors=host_vectors)
    adi = await device.create_adi(queue)
    bells = [Bell(transport) for _ in range(count)]
    vectors = [await device.alloc_vector(bell, pasid=adi.pasid) for bell in bells]
    return device, adi, vectors, bells


async def _ring(
    transport: Transport, adi: Adi, vectors: list[Vector], bells: list[Bell], chosen: list[int]
) -> None:
    """An event for each in turn; a vector gets the next one when it has rung."""
    fired = [0] * len(vectors)
    for each in chosen:
        await bells[each].reach(fired[each])
        fired[each] += 1
        await fire(transport, adi.queue, adi.pasid, vectors[each])
    for bell, count in zip(bells, fired, strict=True):
        await bell.reach(count)
    await settle(transport)
    assert [bell.count for bell in bells] == fired


@host_case
async def more_vectors_than_the_cache_holds_ring_in_any_order(transport: Transport) -> None:
    device, adi, vectors, bells = await _many(transport, MANY)
    assert device.free_vectors() == HOST_CONFIG.host_vectors - MANY - 1
    chance = random.Random(1)
    await _ring(transport, adi, vectors, bells, chance.choices(range(MANY), k=EVENTS))
    assert device.strays == 0
    await finish(device, adi)


@host_case
async def vectors_that_few_events_find_ring_beside_those_that_many_find(
    transport: Transport,
) -> None:
    """Zipf: the k-th vector gets 1/k of the events of the first."""
    device, adi, vectors, bells = await _many(transport, MANY)
    weights = list(accumulate(1 / rank for rank in range(1, MANY + 1)))
    chosen = random.Random(2).choices(range(MANY), cum_weights=weights, k=EVENTS)
    await _ring(transport, adi, vectors, bells, chosen)
    assert device.strays == 0
    await finish(device, adi)


async def _retarget(vector: Vector) -> None:
    await vector.retarget()


async def _mask_and_unmask(vector: Vector) -> None:
    await vector.mask()
    await vector.unmask()


@host_case
async def entry_that_changes_while_it_is_fetched_rings_once(transport: Transport) -> None:
    """Each change meets an event of an entry that was not cached, some clocks earlier or later."""
    device, adi, vectors, bells = await _many(transport, 100)
    changes: tuple[Callable[[Vector], Awaitable[None]], ...] = (_retarget, _mask_and_unmask)
    for number, (vector, bell) in enumerate(zip(vectors, bells, strict=True)):

        async def change(vector: Vector = vector, number: int = number) -> None:
            await transport.sleep(number * 3)
            await changes[number % 2](vector)

        task = transport.start(change())
        await fire(transport, adi.queue, adi.pasid, vector)
        await task.join()
        await bell.reach(1)
    await settle(transport)
    assert [bell.count for bell in bells] == [1] * len(bells)
    assert device.strays == 0
    await finish(device, adi)


@host_case
async def two_requests_sync_an_entry(transport: Transport) -> None:
    device, (queue,) = await started(transport, host_vectors=HOST_CONFIG.host_vectors)
    adi = await device.create_adi(queue)
    vector = await device.alloc_vector(lambda: None, pasid=adi.pasid)
    for change in (vector.mask, vector.unmask, vector.retarget, vector.pending):
        before = transport.requests
        await change()
        assert transport.requests - before == 2
    await finish(device, adi)


async def _lose(transport: Transport, page: int) -> Callable[[], None]:
    """Take a page of the table from the device; what is returned gives it back."""
    machine: Any = transport.machine
    pages = machine.iommu.spaces[None].pages
    place = await Registers(transport).read("ext_host_ims") // PAGE_BYTES + page
    mapping = pages.pop(place)

    def give_back() -> None:
        pages[place] = mapping

    return give_back


async def _lose_a_page(transport: Transport, log_entries: int) -> None:
    """The occupancy interrupt of a queue, which nobody checks, meets an entry that is not there."""
    device = await Device.probe(transport, QUICK)
    empty, reports = Bell(transport), Bell(transport)
    device.on_error = lambda report: reports()
    queue, other = await device.start(
        [QueueSettings(size=8, on_occupancy=empty), SHARED],
        event_log_entries=log_entries,
        host_vectors=HOST_CONFIG.host_vectors,
    )
    near = [await device.alloc_vector(lambda: None) for _ in range(PER_PAGE - 1)]
    adi = await device.create_adi(other)
    assert adi.vectors[0].index >= PER_PAGE > near[-1].index
    give_back = await _lose(transport, 0)
    await queue.arm_occupancy(2)
    await reports.reach(1)
    (report,) = device.errors
    assert report == ErrorReport(report.code, info=1 << 24, logged=log_entries > 0) and (
        report.entry,
        report.failure,
    ) == (0, FetchFailure.UNSUPPORTED_REQUEST)
    assert "entry 0" in str(report) and "UNSUPPORTED_REQUEST" in str(report)
    await copy(adi, 200, 1)
    await (await adi.submit(Nop())).wait()
    assert (empty.count, reports.count) == (0, 1)
    give_back()
    await device.sync_vectors()
    await empty.reach(1)
    await settle(transport)
    assert (empty.count, reports.count) == (1, 1) and device.strays == 0
    await device.close()


@host_case
async def entry_that_cannot_be_read_keeps_its_event_until_a_sync(transport: Transport) -> None:
    await _lose_a_page(transport, 0)


@host_case
async def entry_that_cannot_be_read_is_logged(transport: Transport) -> None:
    await _lose_a_page(transport, LOG_ENTRIES)


@host_case
async def descriptor_whose_entry_cannot_be_read_is_refused(transport: Transport) -> None:
    device, (queue,) = await started(transport)
    bell, reports = Bell(transport), Bell(transport)
    device.on_error = lambda report: reports()
    adi = await device.create_adi(queue)
    vector = await device.alloc_vector(bell, pasid=adi.pasid)
    give_back = await _lose(transport, 0)
    await device.sync_vectors()
    await fire(transport, queue, adi.pasid, vector)
    await reports.reach(1)
    await settle(transport)
    assert device.errors[0].name == "ENTRY_FETCH" and device.errors[0].entry == vector.index
    assert bell.count == 0
    give_back()
    await device.sync_vectors()
    await fire(transport, queue, adi.pasid, vector)
    await bell.reach(1)
    await device.close()
    assert bell.count == 1


@host_case
async def table_is_the_devices_until_it_is_reset(transport: Transport) -> None:
    machine: Any = transport.machine
    pages = machine.iommu.spaces[None].pages
    used = len(pages)
    for end in ("close", "function_level_reset"):
        device, (queue,) = await started(transport, host_vectors=HOST_CONFIG.host_vectors)
        adi = await device.create_adi(queue)
        await copy(adi, 64, 1)
        await device.destroy_adi(adi)
        await device.disable()
        assert len(pages) == used + HOST_CONFIG.host_vectors // PER_PAGE
        await device.start([SHARED])
        assert device.free_vectors() == HOST_CONFIG.host_vectors, "it stays where it is"
        await getattr(device, end)()
        assert len(pages) == used
    device = await Device.probe(transport, QUICK)
    await device.start([SHARED])
    assert device.free_vectors() == device.capabilities.ims_vectors
    await device.close()


@host_case
async def size_of_the_table_is_checked_before_anything_is_written(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    most = device.capabilities.host_vectors
    assert most == HOST_CONFIG.host_vectors
    vector = await device.alloc_vector(lambda: None)
    before = transport.requests, boot(transport.machine).counts()
    for count, sentence in ((most + 1, f"host_vectors is 0 to {most}"), (16, "free them before")):
        with pytest.raises(SettingsError, match=sentence):
            await device.start([SHARED], host_vectors=count)
    with pytest.raises(SettingsError, match="nothing to sync"):
        await device.sync_vectors()
    assert (transport.requests, boot(transport.machine).counts()) == before
    await device.free_vector(vector)
    await device.start([SHARED], host_vectors=16)
    await device.disable()
    with pytest.raises(SettingsError, match="until the device is reset"):
        await device.start([SHARED], host_vectors=32)
    await device.close()
