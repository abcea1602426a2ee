"""OrangeCrab r0.2 with an LFE5U-85F."""

from amaranth.build import Attrs
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_85FPlatform
from amaranth_boards.resources import UARTResource

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="orangecrab_85f",
    title="OrangeCrab r0.2 85F",
    platform=OrangeCrabR0_2_85FPlatform,
    corrections=(
        UARTResource(
            0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")
        ),
    ),
    config=on_tether(),
    clock_hz=72_000_000,
    baud=12_000_000,
    lights=Lights(link=("rgb_led", 0, "g"), bell=("rgb_led", 0, "b"), error=("rgb_led", 0, "r")),
    wiring="pins 0 (RX) and 1 (TX) of the Feather header, through a 3.3 V USB bridge",
    loader=("--board", "orangeCrab"),
)
