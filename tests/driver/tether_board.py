"""The board's end of a tether in plain Python, from the text of hw/regs/tether.py."""

import struct
import zlib
from collections import deque

from hw.regs.tether import (
    ESCAPE,
    FLAG,
    INVERT,
    LONGEST_TLP_DW,
    PROTOCOL,
    STATUS_INTERVAL_BYTES,
    WINDOW,
    Identity,
    Kind,
)

IDENTITY = Identity(
    version=(0, 1, 0), parameters=0x1234_5678, clock_hz=1_000_000, baud=100_000, board="paper"
)
CLOCKS_PER_BYTE = 100
GRANTED = (16 | 64 << 8, 8 | 32 << 8, 3 << 20)


def frame(body: bytes) -> bytes:
    """A body with its CRC, escaped, between flags."""
    out = bytearray([FLAG])
    for byte in body + zlib.crc32(body).to_bytes(4, "little"):
        out += bytes([ESCAPE, byte ^ INVERT]) if byte in (FLAG, ESCAPE) else bytes([byte])
    return bytes(out) + bytes([FLAG])


class PaperBoard:
    """Takes bytes of the host's, and has bytes for it.

    Attributes
    ----------
    received : list of bytes
        TLPs, in order.
    resets : int
        HELLOs that it has obeyed.
    """

    def __init__(self, identity: Identity = IDENTITY, protocol: int = PROTOCOL):
        self.identity, self.protocol = identity, protocol
        self.received: list[bytes] = []
        self.resets = 0
        self.granted = GRANTED
        self.clock = 0xFFFF_FF00
        self.mute = False
        self._frame = bytearray()
        self._escaped = False
        self._since_status = 0
        self._begin()

    def _begin(self):
        self.open = False
        self._expected = self._oldest = self._next = 0
        self._kept: deque[bytes] = deque()
        self._sent = 0
        self._rejecting = False
        self._due = self._reject = False
        self._line = bytearray()

    def send(self, packet: bytes) -> None:
        """Let the device send a TLP."""
        self._kept.append(packet)

    @property
    def settled(self) -> bool:
        """Whether the host has acknowledged everything."""
        return not self._kept

    def feed(self, data: bytes) -> None:
        """Bytes from the line."""
        for byte in data:
            if byte == FLAG:
                body, self._frame = bytes(self._frame), bytearray()
                self._escaped = False
                if body:
                    self._close(body)
            elif byte == ESCAPE:
                self._escaped = True
            else:
                self._frame.append(byte ^ INVERT if self._escaped else byte)
                self._escaped = False

    def _close(self, body: bytes) -> None:
        good = len(body) % 4 == 0 and len(body) > 4
        if good and zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:]:
            self._take(body[:-4])
        else:
            self._ask_again()

    def _ask_again(self) -> None:
        if self.open and not self._rejecting:
            self._rejecting = self._reject = self._due = True

    def _take(self, body: bytes) -> None:
        kind, number, acknowledged, last = body[:4]
        if kind == Kind.HELLO and not self.mute:
            self._begin()
            self.resets += 1
            self.open = True
            head = struct.pack("<BB", Kind.WELCOME, self.protocol) + body[2:4]
            self._line += frame(head + self.identity.words().to_bytes(32, "little"))
        elif self.open and kind in (Kind.TLP, Kind.STATUS):
            if kind == Kind.TLP and len(body) == 4 + 4 * last:
                self._due = True
                if number == self._expected:
                    self._expected = (self._expected + 1) % 256
                    self._rejecting = False
                    self.received.append(body[4:])
                elif (number - self._expected) % 256 < 128:
                    self._ask_again()
            count = (acknowledged - self._oldest) % 256
            if count <= self._sent:
                for _ in range(count):
                    self._kept.popleft()
                self._sent -= count
                self._oldest = acknowledged
            if kind == Kind.STATUS and last & 1:
                self._sent = 0

    def turn(self, byte_times: int) -> bytes:
        """Let time pass. What goes onto the line in it."""
        while len(self._line) < byte_times:
            if self.open and (self._due or self._since_status > STATUS_INTERVAL_BYTES):
                self._line += frame(self._status())
                self._due = self._reject = False
                self._since_status = 0
            elif self.open and self._sent < min(WINDOW, len(self._kept)):
                packet = self._kept[self._sent]
                assert len(packet) <= 4 * LONGEST_TLP_DW
                number = (self._oldest + self._sent) % 256
                head = struct.pack("<BBBB", Kind.TLP, number, self._expected, len(packet) // 4)
                self._line += frame(head + packet)
                self._sent += 1
            else:
                break
        out, self._line = bytes(self._line[:byte_times]), self._line[byte_times:]
        self._since_status += byte_times
        self.clock = (self.clock + CLOCKS_PER_BYTE * byte_times) % (1 << 32)
        return b"" if self.mute else out

    def _status(self) -> bytes:
        following = (self._oldest + self._sent) % 256
        head = struct.pack("<BBBB", Kind.STATUS, following, self._expected, self._reject)
        return head + struct.pack("<4I", self.clock, *self.granted)
