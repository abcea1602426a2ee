"""Pages with pictures, in one file each: what commands leave for people to look at."""

from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go

QUIET, PALE = "#5b6770", "#c9d3da"
COLORS = ("#1f5f8b", "#c8553d", "#d9a441", "#6a994e")

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; color: #222; }}
h1 {{ font-weight: 600; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: 0.15em 1.5em 0.15em 0; text-align: right; vertical-align: top; }}
td {{ font-variant-numeric: tabular-nums; }}
th:first-child, td:first-child {{ text-align: left; }}
.bad {{ color: #c8553d; font-weight: 600; }}
p.note {{ color: #5b6770; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="note">{subtitle}</p>
<table>{rows}</table>
{errors}
{figures}
</body>
</html>
"""


def row(cells: Iterable[object], *, head: bool = False, bad: bool = False) -> str:
    """A row of a page's table; ``bad`` marks all of it but its name."""
    tag, mark = "th" if head else "td", ' class="bad"' if bad else ""
    shown = [escape(str(cell)) for cell in cells]
    made = [f"<{tag}{mark if n else ''}>{cell}</{tag}>" for n, cell in enumerate(shown)]
    return f"<tr>{''.join(made)}</tr>"


def page(
    title: str,
    subtitle: str,
    rows: Iterable[str],
    figures: Sequence[go.Figure],
    errors: Iterable[str] = (),
) -> str:
    """A page as HTML, with everything it needs inside; ``rows`` as :func:`row` makes them."""
    return PAGE.format(
        title=escape(title),
        subtitle=escape(subtitle),
        rows="".join(rows),
        errors="".join(f'<p class="bad">{escape(sentence)}</p>' for sentence in errors),
        figures="\n".join(
            figure.to_html(full_html=False, include_plotlyjs=index == 0, div_id=f"figure-{index}")
            for index, figure in enumerate(figures)
        ),
    )


def finish(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    """A figure in the style of all others, with what its axes show."""
    return figure.update_layout(
        title=title,
        xaxis_title=x,
        yaxis_title=y,
        template="plotly_white",
        height=450,
        font_color=QUIET,
    )
