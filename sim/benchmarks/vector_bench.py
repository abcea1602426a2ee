"""Inside the simulator: what a vector costs the driver, on the whole device."""

from typing import Any

from driver.device import Device

from ..bench.cocotb_side import bench
from ..host.rtl_transport import RtlTransport

VECTORS = 16


@bench()
async def vectors(dut: Any) -> dict[str, Any]:
    """Requests for a vector allocated and freed, the most that any of several took."""
    transport = await RtlTransport.open(dut)
    device = await Device.probe(transport)
    allocated, freed, kept = [], [], []
    for _ in range(VECTORS):
        before = transport.requests
        kept.append(await device.alloc_vector(lambda: None, pasid=transport.allocate_pasid()))
        allocated.append(transport.requests - before)
    for vector in kept:
        before = transport.requests
        await device.free_vector(vector)
        freed.append(transport.requests - before)
    return {"vector_alloc_tlps": max(allocated), "vector_free_tlps": max(freed)}
