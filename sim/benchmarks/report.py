"""What a vector costs, for people: a table, and a page with pictures."""

from collections.abc import Mapping
from pathlib import Path

import plotly.graph_objects as go
from rich.table import Table

from .. import pages

Costs = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By number of vectors in use, by figure: ``median`` and ``worst``."""

TITLE = "Cost of a vector by vectors in use (median / worst)"
ALLOCATE, FREE = "#1f5f8b", "#c8553d"

FIGURES = {
    "alloc_tlps": "requests to allocate",
    "free_tlps": "requests to free",
    "alloc_cycles": "clocks to allocate",
    "free_cycles": "clocks to free",
}


def rows(costs: Costs) -> list[list[str]]:
    """A row for each number of vectors."""
    return [
        [f"{int(count):,}", *(_both(cost[name]) for name in FIGURES)]
        for count, cost in costs.items()
    ]


def _both(figure: Mapping[str, float]) -> str:
    return f"{figure['median']:g} / {figure['worst']:g}"


def vector_table(costs: Costs) -> Table:
    """The table on the terminal."""
    shown = Table(title=TITLE, title_justify="left")
    for name in ("in use", *FIGURES.values()):
        shown.add_column(name, justify="right")
    for row in rows(costs):
        shown.add_row(*row)
    return shown


def write_page(path: Path, costs: Costs) -> None:
    """Write the page, with everything it needs inside."""
    head = pages.row(("in use", *FIGURES.values()), head=True)
    path.write_text(
        pages.page(
            "Tocsin: what a vector costs",
            TITLE + "; the driver on the RTL, with nothing else going on",
            [head, *map(pages.row, rows(costs))],
            [_figure(costs, "tlps", "requests"), _figure(costs, "cycles", "clocks")],
        )
    )


def _figure(costs: Costs, unit: str, name: str) -> go.Figure:
    """One cost over the number of vectors in use."""
    figure = go.Figure()
    counts = [int(count) for count in costs]
    for verb, what, color in (("allocate", "alloc", ALLOCATE), ("free", "free", FREE)):
        for kind, dash in (("median", "solid"), ("worst", "dot")):
            figure.add_scatter(
                x=counts,
                y=[cost[f"{what}_{unit}"][kind] for cost in costs.values()],
                name=f"to {verb}, {kind}",
                mode="lines+markers",
                line={"color": color, "dash": dash},
            )
    pages.finish(figure, f"{name.capitalize()} for one vector", "vectors in use", name)
    return figure.update_layout(xaxis_type="log", yaxis_rangemode="tozero")
