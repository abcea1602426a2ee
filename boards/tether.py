"""Boards at the other end of a serial line: found, greeted, recognized."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from driver.tether import SerialLine, TetherError
from driver.timeouts import Timeouts
from hw.regs.tether import Identity
from sim.host.platform import Host
from sim.host.tether_transport import TetherTransport

from .board import Board
from .registry import BOARDS

SEARCH_SECONDS = 2.5
"""How long a board may take to answer, where its rate has to be found."""

PATIENT = Timeouts(
    command=1_000_000_000,
    drain=2_000_000_000,
    operation=2_000_000_000,
    submit=1_000_000_000,
    reset=1_000_000_000,
)
"""For a driver at the end of a serial line: ten seconds of the device's time and more."""


@asynccontextmanager
async def tethered(
    port: str, host: Host, board: Board | None = None, *, simulated: bool = False
) -> AsyncIterator[TetherTransport]:
    """The way to the device on a board, while the block runs.

    Parameters
    ----------
    port
        The serial port, or a URL that pyserial knows.
    host
        Memory and interrupt controller.
    board
        Which board it has to be; if none is given, its rate is found and its name believed.
    simulated
        Its clock is not to be measured by that of this machine.

    Raises
    ------
    TetherError
        In one sentence: nothing there, nothing that answers, or not what it should be.
    """
    rates = [board.baud] if board else sorted({known.baud for known in BOARDS.values()})
    transport = await _first(port, host, rates, simulated=simulated)
    try:
        recognize(transport.identity, port, board)
        yield transport
    finally:
        await transport.close()


async def _first(port: str, host: Host, rates: list[int], *, simulated: bool) -> TetherTransport:
    """The board at one of the rates."""
    for number, baud in enumerate(rates, 1):
        seconds = SEARCH_SECONDS if len(rates) > 1 else None
        try:
            line = SerialLine.open(port, baud)
            return await TetherTransport.open(
                line, host, baud, simulated=simulated, seconds=seconds
            )
        except TetherError:
            if number == len(rates):
                raise
    raise AssertionError("there is no board in the registry")


def recognize(identity: Identity, port: str, wanted: Board | None) -> Board:
    """The board that says this of itself.

    Raises
    ------
    TetherError
        It is another one, or its bitstream is not of this version.
    """
    board = BOARDS.get(identity.board)
    if board is None:
        raise TetherError(
            f"the board at {port} calls itself {identity.board!r}, which this version of Tocsin "
            f"does not know; it knows {', '.join(BOARDS)}"
        )
    if wanted is not None and wanted is not board:
        raise TetherError(f"the board at {port} is {board.name}, not {wanted.name}")
    ours = board.identity
    again = f"build and load it anew (tocsin build {board.name}, tocsin program {board.name})"
    if identity.version != ours.version:
        theirs, this = (".".join(map(str, who.version)) for who in (identity, ours))
        raise TetherError(
            f"the bitstream on the board at {port} is of Tocsin {theirs}, this is {this}; {again}"
        )
    if identity != ours:
        raise TetherError(
            f"the bitstream on the board at {port} was built with other parameters than this "
            f"version has for {board.name}; {again}"
        )
    return board
