"""Icepi Zero with an LFE5U-25F: room for one engine."""

from amaranth_boards.icepi_zero import IcepiZero1_3Platform

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="icepi_zero",
    title="Icepi Zero v1.3",
    platform=IcepiZero1_3Platform,
    config=on_tether(ims_vectors=2048, engines=1, groups=1),
    clock_hz=50_000_000,
    baud=3_000_000,
    lights=Lights(link=("led", 0), bell=("led", 1), error=("led", 2)),
    wiring="USB connector, an FT231X of up to 3 Mbaud",
    loader=("--board", "icepi-zero"),
)
