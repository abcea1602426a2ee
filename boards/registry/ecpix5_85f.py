"""LambdaConcept ECPIX-5 with an LFE5UM5G-85F."""

from amaranth_boards.ecpix5 import ECPIX585Platform

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="ecpix5_85f",
    title="ECPIX-5 85F",
    platform=ECPIX585Platform,
    config=on_tether(),
    clock_hz=80_000_000,
    baud=12_000_000,
    lights=Lights(link=("rgb_led", 0, "g"), bell=("rgb_led", 1, "b"), error=("rgb_led", 2, "r")),
    wiring="micro-USB connector, second channel of an FT2232H of up to 12 Mbaud",
    loader=("--board", "ecpix5"),
)
