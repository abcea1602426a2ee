"""Inside the simulator: everything is taken away while descriptors move, again and again."""

import random
from typing import Any

from driver import Device, DriverError, MemoryMove, Nop, QueueSettings, Transport
from hw.regs.configspace import PCIE
from sim.bench.cocotb_side import bench, now, parameters, progress
from sim.host.observer import Observer
from sim.host.port import LinkBehaviour
from sim.host.root_complex import Behaviour
from sim.host.rtl_transport import RtlTransport
from sim.host.tlp import COMPLETIONS, Tlp
from tests.driver.cases import CONFIG

COMMAND, DEVICE_CONTROL = 0x04, PCIE + 0x08
BUS_MASTER, FLR = 1 << 2, 1 << 15
RESTORED = (0x10, 0x14, 0x18, 0x1C)
SIZE = 4096
QUIET_CYCLES = 3000


class Silence(Observer):
    """Writes down what the device sends besides completions while it has to be silent."""

    def __init__(self) -> None:
        self.broken: list[str] = []
        self.requests = 0
        self.since: int | None = None

    def received(self, packet: bytes, start: int, clock: int) -> None:
        tlp = Tlp.unpack(packet)
        if tlp.fmt_type in COMPLETIONS:
            return
        self.requests += 1
        if self.since is not None:
            self.broken.append(f"{clock - self.since} clocks after: {tlp.describe()}")


async def load(device: Device, adis: list[Any], transport: Transport) -> None:
    """Submit more than can be done before the end comes."""
    for _ in range(6):
        for adi, source, destination in adis:
            size = random.choice([64, 700, SIZE])
            try:
                await adi.submit(MemoryMove(source.address, destination.address, size))
                await adi.submit(Nop())
            except DriverError:
                return


async def take_away(transport: RtlTransport, silence: Silence, command: int) -> None:
    """Reset the function, or first its Bus Master Enable, and see that nothing leaves."""
    bus_master_first = random.random() < 0.5
    if bus_master_first:
        await transport.config_write(COMMAND, command & ~BUS_MASTER, 2)
        silence.since = now()
        await transport.sleep(random.randrange(QUIET_CYCLES))
    control = await transport.config_read(DEVICE_CONTROL, 2)
    await transport.config_write(DEVICE_CONTROL, control | FLR, 2)
    silence.since = silence.since or now()
    await transport.sleep(QUIET_CYCLES)
    silence.since = None


@bench(limit_cycles=100_000_000)
async def resets(dut: Any) -> dict[str, Any]:
    """Rounds of work, each of which a reset ends in the middle."""
    count = parameters()["rounds"]
    latency = tuple(parameters()["latency_cycles"])
    transport = await RtlTransport.open(
        dut,
        config=CONFIG,
        behaviour=Behaviour(split="random", latency_cycles=latency, reorder=True),
        link=LinkBehaviour(up_pause=parameters()["up_pause"]),
    )
    silence = Silence()
    transport.root_complex.port.observe(silence)
    saved = {place: await transport.config_read(place, 4) for place in RESTORED}
    command = await transport.config_read(COMMAND, 2)
    completed = 0
    for round_ in range(count):
        device = await Device.probe(transport)
        queues = await device.start([QueueSettings(size=16)] * 2)
        adis = []
        for number in range(4):
            adi = await device.create_adi(queues[number % 2])
            source, destination = adi.allocate(SIZE), adi.allocate(SIZE)
            source.write(random.randbytes(SIZE))
            adis.append((adi, source, destination))
        work = transport.start(load(device, adis, transport))
        await transport.sleep(random.randrange(200, 4000))
        before = silence.requests
        await take_away(transport, silence, await transport.config_read(COMMAND, 2))
        for place, value in saved.items():
            await transport.config_write(place, value, 4)
        await transport.config_write(COMMAND, command, 2)
        await work.join()
        await device.function_level_reset()
        assert silence.requests > 0 and before > 0
        device = await Device.probe(transport)
        (queue,) = await device.start([QueueSettings(size=16)])
        adi = await device.create_adi(queue)
        source, destination = adi.allocate(SIZE), adi.allocate(SIZE)
        source.write(random.randbytes(SIZE))
        for _ in range(12):
            await (await adi.submit(MemoryMove(source.address, destination.address, SIZE))).wait()
            completed += 1
        assert destination.read() == source.read()
        await device.close()
        progress(round_ + 1, count, "resets")
    return {
        "rounds": count,
        "completed": completed,
        "broken": silence.broken,
        "errors": await transport.finish(),
    }
