"""Boards that are not there, or not what they should be: one clear sentence each."""

import os
import pty
import select
import threading
import tty
from contextlib import contextmanager
from dataclasses import replace

import pytest

from boards import tether
from boards.cli import main
from boards.registry import BOARDS
from boards.tether import recognize
from driver.tether import TetherError
from sim.host import tether_transport

from ..driver.tether_board import PaperBoard

ULX3S = BOARDS["ulx3s_85f"]


@pytest.fixture(autouse=True)
def short_patience(monkeypatch, tmp_path):
    """Nobody waits for long, and results go elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tether, "SEARCH_SECONDS", 0.4)
    monkeypatch.setattr(tether_transport, "OPENING_SECONDS", 0.4)
    monkeypatch.setattr(tether_transport, "HELLO_SECONDS", 0.2)


@contextmanager
def terminal(board: PaperBoard | None = None, chatter: bytes = b""):
    """A serial port, with a board of paper at its other end."""
    near, far = pty.openpty()
    tty.setraw(far)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            ready, _, _ = select.select([near], [], [], 0.005)
            if board is not None:
                if ready:
                    board.feed(os.read(near, 4096))
                os.write(near, board.turn(200))
            elif ready:
                os.read(near, 4096)
                os.write(near, chatter)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield os.ttyname(far)
    finally:
        stop.set()
        thread.join()
        os.close(far)
        os.close(near)


def sentence(capfd, *arguments, code=2):
    """What a command that fails says: one line, and no trace of a stack."""
    with pytest.raises(SystemExit) as caught:
        main(["demo", *arguments])
    assert caught.value.code == code
    text = capfd.readouterr().err
    lines = [line for line in text.splitlines() if line.startswith("tocsin: ")]
    assert len(lines) == 1 and "Traceback" not in text
    return lines[0].removeprefix("tocsin: ")


def test_port_that_is_not_there(capfd):
    text = sentence(capfd, "--tether", "/dev/ttyNOWHERE9")
    assert text.startswith("there is no /dev/ttyNOWHERE9; there")


def test_port_that_is_none(capfd, tmp_path):
    (tmp_path / "file").write_text("")
    text = sentence(capfd, "--tether", str(tmp_path / "file"))
    assert "is no serial port, or does not do" in text


def test_port_that_another_program_has(capfd):
    import serial

    with terminal() as port, serial.Serial(port, exclusive=True):
        assert sentence(capfd, "--tether", port) == f"{port} is in use by another program"


def test_board_that_is_mute(capfd):
    with terminal() as port:
        text = sentence(capfd, "--tether", port)
    assert text.startswith(f"nothing answers at {port}; is a bitstream loaded")


def test_something_else_at_the_port(capfd):
    with terminal(chatter=b"~login: ~password: ~") as port:
        text = sentence(capfd, "--tether", port, "--board", "ulx3s_85f")
    assert text == (
        f"what answers at {port} is no Tocsin board, or not at 3,000,000 baud; "
        "is it the right port?"
    )


def test_bitstream_of_another_version(capfd):
    board = PaperBoard(replace(ULX3S.identity, version=(9, 8, 7)))
    board.granted = (3 << 20,) * 3
    answer_configuration(board)
    with terminal(board) as port:
        text = sentence(capfd, "--tether", port)
    assert f"the bitstream on the board at {port} is of Tocsin 9.8.7, this is " in text
    assert "build and load it anew (tocsin build ulx3s_85f, tocsin program ulx3s_85f)" in text


def answer_configuration(board: PaperBoard) -> None:
    """Let a function of paper answer behind the board."""
    from ..sim.test_tether_transport import PaperFunction

    function, turn = PaperFunction(board), board.turn

    def working(byte_times: int) -> bytes:
        function.work()
        return turn(byte_times)

    board.turn = working


@pytest.mark.parametrize(
    ("identity", "wanted", "text"),
    [
        (
            replace(ULX3S.identity, board="teapot"),
            None,
            "calls itself 'teapot', which this version",
        ),
        (ULX3S.identity, BOARDS["ecpix5_85f"], "the board at port is ulx3s_85f, not ecpix5_85f"),
        (replace(ULX3S.identity, parameters=1), None, "built with other parameters than this"),
        (replace(ULX3S.identity, clock_hz=1), None, "built with other parameters than this"),
    ],
)
def test_board_that_is_not_what_it_should_be(identity, wanted, text):
    with pytest.raises(TetherError, match=text):
        recognize(identity, "port", wanted)


def test_board_that_is_right_is_recognized():
    assert (
        recognize(ULX3S.identity, "port", ULX3S) is recognize(ULX3S.identity, "port", None) is ULX3S
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--model", "--board", "ulx3s_85f"], "The functional model is on no board"),
        (["--waves", "--tether", "x"], "A real board gives no waveform"),
        (["--noise", "10"], "--noise needs a simulated board"),
        (["--noise", "10", "--tether", "x", "--board", "ulx3s_85f"], "--noise needs a simulated"),
        (["--board", "teapot"], "There is no board 'teapot'; there are ulx3s_85f"),
        (["--board", "versa_ecp5_5g", "--vectors", "3000"], "ECP5-5G Versa has 2,048 vectors"),
    ],
)
def test_options_that_do_not_go_together(capfd, arguments, text):
    assert text in sentence(capfd, *arguments)
