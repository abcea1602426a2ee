"""The driver's vectors as interrupts of a machine, on the functional model."""

import asyncio
import errno

import pytest

from driver import Device, DeviceGone, DriverError, QueueSettings, VectorsExhausted, VectorTable
from driver.irq import IrqError, boot
from hw.regs.config import Config
from sim.host.platform import Host
from sim.host.remapping import FaultReason
from sim.model.transport import ModelTransport, run

from ..cases.registry import CONFIG, Bell, fire, settle, started


async def probed(host: Host, config: Config = CONFIG) -> tuple[ModelTransport, Device]:
    transport = ModelTransport(config, host)
    return transport, await Device.probe(transport)


def test_every_vector_of_the_largest_device_has_a_processor():
    async def play():
        host = Host()
        _, device = await probed(host, Config(ims_vectors=16128, msix_vectors=2048))
        for table in VectorTable:
            while device.free_vectors(table):
                await device.alloc_vector(lambda: None, table=table)
        counts = boot(host).counts()
        assert counts["vectors"] == counts["entries"] == 16128 + 2048 == host.interrupts.live
        await device.close()
        assert not any(boot(host).counts().values()) and not host.interrupts.live

    run(play())


def test_machine_without_vectors_left_refuses_and_changes_nothing():
    async def play():
        host = Host(cpus=1)
        transport, device = await probed(host)
        vectors = [await device.alloc_vector(lambda: None) for _ in range(202)]
        before = boot(host).counts(), device.free_vectors(), transport.requests
        with pytest.raises(VectorsExhausted, match="all 203 vectors of the processor are in use"):
            await device.alloc_vector(lambda: None)
        assert (boot(host).counts(), device.free_vectors(), transport.requests) == before
        await device.free_vector(vectors[0])
        await device.alloc_vector(lambda: None)
        await device.close()
        assert not any(boot(host).counts().values())

    run(play())


@pytest.mark.parametrize("table", VectorTable)
def test_allocation_that_fails_anywhere_costs_no_request_and_leaves_nothing(table):
    async def play():
        host = Host()
        transport, device = await probed(host)
        failslab, failed = boot(host).failslab, []
        while True:
            before = boot(host).counts(), device.free_vectors(table), transport.requests
            failslab.arm(len(failed))
            try:
                await device.alloc_vector(lambda: None, table=table)
            except DriverError:
                failed.append(failslab.failed)
                after = boot(host).counts(), device.free_vectors(table), transport.requests
                assert after == before, failslab.failed
            else:
                break
        assert len(failed) == 7
        failslab.disarm()
        await device.close()
        assert not any(boot(host).counts().values())

    run(play())


def test_machine_without_remapping_has_no_message_storage():
    async def play():
        host = Host(remapping=False)
        transport, device = await probed(host)
        assert device.free_vectors() == 0
        with pytest.raises(IrqError) as caught:
            await device.alloc_vector(lambda: None)
        assert caught.value.errno == errno.ENODEV
        (queue,) = await device.start([QueueSettings(size=8)])
        adi = await device.create_adi(queue, table=VectorTable.MSIX)
        before = transport.requests
        await adi.vectors[0].set_affinity(frozenset({5}))
        assert transport.requests - before == 5, "the entry was rewritten"
        await adi.noop()
        await device.close()
        assert not host.check() and not any(boot(host).counts().values())

    run(play())


def test_wrong_entry_is_a_lost_bell_that_is_seen():
    async def play():
        host = Host()
        transport = ModelTransport(CONFIG, host)
        device, (queue,) = await started(transport)
        adi = await device.create_adi(queue)
        bell = Bell(transport)
        vector = await device.alloc_vector(bell, pasid=adi.pasid)
        system = boot(host)
        data = system.irq_to_desc(vector.irq).irq_data.parent
        for offset, reason in ((2, None), (8, FaultReason.SOURCE_ID), (0, FaultReason.NOT_PRESENT)):
            place = 16 * data.hwirq + offset
            good = system.remapping_domain.table.read(place, 1)
            system.remapping_domain.table.write(bytes([good[0] ^ 1]), place)
            host.invalidate_interrupt_entries(data.hwirq)
            await fire(transport, queue, adi.pasid, vector)
            await settle(transport)
            assert bell.count == 0
            assert reason is None or host.interrupts.faults[reason] == 1
            system.remapping_domain.table.write(good, place)
            host.invalidate_interrupt_entries(data.hwirq)
        assert host.interrupts.misdirected == 3 == len(host.check())
        await device.close()

    run(play())


@pytest.mark.parametrize("table", VectorTable)
@pytest.mark.parametrize("pause", range(0, 12, 2))
def test_reset_under_allocations_and_frees_leaves_nothing(table, pause):
    async def play():
        host = Host()
        transport, device = await probed(host)
        kept = [await device.alloc_vector(lambda: None, table=table) for _ in range(4)]
        work = [device.alloc_vector(lambda: None, table=table) for _ in range(3)]
        work += [device.free_vector(vector) for vector in kept[:2]]
        work.append(kept[2].retarget())
        tasks = [asyncio.create_task(each) for each in work]
        await transport.sleep(pause)
        await device.function_level_reset()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, DriverError) or result.irq
        assert not any(boot(host).counts().values()), boot(host).counts()
        assert not host.interrupts.live
        again = await Device.probe(transport)
        await again.alloc_vector(lambda: None, table=table)
        await again.close()
        assert not any(boot(host).counts().values())

    run(play())


@pytest.mark.parametrize("table", VectorTable)
@pytest.mark.parametrize("turns", range(1, 12))
def test_vector_under_way_when_everything_is_given_up_goes_too(table, turns):
    async def play():
        host = Host()
        _, device = await probed(host)
        kept = [await device.alloc_vector(lambda: None, table=table) for _ in range(4)]
        work = [device.alloc_vector(lambda: None, table=table) for _ in range(3)]
        work += [device.free_vector(kept[0]), kept[1].retarget(), kept[2].mask()]
        tasks = [asyncio.create_task(each) for each in work]
        for _ in range(turns):
            await asyncio.sleep(0)
        await device._vectors.abandon()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, DriverError) or result._freed
        assert not any(boot(host).counts().values()), boot(host).counts()

    run(play())


@pytest.mark.parametrize("table", VectorTable)
@pytest.mark.parametrize("pause", range(6))
def test_free_that_is_cancelled_can_be_made_again(table, pause):
    async def play():
        host = Host()
        _, device = await probed(host)
        before = boot(host).counts()
        vector = await device.alloc_vector(lambda: None, table=table)
        task = asyncio.create_task(device.free_vector(vector))
        for _ in range(pause):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if boot(host).counts() != before:
            await device.free_vector(vector)
        assert boot(host).counts() == before
        await device.close()
        assert not any(boot(host).counts().values()) and not host.check()

    run(play())


def test_device_that_is_gone_gives_its_vectors_back_and_says_so():
    async def play():
        host = Host()
        transport, device = await probed(host)
        vector = await device.alloc_vector(lambda: None)
        before = boot(host).counts()
        read = transport.read

        async def gone(bar, offset, size):
            return b"\xff" * size

        transport.read = gone
        with pytest.raises(DeviceGone):
            await device.free_vector(vector)
        assert boot(host).counts()["interrupts"] == before["interrupts"] - 1
        transport.read = read
        await device.close()
        assert not any(boot(host).counts().values())

    run(play())


def test_devices_of_a_machine_share_its_processors_and_not_their_interrupts():
    async def play():
        host = Host(cpus=2)
        bells = []
        devices = []
        for _ in range(2):
            transport = ModelTransport(CONFIG, host)
            device, (queue,) = await started(transport)
            adi = await device.create_adi(queue)
            bell = Bell(transport)
            vector = await device.alloc_vector(bell, pasid=adi.pasid)
            await fire(transport, queue, adi.pasid, vector)
            await bell.reach(1)
            bells.append(bell)
            devices.append(device)
        assert [bell.count for bell in bells] == [1, 1]
        assert boot(host).counts()["vectors"] == 6
        for device in devices:
            await device.close()
        assert not any(boot(host).counts().values()) and not host.check()

    run(play())
