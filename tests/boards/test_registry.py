"""Every board: its pins, their directions, its clock."""

import re

import pytest

from boards.bitstream import is_open, scripts
from boards.clocking import ecp5_ratio, xilinx7_ratio
from boards.registry import BOARDS

PERST = {"versa_ecp5_5g": "A6", "nitefury": "J1"}
"""Where PERST# of the slot is."""

UART = {
    "ulx3s_85f": ("M1", "L4"),
    "versa_ecp5_5g": ("C11", "A11"),
    "orangecrab_85f": ("N17", "M18"),
    "ecpix5_85f": ("R26", "R24"),
    "icepi_zero": ("K16", "K15"),
    "arty_a7_100": ("A9", "D10"),
    "nitefury": ("J2", "K2"),
}
"""Pins of the serial line, from the board: in, out."""


@pytest.fixture(scope="module", params=sorted(BOARDS))
def built(request):
    """A board, and what its tools get: directions of ports, and pins of ports."""
    board = BOARDS[request.param]
    files = {name: _text(text) for name, text in scripts(board).files.items()}
    netlist = files[f"{board.name}.il"]
    top = netlist[netlist.index(f"module \\{board.name}\n") :]
    top = top[: top.index("\nend\n")]
    directions = {
        name: direction
        for direction, name in re.findall(
            r"wire (?:width \d+ )?(input|output|inout) \d+ \\(\S+)", top
        )
    }
    if is_open(board):
        pins = dict(re.findall(r'LOCATE COMP "(\S+)" SITE "(\S+)"', files[f"{board.name}.lpf"]))
    else:
        pins = {
            name: pin
            for pin, name in re.findall(
                r"set_property LOC (\S+) \[get_ports \{?(\S+?)\}?\]", files[f"{board.name}.xdc"]
            )
        }
    return board, directions, pins


def _text(file):
    return file.decode() if isinstance(file, bytes) else file


def at(pins, pin):
    """The port at a pin."""
    (name,) = [name for name, place in pins.items() if place == pin]
    return name


def test_every_port_has_a_pin_and_every_pin_a_port(built):
    _, directions, pins = built
    assert {name.split("[")[0] for name in pins} == set(directions)
    assert len(set(pins.values())) == len(pins)


def test_serial_line_goes_in_and_out(built):
    board, directions, pins = built
    rx, tx = UART[board.name]
    assert directions[at(pins, rx)] == "input"
    assert directions[at(pins, tx)] == "output"


def test_perst_is_an_input(built):
    board, directions, pins = built
    assert (board.perst is not None) == (board.name in PERST)
    if board.perst is not None:
        assert directions[at(pins, PERST[board.name])] == "input"


def test_three_lights_are_outputs_and_nothing_else_is_driven(built):
    board, directions, _ = built
    outputs = [name for name, direction in directions.items() if direction == "output"]
    assert len(outputs) == 4 + len(board.high)
    assert "inout" not in directions.values()


def test_identity_fits_and_name_is_the_files(built):
    board, _, _ = built
    assert board.identity.board == board.name
    assert board.identity.words() < 1 << 256


@pytest.mark.parametrize("board", BOARDS.values(), ids=str)
def test_line_has_four_clocks_a_bit_or_more(board):
    assert board.clock_hz >= 4 * board.baud


@pytest.mark.parametrize(
    ("input_hz", "output_hz"), [(25_000_000, 60_000_000), (48_000_000, 72_000_000), (100, 100)]
)
def test_ecp5_clock_is_exact_and_its_oscillator_in_range(input_hz, output_hz):
    if input_hz == 100:
        with pytest.raises(ValueError, match="cannot make 100 Hz of 100 Hz"):
            ecp5_ratio(input_hz, output_hz)
        return
    ratio = ecp5_ratio(input_hz, output_hz)
    assert input_hz * ratio.multiply == output_hz * ratio.divide_in
    assert 400_000_000 <= output_hz * ratio.divide_out <= 800_000_000


def test_xilinx_clock_is_exact_and_its_oscillator_in_range():
    ratio = xilinx7_ratio(200_000_000, 100_000_000)
    oscillator_hz = 200_000_000 * ratio.multiply // ratio.divide_in
    assert oscillator_hz == 100_000_000 * ratio.divide_out
    assert 800_000_000 <= oscillator_hz <= 1_600_000_000
    with pytest.raises(ValueError, match="cannot make 7 Hz"):
        xilinx7_ratio(100_000_000, 7)
