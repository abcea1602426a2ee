"""All figures, and what they should be."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from hw.regs import Config
from hw.regs.config import IMS_MAX

from ..bench import build, run

Progress = Callable[[int, int, str], None]

PAYLOADS = (128, 256, 512)
DMA_BYTES = 32_768
VECTORS_IN_USE = (1, 10, 100, 1_000, 4_000, 10_000, 16_000)
SEED = 1

TIMEOUT = 3600.0
"""Seconds for each simulation: the longest allocates 16,000 vectors."""

DEFAULT, LARGE = Config(), Config(ims_vectors=IMS_MAX)


@dataclass(frozen=True)
class Goal:
    """A figure that has to be reached.

    Parameters
    ----------
    name
        Of the figure; with a dot, the part of a figure that has several.
    text
        What it is, for people.
    bound
        The worst value that will do.
    least
        Whether more is better.
    """

    name: str
    text: str
    bound: float
    least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value is good enough. Rates are met if rounding alone is missing."""
        return value >= self.bound - 1e-9 if self.least else value <= self.bound


GOALS = (
    Goal("event_to_message_cycles", "event accepted to message valid, clocks, worst", 2),
    Goal("event_to_wire_cycles", "event accepted to first beat on the wire, clocks, worst", 5),
    Goal("messages_per_cycle", "messages per clock, worse of the next two", 1.0, least=True),
    Goal("messages_per_cycle_distinct", "messages per clock, all vectors in turn", 1.0, least=True),
    Goal("messages_per_cycle_identical", "messages per clock, one vector", 1.0, least=True),
    Goal("checks_per_cycle", "permission checks per clock", 1.0, least=True),
    Goal("vector_alloc_tlps", "requests to allocate a vector", 3),
    Goal("vector_free_tlps", "requests to free a vector", 3),
    Goal("small_move_cycles", "clocks for a move of 64 bytes, many from one shared queue", 32),
)

DMA_SHARE = 0.95
"""Of what headers leave for payload, DMA has to reach this much."""


@dataclass(frozen=True)
class Stage:
    """A simulation, and the name and the parameters of the design it needs."""

    title: str
    design: str
    module: str
    bench: str
    config: Config = DEFAULT


STAGES = (
    Stage("Event latency", "event_path", "interrupt_bench", "latency"),
    Stage("Event and check rates", "event_path", "interrupt_bench", "rates"),
    Stage("DMA writes", "dma_path", "dma_bench", "writes"),
    Stage("DMA reads", "dma_path", "dma_bench", "reads"),
    Stage("Operations", "device", "operation_bench", "operations"),
    Stage("Blocks of 4 KiB", "device", "operation_bench", "blocks"),
    Stage(f"{VECTORS_IN_USE[-1]:,} vectors", "device", "vector_bench", "vectors", LARGE),
)


def measure(events: int, enter: Callable[[str], Progress]) -> dict[str, Any]:
    """Run all simulations and return the figures by name.

    Parameters
    ----------
    events
        For each figure of the interrupt path.
    enter
        Told of each stage; what it returns is told how far the stage has come.
    """
    parameters = {
        "events": events,
        "payloads": PAYLOADS,
        "bytes": DMA_BYTES,
        "vectors": VECTORS_IN_USE,
    }
    figures: dict[str, Any] = {}
    for stage in STAGES:
        config = stage.config
        enter(f"Building {stage.design}")
        model = build(_design(stage.design, config), stage.design, key=repr(config))
        found = run(
            model,
            f"sim.benchmarks.{stage.module}",
            parameters=parameters | {"config": asdict(config)},
            seed=SEED,
            testcase=stage.bench,
            timeout=TIMEOUT,
            on_progress=enter(stage.title),
        )
        figures |= _dma(stage.bench, found) if stage.design == "dma_path" else found
    figures["messages_per_cycle"] = min(
        figures["messages_per_cycle_distinct"], figures["messages_per_cycle_identical"]
    )
    return figures


def _design(name: str, config: Config) -> Any:
    from hw.device import Device

    from ..host.link import Linked
    from .rigs import DmaPath, EventPath

    if name == "device":
        return Linked(Device(config), config.data_width)
    return {"event_path": EventPath, "dma_path": DmaPath}[name](config)


def _dma(bench: str, found: dict[str, dict[str, float]]) -> dict[str, Any]:
    kind = bench.removesuffix("s")
    return {
        f"dma_{kind}_efficiency": {size: row["efficiency"] for size, row in found.items()},
        f"dma_{kind}_limit": {size: row["limit"] for size, row in found.items()},
    }


def missed(figures: dict[str, Any]) -> list[str]:
    """Goals that the figures do not reach, as sentences."""
    wrong = []
    for goal in GOALS:
        value = figures[goal.name]
        if not goal.met(value):
            kind = "least" if goal.least else "most"
            wrong.append(f"{goal.name} is {value:g}, and should be at {kind} {goal.bound:g}")
    for kind in ("read", "write"):
        for size, value in figures[f"dma_{kind}_efficiency"].items():
            limit = figures[f"dma_{kind}_limit"][size]
            if value < DMA_SHARE * limit:
                wrong.append(
                    f"dma_{kind}_efficiency at {size} bytes is {value:.3f}, and should be at least "
                    f"{DMA_SHARE:g} of {limit:.3f}"
                )
    value, limit = figures["block_move_efficiency"], figures["block_move_limit"]
    if value < DMA_SHARE * limit:
        wrong.append(
            f"block_move_efficiency is {value:.3f}, and should be at least {DMA_SHARE:g} of "
            f"{limit:.3f}"
        )
    return wrong + _grown(figures["vector_costs"])


def _grown(costs: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Costs of a vector that are higher with many in use than with few."""
    few, many = min(costs, key=int), max(costs, key=int)
    return [
        f"the worst of {name} is {costs[many][name]['worst']:g} with {int(many):,} vectors in "
        f"use, and should be at most {cost['worst']:g}, as with {int(few):,}"
        for name, cost in costs[few].items()
        if costs[many][name]["worst"] > cost["worst"]
    ]
