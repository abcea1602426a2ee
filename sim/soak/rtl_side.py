"""Rounds on the RTL, each in a simulation of its own, so that each can be repeated alone."""

from hw.device import Device
from hw.regs.config import Config

from ..bench import BuiltModel, build, run
from ..host.link import Linked
from .play import Progress
from .result import Round

TIMEOUT = 1800.0


def build_device(*, waves: bool = False) -> BuiltModel:
    """Build the simulator, or find it already built."""
    config = Config()
    design = Linked(Device(config), config.data_width)
    return build(design, "device", key=repr(config), waves=waves)


def on_rtl(
    model: BuiltModel, seed: int, number: int, progress: Progress, *, waves: bool = False
) -> Round:
    """Play a round.

    **Errors** :class:`sim.bench.BenchFailure` names the log.
    """
    found = run(
        model,
        "sim.soak.rtl_bench",
        parameters={"seed": seed, "number": number},
        seed=seed,
        timeout=TIMEOUT,
        on_progress=progress,
        waves=waves,
    )
    return Round(**found)
