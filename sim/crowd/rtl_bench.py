"""Inside the simulator: a crowd."""

from typing import Any

from ..bench.cocotb_side import bench, parameters, progress
from ..host.rtl_transport import RtlTransport
from .result import Plan
from .scenario import Crowd, CrowdWitness


@bench(limit_cycles=1_000_000_000)
async def crowd(dut: Any) -> dict[str, Any]:
    """The scenario, and what the checkers have to say about everything on the link."""
    plan = Plan(**parameters())
    witness = CrowdWitness(plan.config.message_window)
    transport = await RtlTransport.open(dut, host=witness, config=plan.config)
    result = await Crowd(transport, witness, plan, progress).run()
    result.errors += [text for text in await transport.finish() if text not in result.errors]
    return result.to_json()
