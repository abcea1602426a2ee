"""What queues share: engines and groups, priorities, staged submission, occupancy interrupts."""

import pytest

from driver import (
    Adi,
    CommandFailed,
    Compare,
    Device,
    GroupSettings,
    MemoryMove,
    Mode,
    Nop,
    Operation,
    QueueSettings,
    SettingsError,
    Transport,
)
from driver.queues import PORTAL_BAR
from hw.regs.bar0 import GROUP_CONFIG, bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, CommandError, QueueState

from .registry import (
    CONFIG,
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

STAGED = QueueSettings(size=8, mode=Mode.DEDICATED, staged=True)
GROUPS = bar0(CONFIG).table("grpcfg")


async def _wait(operations: list[Operation]) -> None:
    for operation in operations:
        await operation.wait()


@case
async def each_group_has_engines_of_its_own(transport: Transport) -> None:
    """The only engine of a group that is kept busy does not keep the other group waiting."""
    device = await Device.probe(transport, QUICK)
    groups = [GroupSettings(queues=[1], engines=[1]), GroupSettings(queues=[0], engines=[0])]
    queues = await device.start([SHARED, SHARED], groups=groups)
    busy, quick = [await device.create_adi(queue) for queue in queues]
    operations = await occupy(busy, 6, 16384)
    for size in (64, 65):
        await copy(quick, size, size)
    assert not operations[-1].done, "the busy group was not busy for long enough"
    await _wait(operations)
    for adi in (busy, quick):
        await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def engines_of_one_group_share_its_queues(transport: Transport) -> None:
    """With one engine, and with all of them, everything is done once."""
    for engines in ([0], [CONFIG.engines - 1], range(CONFIG.engines)):
        device = await Device.probe(transport, QUICK)
        groups = [GroupSettings(queues=[0, 1], engines=engines)]
        queues = await device.start([SHARED, SHARED], groups=groups)
        adis = [await device.create_adi(queue) for queue in queues]
        pending = [await occupy(adi, 3, 512) for adi in adis]
        for operations in pending:
            await _wait(operations)
        for adi in adis:
            await copy(adi, 100, 1)
            await balanced(adi)
        await device.close()
        assert not device.errors


@case
async def few_read_buffers_slow_a_group_and_break_nothing(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    groups = [
        GroupSettings(queues=[0], engines=[0], read_buffers_allowed=4),
        GroupSettings(queues=[1], engines=[1], read_buffers_reserved=8),
    ]
    queues = await device.start([SHARED, SHARED], groups=groups)
    adis = [await device.create_adi(queue) for queue in queues]
    tasks = [transport.start(copy(adi, 6000, seed)) for seed, adi in enumerate(adis)]
    for task in tasks:
        await task.join()
    await device.close()
    assert not device.errors


@case
async def groups_that_make_no_sense_do_not_enable_the_device(transport: Transport) -> None:
    """Written behind the driver's back: the device finds out for itself."""
    device = await Device.probe(transport, QUICK)
    for queue in device.queues[:2]:
        await queue.configure(SHARED)
    places = {item.name: GROUPS.offset + item.offset for item in GROUP_CONFIG}
    flags = GROUP_CONFIG[2]
    for words, error in (
        ({"queues": [3, 0], "engines": [0, 0]}, CommandError.GROUP_INCOMPLETE),
        ({"queues": [3, 0], "engines": [1, 2]}, CommandError.GROUP_INCOMPLETE),
        ({"queues": [3, 1], "engines": [1, 2]}, CommandError.GROUP_QUEUES),
        ({"queues": [1, 0], "engines": [1, 0]}, CommandError.GROUP_QUEUES),
        ({"queues": [1, 6], "engines": [1, 2]}, CommandError.GROUP_QUEUES),
        ({"queues": [1, 2], "engines": [1, 1]}, CommandError.GROUP_ENGINES),
        (
            {"queues": [3, 0], "engines": [1, 0], "flags": [flags.pack(read_buffers_reserved=255)]},
            CommandError.READ_BUFFERS,
        ),
    ):
        for name, values in words.items():
            for index, value in enumerate(values):
                place = places[name] + GROUPS.stride * index
                await transport.write(0, place, value.to_bytes(8, "little"))
        with pytest.raises(CommandFailed) as caught:
            await device.command(Command.ENABLE_DEVICE)
        assert caught.value.error == error, (words, error.name)
    await device.start([SHARED, SHARED])
    await device.close()


@case
async def higher_priority_is_served_more_often(transport: Transport) -> None:
    """The only engine is full of other work while both queues fill; then it takes from both.

    The queues are dedicated: answers to deferrable writes would wait behind the engine's data.
    """
    sizes = {32: 1, 16: 1, 15: 15}
    settings = [
        QueueSettings(size=size, priority=level, mode=Mode.DEDICATED)
        for size, level in sizes.items()
    ]
    device = await Device.probe(transport, QUICK)
    queues = await device.start(settings, groups=[GroupSettings(queues=range(3), engines=[0])])
    blocker, slow, fast = [await device.create_adi(queue) for queue in queues]
    size = 32768
    first, second = blocker.allocate(size), blocker.allocate(size)
    held: list[Operation] = [
        await blocker.submit(Compare(first.address, second.address, size)),
        *[await blocker.submit(Nop()) for _ in range(20)],
    ]
    pending = await occupy(slow, 12, 512)
    favoured = await occupy(fast, 12, 512)
    await _wait(favoured)
    late = sum(not operation.done for operation in pending)
    assert late >= 6, f"only {late} of 12 operations of low priority were still waiting"
    await _wait(held + pending)
    for adi in (blocker, slow, fast):
        await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def dedicated_queue_takes_descriptors_in_pieces(transport: Transport) -> None:
    device, (queue, shared) = await started(transport, STAGED, SHARED)
    adi, guest = await device.create_adi(queue), await device.create_adi(shared)
    for number in range(3):
        await copy(adi, 100 + number, number)
        await copy(guest, 100 + number, number)
    operations = [await adi.submit(Nop()) for _ in range(12)]
    await _wait(operations)
    async with adi.batch() as batch:
        batch.noop()
        batch.noop()
    await balanced(adi)
    await device.close()
    assert not device.errors


@case
async def pieces_that_are_not_a_descriptor_submit_nothing(transport: Transport) -> None:
    device, (queue,) = await started(transport, STAGED)
    adi = await device.create_adi(queue)
    source, target, record = adi.allocate(64), adi.allocate(64), adi.allocate(32, align=32)
    source.write(b"\x5a" * 64)
    data = MemoryMove(source.address, target.address, 64).encode(completion_address=record.address)
    place = portal(queue.index, Portal.UNLIMITED, 5)
    for low in range(0, 56, 8):
        await transport.write(PORTAL_BAR, place + low, data[low : low + 8])
    await transport.write(PORTAL_BAR, place + 56, data[56:60])
    await settle(transport, 500)
    assert record.read() == bytes(32), "a descriptor without its last piece was executed"
    await transport.write(PORTAL_BAR, place + 56, data[56:64])
    await settle(transport, 1000)
    assert record.read(0, 1) == b"\1" and target.read() == source.read()
    await copy(adi, 64, 1)
    await device.close()


@case
async def pieces_are_ignored_while_the_extension_is_off(transport: Transport) -> None:
    device, (queue,) = await started(transport, QueueSettings(size=8, mode=Mode.DEDICATED))
    adi = await device.create_adi(queue)
    record = adi.allocate(32, align=32)
    data = Nop().encode(completion_address=record.address)
    place = portal(queue.index, Portal.UNLIMITED)
    for low in range(0, 64, 8):
        await transport.write(PORTAL_BAR, place + low, data[low : low + 8])
    await settle(transport, 500)
    assert record.read() == bytes(32) and await queue.occupancy() == 0
    await copy(adi, 64, 1)
    await device.close()
    assert not device.errors


@case
async def queue_that_runs_empty_interrupts_once(transport: Transport) -> None:
    bell = Bell(transport)
    device, (queue,) = await started(transport, QueueSettings(size=16, on_occupancy=bell))
    adi = await device.create_adi(queue)
    await settle(transport, 300)
    assert bell.count == 0, "nobody has asked for it yet"
    await queue.arm_occupancy(2)
    await bell.reach(1)
    operations = await block(adi) + [await adi.submit(Nop()) for _ in range(8)]
    assert await queue.occupancy() > 2, "the queue was never full enough"
    await queue.arm_occupancy(2)
    assert bell.count == 1, "it rang although the queue was full"
    await bell.reach(2)
    await _wait(operations)
    await _wait([await adi.submit(Nop()) for _ in range(3)])
    await settle(transport, 500)
    assert bell.count == 2, "it rang twice for one request"
    with pytest.raises(SettingsError, match="occupancy limit is 0 to 16, not 17"):
        await queue.arm_occupancy(17)
    await balanced(adi)
    await device.close()
    assert not device.errors and device.strays == 0


@case
async def occupancy_interrupt_waits_for_its_queue(transport: Transport) -> None:
    """Armed while the queue is disabled, it rings when the queue is enabled (DSA §9.2.24)."""
    bell = Bell(transport)
    device, (queue,) = await started(transport, QueueSettings(size=8, on_occupancy=bell))
    await queue.disable()
    await queue.arm_occupancy(0)
    await settle(transport, 300)
    assert bell.count == 0 and await queue.state() is QueueState.DISABLED
    await queue.enable()
    await bell.reach(1)
    await device.close()


@case
async def members_of_a_full_house_are_all_served(transport: Transport) -> None:
    """Every queue, every engine, mixed sizes: nobody waits for ever."""
    settings = [QueueSettings(size=4, priority=1 + index * 2) for index in range(CONFIG.queues)]
    device = await Device.probe(transport, QUICK)
    half = CONFIG.queues // 2
    groups = [
        GroupSettings(queues=range(half), engines=[0]),
        GroupSettings(queues=range(half, CONFIG.queues), engines=range(1, CONFIG.engines)),
    ]
    queues = await device.start(settings, groups=groups)
    adis: list[Adi] = [await device.create_adi(queue) for queue in queues]
    tasks = [
        transport.start(copy(adi, 40 + 90 * number, number))
        for number, adi in enumerate(adis)
        for _ in range(3)
    ]
    for task in tasks:
        await task.join()
    for adi in adis:
        await balanced(adi)
    await device.close()
    assert not device.errors
