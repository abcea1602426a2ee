"""``tocsin bench``: run the benchmarks, show and write the figures."""

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from sim.benchmarks.figures import GOALS, PAYLOADS, measure, missed
from sim.benchmarks.report import vector_table, write_page

from .show import Report, console, stages

OUTPUT = Path("build/bench.json")
PICTURE = Path("build/bench.html")


def play(events: int) -> int:
    """Measure, write the figures, show the table; return 1 if a goal is missed."""
    with stages() as shown:

        def enter(title: str) -> Report:
            return shown.enter(title)

        figures = measure(events, enter)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(figures, indent=2) + "\n")
    console.print(table(figures, events))
    console.print(costs(figures))
    console.print(vector_table(figures["vector_costs"]))
    write_page(PICTURE, figures["vector_costs"])
    wrong = missed(figures)
    for sentence in wrong:
        console.print(f"[red]✗[/] {sentence}")
    console.print(f"Figures: {OUTPUT}  Pictures: {PICTURE}")
    return 1 if wrong else 0


def table(figures: dict[str, Any], events: int) -> Table:
    """The figures for people."""
    shown = Table(title=f"Counted in the RTL, {events:,} events each", title_justify="left")
    shown.add_column("", overflow="fold")
    shown.add_column("measured", justify="right")
    shown.add_column("goal", justify="right")
    shown.add_column("", width=1)
    for goal in GOALS:
        value = figures[goal.name]
        bound = f"{'≥' if goal.least else '≤'} {goal.bound:g}"
        shown.add_row(goal.text, f"{value:g}", bound, "[green]✓" if goal.met(value) else "[red]✗")
    shown.add_section()
    for kind in ("read", "write"):
        for size in map(str, PAYLOADS):
            value = figures[f"dma_{kind}_efficiency"][size]
            limit = figures[f"dma_{kind}_limit"][size]
            good = "[green]✓" if value >= 0.95 * limit else "[red]✗"
            text = f"DMA {kind}s, payload {size}: payload beats over busy beats"
            shown.add_row(text, f"{value:.1%}", f"limit {limit:.1%}", good)
    value, limit = figures["block_move_efficiency"], figures["block_move_limit"]
    good = "[green]✓" if value >= 0.95 * limit else "[red]✗"
    text = "Moves of 4 KiB by descriptors, payload 256: the same"
    shown.add_row(text, f"{value:.1%}", f"limit {limit:.1%}", good)
    return shown


def costs(figures: dict[str, Any]) -> Table:
    """What each operation costs."""
    shown = Table(title="Clocks per operation, many after one another", title_justify="left")
    shown.add_column("operation")
    sizes = list(next(iter(figures["operation_cycles"].values())))
    for size in sizes:
        shown.add_column(f"{int(size):,} bytes", justify="right")
    for name, cost in figures["operation_cycles"].items():
        shown.add_row(name.replace("_", " "), *(f"{cost[size]:,.1f}" for size in sizes))
    return shown
