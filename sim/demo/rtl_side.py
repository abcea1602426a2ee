"""The demonstration on the RTL, simulated by Verilator."""

from dataclasses import asdict

from hw.device import Device

from ..bench import BuiltModel, build, run
from ..host.link import Linked
from .result import Plan, Result
from .scenario import Progress

TIMEOUT = 3600.0
"""Seconds; tens of thousands of operations take longer than the default demonstration."""


def build_device(plan: Plan, *, waves: bool = False) -> BuiltModel:
    """Build the simulator, or find it already built."""
    config = plan.config
    key = repr(config)
    return build(Linked(Device(config), config.data_width), "device", key=key, waves=waves)


def on_rtl(model: BuiltModel, plan: Plan, progress: Progress, *, waves: bool = False) -> Result:
    """Run it.

    **Errors** :class:`sim.bench.BenchFailure` names the log.
    """
    return Result.from_json(
        run(
            model,
            "sim.demo.rtl_bench",
            parameters=asdict(plan),
            seed=plan.seed,
            timeout=TIMEOUT,
            on_progress=progress,
            waves=waves,
        )
    )
