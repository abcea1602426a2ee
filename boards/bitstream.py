"""From a board to a bitstream."""

import json
import re
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.build.run import BuildPlan

from . import tools
from .board import Board
from .ecp5 import SYNTHESIS, kept, tool_versions
from .show import Report, Stages
from .top import Top

ROOT = Path("build")
YOSYS_SECONDS, NEXTPNR_SECONDS, PACK_SECONDS = 3600.0, 5400.0, 600.0
ROUTER = ("--router", "router2")
"""The other one takes many times as long where a device is this full."""

AT_ONCE = 2
"""Seeds that are placed and routed side by side."""

CELLS = {
    "lut": "TRELLIS_COMB",
    "ff": "TRELLIS_FF",
    "dp16kd": "DP16KD",
    "multipliers": "MULT18X18D",
}
"""What the report counts, and what nextpnr calls it."""

STEPS = (
    "ABC",
    "Packing",
    "placed",
    "iteration",
    "Legali",
    "wirelen",
    "Routing",
    "router",
    "arcs",
    "overuse",
)


class TimingMissed(tools.ToolError):
    """Every seed was too slow; the message says by how much."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """What became of one seed.

    Parameters
    ----------
    seed
        Of the placement.
    fmax_mhz
        What the clock of the device may be; None if it took too long.
    shortest
        The worst ratio of what was reached to what is needed, over all clocks.
    longest_path
        From where to where the worst path goes, and how many nanoseconds it takes.
    used
        Cells, by type.
    config
        The placed and routed design.
    """

    seed: int
    fmax_mhz: float | None
    shortest: float
    longest_path: str
    used: dict[str, int]
    config: str

    @property
    def met(self) -> bool:
        """Whether every clock is fast enough."""
        return self.shortest >= 1


def scripts(board: Board) -> BuildPlan:
    """Everything that the tools of the board's family need."""
    platform = board.make_platform()
    plan: BuildPlan = platform.prepare(Top(board), board.name, emit_src=False)
    return plan


def is_open(board: Board) -> bool:
    """Whether the tools at hand build for the board."""
    return getattr(board.make_platform(), "toolchain", None) == "Trellis"


def write_scripts(board: Board) -> Path:
    """Write what another tool builds the bitstream from. Returns the folder."""
    folder = ROOT / board.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts(board).files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def build(board: Board, seeds: Sequence[int], shown: Stages) -> dict[str, Any]:
    """Build a bitstream, or find that nothing has changed; what is in its report.

    Raises
    ------
    TimingMissed
        No seed meets the board's clock.
    tools.ToolError
        A tool failed.
    """
    began = time.monotonic()
    folder = ROOT / board.name
    work = folder / "steps"
    shown.enter("Gateware")
    plan = scripts(board)
    files = {Path(name).suffix: text for name, text in plan.files.items()}
    netlist = work / _synthesize(_text(files[".il"]), board, work, shown.enter("Synthesis (Yosys)"))
    constraints = work / "pins.lpf"
    constraints.write_text(_text(files[".lpf"]))
    options = [*_nextpnr_options(_text(files[".json"])), *ROUTER, "--lpf", str(constraints)]
    report = shown.enter("Place and route (nextpnr)")
    best = _place(board, netlist, options, seeds, work, report)
    if not best.met:
        raise TimingMissed(_missed(board, best, work))
    bitstream = folder / f"{board.name}.bit"
    shown.enter("Bitstream (ecppack)")
    log = work / "ecppack.log"
    arguments = ["--compress", "--input", str(work / best.config), "--bit", str(bitstream)]
    if not tools.run("ecppack", arguments, log, timeout=PACK_SECONDS):
        raise tools.ToolError(f"ecppack took more than {PACK_SECONDS:.0f} s; see {log}")
    figures = {
        "board": board.name,
        "bitstream": str(bitstream),
        "fmax_mhz": best.fmax_mhz,
        "target_mhz": board.clock_hz / 1e6,
        **best.used,
        "seed": best.seed,
        "seconds": round(time.monotonic() - began, 1),
        "parameters": asdict(board.config),
        "tools": tool_versions(),
    }
    (folder / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    return figures


def _text(file: str | bytes) -> str:
    return file.decode() if isinstance(file, bytes) else file


def _synthesize(text: str, board: Board, work: Path, report: Report) -> str:
    """The name of a netlist."""

    def make(stem: Path) -> str:
        source, netlist = stem.with_suffix(".il"), stem.with_suffix(".json")
        source.write_text(text)
        script = f"read_rtlil {source}; {SYNTHESIS} -top {board.name}; write_json {netlist}"
        log = stem.with_suffix(".log")

        def watch(line: str) -> None:
            if found := re.match(r"[\d.]+ Executing (.*?)\.?( \(|$)", line):
                report(0, 0, found[1])

        if not tools.run("yosys", ["-p", script], log, timeout=YOSYS_SECONDS, watch=watch):
            raise tools.ToolError(f"yosys took more than {YOSYS_SECONDS:.0f} s; see {log}")
        return netlist.name

    made: str = kept(work, "netlist", make, text, SYNTHESIS, *tool_versions())
    return made


def _nextpnr_options(plan: str) -> list[str]:
    """Device, package and speed grade, as the platform gives them to nextpnr."""
    (words,) = [words for words in json.loads(plan)["commands"] if "nextpnr" in words[0]]
    start = next(index for index, word in enumerate(words) if re.fullmatch(r"--\w*-?\d+k", word))
    return list(words[start : words.index("--json")])


def _place(
    board: Board,
    netlist: Path,
    options: list[str],
    seeds: Sequence[int],
    work: Path,
    report: Report,
) -> Placed:
    """Place and route with one seed after another, some side by side, until one is fast enough;
    the best of them."""
    stop, notes = threading.Event(), {}
    found: list[Placed] = []

    def place(seed: int) -> Placed | None:
        def watch(line: str) -> None:
            if any(step in line for step in STEPS):
                notes[seed] = line.removeprefix("Info: ")[:48]
                report(0, 0, "   ".join(f"seed {seed}: {note}" for seed, note in notes.items()))

        if stop.is_set():
            return None
        placed = _place_one(board, netlist, options, seed, work, watch, stop)
        notes.pop(seed, None)
        return placed

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for future in as_completed([pool.submit(place, seed) for seed in seeds]):
                if (placed := future.result()) is not None:
                    found.append(placed)
                    if placed.met:
                        stop.set()
        finally:
            stop.set()
    return max(found, key=lambda placed: placed.shortest)


def _place_one(
    board: Board,
    netlist: Path,
    options: list[str],
    seed: int,
    work: Path,
    watch: tools.Watch,
    stop: threading.Event,
) -> Placed | None:
    """One seed, from the cache if nothing has changed; None if others were faster."""
    target = board.clock_hz / 1e6
    arguments = [*options, "--seed", str(seed), "--freq", f"{target:g}", "--timing-allow-fail"]

    def make(stem: Path) -> dict[str, Any]:
        log, result = stem.with_suffix(".log"), stem.with_suffix(".report")
        config = stem.with_suffix(".config")
        files = ["--json", netlist, "--report", result, "--textcfg", config]
        every = [*arguments, *map(str, files)]
        if not tools.run("nextpnr", every, log, timeout=NEXTPNR_SECONDS, watch=watch, stop=stop):
            if stop.is_set():
                raise Overtaken
            slow = Placed(seed=seed, fmax_mhz=None, shortest=0, longest_path="", used={}, config="")
            return asdict(slow)
        return asdict(_read(json.loads(result.read_text()), seed, target, config.name))

    parts = (netlist.name, arguments, (work / "pins.lpf").read_text(), NEXTPNR_SECONDS)
    try:
        return Placed(**kept(work, f"seed{seed}", make, *parts, *tool_versions()))
    except Overtaken:
        return None


class Overtaken(Exception):  # noqa: N818
    """Another seed was fast enough."""


def _read(report: dict[str, Any], seed: int, target: float, config: str) -> Placed:
    """What nextpnr says."""
    clocks = report["fmax"].values()
    device = min(clocks, key=lambda clock: abs(clock["constraint"] - target))
    worst = max(
        (path for path in report["critical_paths"] if path["from"] == path["to"]),
        key=lambda path: sum(step["delay"] for step in path["path"]),
    )["path"]
    cells = [step["to"]["cell"] for step in worst]
    nanoseconds = sum(step["delay"] for step in worst)
    return Placed(
        seed=seed,
        fmax_mhz=round(device["achieved"], 2),
        shortest=min(
            device["achieved"] / target,
            *(clock["achieved"] / clock["constraint"] for clock in clocks),
        ),
        longest_path=f"{worst[0]['from']['cell']} to {cells[-1]}, {nanoseconds:.1f} ns",
        used={name: report["utilization"][cell]["used"] for name, cell in CELLS.items()},
        config=config,
    )


def _missed(board: Board, best: Placed, work: Path) -> str:
    if best.fmax_mhz is None:
        return f"place and route took more than {NEXTPNR_SECONDS:.0f} s; see {work}/seed*.log"
    target = board.clock_hz / 1e6
    return (
        f"timing missed on {board.name}: {best.fmax_mhz:.1f} MHz reached, {target:g} MHz wanted, "
        f"{1 - best.shortest:.1%} short (best seed {best.seed}); the longest path goes from "
        f"{best.longest_path}; see {work}/seed{best.seed}-*.log, or try other seeds with --seed"
    )
