"""``tocsin demo``: run the scenario, show what came of it."""

import asyncio
from pathlib import Path

from rich.table import Table

from driver.tether import Statistics
from sim.demo.report import table, write_page
from sim.demo.result import Plan, Result
from sim.demo.scenario import demonstrate
from sim.demo.witness import Witness

from .board import Board
from .show import Report, console, stages
from .simulated import SimulatedBoard, build_board, simulated
from .tether import PATIENT, tethered

PAGE = Path("build/demo/report.html")


def play(plan: Plan, *, model: bool, waves: bool) -> int:
    """Run it in this machine, show table and pages, and return the exit code."""
    with stages() as shown:
        if model:
            from sim.demo.model_side import on_model

            result = on_model(plan, shown.enter("Functional model", plan.all_operations))
            where, unit = "functional model", "steps"
        else:
            from sim.demo.rtl_side import build_device, on_rtl

            shown.enter("Building the simulator")
            built = build_device(plan, waves=waves)
            report = shown.enter("RTL under Verilator", plan.all_operations)
            result = on_rtl(built, plan, report, waves=waves)
            where, unit = "RTL under Verilator", "clocks"
    return _show(result, plan, unit, where)


def play_on_board(plan: Plan, port: str, board: Board | None) -> int:
    """The same on a board at a serial port."""
    with stages() as shown:
        shown.enter("Greeting the board")
        report = shown.enter("Board", plan.all_operations)
        result, statistics = asyncio.run(_tethered(plan, port, board, report, simulated=False))
    console.print(line(statistics))
    return _show(result, plan, "clocks", f"board at {port}")


def play_on_simulated(plan: Plan, board: Board, *, noise: int, waves: bool) -> int:
    """The same on the logic of a board under Verilator, through its serial pins."""
    with stages() as shown:
        shown.enter("Building the simulator")
        model = build_board(board, waves=waves)
        report = shown.enter(f"{board.title}, simulated", plan.all_operations)
        with simulated(model, noise=noise, seed=plan.seed, waves=waves) as running:
            result, statistics = asyncio.run(
                _tethered(plan, running.port, board, report, simulated=True)
            )
    console.print(line(statistics, running))
    return _show(result, plan, "clocks", f"{board.title} under Verilator, on its serial line")


async def _tethered(
    plan: Plan, port: str, board: Board | None, report: Report, *, simulated: bool
) -> tuple[Result, Statistics]:
    """The scenario at the end of a serial line, and what the checkers have to say about it."""
    witness = Witness()
    async with tethered(port, witness, board, simulated=simulated) as transport:
        result = await demonstrate(transport, witness, plan, report, PATIENT)
        result.errors += [text for text in await transport.finish() if text not in result.errors]
        return result, transport.link.statistics


def line(statistics: Statistics, board: SimulatedBoard | None = None) -> Table:
    """What went over the line, for people."""
    shown = Table(title="The line", show_header=False, title_justify="left")
    shown.add_column(overflow="fold")
    shown.add_column(justify="right")
    rows = [
        ("TLPs to the board", statistics.sent),
        ("TLPs from the board", statistics.received),
        ("TLPs sent again by the host", statistics.resent),
        ("TLPs that came twice or out of turn, and were dropped", statistics.repeated),
        ("Frames that arrived damaged, and were dropped", statistics.damaged),
    ]
    if board is not None:
        rows += [
            ("Bytes damaged on the line, both ways", board.figures["damaged"]),
            ("Clocks of the board", board.figures["clocks"]),
        ]
    for name, value in rows:
        shown.add_row(name, f"{value:,}")
    return shown


def _show(result: Result, plan: Plan, unit: str, where: str) -> int:
    write_page(PAGE, result, plan, unit, where)
    console.print(table(result, unit))
    for sentence in result.errors:
        console.print(f"[red]✗[/] {sentence}")
    console.print(f"Pictures: {PAGE}")
    print(result.last_line, flush=True)
    return 0 if result.good else 1
