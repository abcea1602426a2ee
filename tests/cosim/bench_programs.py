"""Inside the simulator: a random program on the RTL."""

import json
from pathlib import Path
from typing import Any

from sim.bench.cocotb_side import bench, parameters
from sim.host.root_complex import Behaviour
from sim.host.rtl_transport import RtlTransport
from sim.workload.listed import execute_listed
from sim.workload.programs import Program, execute
from tests.driver.cases import CONFIG


@bench(limit_cycles=100_000_000)
async def program(dut: Any) -> dict[str, Any]:
    """What became of each descriptor, and what the checkers say."""
    behaviour = Behaviour(split="random", latency_cycles=(0, 150), reorder=True)
    transport = await RtlTransport.open(dut, config=CONFIG, behaviour=behaviour)
    outcomes = await execute(transport, Program(**parameters()))
    return {"outcomes": outcomes, "errors": await transport.finish()}


@bench(limit_cycles=100_000_000)
async def listed(dut: Any) -> dict[str, Any]:
    """What became of each descriptor of a list."""
    behaviour = Behaviour(split="random", latency_cycles=(0, 150), reorder=True)
    transport = await RtlTransport.open(dut, config=CONFIG, behaviour=behaviour)
    items = json.loads(Path(parameters()["path"]).read_text())
    outcomes = await execute_listed(transport, items)
    return {"outcomes": outcomes, "errors": await transport.finish()}
