"""The stock idxd driver's accesses, replayed on the model."""

import pytest

from driver.transport import Outcome
from hw.regs.bar0 import bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.config import Config
from hw.regs.configspace import PASID
from sim.model.transport import ModelTransport, run

from .idxd_sequences import (
    DISABLE_DEVICE,
    PROBE,
    REMOVE,
    SOFTWARE_ERROR,
    Poll,
    Read,
    Replay,
    disable_queue,
    enable_device,
    enable_queue,
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


def test_replay_notices_a_device_that_is_different():
    async def life():
        _, replay = await probed()
        await replay.run((Read(0x00, expect=0x100), Poll(expect=5)))
        assert len(replay.found.wrong) == 2

    run(life())
