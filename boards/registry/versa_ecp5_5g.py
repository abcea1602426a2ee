"""Lattice LFE5UM5G-45F Versa."""

from amaranth.build import Attrs, PinsN, Resource
from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from ..board import Board, Lights, on_tether

BOARD = Board(
    name="versa_ecp5_5g",
    title="ECP5-5G Versa",
    platform=VersaECP55GPlatform,
    corrections=(
        Resource("perst", 0, PinsN("A6", dir="i"), Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
    ),
    # A second engine fills the device to nine tenths, which leaves no ways to route.
    config=on_tether(ims_vectors=2048, engines=1),
    clock_hz=100_000_000,
    baud=12_000_000,
    lights=Lights(link=("led", 0), bell=("led", 1), error=("led", 2)),
    perst=("perst", 0),
    wiring="USB connector J2, second channel of an FT2232H of up to 12 Mbaud",
    loader=("--board", "ecp5_versa"),
)
