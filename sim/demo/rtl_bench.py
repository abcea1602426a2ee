"""Inside the simulator: the demonstration."""

from typing import Any

from ..bench.cocotb_side import bench, parameters, progress
from ..host.rtl_transport import RtlTransport
from .result import Plan
from .scenario import demonstrate
from .witness import Witness


@bench(limit_cycles=1_000_000_000)
async def demonstration(dut: Any) -> dict[str, Any]:
    """The scenario, and what the checkers have to say about everything on the link."""
    plan = Plan(**parameters())
    witness = Witness(plan.config.message_window)
    transport = await RtlTransport.open(dut, host=witness, config=plan.config)
    result = await demonstrate(transport, witness, plan, progress)
    result.errors += [text for text in await transport.finish() if text not in result.errors]
    return result.to_json()
