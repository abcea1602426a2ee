"""What commands show while they work, and how they end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

console = Console(highlight=False)

Report = Callable[[int, int, str], None]


class Stages:
    """Progress bars, one for each stage of a command.

    Use it through :func:`stages`; a stage that is entered finishes the one before.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._current: TaskID | None = None

    def enter(self, text: str, total: int | None = None) -> Report:
        """Start a stage; without a total its bar only shows that something happens.

        Returns a function that takes how much is done, of how much, and a word about it.
        """
        self.finish()
        task = self._current = self._progress.add_task(text, total=total, note="")

        def report(done: int, total: int, note: str = "") -> None:
            self._progress.update(task, completed=done, total=total, note=note)

        return report

    def finish(self) -> None:
        """The stage is over."""
        if self._current is not None:
            total = self._progress.tasks[self._current].total or 1
            self._progress.update(self._current, total=total, completed=total, note="")
            self._current = None


@contextmanager
def stages() -> Iterator[Stages]:
    """Show progress bars while the block runs."""
    columns = (
        SpinnerColumn(finished_text="[green]✓"),
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        shown = Stages(progress)
        yield shown
        shown.finish()
