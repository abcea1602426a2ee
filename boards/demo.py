"""``tocsin demo``: run the scenario, show what came of it."""

from pathlib import Path

from sim.demo.report import table, write_page
from sim.demo.result import Plan, Result

from .show import console, stages

PAGE = Path("build/demo/report.html")


def play(plan: Plan, *, model: bool, waves: bool) -> int:
    """Run it, show table and pages, and return the exit code."""
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
    _show(result, plan, unit, where)
    return 0 if result.good else 1


def _show(result: Result, plan: Plan, unit: str, where: str) -> None:
    write_page(PAGE, result, plan, unit, where)
    console.print(table(result, unit))
    for sentence in result.errors:
        console.print(f"[red]✗[/] {sentence}")
    console.print(f"Pictures: {PAGE}")
    print(result.last_line, flush=True)
