"""``tocsin soak``: round after round, until the time is up or something is wrong."""

import itertools
import time
from collections.abc import Callable
from functools import partial

from rich.table import Table

from sim.soak.play import Progress
from sim.soak.result import Round, Total

from .show import console, stages

Player = Callable[[int, Progress], Round]


def play(minutes: int, seed: int, *, only: int | None, model: bool, waves: bool) -> int:
    """Play, show what happened, and return the exit code."""
    total = Total(seed)
    with stages() as shown:
        shown.enter("Getting ready")
        play_round = _player(seed, model=model, waves=waves)
        show = shown.enter("Functional model" if model else "RTL under Verilator", 60 * minutes)
        begun = time.monotonic()
        for number in itertools.count() if only is None else [only]:

            def report(done: int, whole: int, text: str, number: int = number) -> None:
                note = f"round {number}: {text}, {done} of {whole}"
                show(min(int(time.monotonic() - begun), 60 * minutes), 60 * minutes, note)

            total.add(number, play_round(number, report))
            if total.failed is not None or time.monotonic() - begun >= 60 * minutes:
                break
    console.print(table(total))
    for sentence in total.errors:
        console.print(f"[red]✗[/] {sentence}")
    if total.failed is not None:
        where = " --model" if model else ""
        console.print(f"Again: tocsin soak --seed {seed} --round {total.failed}{where}")
    print(total.last_line, flush=True)
    return int(total.failed is not None)


def _player(seed: int, *, model: bool, waves: bool) -> Player:
    """What plays a round; the RTL is built first."""
    if model:
        from sim.soak.model_side import on_model

        return partial(on_model, seed)
    from sim.soak.rtl_side import build_device, on_rtl

    return partial(on_rtl, build_device(waves=waves), seed, waves=waves)


def table(total: Total) -> Table:
    """What happened, for people."""
    shown = Table(title="Soak", show_header=False, title_justify="left")
    shown.add_column(overflow="fold")
    shown.add_column(justify="right")
    for name, value in (
        ("Rounds", total.rounds),
        ("Operations", total.kinds.total()),
        ("Reads that were let fail", total.faults),
        ("Accesses refused by the IOMMU, as they had to be", total.refused),
        ("Clocks", total.clocks),
    ):
        shown.add_row(name, f"{value:,}")
    for title, counts in (
        ("Operations", total.kinds),
        ("Rounds disturbed by", total.disturbances),
    ):
        shown.add_section()
        for name, count in counts.most_common():
            shown.add_row(f"{title}: {name}", f"{count:,}")
    return shown
