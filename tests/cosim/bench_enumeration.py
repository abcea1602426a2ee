"""Inside the simulator: enumerate the device and read all of its configuration space."""

from typing import Any

from sim.bench.cocotb_side import bench
from sim.host.rtl_transport import RtlTransport


@bench(limit_cycles=2_000_000)
async def enumeration(dut: Any) -> dict[str, Any]:
    """Configuration space as bytes, and how the bus came to be set up."""
    transport = await RtlTransport.open(dut)
    words = [await transport.config_read(offset, 4) for offset in range(0, 4096, 4)]
    return {
        "space": b"".join(word.to_bytes(4, "little") for word in words).hex(),
        "bars": [transport.bar_bytes(bar) for bar in (0, 2)],
        "errors": await transport.finish(),
    }
