"""The stock idxd driver's accesses, replayed on the model."""

import pytest

from driver.transport import Outcome
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.config import Config
from hw.regs.configspace import PASID
from hw.regs.descriptor import Opcode, Status
from hw.regs.event_log import EVENT, EVENT_BYTES
from sim.model.transport import ModelTransport, run

from .idxd_sequences import (
    DISABLE_DEVICE,
    DISABLE_DEVICE_WITH_LOG,
    EVLCFG,
    GENCFG,
    LOG_ENTRIES,
    PROBE,
    REMOVE,
    SOFTWARE_ERROR,
    Poll,
    Read,
    Replay,
    disable_queue,
    enable_device,
    enable_queue,
    event_logged,
)
from .model_bench import descriptor

CONFIG = Config(ims_vectors=256)
SHARED = 0x10
DEDICATED = 0x11


async def probed(config=CONFIG, **options):
    transport = ModelTransport(config, **options)
    await transport.config_write(0x04, 2, 2)
    await transport.config_write(PASID + 6, 5, 2)
    replay = Replay(transport)
    await replay.run(PROBE)
    await replay.program_vector(bar0(config).table("msix").offset)
    assert replay.found.wrong == []
    return transport, replay


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("mode", "pasid"), [(DEDICATED, None), (DEDICATED, 7), (SHARED, 7)])
def test_whole_life_of_a_queue(mode, pasid, shuffle):
    async def life():
        transport, replay = await probed(shuffle=shuffle, seed=3)
        for _ in range(2):
            await replay.run(enable_device(mode=mode))
            await replay.run(enable_queue(mode=mode, pasid=pasid))
            await replay.run(disable_queue())
            await replay.run(DISABLE_DEVICE)
        await replay.run(REMOVE)
        assert replay.found.wrong == []
        assert transport.platform.check() == []

    run(life())


def test_smallest_device_is_enough():
    smallest = Config(
        ims_vectors=256, msix_vectors=2, queues=1, queue_slots=8, tags=4, max_payload_bytes=128
    )

    async def life():
        _, replay = await probed(smallest)
        await replay.run(enable_device(size=8))
        await replay.run(enable_queue(size=8))
        await replay.run(disable_queue())
        await replay.run(DISABLE_DEVICE)
        await replay.run(REMOVE)
        assert replay.found.wrong == []

    run(life())


def test_default_device_has_what_the_driver_asks_for_unasked():
    """A vector for each queue and one more; the limits that the driver sets by default."""
    config = Config()
    assert config.msix_vectors > config.queues
    assert config.max_transfer_log2 >= 21
    assert config.max_batch_log2 >= 5


def test_descriptor_through_the_limited_portal_completes():
    async def life():
        transport, replay = await probed()
        pasid = transport.allocate_pasid()
        await replay.run(enable_device(mode=SHARED))
        await replay.run(enable_queue(mode=SHARED, pasid=pasid))
        record = transport.allocate(32, pasid=pasid)
        data = descriptor(pasid=pasid, completion_address=record.address)
        offset = portal(0, Portal.LIMITED)
        assert await transport.deferrable_write(2, offset, data) is Outcome.ACCEPTED
        await replay.run(disable_queue())
        assert record.read()[0] == 1
        assert replay.found.wrong == []

    run(life())


def test_software_error_is_found_by_its_interrupt():
    async def life():
        transport, replay = await probed()
        await replay.run(enable_device(mode=DEDICATED))
        await replay.run(enable_queue(mode=DEDICATED))
        bad = descriptor(0x02)
        await transport.write(2, portal(0, Portal.LIMITED), bad)
        assert await replay.rung()
        await replay.run(SOFTWARE_ERROR)
        assert replay.found.wrong == []

    run(life())


BAD = descriptor(Opcode.DRAIN)
"""A drain that asks for neither record nor interrupt cannot be answered."""


def logged(log, index):
    """Fields of an entry in the event log."""
    entry = log.read()[EVENT_BYTES * index : EVENT_BYTES * (index + 1)]
    return EVENT.unpack(int.from_bytes(entry, "little"))


@pytest.mark.parametrize("shuffle", [False, True])
def test_life_with_an_event_log(shuffle):
    """Kernel 6.12 from enabling the device to disabling it, three errors in between."""

    async def life():
        transport, replay = await probed(shuffle=shuffle, seed=5)
        log = transport.allocate(LOG_ENTRIES * EVENT_BYTES, align=4096)
        for _ in range(2):
            log.write(bytes(LOG_ENTRIES * EVENT_BYTES))
            await replay.run(enable_device(log=log.address))
            await replay.run(enable_queue())
            for index in range(3):
                await transport.write(2, portal(0, Portal.LIMITED), BAD)
                assert await replay.rung()
                await replay.run(event_logged(index, index + 1))
                fields = logged(log, index)
                assert (fields["code"], fields["opcode"]) == (Status.BAD_FLAGS, Opcode.DRAIN)
            await replay.run((Read(0xC0, 8, expect=0, mask=3),))
            await replay.run(disable_queue())
            await replay.run(DISABLE_DEVICE_WITH_LOG)
        await replay.run(REMOVE)
        assert replay.found.wrong == []
        assert transport.platform.check() == []

    run(life())


def test_reset_of_the_device_has_turned_the_log_off():
    async def life():
        transport, replay = await probed()
        log = transport.allocate(LOG_ENTRIES * EVENT_BYTES, align=4096)
        await replay.run(enable_device(log=log.address))
        await replay.run(
            (
                Read(GENCFG, expect=0x3000),
                Read(EVLCFG, 8, expect=log.address),
                Read(EVLCFG + 8, 8, expect=LOG_ENTRIES),
            )
        )
        await replay.run(DISABLE_DEVICE)
        cleared = (Read(GENCFG, expect=0), Read(EVLCFG, 8, expect=0), Read(EVLCFG + 8, 8, expect=0))
        await replay.run(cleared)
        assert replay.found.wrong == []

    run(life())


def test_default_limits_of_the_driver_hold_for_batches():
    """The driver allows a queue batches of 32."""

    async def life():
        transport, replay = await probed()
        await replay.run(enable_device())
        await replay.run(enable_queue())
        count = 32
        members = transport.allocate(64 * count)
        record = transport.allocate(32, align=32)
        members.write(descriptor() * count)
        data = bytearray(descriptor(Opcode.BATCH, completion_address=record.address))
        data[16:24] = members.address.to_bytes(8, "little")
        data[32:36] = count.to_bytes(4, "little")
        await transport.write(2, portal(0, Portal.LIMITED), bytes(data))
        await replay.run(disable_queue())
        assert record.read()[0] == Status.SUCCESS
        assert record.read()[4:8] == count.to_bytes(4, "little")
        assert replay.found.wrong == []

    run(life())


def test_replay_notices_a_device_that_is_different():
    async def life():
        _, replay = await probed()
        await replay.run((Read(0x00, expect=0x100), Poll(expect=5)))
        assert len(replay.found.wrong) == 2

    run(life())
