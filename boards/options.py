"""Kinds of options, and what commands refuse before they begin."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

if TYPE_CHECKING:
    from .board import Board


class Whole(click.ParamType[int]):
    """A whole number within limits, both inclusive."""

    name = "N"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The number, or a sentence that says what is allowed."""
        try:
            number = int(str(value))
        except ValueError:
            number = None
        if number is None or not self.low <= number <= self.high:
            name = param.opts[0] if param is not None else "the option"
            message = f"{name} takes a whole number from {self.low} to {self.high}, not {value!r}."
            raise click.UsageError(message, ctx)
        return number


class BoardName(click.ParamType["Board"]):
    """A board of the registry."""

    name = "BOARD"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Board":
        """The board of that name, or a sentence that says which there are."""
        from .board import Board
        from .registry import BOARDS

        if isinstance(value, Board):
            return value
        if str(value) not in BOARDS:
            raise click.UsageError(
                f"There is no board {str(value)!r}; there are {', '.join(BOARDS)}.", ctx
            )
        return BOARDS[str(value)]


SEED = click.option(
    "--seed", type=Whole(0, 2**31 - 1), default=1, show_default=True, help="Of everything random."
)


def need_room_for_results() -> None:
    """Refuse, before anything is done, where the folder of results cannot be written."""
    folder = Path("build")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise click.UsageError("Results go into build/, but build is not a folder.") from None
    except OSError as error:
        raise click.UsageError(f"Results go into build/, which fails: {error}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise click.UsageError("Results go into build/, which cannot be written.")
