"""A board that is not there: its logic under Verilator, its serial line in a pseudo-terminal."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.bench import BuiltModel, build, run
from sim.serial.wired import Wired

from .board import Board
from .top import Tethered

START_SECONDS = 120.0
"""Until the simulator has started."""

TIMEOUT_SECONDS = 7200.0


@dataclass
class SimulatedBoard:
    """A simulation that runs.

    Parameters
    ----------
    port
        What to open as the serial port.
    figures
        What the simulator counted, once the port has been closed.
    """

    port: str
    figures: dict[str, Any] = field(default_factory=dict)


def build_board(board: Board, *, waves: bool = False) -> BuiltModel:
    """Build the simulator of a board's logic, or find it already built."""
    tethered = Tethered(board.config, board.identity)
    return build(Wired(tethered, board.clock_hz, board.baud), board.name, waves=waves)


@contextmanager
def simulated(
    model: BuiltModel, *, noise: int, seed: int, waves: bool = False
) -> Iterator[SimulatedBoard]:
    """Run a board while the block runs; it ends when its port has been opened and closed.

    Parameters
    ----------
    model
        From :func:`build_board`.
    noise
        One byte in so many is damaged; 0 for a clean line.
    seed
        Of the damage.

    **Errors** :class:`sim.bench.BenchFailure` names the log.
    """
    outcome: list[dict[str, Any] | BaseException] = []
    with tempfile.TemporaryDirectory(prefix="tocsin-") as folder:
        announce = Path(folder) / "port"
        orders = {"announce": str(announce), "noise": noise}

        def simulate() -> None:
            try:
                outcome.append(
                    run(
                        model,
                        "sim.serial.line_bench",
                        parameters=orders,
                        seed=seed,
                        timeout=TIMEOUT_SECONDS,
                        on_progress=lambda *_: None,
                        waves=waves,
                    )
                )
            except BaseException as error:
                outcome.append(error)

        thread = threading.Thread(target=simulate, daemon=True)
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not announce.exists() and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        if not announce.exists():
            thread.join(1)
            failure = outcome[0] if outcome else None
            raise (
                failure
                if isinstance(failure, BaseException)
                else TimeoutError(f"the simulator has not started within {START_SECONDS:g} s")
            )
        board = SimulatedBoard(announce.read_text())
        yield board
        thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    board.figures = result
