"""Digilent Arty A7-100."""

from amaranth_boards.arty_a7 import ArtyA7_100Platform

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="arty_a7_100",
    title="Arty A7-100",
    platform=ArtyA7_100Platform,
    config=on_tether(),
    clock_hz=80_000_000,
    baud=12_000_000,
    lights=Lights(link=("led", 0), bell=("led", 1), error=("led", 2)),
    wiring="USB connector J10, second channel of an FT2232HQ of up to 12 Mbaud",
    loader=("--board", "arty_a7_100t"),
)
