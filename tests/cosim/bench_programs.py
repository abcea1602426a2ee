"""Inside the simulator: a random program on the RTL."""

from typing import Any

from sim.bench.cocotb_side import bench, parameters
from sim.host.root_complex import Behaviour
from sim.host.rtl_transport import RtlTransport
from sim.workload.programs import Program, execute
from tests.driver.cases import CONFIG


@bench(limit_cycles=100_000_000)
async def program(dut: Any) -> dict[str, Any]:
    """What became of each descriptor, and what the checkers say."""
    behaviour = Behaviour(split="random", latency_cycles=(0, 150), reorder=True)
    transport = await RtlTransport.open(dut, config=CONFIG, behaviour=behaviour)
    outcomes = await execute(transport, Program(**parameters()))
    return {"outcomes": outcomes, "errors": await transport.finish()}
