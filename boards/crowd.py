"""``tocsin crowd``: thousands of tenants and a house full of guests, and what came of it."""

from rich.table import Table

from sim.crowd.result import Plan, Result

from .show import console, stages


def play(plan: Plan, *, model: bool) -> int:
    """Play it, show what happened, and return the exit code."""
    with stages() as shown:
        if model:
            from sim.crowd.model_side import on_model

            result = on_model(plan, shown.enter("Functional model", plan.all_operations))
        else:
            from sim.crowd.rtl_side import build_device, on_rtl

            shown.enter("Building the simulator")
            built = build_device(plan)
            result = on_rtl(built, plan, shown.enter("RTL under Verilator", plan.all_operations))
    console.print(table(result))
    for sentence in result.errors:
        console.print(f"[red]✗[/] {sentence}")
    print(result.last_line, flush=True)
    return int(not result.good)


def table(result: Result) -> Table:
    """What happened, for people."""
    shown = Table(title="Crowd", show_header=False, title_justify="left")
    shown.add_column(overflow="fold")
    shown.add_column(justify="right")
    shown.add_column(width=1)
    for name, value in (
        ("ADIs of the host alive at once", result.adis),
        ("Guests beside them", result.guests),
        ("Vectors in message storage then", result.vectors),
        ("Operations, a bell each", result.operations),
        ("Guests moved while they worked", result.moves),
        ("Descriptors whose handle a move had revoked, submitted again", result.resubmitted),
        ("Requests to the device", result.requests),
        ("Clocks", result.clocks),
    ):
        shown.add_row(name, f"{value:,}", "")
    shown.add_section()
    for name, text in ACTIONS.items():
        shown.add_row(text, f"{result.actions.get(name, 0):,}", "")
    shown.add_section()
    for name, value in (
        ("Bells lost", result.lost),
        ("Bells doubled", result.doubled),
        ("Bells misdirected", result.misdirected),
        ("Copies with wrong bytes", result.corrupted),
        *((f"Left over: {name}", count) for name, count in result.leaked.items()),
    ):
        shown.add_row(name, f"{value:,}", "[red]✗" if value else "[green]✓")
    return shown


ACTIONS = {
    "move": "Vectors moved to another processor",
    "rewrite": "Vectors given another message",
    "silence": "Vectors masked, and unmasked with an event held",
    "grow": "Vectors added to a tenant",
    "replace": "ADIs destroyed and replaced",
    "ring": "Nothing but the bell",
}
"""What was done to vectors while they rang."""
