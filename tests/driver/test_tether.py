"""The host's end of the tether, against a board of paper and lines that are no good."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.tether.framing import Deframer, encode
from driver.tether.link import Link
from hw.regs.tether import (
    ESCAPE,
    FLAG,
    LONGEST_TLP_DW,
    STATUS_INTERVAL_BYTES,
    WINDOW,
    Identity,
)
from sim.host.credits import Flow, unpack
from sim.serial.noise import Noise

from .tether_board import CLOCKS_PER_BYTE, GRANTED, IDENTITY, PaperBoard, frame

PATIENCE = 3 * STATUS_INTERVAL_BYTES * CLOCKS_PER_BYTE
SLICE = 40
"""Byte times after which both ends look at the line."""

bodies = st.integers(1, 40).flatmap(lambda dw: st.binary(min_size=4 * dw, max_size=4 * dw))


class Line:
    """A link and a board, joined by a line that damages one byte in so many."""

    def __init__(self, one_in: int, seed: int, board: PaperBoard | None = None):
        self.board = board or PaperBoard()
        self.link = Link(PATIENCE, CLOCKS_PER_BYTE)
        self.down, self.up = Noise(one_in, seed), Noise(one_in, seed + 1)
        self.received: list[bytes] = []

    def turn(self):
        self.board.feed(self.down(self.link.outgoing()))
        self.received += self.link.receive(self.up(self.board.turn(SLICE)))

    def open(self):
        for attempt in range(2000):
            if attempt % 100 == 0:
                self.link.hello()
            self.turn()
            if self.link.identity is not None and self.link.granted:
                return
        raise AssertionError("the line did not open")

    def carry(self, down: list[bytes], up: list[bytes], turns: int = 60_000):
        """Let TLPs pass both ways until both ends know that all have come."""
        waiting = list(down)
        for packet in up:
            self.board.send(packet)
        for _ in range(turns):
            while waiting and self.link.room:
                self.link.send(waiting.pop(0))
            self.turn()
            if not waiting and self.link.settled and self.board.settled:
                return
        raise AssertionError("not everything came through")


def packets(count: int, seed: int) -> list[bytes]:
    source = random.Random(seed)
    # Flags and escapes are common, so that they are escaped.
    alphabet = bytes([FLAG, ESCAPE, *range(0, 256, 5)])
    return [
        bytes(source.choices(alphabet, k=4 * source.randint(3, LONGEST_TLP_DW)))
        for _ in range(count)
    ]


@given(bodies)
def test_frames_are_read_as_they_were_written(body):
    line = encode(body)
    assert line == frame(body)
    deframer = Deframer()
    assert list(deframer.feed(line)) == [body]
    assert deframer.bad == 0


@given(st.lists(bodies, max_size=4), st.randoms(use_true_random=False))
def test_frames_may_come_in_any_pieces(sent, source):
    line = b"".join(encode(body) for body in sent)
    deframer, found = Deframer(), []
    while line:
        cut = source.randint(1, len(line))
        found += deframer.feed(line[:cut])
        line = line[cut:]
    assert found == sent


@given(st.binary(max_size=3000), bodies)
def test_good_frame_is_found_behind_any_garbage(garbage, body):
    deframer = Deframer()
    found = [*deframer.feed(garbage), *deframer.feed(encode(body))]
    assert found[-1] == body


def test_garbage_without_end_is_not_kept():
    deframer = Deframer()
    for _ in range(100):
        assert not list(deframer.feed(bytes(100_000)))
    assert len(deframer._pending) < 10_000
    assert list(deframer.feed(encode(bytes(8)))) == [bytes(8)]


def test_board_says_who_it_is():
    line = Line(0, 1)
    line.open()
    assert line.link.identity == IDENTITY
    assert unpack(line.link.granted)[Flow.POSTED].header == GRANTED[0] & 0xFF
    assert unpack(line.link.granted)[Flow.COMPLETION].header is None


def test_welcome_to_an_earlier_hello_is_ignored():
    line = Line(0, 1)
    line.link.hello()
    line.board.feed(line.link.outgoing())
    late = line.board.turn(1000)
    line.link.hello()
    assert not list(line.link.receive(late))
    assert line.link.identity is None
    line.turn()
    line.turn()
    assert line.link.identity == IDENTITY and line.board.resets == 2


def test_other_protocol_is_told_apart():
    line = Line(0, 1, PaperBoard(protocol=7))
    line.link.hello()
    line.turn()
    line.turn()
    assert (line.link.protocol, line.link.identity) == (7, None)


def test_clock_runs_on_over_the_end_of_its_register():
    line = Line(0, 1)
    line.open()
    before = line.link.clock
    for _ in range(400):
        line.turn()
    passed = line.link.clock - before
    assert abs(passed - 400 * SLICE * CLOCKS_PER_BYTE) < 2 * STATUS_INTERVAL_BYTES * CLOCKS_PER_BYTE


@pytest.mark.parametrize("one_in", [0, 2000, 1000, 300, 100])
@pytest.mark.parametrize("seed", range(4))
def test_every_tlp_comes_once_and_in_order(one_in, seed):
    line = Line(one_in, 100 * seed)
    line.open()
    # More than sequence numbers, so that they wrap; fewer where frames hardly get through.
    count = 700 if one_in >= 1000 or not one_in else 60
    longest = 4 * LONGEST_TLP_DW if one_in >= 1000 or not one_in else 64
    down = [packet[:longest] for packet in packets(count, seed)]
    up = [packet[:longest] for packet in packets(count, seed + 50)]
    line.carry(down, up)
    assert line.board.received == down
    assert line.received == up
    assert line.link.statistics.received == count
    if one_in:
        assert line.link.statistics.resent and line.link.statistics.rejects


def test_no_more_than_the_window_is_under_way():
    line = Line(0, 1)
    line.open()
    sent = 0
    while line.link.room:
        line.link.send(bytes(12))
        sent += 1
    assert sent == WINDOW
    with pytest.raises(RuntimeError, match="without room"):
        line.link.send(bytes(12))


@pytest.mark.parametrize("size", [0, 8, 14, 4 * LONGEST_TLP_DW + 4])
def test_what_is_no_tlp_is_not_sent(size):
    line = Line(0, 1)
    line.open()
    with pytest.raises(ValueError, match="a TLP has 12 to 536 bytes"):
        line.link.send(bytes(size))


def test_lost_tail_is_sent_again_though_the_board_reports_nothing():
    line = Line(0, 1)
    line.open()
    line.link.send(bytes(12))
    line.link.outgoing()  # lost, with all flags
    for _ in range(PATIENCE // CLOCKS_PER_BYTE // SLICE + 60):
        line.turn()
    assert line.board.received == [bytes(12)]
    assert line.link.statistics.resent == 1


def test_lost_request_to_send_again_is_repeated():
    line = Line(0, 1)
    line.open()
    line.board.send(bytes(16))
    line.board.turn(SLICE)  # lost
    for _ in range(8):
        list(line.link.receive(line.board.turn(SLICE)))
        line.link.outgoing()  # lost
    assert line.link.statistics.rejects == 1 and not line.received
    for _ in range(PATIENCE // CLOCKS_PER_BYTE // SLICE + 60):
        line.turn()
    assert line.received == [bytes(16)]


@given(st.lists(st.binary(min_size=4, max_size=64), max_size=30), st.integers(0, 2**32))
def test_hostile_board_harms_nobody(bodies, seed):
    line = Line(0, seed)
    line.open()
    for body in bodies:
        list(line.link.receive(frame(body[: len(body) // 4 * 4])))
        line.link.outgoing()
    line.link.hello()
    line.turn()
    line.turn()
    assert line.link.identity == IDENTITY


def test_acknowledgement_of_what_was_never_sent_is_ignored():
    line = Line(0, 1)
    line.open()
    line.link.send(bytes(12))
    status = bytes([0x53, 0, 9, 0]) + bytes(16)
    assert not list(line.link.receive(frame(status)))
    assert not line.link.settled


def test_identity_survives_any_name():
    other = Identity.from_words((1 << 256) - 1)
    assert other.board == "?" * 16
    with pytest.raises(ValueError, match="at most 16 letters"):
        Identity(version=(0, 1, 0), parameters=0, clock_hz=1, baud=1, board="x" * 17)
