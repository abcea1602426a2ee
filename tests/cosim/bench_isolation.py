"""Inside the simulator: tenants beside a hostile one, on the RTL."""

from dataclasses import asdict
from typing import Any

from sim.bench.cocotb_side import bench, parameters
from sim.host.root_complex import Behaviour
from sim.host.rtl_transport import RtlTransport
from sim.workload.isolation import isolate
from tests.driver.cases import CONFIG


@bench(limit_cycles=50_000_000)
async def isolation(dut: Any) -> dict[str, Any]:
    """What happened, and what the checkers say."""
    behaviour = Behaviour(split="random", latency_cycles=(0, 150), reorder=True)
    transport = await RtlTransport.open(dut, config=CONFIG, behaviour=behaviour)
    outcome = asdict(await isolate(transport, transport.host, parameters()))
    outcome["errors"] += await transport.finish()
    return outcome
