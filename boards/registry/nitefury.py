"""RHS Research NiteFury II."""

from amaranth.build import Attrs, PinsN, Resource
from amaranth_boards.nitefury import NitefuryIIPlatform
from amaranth_boards.resources import UARTResource

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="nitefury",
    title="NiteFury II",
    platform=NitefuryIIPlatform,
    corrections=(
        # An endpoint's PERST# is an input.
        Resource("pcie", 0, PinsN("J1", dir="i"), Attrs(IOSTANDARD="LVCMOS33", PULLUP="TRUE")),
        UARTResource(0, rx="J2", tx="K2", attrs=Attrs(IOSTANDARD="LVCMOS33", PULLUP="TRUE")),
    ),
    config=on_tether(),
    clock_hz=100_000_000,
    baud=12_000_000,
    lights=Lights(link=("led", 0), bell=("led", 1), error=("led", 2)),
    perst=("pcie", 0),
    wiring="connector P2, J2 (RX) and K2 (TX), through a 3.3 V USB bridge",
    loader=("--cable", "digilent_hs3"),
)
