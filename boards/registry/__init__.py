"""The boards that the device is built for, each in a file of its own."""

from ..board import Board
from . import (
    arty_a7_100,
    ecpix5_85f,
    icepi_zero,
    nitefury,
    orangecrab_85f,
    ulx3s_85f,
    versa_ecp5_5g,
)

BOARDS: dict[str, Board] = {
    module.BOARD.name: module.BOARD
    for module in (
        ulx3s_85f,
        versa_ecp5_5g,
        orangecrab_85f,
        ecpix5_85f,
        icepi_zero,
        arty_a7_100,
        nitefury,
    )
}
