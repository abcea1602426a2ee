"""Radiona ULX3S with an LFE5U-85F."""

from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="ulx3s_85f",
    title="ULX3S 85F",
    platform=ULX3S_85F_Platform,
    config=on_tether(),
    clock_hz=60_000_000,
    baud=3_000_000,
    lights=Lights(link=("led", 0), bell=("led", 1), error=("led", 2)),
    wiring="USB connector US1, an FT231X of up to 3 Mbaud",
    loader=("--board", "ulx3s"),
)
