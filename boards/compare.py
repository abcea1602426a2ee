"""``tocsin compare``: a day of tenants, three ways to hand out vectors."""

import json
from pathlib import Path

from sim.compare.day import Progress, compare
from sim.compare.plan import Plan
from sim.compare.report import table, write_page

from .show import console, stages

FIGURES = Path("build/compare.json")
PICTURE = Path("build/compare.html")


def play(plan: Plan) -> int:
    """Play the day, write figures and pictures, show the table; 1 if anything is wrong."""
    with stages() as shown:

        def enter(title: str, total: int) -> Progress:
            return shown.enter(title, total)

        result = compare(plan, enter)
    FIGURES.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    write_page(PICTURE, result)
    console.print(table(result))
    for sentence in result.errors:
        console.print(f"[red]✗[/] {sentence}")
    console.print(f"Figures: {FIGURES}  Pictures: {PICTURE}")
    print(result.last_line, flush=True)
    return int(bool(result.errors))
