"""A crowd on the RTL, simulated by Verilator."""

from dataclasses import asdict

from hw.device import Device

from ..bench import BuiltModel, build, run
from ..host.link import Linked
from .result import Plan, Result
from .scenario import Progress

TIMEOUT = 7200.0
"""Seconds; ten thousand operations of hosts and guests take minutes."""


def build_device(plan: Plan) -> BuiltModel:
    """Build the simulator, or find it already built."""
    config = plan.config
    return build(Linked(Device(config), config.data_width), "device", key=repr(config))


def on_rtl(
    model: BuiltModel, plan: Plan, progress: Progress | None = None, *, timeout: float = TIMEOUT
) -> Result:
    """Play it.

    **Errors** :class:`sim.bench.BenchFailure` names the log.
    """
    found = run(
        model,
        "sim.crowd.rtl_bench",
        parameters=asdict(plan),
        seed=plan.seed,
        timeout=timeout,
        on_progress=progress,
    )
    return Result(**found)
