"""The result for people: a table, and a page with pictures."""

from pathlib import Path

import plotly.graph_objects as go
from rich.table import Table

from .. import pages
from ..pages import PALE, finish
from .result import Plan, Result, percentile

VERDICTS = (
    "Bells lost",
    "Bells doubled",
    "Bells misdirected",
    "Operations with wrong bytes",
    "Accesses refused by the IOMMU",
)

TURNS_SHOWN = 60
COLOR, ACCENT = "#1f5f8b", "#c8553d"
SHADES = (COLOR, ACCENT, "#6a994e")


def rows(result: Result, unit: str) -> list[tuple[str, str, bool]]:
    """What to show: name, value, and whether the value is bad news."""
    p50, p99, worst = (percentile(result.latencies, p) for p in (50, 99, 100))
    return [
        ("ADIs alive at once, each with its own PASID", f"{result.adis:,}", False),
        ("Vectors in interrupt storage", f"{result.vectors:,} of {result.storage:,}", False),
        ("ADIs destroyed and replaced while the rest ran", f"{result.replaced:,}", False),
        ("Vectors given another target while they fired", f"{result.moved:,}", False),
        ("Operations", f"{result.operations:,}", False),
        ("Bytes copied and compared", f"{result.copied_bytes:,}", False),
        ("Submissions tried again because a queue was full", f"{result.retries:,}", False),
        ("Interrupts", f"{result.interrupts:,}", False),
        (f"Completion record to bell, {unit} (p50 / p99 / max)",
         f"{p50:,} / {p99:,} / {worst:,}", False),
        (f"Duration, {unit}", f"{result.clocks:,}", False),
        *(
            (f"{sharer.name} at priority {sharer.priority}: turns promised / had, engine time",
             f"{sharer.promised:.0%} / {sharer.turns:.0%}, {sharer.time:.0%}", False)
            for sharer in result.sharers
        ),
        ("Bells lost", f"{result.lost:,}", result.lost > 0),
        ("Bells doubled", f"{result.doubled:,}", result.doubled > 0),
        ("Bells misdirected", f"{result.misdirected:,}", result.misdirected > 0),
        ("Operations with wrong bytes", f"{result.corrupted:,}", result.corrupted > 0),
        ("Accesses refused by the IOMMU", f"{result.refused:,}", result.refused > 0),
    ]  # fmt: skip


def table(result: Result, unit: str) -> Table:
    """The table on the terminal."""
    shown = Table(title="Tocsin demonstration", show_header=False, title_justify="left")
    shown.add_column(overflow="fold")
    shown.add_column(justify="right")
    shown.add_column(width=1)
    for name, value, bad in rows(result, unit):
        verdict = "" if name not in VERDICTS else "[red]✗" if bad else "[green]✓"
        shown.add_row(name, f"[red]{value}" if bad else value, verdict)
    return shown


def write_page(path: Path, result: Result, plan: Plan, unit: str, where: str) -> None:
    """Write the page, with everything it needs inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(result, plan, unit, where))


def page(result: Result, plan: Plan, unit: str, where: str) -> str:
    """The page as HTML."""
    figures = [latency(result, unit), timeline(result, unit), occupancy(result, unit)]
    if result.turns:
        figures += [turns(result, unit), shares(result)]
    return pages.page(
        "Tocsin: one bell for every tenant",
        f"{where}; seed {plan.seed}, {plan.workers} operations under way at once",
        (pages.row((name, value), bad=bad) for name, value, bad in rows(result, unit)),
        figures,
        result.errors,
    )


def latency(result: Result, unit: str) -> go.Figure:
    """Histogram of the time from completion record to bell."""
    figure = go.Figure(go.Histogram(x=result.latencies, marker_color=COLOR))
    for percent, name in ((50, "p50"), (99, "p99")):
        figure.add_vline(
            x=percentile(result.latencies, percent),
            line={"dash": "dot", "color": ACCENT},
            annotation_text=name,
        )
    return finish(figure, "From completion record to bell", unit, "bells")


def timeline(result: Result, unit: str) -> go.Figure:
    """Every bell: when, and whose."""
    figure = go.Figure(
        go.Scattergl(
            x=[clock for clock, _ in result.bells],
            y=[number for _, number in result.bells],
            mode="markers",
            marker={"size": 3, "color": COLOR, "opacity": 0.6},
            hovertemplate=f"ADI %{{y}} at %{{x}} {unit}<extra></extra>",
        )
    )
    if result.replaced:
        figure.add_hline(
            y=result.adis - 0.5,
            line={"dash": "dot", "color": ACCENT},
            annotation_text="above: replacements",
            annotation_position="top left",
        )
    return finish(figure, "Bells", unit, "ADI, in order of creation")


def occupancy(result: Result, unit: str) -> go.Figure:
    """How many vectors were allocated at each time."""
    figure = go.Figure(
        go.Scatter(
            x=[clock for clock, _ in result.occupancy],
            y=[count for _, count in result.occupancy],
            line={"shape": "hv", "color": COLOR},
        )
    )
    figure.add_hline(
        y=2048,
        line={"dash": "dot", "color": ACCENT},
        annotation_text="where MSI-X ends (2048)",
        annotation_position="bottom right",
    )
    return finish(figure, "Vectors allocated", unit, "vectors")


def turns(result: Result, unit: str) -> go.Figure:
    """Who had the engine when, in the middle of the last act."""
    middle = len(result.turns) // 2
    shown = result.turns[middle : middle + TURNS_SHOWN]
    figure = go.Figure()
    for number, sharer in enumerate(result.sharers):
        own = [(start, end) for start, end, who in shown if who == number]
        figure.add_bar(
            orientation="h",
            base=[start for start, _ in own],
            x=[end - start for start, end in own],
            y=[f"{sharer.name}, priority {sharer.priority}"] * len(own),
            marker_color=SHADES[number % len(SHADES)],
            hovertemplate=f"%{{x}} {unit}<extra>{sharer.name}</extra>",
        )
    figure.update_layout(barmode="overlay", showlegend=False)
    title = f"Three tenants on one engine: {len(shown)} turns of {len(result.turns)}"
    return finish(figure, title, unit, "")


def shares(result: Result) -> go.Figure:
    """What the priorities promise, and what each tenant had."""
    names = [f"{sharer.name}, priority {sharer.priority}" for sharer in result.sharers]
    figure = go.Figure()
    for label, color, values in (
        ("turns promised", PALE, [sharer.promised for sharer in result.sharers]),
        ("turns had", COLOR, [sharer.turns for sharer in result.sharers]),
        ("engine time", ACCENT, [sharer.time for sharer in result.sharers]),
    ):
        figure.add_bar(name=label, x=names, y=values, marker_color=color)
    finish(figure, "How the engine was shared", "", "share")
    return figure.update_layout(yaxis_tickformat=".0%")
