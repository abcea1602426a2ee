"""Batches: members of all kinds, fences, failures, and what is told of each member."""

import itertools

import pytest

from driver import (
    Batch,
    BatchFailed,
    Comparison,
    Delta,
    Dualcast,
    MemoryFailed,
    MemoryMove,
    Nop,
    OperationAborted,
    OperationFailed,
    QueueSettings,
    SettingsError,
    Transport,
)
from hw.regs.descriptor import Status

from .mistakes import NOWHERE, Flipped
from .operations import crc32c
from .registry import DEDICATED, EMPTY, Bell, alone, balanced, case, copy, finish, pattern, started

SIZE = 300


@case
async def batch_of_all_kinds_tells_every_result(transport: Transport) -> None:
    device, adi = await alone(transport)
    source, other, record = adi.allocate(512), adi.allocate(512), adi.allocate(512)
    one, two = adi.allocate(4096, align=4096), adi.allocate(4096, align=4096)
    source.write(pattern(512, 1))
    async with adi.batch() as batch:
        batch.copy(source, other, 512)
        batch.fence()
        same = batch.compare(source, other, 512)
        crc = batch.crc(source.address + 1, SIZE)
        copied = batch.copy_crc(source.address + 3, one.address + 5, SIZE)
        batch.dualcast(source, one.address + 1024, two.address + 1024, SIZE)
        batch.fill(two.address + 1, 99, 0x1111_1111_1111_1111)
        batch.fence()
        delta = batch.delta(source, two, 256, record, 400)
        filled = batch.compare_pattern(two.address + 1, 100, 0x1111_1111_1111_1111)
        batch.flush(two, 64)
        batch.noop()
    assert batch.completed == len(batch.members) == 10
    assert adi.bells == 1, "members ring nobody"
    assert same.result() == Comparison(True) and filled.result() == Comparison(False, 99)
    assert crc.result() == crc32c(pattern(512, 1)[1 : 1 + SIZE])
    assert copied.result() == crc32c(pattern(512, 1)[3 : 3 + SIZE])
    assert one.read(5, SIZE) == source.read(3, SIZE)
    assert one.read(1024, SIZE) == two.read(1024, SIZE) == source.read(0, SIZE)
    assert delta.result().outcome is Delta.COMPLETE and delta.result().size_bytes == 320
    await finish(device, adi)


@case
async def fence_orders_what_would_run_side_by_side(transport: Transport) -> None:
    device, adi = await alone(transport)
    buffers = [adi.allocate(1024) for _ in range(5)]
    buffers[0].write(pattern(1024, 5))
    async with adi.batch() as batch:
        for source, destination in itertools.pairwise(buffers):
            batch.fence()
            batch.copy(source, destination, 1024)
        batch.fence()
        last = batch.compare(buffers[0], buffers[-1], 1024)
    assert last.result().equal
    await finish(device, adi)


@case
async def failure_before_a_fence_abandons_what_is_behind(transport: Transport) -> None:
    device, adi = await alone(transport)
    source, destination = adi.allocate(64), adi.allocate(256)
    source.write(pattern(64, 2))
    destination.write(EMPTY * 256)
    with pytest.raises(BatchFailed) as caught:
        async with adi.batch() as batch:
            good = batch.copy(source, destination, 64)
            bad = batch.copy(NOWHERE, destination.address + 64, 64)
            also = batch.copy(source, destination.address + 64, 64)
            batch.fence()
            first = batch.copy(source, destination.address + 128, 64)
            second = batch.copy(source, destination.address + 192, 64)
    failed = caught.value
    assert failed.failed == [bad] and failed.abandoned == [first, second]
    assert failed.status == Status.BATCH_FAILED and batch.completed == 3
    assert good.result() is None and also.result() is None
    with pytest.raises(MemoryFailed):
        bad.result()
    with pytest.raises(OperationAborted):
        second.result()
    assert destination.read() == pattern(64, 2) * 2 + EMPTY * 128
    await finish(device, adi)


@case
async def failure_without_a_fence_stops_nobody(transport: Transport) -> None:
    device, adi = await alone(transport)
    source, destination = adi.allocate(64), adi.allocate(64)
    source.write(pattern(64, 2))
    with pytest.raises(BatchFailed) as caught:
        async with adi.batch() as batch:
            bad = batch.crc(NOWHERE, 64)
            batch.copy(source, destination, 64)
    assert caught.value.failed == [bad] and not caught.value.abandoned
    assert batch.completed == 2 and destination.read() == pattern(64, 2)
    await finish(device, adi)


@case
async def comparison_decides_whether_a_batch_goes_on(transport: Transport) -> None:
    device, adi = await alone(transport)
    first, second, target = adi.allocate(64), adi.allocate(64), adi.allocate(64)
    for differs in (False, True):
        second.write(bytes([differs]), 63)
        target.write(EMPTY * 64)
        for expected in (True, False):
            stopped = expected is differs
            try:
                async with adi.batch() as batch:
                    compare = batch.compare(first, second, 64, expect_equal=expected)
                    batch.fence()
                    fill = batch.fill(target, 64)
            except BatchFailed as error:
                assert stopped and error.abandoned == [fill] and not error.failed
            else:
                assert not stopped and fill.result() is None
            assert compare.result().equal is not differs
            assert target.read() == (EMPTY * 64 if stopped else bytes(64))
            target.write(EMPTY * 64)
    async with adi.batch() as batch:
        missed = batch.compare(first, second, 64, expect_equal=True)
    assert missed.result() == Comparison(False, 63), "without a fence it is only a result"
    await finish(device, adi)


@case
async def raising_body_submits_nothing(transport: Transport) -> None:
    device, adi = await alone(transport)
    buffer = adi.allocate(64)
    buffer.write(EMPTY * 64)
    before = transport.requests
    with pytest.raises(SettingsError):
        async with adi.batch() as batch:
            batch.fill(buffer, 64)
            batch.copy(buffer, buffer.address + 1, 64)
    async with adi.batch():
        pass
    assert transport.requests == before and adi.submitted == 0
    assert buffer.read() == EMPTY * 64
    await finish(device, adi)


@case
async def mistakes_of_members_are_told_apart(transport: Transport) -> None:
    """A list written by hand, with what the driver would have refused."""
    device, adi = await alone(transport, QueueSettings(size=8, max_batch_log2=3))
    buffer, records = adi.allocate(256), adi.allocate(256, align=32)
    buffer.write(EMPTY * 256)
    place = buffer.address
    members = (
        (Nop(), Status.SUCCESS),
        (Batch(place, 2), Status.BAD_OPCODE),
        (Flipped(Nop(), 2 << 56), Status.BAD_OPCODE),
        (MemoryMove(place, place + 1, 64), Status.OVERLAP),
        (Flipped(Nop(), 1 << 511), Status.RESERVED_NOT_ZERO),
        (Dualcast(place, place + 64, place + 80, 8), Status.DUALCAST_ALIGNMENT),
        (Flipped(Nop(), 0xFFFFF | 1 << 31), Status.SUCCESS),
    )
    batch = adi.allocate(64 * len(members))
    for index, (descriptor, _) in enumerate(members):
        data = descriptor.encode(completion_address=records.address + 32 * index)
        batch.write(data, 64 * index)
    with pytest.raises(OperationFailed) as caught:
        await adi.run(Batch(batch.address, len(members)))
    assert caught.value.status == Status.BATCH_FAILED
    assert caught.value.completion.bytes_completed == len(members)
    found = [records.read(32 * index, 1)[0] for index in range(len(members))]
    assert found == [status for _, status in members]
    assert buffer.read() == EMPTY * 256
    await copy(adi, 64, 1)
    await finish(device, adi)


@case
async def batch_of_one_and_the_largest_batch_are_executed(transport: Transport) -> None:
    device, adi = await alone(transport)
    buffer = adi.allocate(2048)
    for count in (1, adi.limits.max_batch):
        buffer.write(EMPTY * 2048)
        async with adi.batch() as batch:
            for index in range(count):
                batch.fill(buffer.address + 40 * index, 40, index * 0x0101_0101_0101_0101)
        expected = b"".join(bytes([index]) * 40 for index in range(count))
        assert buffer.read(0, 40 * count) == expected and batch.completed == count
        assert buffer.read(40 * count, 8) == EMPTY * 8
    await finish(device, adi)


@case
async def batches_and_single_operations_take_turns(transport: Transport) -> None:
    """Several batches at once, on a shared and a dedicated queue, with others between."""
    device, (shared, dedicated) = await started(transport, QueueSettings(size=16), DEDICATED)
    adis = [await device.create_adi(queue) for queue in (shared, shared, dedicated)]

    async def work(number: int) -> None:
        adi = adis[number % len(adis)]
        source, destination = adi.allocate(512), adi.allocate(512)
        source.write(pattern(512, number))
        async with adi.batch() as batch:
            for at in range(0, 512, 128):
                batch.copy(source.address + at, destination.address + at, 128)
            batch.fence()
            same = batch.compare(source, destination, 512)
        assert same.result().equal
        await copy(adi, 77, number)

    tasks = [transport.start(work(number)) for number in range(6)]
    for task in tasks:
        await task.join()
    for adi in adis:
        await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def member_without_a_record_is_reported_with_its_index(transport: Transport) -> None:
    device, adi = await alone(transport)
    reports = Bell(transport)
    device.on_error = lambda report: reports()
    batch = adi.allocate(192)
    for index, descriptor in enumerate((Nop(), MemoryMove(NOWHERE, batch.address, 8), Nop())):
        batch.write(descriptor.encode(), 64 * index)
    with pytest.raises(OperationFailed, match="BATCH_FAILED"):
        await adi.run(Batch(batch.address, 3))
    await reports.reach(1)
    report = device.errors[0]
    assert (report.name, report.pasid, report.batch_index) == ("HARDWARE", adi.pasid, 1)
    assert report.queue == adi.queue.index and report.opcode == 3
    await copy(adi, 64, 1)
    await balanced(adi)
    await device.close()
