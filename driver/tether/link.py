"""Delivery over a tether: every TLP once, in order, whatever the line does."""

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from hw.regs.tether import (
    LONGEST_TLP_DW,
    PROTOCOL,
    STATUS_FIELDS,
    WELCOME_FIELDS,
    WINDOW,
    Flag,
    Identity,
    Kind,
    words_of,
)

from .framing import Deframer, encode

INFINITE = 0x30_0000
"""Credits of one type that are never counted."""

CREDIT_BITS = 22
STATUS_BYTES = 4 * (1 + words_of(STATUS_FIELDS))
WELCOME_BYTES = 4 * (1 + words_of(WELCOME_FIELDS))
_CLOCK, *_CREDITS = STATUS_FIELDS


@dataclass
class Statistics:
    """What has gone over the line since it was opened."""

    sent: int = 0
    """TLPs."""
    received: int = 0
    resent: int = 0
    """TLPs that were sent again."""
    repeated: int = 0
    """TLPs that came again, or out of turn, and were dropped."""
    damaged: int = 0
    """Frames from the board that were dropped because of length or CRC."""
    rejects: int = 0
    """Times that the board was asked to send again."""


class Link:
    """The host's end of a tether, without any input or output of its own.

    Bytes that come go into :meth:`receive`, what it returns are TLPs; :meth:`outgoing` returns the
    bytes that are due, and is to be called after every other call. The host's credits are infinite:
    what arrives is taken.

    Parameters
    ----------
    patience_cycles
        Clocks of the board without progress, from when the line was free, after which a TLP is
        sent, or asked for, again although the board has reported nothing.
    byte_cycles
        Clocks of the board in which a byte passes over the line.

    Attributes
    ----------
    identity : Identity or None
        What the board said of itself; None until it has answered the latest HELLO.
    protocol : int or None
        The protocol that it speaks. If it is another one, nothing else of it is understood.
    clock : int
        Clocks of the board since the line was opened, at its last STATUS.
    granted : int
        Credits that the board grants, in the form of :class:`hw.tlp.records.Credits`.
    heard : int
        Good frames so far.
    statistics : Statistics
    """

    def __init__(self, patience_cycles: int, byte_cycles: int) -> None:
        self.patience_cycles, self.byte_cycles = patience_cycles, byte_cycles
        self.statistics = Statistics()
        self.heard = 0
        self._deframer = Deframer()
        self._nonce = 0
        self._start()

    def _start(self) -> None:
        self.identity: Identity | None = None
        self.protocol: int | None = None
        self.clock = self.granted = 0
        self._opened_at: int | None = None
        self._next = self._expected = 0
        self._unacknowledged: deque[bytes] = deque()
        self._line: list[bytes] = []
        self._rejecting = False
        self._owes_status = False
        self._free_at = self._gone_at = self._progress = self._rejected_at = 0

    @property
    def room(self) -> bool:
        """Whether another TLP may be sent."""
        return self.identity is not None and len(self._unacknowledged) < WINDOW

    @property
    def settled(self) -> bool:
        """Whether the board has acknowledged everything."""
        return not self._unacknowledged

    def hello(self) -> None:
        """Open the line, or open it anew: the board resets its device, and both ends begin at 0."""
        self._start()
        self._nonce = (self._nonce + 1) % (1 << 16)
        self._put(struct.pack("<BBH", Kind.HELLO, PROTOCOL, self._nonce))

    def send(self, packet: bytes) -> None:
        """Send a TLP. There has to be room."""
        if not self.room:
            raise RuntimeError("a TLP was sent without room for it")
        if not 12 <= len(packet) <= 4 * LONGEST_TLP_DW or len(packet) % 4:
            raise ValueError(f"a TLP has 12 to {4 * LONGEST_TLP_DW} bytes, not {len(packet)}")
        if not self._unacknowledged:
            self._progress = self.clock
        self._unacknowledged.append(packet)
        self.statistics.sent += 1
        self._put_tlp(self._next, packet)
        self._next = (self._next + 1) % 256
        # It carries the acknowledgement; the next STATUS of the board is answered all the same.
        self._owes_status = False

    def outgoing(self) -> bytes:
        """Bytes that are to go over the line now."""
        if self._owes_status:
            self._owes_status = False
            self._put_status(Flag(0))
        data, self._line = b"".join(self._line), []
        return data

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take bytes from the line. Returns the TLPs that they complete, in order."""
        before = self._deframer.bad
        for body in self._deframer.feed(data):
            if self._deframer.bad != before:
                before = self._deframer.bad
                self._reject()
            self.heard += 1
            yield from self._take(body)
        if self._deframer.bad != before:
            self._reject()
        self.statistics.damaged = self._deframer.bad

    def _take(self, body: bytes) -> Iterator[bytes]:
        kind = body[0]
        if kind == Kind.WELCOME:
            self._welcome(body)
        elif self.identity is None:
            return
        elif kind == Kind.STATUS and len(body) == STATUS_BYTES:
            self._status(body)
        elif kind == Kind.TLP and len(body) == 4 + 4 * body[3]:
            self._acknowledge(body[2])
            if body[1] == self._expected:
                self._expected = (self._expected + 1) % 256
                self._rejecting = False
                self._owes_status = True
                self.statistics.received += 1
                yield body[4:]
            else:
                self.statistics.repeated += 1
                self._owes_status = True
                if (body[1] - self._expected) % 256 < 128:
                    self._reject()

    def _welcome(self, body: bytes) -> None:
        protocol, nonce = struct.unpack_from("<xBH", body)
        if nonce != self._nonce or self.identity is not None:
            return
        self.protocol = protocol
        if protocol == PROTOCOL and len(body) == WELCOME_BYTES:
            self.identity = Identity.from_words(int.from_bytes(body[4:], "little"))
            self._owes_status = True  # which grants the board its credits

    def _status(self, body: bytes) -> None:
        words = int.from_bytes(body[4:], "little")
        self._turn_clock(_CLOCK.get(words))
        self.granted = sum(
            (item.get(words) & (1 << CREDIT_BITS) - 1) << CREDIT_BITS * index
            for index, item in enumerate(_CREDITS)
        )
        self._acknowledge(body[2])
        overdue = self.clock - max(self._progress, self._gone_at) > self.patience_cycles
        if self._unacknowledged and (body[3] & Flag.REJECT or overdue):
            self._send_again()
        missing = body[1] != self._expected
        if not missing or self.clock - self._rejected_at > self.patience_cycles:
            self._rejecting = False
        if missing:
            self._reject()
        # What the host said last may have been lost.
        self._owes_status = True

    def _turn_clock(self, reading: int) -> None:
        if self._opened_at is None:
            self._opened_at = reading
        self.clock += (reading - self._opened_at - self.clock) % (1 << 32)

    def _acknowledge(self, expected: int) -> None:
        """The board has everything before this number."""
        oldest = self._next - len(self._unacknowledged)
        count = (expected - oldest) % 256
        if 0 < count <= len(self._unacknowledged):
            for _ in range(count):
                self._unacknowledged.popleft()
            self._progress = self.clock

    def _send_again(self) -> None:
        self._progress = self.clock
        number = self._next - len(self._unacknowledged)
        for packet in self._unacknowledged:
            self.statistics.resent += 1
            self._put_tlp(number % 256, packet)
            number += 1

    def _reject(self) -> None:
        """Ask for what is missing, once until it comes."""
        if self._rejecting or self.identity is None:
            return
        self._rejecting, self._rejected_at = True, self.clock
        self.statistics.rejects += 1
        self._put_status(Flag.REJECT)

    def _put(self, body: bytes) -> None:
        frame = encode(body)
        self._free_at = max(self._free_at, self.clock) + len(frame) * self.byte_cycles
        self._line.append(frame)

    def _put_tlp(self, number: int, packet: bytes) -> None:
        head = struct.pack("<BBBB", Kind.TLP, number, self._expected, len(packet) // 4)
        self._put(head + packet)
        self._gone_at = self._free_at

    def _put_status(self, flags: Flag) -> None:
        head = struct.pack("<BBBB", Kind.STATUS, self._next, self._expected, flags)
        words = sum(item.put(INFINITE) for item in _CREDITS)
        self._put(head + words.to_bytes(STATUS_BYTES - 4, "little"))
