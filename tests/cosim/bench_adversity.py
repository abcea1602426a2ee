"""Inside the simulator: tenants at work while host and link make life hard."""

import random
from typing import Any

import pytest

from driver import Adi, Device, MemoryMove, Nop, OperationFailed, QueueSettings, Timeouts
from hw.regs.configspace import PCIE
from hw.regs.descriptor import Status
from sim.bench.cocotb_side import bench, parameters
from sim.host.credits import Total
from sim.host.port import LinkBehaviour
from sim.host.root_complex import Behaviour
from sim.host.rtl_transport import RtlTransport
from sim.host.tlp import Tlp
from tests.driver.cases import CONFIG
from tests.driver.cases.registry import balanced, copy, pattern

TENANTS, ROUNDS = 6, 4
DEVICE_STATUS, TRANSACTIONS_PENDING = PCIE + 0x0A, 1 << 5
SIZE = 9 * CONFIG.read_slot_bytes
"""Bytes of a move that takes nine reads."""

PATIENT = Timeouts(operation=10_000_000)


def link(**given: Any) -> LinkBehaviour:
    """A link from plain values: credits as pairs, which JSON can carry."""
    credits = ("posted", "non_posted", "completion")
    return LinkBehaviour(
        **{
            name: Total(*value)
            if name in credits
            else tuple(value)
            if name == "release_cycles"
            else value
            for name, value in given.items()
        }
    )


def host(**given: Any) -> Behaviour:
    """A host from plain values."""
    return Behaviour(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
    )


@bench(limit_cycles=50_000_000)
async def hardship(dut: Any) -> dict[str, Any]:
    """Tenants move memory and ring, all at once; each byte and each bell is checked."""
    scene = parameters()
    transport = await RtlTransport.open(
        dut, config=CONFIG, behaviour=host(**scene["host"]), link=link(**scene["link"])
    )
    device = await Device.probe(transport)
    queues = await device.start([QueueSettings(size=16)] * 2)

    async def tenant(number: int) -> None:
        adi = await device.create_adi(queues[number % 2])
        rng = random.Random(number)
        for step in range(ROUNDS):
            skew = rng.randrange(9), rng.randrange(64)
            await copy(adi, rng.choice([1, 63, 512, 1500, 4096]), number + step, skew=skew)
            await (await adi.submit(Nop())).wait()
        await balanced(adi)
        await device.destroy_adi(adi)

    tasks = [transport.start(tenant(number)) for number in range(TENANTS)]
    for task in tasks:
        await task.join()
    pending = await transport.config_read(DEVICE_STATUS, 2) & TRANSACTIONS_PENDING
    await device.close()
    return {
        "reports": [str(report) for report in device.errors],
        "strays": device.strays,
        "pending": pending,
        "errors": await transport.finish(),
    }


class Fault:
    """Lets something happen to one read among many."""

    def __init__(self) -> None:
        self._kind: str | None = None
        self._left = 0
        self.happened = 0

    def arm(self, kind: str, after: int) -> None:
        """Let this happen to a read, after so many others."""
        self._kind, self._left = kind, after

    def __call__(self, tlp: Tlp) -> str | None:
        self._left -= 1
        if self._kind is None or self._left >= 0:
            return None
        kind, self._kind = self._kind, None
        self.happened += 1
        return kind


async def fail(adi: Adi, fault: Fault, kind: str, after: int) -> None:
    """One read of a move goes wrong, of which the completion record tells; then all is well."""
    source, destination = adi.allocate(SIZE), adi.allocate(SIZE)
    source.write(pattern(SIZE, after))
    fault.arm(kind, after)
    operation = await adi.submit(MemoryMove(source.address, destination.address, SIZE))
    with pytest.raises(OperationFailed) as caught:
        await operation.wait()
    record = caught.value.completion
    assert record.status == Status.HARDWARE, record
    good = after * CONFIG.read_slot_bytes
    assert record.bytes_completed == good, (kind, after, record)
    assert destination.read(0, good) == source.read(0, good)
    assert destination.read(good) == bytes(SIZE - good), "bytes behind the fault were written"
    for buffer in (source, destination):
        adi.free(buffer)
    await copy(adi, SIZE, after)
    await balanced(adi)


@bench(limit_cycles=50_000_000)
async def faults(dut: Any) -> dict[str, Any]:
    """Reads fail in every way, first, in the middle, and last."""
    fault = Fault()
    transport = await RtlTransport.open(
        dut, config=CONFIG, behaviour=Behaviour(fault=fault, latency_cycles=(20, 200), reorder=True)
    )
    device = await Device.probe(transport, PATIENT)
    (queue,) = await device.start([QueueSettings(size=16)])
    adi = await device.create_adi(queue)
    for kind in parameters()["kinds"]:
        for after in parameters()["after"]:
            await fail(adi, fault, kind, after)
    # More reads than there are tags: every tag is used once more.
    await copy(adi, 2 * CONFIG.tags * CONFIG.read_slot_bytes, 1)
    pending = await transport.config_read(DEVICE_STATUS, 2) & TRANSACTIONS_PENDING
    await device.close()
    return {
        "happened": fault.happened,
        "pending": pending,
        "errors": await transport.finish(),
    }
