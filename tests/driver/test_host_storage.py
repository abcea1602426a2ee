"""A device whose sync does not end."""

import pytest

from driver import CommandTimeout, Device, QueueSettings, Timeouts
from driver.irq import boot
from hw.regs.extension import EXTENSION
from sim.model.transport import ModelTransport, run

from .cases import HOST_CONFIG

SYNC = next(register for register in EXTENSION if register.name == "ext_sync")
QUICK = Timeouts(command=5_000, reset=10_000)


class Stuck(ModelTransport):
    """Says that a sync is under way, while ``stuck`` is set."""

    stuck = False

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        data = await super().read(bar, offset, size)
        if self.stuck and (bar, offset) == (0, SYNC.offset):
            return SYNC.pack(active=1).to_bytes(size, "little")
        return data


async def device_on(transport: Stuck) -> Device:
    device = await Device.probe(transport, QUICK)
    await device.start([QueueSettings(size=8)], host_vectors=64)
    return device


def test_sync_that_does_not_end_says_what_to_do_and_leaves_nothing_behind():
    async def play() -> None:
        transport = Stuck(HOST_CONFIG)
        device = await device_on(transport)
        vector = await device.alloc_vector(lambda: None)
        transport.stuck = True
        for change in (vector.mask, vector.retarget):
            with pytest.raises(
                CommandTimeout, match=r"entry 0 is still active.*reset the function"
            ):
                await change()
        with pytest.raises(CommandTimeout):
            await device.alloc_vector(lambda: None)
        await device.close()
        assert not any(boot(transport.machine).counts().values())
        assert not transport.platform.check()

    run(play())


def test_change_whose_sync_did_not_end_is_synced_with_the_next():
    async def play() -> None:
        transport = Stuck(HOST_CONFIG)
        device = await device_on(transport)
        first = await device.alloc_vector(lambda: None)
        second = await device.alloc_vector(lambda: None)
        transport.stuck = True
        with pytest.raises(CommandTimeout):
            await first.retarget()
        transport.stuck = False
        before = transport.requests
        await second.retarget()
        assert transport.requests - before == 4
        assert boot(transport.machine).counts()["entries"] == 4
        await first.retarget()
        await device.close()
        assert not any(boot(transport.machine).counts().values())

    run(play())
