"""The result for people: a table, and a page with pictures."""

from pathlib import Path

import plotly.graph_objects as go
from rich.table import Table

from .. import pages
from ..pages import PALE, QUIET
from .day import SAMPLED
from .fleet import MINUTE
from .result import Level, Outcome, Result

COLORS = ("#c8553d", "#d9a441", "#1f5f8b")


def subtitle(result: Result) -> str:
    """What was asked."""
    plan = result.plan
    return (
        f"{result.adis:,} ADIs in a day, {plan.cpus} processors with {result.capacity:,} vectors; "
        f"seed {plan.seed}"
    )


def rows(result: Result) -> list[tuple[str, list[str]]]:
    """What to show: a name, and a value for each way."""
    ways = result.ways

    def both(name: str) -> list[str]:
        return [_both(way.levels[name]) for way in ways]

    def counts(title: str, name: str) -> list[tuple[str, list[str]]]:
        tables: list[dict[str, int]] = [getattr(way, name) for way in ways]
        reasons = sorted({reason for table in tables for reason in table})
        return [
            (f"{title}: {reason}", [f"{table.get(reason, 0):,}" for table in tables])
            for reason in reasons
        ]

    return [
        ("Vectors of the device", [f"{way.entries:,}" for way in ways]),
        ("Vectors reserved, most / mean", both("reserved")),
        ("Vectors in use, most / mean", both("in_use")),
        ("Processors' vectors, most / mean", both("taken")),
        ("ADIs alive, most / mean", both("adis")),
        ("ADIs refused", [_refused(way, result.adis) for way in ways]),
        *counts("Refused", "refused"),
        ("ADIs left short of vectors", [f"{way.short:,}" for way in ways]),
        *counts("Short", "denied"),
        ("Requests to allocate one", [_each(way, "allocate") for way in ways]),
        ("Requests to free one", [_each(way, "free") for way in ways]),
        ("Bells lost", [f"{way.lost:,}" for way in ways]),
        ("Left in use at the end", [f"{len(way.leaked):,}" for way in ways]),
    ]


def _both(level: Level) -> str:
    return f"{level.most:,} / {level.mean:,.0f}"


def _refused(way: Outcome, adis: int) -> str:
    return f"{way.refusals:,} ({way.refusals / adis:.0%})"


def _each(way: Outcome, purpose: str) -> str:
    return f"{way.requests[purpose] / max(way.vectors + 1, 1):.1f}"


def table(result: Result) -> Table:
    """The table on the terminal."""
    shown = Table(title=subtitle(result), title_justify="left")
    shown.add_column("", overflow="fold")
    for way in result.ways:
        shown.add_column(way.title, justify="right")
    for name, values in rows(result):
        shown.add_row(name, *values)
    return shown


def write_page(path: Path, result: Result) -> None:
    """Write the page, with everything it needs inside."""
    path.write_text(page(result))


def page(result: Result) -> str:
    """The page as HTML."""
    head = pages.row(("", *(way.title for way in result.ways)), head=True)
    return pages.page(
        "Tocsin: vectors over a day",
        subtitle(result),
        [head, *(pages.row((name, *values)) for name, values in rows(result))],
        [vectors(result), adis(result)],
        result.errors,
    )


def vectors(result: Result) -> go.Figure:
    """Vectors over the day: reserved, in use, and wanted."""
    figure = go.Figure()
    _line(figure, "wanted", result.wanted, color=PALE, fill="tozeroy")
    for way, color in zip(result.ways, COLORS, strict=True):
        _line(figure, f"{way.title}: reserved", way.levels["reserved"], color=color, dash="dot")
        _line(figure, f"{way.title}: in use", way.levels["in_use"], color=color)
    figure.add_hline(
        y=result.plan.msix_vectors,
        line={"dash": "dash", "color": QUIET, "width": 1},
        annotation_text=f"where MSI-X ends ({result.plan.msix_vectors})",
        annotation_position="top left",
    )
    return _finish(figure, "Vectors", "vectors")


def adis(result: Result) -> go.Figure:
    """Who is there."""
    figure = go.Figure()
    for way, color in zip(result.ways, COLORS, strict=True):
        _line(figure, way.title, way.levels["adis"], color=color)
    return _finish(figure, "ADIs that were admitted and have not left", "ADIs")


def _line(
    figure: go.Figure,
    name: str,
    level: Level,
    *,
    color: str,
    dash: str = "solid",
    fill: str = "none",
) -> None:
    hours = [index * SAMPLED / (60 * MINUTE) for index in range(len(level.samples))]
    line = {"shape": "hv", "color": color, "dash": dash}
    figure.add_scatter(x=hours, y=level.samples, name=name, line=line, fill=fill, mode="lines")


def _finish(figure: go.Figure, title: str, unit: str) -> go.Figure:
    pages.finish(figure, title, "hour of the day", unit)
    return figure.update_layout(xaxis={"dtick": 3, "range": [0, 24]})
