"""What the stock Linux driver for such devices does, access by access, and what it insists on."""

from driver import Batch, Nop
from driver.transport import Outcome, Transport
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.configspace import MSIX, PASID, PCIE
from hw.regs.descriptor import DESCRIPTOR, Opcode, Status
from hw.regs.event_log import EVENT, EVENT_BYTES
from tests.sim.idxd_sequences import (
    DISABLE_DEVICE,
    DISABLE_DEVICE_WITH_LOG,
    LOG_ENTRIES,
    PROBE,
    REMOVE,
    SOFTWARE_ERROR,
    Replay,
    after_function_reset,
    disable_queue,
    enable_device,
    enable_queue,
    event_logged,
)
from tests.targets import Target

from .registry import CONFIG, Bell, case

SHARED, DEDICATED = 0x10, 0x11
MSIX_TABLE = bar0(CONFIG).table("msix").offset
MSIX_PERMISSIONS = bar0(CONFIG).table("msixperm").offset
COMMAND, MASTER, FLR = 0x04, 0x107, 1 << 15
RESTORED = (0x0C, *range(0x10, 0x28, 4), 0x3C)
PLACE = portal(0, Portal.LIMITED)
BATCH = 32
UNANSWERABLE = DESCRIPTOR.pack(opcode=Opcode.DRAIN).to_bytes(64, "little")
"""A drain that asks for neither a record nor an interrupt."""


async def _loaded(transport: Transport) -> Replay:
    """The driver after its probe."""
    await transport.config_write(PASID + 6, 5, 2)
    replay = Replay(transport)
    await replay.run(PROBE)
    await replay.program_vector(MSIX_TABLE)
    return replay


async def _unload(replay: Replay) -> None:
    """Disable the device and unload the driver, content with all it has seen."""
    await replay.run(DISABLE_DEVICE)
    await replay.run(REMOVE)
    replay.close()
    assert not replay.found.wrong, "\n".join(replay.found.wrong)


@case
async def stock_driver_runs_queues_through_their_lives(transport: Transport) -> None:
    replay = await _loaded(transport)
    for mode, pasid in ((DEDICATED, None), (DEDICATED, 7), (SHARED, 7)):
        await replay.run(enable_device(mode=mode))
        await replay.run(enable_queue(mode=mode, pasid=pasid))
        await replay.run(disable_queue())
        if mode == DEDICATED:
            await replay.run(DISABLE_DEVICE)
    await _unload(replay)


@case
async def stock_driver_hears_of_work_on_the_vector_of_its_queue(transport: Transport) -> None:
    replay = await _loaded(transport)
    pasid, bell = transport.allocate_pasid(), Bell(transport)
    target = Target(transport.machine, bell)
    record = transport.allocate(32, pasid=pasid)
    entry = MSIX_TABLE + 16
    await transport.write(0, entry, target.message.address.to_bytes(8, "little"))
    await transport.write(0, entry + 8, target.message.data.to_bytes(8, "little"))
    await replay.run(enable_device())
    await replay.run(enable_queue(pasid=pasid))
    work = Nop().encode(pasid=pasid, completion_address=record.address, handle=1)
    await transport.write(2, PLACE, work)
    await bell.reach(1)
    assert record.read()[0] == Status.SUCCESS
    # Without its permission the vector is not the queue's.
    await transport.write(0, MSIX_PERMISSIONS + 8, bytes(4))
    record.write(bytes(32))
    await transport.write(2, PLACE, work)
    await replay.run(disable_queue())
    assert record.read()[0] == Status.BAD_HANDLE
    assert bell.count == 1
    await _unload(replay)
    target.release()
    record.free()
    transport.free_pasid(pasid)


@case
async def stock_driver_submits_to_a_shared_queue(transport: Transport) -> None:
    replay = await _loaded(transport)
    pasid = transport.allocate_pasid()
    record = transport.allocate(32, pasid=pasid)
    await replay.run(enable_device(mode=SHARED))
    await replay.run(enable_queue(mode=SHARED, pasid=pasid))
    work = Nop().encode(pasid=pasid, completion_address=record.address)
    await transport.write(2, PLACE, work)  # not the way into a shared queue
    assert await transport.deferrable_write(2, PLACE, work) is Outcome.ACCEPTED
    await replay.run(disable_queue())
    assert record.read()[0] == Status.SUCCESS
    await _unload(replay)
    record.free()
    transport.free_pasid(pasid)


@case
async def stock_driver_is_told_of_a_software_error(transport: Transport) -> None:
    replay = await _loaded(transport)
    await replay.run(enable_device())
    await replay.run(enable_queue())
    await transport.write(2, PLACE, UNANSWERABLE)
    assert await replay.rung()
    await replay.run(SOFTWARE_ERROR)
    await replay.run(disable_queue())
    await _unload(replay)


@case
async def stock_driver_reads_its_event_log(transport: Transport) -> None:
    """Kernel 6.12 from enabling the device to disabling it, with three errors in between."""
    replay = await _loaded(transport)
    log = transport.allocate(LOG_ENTRIES * EVENT_BYTES, align=4096)
    await replay.run(enable_device(log=log.address))
    await replay.run(enable_queue())
    for index in range(3):
        await transport.write(2, PLACE, UNANSWERABLE)
        assert await replay.rung()
        await replay.run(event_logged(index, index + 1))
        entry = EVENT.unpack(int.from_bytes(log.read(EVENT_BYTES * index, EVENT_BYTES), "little"))
        assert (entry["code"], entry["opcode"]) == (Status.BAD_FLAGS, Opcode.DRAIN)
    await replay.run(disable_queue())
    await replay.run(DISABLE_DEVICE_WITH_LOG)
    await replay.run(REMOVE)
    replay.close()
    assert not replay.found.wrong, "\n".join(replay.found.wrong)
    log.free()


@case
async def stock_driver_submits_a_batch_of_its_default_size(transport: Transport) -> None:
    replay = await _loaded(transport)
    members, record = transport.allocate(64 * BATCH, align=64), transport.allocate(32, align=32)
    members.write(Nop().encode() * BATCH)
    await replay.run(enable_device())
    await replay.run(enable_queue())
    batch = Batch(members.address, BATCH).encode(completion_address=record.address)
    await transport.write(2, PLACE, batch)
    await replay.run(disable_queue())
    assert record.read()[0] == Status.SUCCESS
    assert record.read()[4:8] == BATCH.to_bytes(4, "little")
    await _unload(replay)
    members.free()
    record.free()


@case
async def stock_driver_restores_the_function_after_its_reset(transport: Transport) -> None:
    replay = await _loaded(transport)
    await replay.run(enable_device())
    await replay.run(enable_queue())
    saved = {offset: await transport.config_read(offset, 4) for offset in RESTORED}
    control = await transport.config_read(PCIE + 8, 2)
    for _ in range(2):
        # Bus Master goes off while device and queue are enabled.
        await transport.config_write(COMMAND, 0x400, 2)
        await transport.config_write(PCIE + 8, control | FLR, 2)
        await transport.sleep(20_000)
        for offset, value in saved.items():
            await transport.config_write(offset, value, 4)
        await transport.config_write(PCIE + 8, control, 2)
        await transport.config_write(PASID + 6, 5, 2)
        await transport.config_write(COMMAND, MASTER, 2)
        await transport.config_write(MSIX + 2, 0x8000, 2)
        await replay.program_vector(MSIX_TABLE)
    await replay.run(after_function_reset())
    await replay.run(enable_device())
    await replay.run(enable_queue())
    await replay.run(disable_queue())
    await _unload(replay)
