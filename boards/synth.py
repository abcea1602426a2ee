"""``tocsin synth``: area from Yosys, clock from nextpnr, on the Lattice ECP5."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import Component
from rich.table import Table

from hw.regs import Config

from . import ecp5
from .show import Stages, console, stages
from .tools import versions

OUTPUT = Path("build/synth.json")
FOLDER = Path("build/synth")

IMS_VECTORS = 2048
LARGE = 16_128
SEEDS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Clock:
    """A design to place and route, at a speed grade."""

    design: str
    speed: int


CLOCKS = (
    Clock(f"interrupts_{IMS_VECTORS}", 8),
    Clock(f"interrupts_{IMS_VECTORS}", 6),
    Clock(f"interrupts_{LARGE}", 8),
)

LABELS = {
    "device": "whole device, 4096 + 64 vectors",
    f"interrupts_{IMS_VECTORS}": f"interrupt block, {IMS_VECTORS} + 64 vectors",
    f"interrupts_{LARGE}": f"interrupt block, {LARGE} + 64 vectors",
}


def designs() -> dict[str, Callable[[], Component]]:
    """What is measured, by the name it has in the results."""
    from hw.device import Device
    from hw.interrupts.store import MessageStore

    return {
        "device": lambda: Device(Config()),
        f"interrupts_{IMS_VECTORS}": lambda: MessageStore(Config(ims_vectors=IMS_VECTORS)),
        f"interrupts_{LARGE}": lambda: MessageStore(Config(ims_vectors=LARGE)),
    }


def synthesize(*, quick: bool) -> int:
    """Measure everything, write the figures, show the tables; return the exit code."""
    seeds = SEEDS[:1] if quick else SEEDS
    with stages() as shown:
        area = _areas(shown)
        clock = _clocks(shown, seeds)
    figures = {
        "part": f"LFE5U-85F {ecp5.PACKAGE}",
        "tools": versions(*ecp5.PACKAGES),
        "area": area,
        "clock": clock,
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n")
    for table in tables(area, clock):
        console.print(table)
    console.print(f"Figures: {OUTPUT}   Logs: {FOLDER}/")
    return 0


def _areas(shown: Stages) -> dict[str, Any]:
    report = shown.enter("Area (Yosys)", len(LABELS))
    area = {}
    for done, (name, make) in enumerate(designs().items()):
        report(done, len(LABELS), LABELS[name])
        area[name] = ecp5.area(make(), name, FOLDER)
    return area


def _clocks(shown: Stages, seeds: Iterable[int]) -> dict[str, Any]:
    jobs = [(clock, seed) for clock in CLOCKS for seed in seeds]
    report = shown.enter("Clock (nextpnr)", len(jobs))
    made = designs()
    netlists = {
        name: ecp5.netlist(made[name](), name, FOLDER) for name in {c.design for c in CLOCKS}
    }
    found: dict[str, dict[int, float | None]] = {}
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(
            lambda job: ecp5.clock(netlists[job[0].design], job[0].speed, job[1], FOLDER), jobs
        )
        for done, ((clock, seed), mhz) in enumerate(zip(jobs, results, strict=True), 1):
            found.setdefault(f"{clock.design}_speed{clock.speed}", {})[seed] = mhz
            report(done, len(jobs), f"{LABELS[clock.design]}, speed {clock.speed}, seed {seed}")
    return {name: _best(by_seed) for name, by_seed in found.items()}


def _best(by_seed: dict[int, float | None]) -> dict[str, Any]:
    """The best seed, and what all of them gave; None is a run that took too long."""
    reached = {seed: mhz for seed, mhz in by_seed.items() if mhz is not None}
    seed = max(reached, key=lambda seed: reached[seed], default=None)
    return {"mhz": None if seed is None else reached[seed], "seed": seed, "seeds": by_seed}


def tables(area: dict[str, Any], clock: dict[str, Any]) -> list[Table]:
    """The figures for people."""
    first = Table(title="Area on the ECP5", title_justify="left")
    first.add_column("", overflow="fold")
    for cell in ecp5.CELLS.values():
        first.add_column(cell, justify="right")
    for name, cells in area.items():
        first.add_row(LABELS[name], *(f"{cells[cell]:,}" for cell in ecp5.CELLS))
    second = Table(title="Clock on the LFE5U-85F", title_justify="left")
    second.add_column("", overflow="fold")
    for title in ("speed", "MHz", "seed", "MHz of all seeds"):
        second.add_column(title, justify="right")
    for target in CLOCKS:
        found = clock[f"{target.design}_speed{target.speed}"]
        shown = (f"{mhz:.0f}" if mhz else "too long" for mhz in found["seeds"].values())
        best = f"{found['mhz']:.0f}" if found["mhz"] else "none in time"
        seed = str(found["seed"] or "")
        second.add_row(LABELS[target.design], str(target.speed), best, seed, " ".join(shown))
    return [first, second]
