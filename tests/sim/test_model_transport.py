"""The transport that ends in the model: time, events, requests, and the driver on top."""

import pytest

from driver import Device, MemoryMove, QueueSettings
from driver.transport import Outcome, Transport
from hw.regs.bar2 import bar2_bytes
from hw.regs.config import Config
from sim.model.clock import Deadlock
from sim.model.transport import ModelTransport, run

CONFIG = Config(ims_vectors=256)


def on_model(test):
    """Run a test as a coroutine with a transport."""

    def wrapped():
        async def body():
            await test(ModelTransport(CONFIG))

        run(body())

    wrapped.__name__ = test.__name__
    return wrapped


@on_model
async def test_transport_is_one(transport):
    typed: Transport = transport
    assert typed.bar_bytes(0) == 0x1_0000
    assert typed.bar_bytes(2) == bar2_bytes(CONFIG)
    assert typed.bar_bytes(1) == typed.bar_bytes(4) == 0


@on_model
async def test_requests_are_counted(transport):
    before = transport.requests
    await transport.config_read(0, 4)
    await transport.config_write(4, 6, 2)
    await transport.read(0, 0, 8)
    await transport.write(0, 0x88, bytes(4))
    await transport.deferrable_write(2, 0, bytes(64))
    assert transport.requests == before + 5


@on_model
async def test_refused_read_gives_all_ones(transport):
    assert await transport.read(0, 0, 4) == b"\xff" * 4
    await transport.config_write(4, 2, 2)
    assert await transport.read(0, 0, 4) == b"\x00\x02\x00\x00"


@on_model
async def test_outcomes_of_a_deferrable_write(transport):
    assert await transport.deferrable_write(2, 0, bytes(64)) is Outcome.REJECTED
    await transport.config_write(4, 2, 2)
    assert await transport.deferrable_write(2, 0, bytes(64)) is Outcome.RETRY


@pytest.mark.parametrize(
    ("bar", "offset", "size"), [(0, 0x1_0000, 1), (0, -1, 1), (0, 0, 0), (0, 0, 65), (1, 0, 4)]
)
def test_access_that_makes_no_sense(bar, offset, size):
    async def body():
        with pytest.raises(ValueError):
            await ModelTransport(CONFIG).read(bar, offset, size)

    run(body())


@pytest.mark.parametrize(("offset", "size"), [(1, 2), (2, 4), (0, 3), (4096, 4), (-4, 4)])
def test_configuration_access_that_makes_no_sense(offset, size):
    async def body():
        with pytest.raises(ValueError):
            await ModelTransport(CONFIG).config_read(offset, size)

    run(body())


@on_model
async def test_sleep_takes_as_long_as_it_says(transport):
    start = transport.now()
    await transport.sleep(12345)
    assert transport.now() == start + 12345


@on_model
async def test_sleepers_wake_in_order_of_their_time(transport):
    order = []

    async def sleeper(cycles):
        await transport.sleep(cycles)
        order.append(cycles)

    tasks = [transport.start(sleeper(cycles)) for cycles in (500, 20, 300, 20, 1)]
    for task in tasks:
        await task.join()
    assert order == [1, 20, 20, 300, 500]


@on_model
async def test_event_wakes_all_who_wait_and_stays_set(transport):
    event = transport.event()
    tasks = [transport.start(event.wait()) for _ in range(3)]
    await transport.sleep(5)
    event.set()
    assert [await task.join() for task in tasks] == [True] * 3
    assert await event.wait(0) and event.is_set()
    event.clear()
    assert not event.is_set()


@on_model
async def test_wait_gives_up_when_its_time_is_over(transport):
    start = transport.now()
    assert await transport.event().wait(1000) is False
    assert transport.now() == start + 1000


@on_model
async def test_event_before_the_timeout_wins(transport):
    event = transport.event()

    async def later():
        await transport.sleep(999)
        event.set()

    transport.start(later())
    assert await event.wait(1000) is True


@on_model
async def test_wait_for_what_cannot_happen_is_a_deadlock(transport):
    with pytest.raises(Deadlock):
        await transport.event().wait()


@on_model
async def test_exception_of_a_task_becomes_its_joiners(transport):
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        await transport.start(fails()).join()


@on_model
async def test_polling_task_does_not_starve_others(transport):
    done = transport.event()

    async def other():
        for _ in range(10):
            await transport.config_read(0, 4)
        done.set()

    transport.start(other())
    for _ in range(100):
        if done.is_set():
            return
        await transport.config_read(0, 4)
    raise AssertionError("the other task never ran")


async def busy(transport, adis=12, operations=6):
    """A program for the driver: tenants that move data and wait by interrupt."""
    device = await Device.probe(transport)
    queues = await device.start([QueueSettings(size=8)] * 3)
    tenants = [await device.create_adi(queues[n % 3]) for n in range(adis)]
    trace = []

    async def work(number, adi):
        source, target = adi.allocate(700), adi.allocate(700)
        for count in range(operations):
            source.write(bytes((number * 31 + count + k) & 0xFF for k in range(700)))
            operation = await adi.submit(MemoryMove(source.address, target.address, 700))
            await operation.wait()
            assert target.read() == source.read()
            trace.append((number, transport.now()))

    tasks = [transport.start(work(*item)) for item in enumerate(tenants)]
    for task in tasks:
        await task.join()
    for adi in tenants:
        assert adi.bells == adi.completed == adi.submitted == operations
        await device.destroy_adi(adi)
    await device.close()
    assert transport.platform.check() == []
    assert transport.platform.iommu.faults == []
    return trace


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_driver_runs_and_runs_the_same_with_the_same_seed(seed, shuffle):
    print(f"seed {seed}")

    def once():
        return run(busy(ModelTransport(CONFIG, seed=seed, shuffle=shuffle)))

    assert once() == once()


def test_shuffle_changes_the_order_of_things():
    traces = {tuple(run(busy(ModelTransport(CONFIG, seed=n, shuffle=True)))) for n in range(4)}
    assert len(traces) > 1
