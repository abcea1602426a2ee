"""Inside the simulator: what a vector costs the driver, on the whole device."""

import random
from statistics import median
from typing import Any

from driver.device import Device
from driver.vector import Vector
from hw.regs import Config

from ..bench.cocotb_side import bench, parameters, progress, seed
from ..host.rtl_transport import RtlTransport

SAMPLES = 25
WORKERS = 32
"""Tasks that allocate at once, between one number of vectors in use and the next."""

Cost = dict[str, dict[str, float]]


class Ledger:
    """The vectors of a device, and what each costs.

    Parameters
    ----------
    transport, device
        To use.
    vectors
        How many will be in use in the end.
    """

    def __init__(self, transport: RtlTransport, device: Device, vectors: int) -> None:
        self._transport, self._device, self._total = transport, device, vectors
        self._live: list[Vector] = []
        self._random = random.Random(seed())

    async def fill(self, count: int) -> None:
        """Allocate until so many are in use."""
        wanted = count - len(self._live)

        async def work() -> None:
            nonlocal wanted
            while wanted > 0:
                wanted -= 1
                await self._allocate()
                progress(len(self._live), self._total)

        for task in [self._transport.start(work()) for _ in range(WORKERS)]:
            await task.join()

    async def measure(self) -> Cost:
        """Free any one vector and allocate another, several times, with nothing else going on."""
        spent: dict[str, list[int]] = {}
        for _ in range(SAMPLES):
            for name, work in (("free", self._free), ("alloc", self._allocate)):
                requests, clock = self._transport.requests, self._transport.now()
                await work()
                spent.setdefault(f"{name}_tlps", []).append(self._transport.requests - requests)
                spent.setdefault(f"{name}_cycles", []).append(self._transport.now() - clock)
        return {
            name: {"median": median(values), "worst": max(values)} for name, values in spent.items()
        }

    async def _allocate(self) -> None:
        pasid = self._transport.allocate_pasid()
        self._live.append(await self._device.alloc_vector(lambda: None, pasid=pasid))

    async def _free(self) -> None:
        place = self._random.randrange(len(self._live))
        self._live[place], self._live[-1] = self._live[-1], self._live[place]
        vector = self._live.pop()
        await self._device.free_vector(vector)
        assert vector.pasid is not None
        self._transport.free_pasid(vector.pasid)


@bench(limit_cycles=100_000_000)
async def vectors(dut: Any) -> dict[str, Any]:
    """Requests and clocks for a vector allocated and freed, by how many are in use."""
    config, numbers = Config(**parameters()["config"]), parameters()["vectors"]
    transport = await RtlTransport.open(dut, config=config)
    device = await Device.probe(transport)
    ledger = Ledger(transport, device, max(numbers))
    costs: dict[str, Cost] = {}
    for number in numbers:
        await ledger.fill(number)
        assert device.capabilities.ims_vectors - device.free_vectors() == number
        costs[str(number)] = await ledger.measure()
    return {
        "vector_costs": costs,
        "vector_alloc_tlps": max(cost["alloc_tlps"]["worst"] for cost in costs.values()),
        "vector_free_tlps": max(cost["free_tlps"]["worst"] for cost in costs.values()),
    }
