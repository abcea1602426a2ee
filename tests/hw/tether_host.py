"""The host's end of the tether, plain and without time, from the text in `hw.regs.tether`.

It hears bytes and says bytes; a byte may be a break, given as None. TLPs are lists of DWs.
"""

import zlib
from collections import deque

FLAG, ESCAPE = 0x7E, 0x7D
TLP, STATUS, HELLO, WELCOME = 0x54, 0x53, 0x48, 0x57


def escaped(content: bytes) -> bytes:
    """What stands between two flags for these bytes."""
    special = (FLAG, ESCAPE)
    return b"".join(bytes((ESCAPE, b ^ 0x20)) if b in special else bytes((b,)) for b in content)


def frame(dws: list[int], *, damage: int = 0) -> bytes:
    """A frame with its flags; ``damage`` is XORed to the CRC."""
    content = b"".join(dw.to_bytes(4, "little") for dw in dws)
    crc = (zlib.crc32(content) ^ damage).to_bytes(4, "little")
    return bytes((FLAG, *escaped(content + crc), FLAG))


def head(kind: int, *rest: int) -> int:
    return int.from_bytes(bytes((kind, *rest)), "little")


def tlp_frame(number: int, acknowledgement: int, dws: list[int], length: int | None = None):
    length = len(dws) if length is None else length
    return frame([head(TLP, number % 256, acknowledgement % 256, length), *dws])


def status_frame(number: int, acknowledgement: int, *, reject=False, credits=(0, 0, 0)):
    return frame([head(STATUS, number % 256, acknowledgement % 256, reject), 0, *credits])


def hello_frame(nonce: int, protocol: int = 1) -> bytes:
    return frame([head(HELLO, protocol, *nonce.to_bytes(2, "little"))])


class Ear:
    """Frames out of bytes; all that is no frame is counted in ``bad``."""

    def __init__(self):
        self.content, self.escape, self.spoiled = bytearray(), False, False
        self.bad = 0

    def hear(self, byte: int | None) -> list[int] | None:
        if byte is None:
            self.spoiled = True
        elif byte == FLAG:
            content, spoiled = bytes(self.content), self.spoiled or self.escape
            self.content, self.escape, self.spoiled = bytearray(), False, False
            if not content and not spoiled:
                return None
            dws, odd = divmod(len(content), 4)
            if not spoiled and not odd and dws >= 2 and zlib.crc32(content) == 0x2144DF1C:
                return [
                    int.from_bytes(content[k : k + 4], "little") for k in range(0, 4 * dws - 4, 4)
                ]
            self.bad += 1
        elif byte == ESCAPE and not self.escape:
            self.escape = True
        else:
            self.content.append(byte ^ 0x20 if self.escape else byte)
            self.escape = False
        return None


class Host:
    """A session: ``send`` TLPs, find those of the board in ``taken``.

    ``out`` holds the bytes to say, ``statuses`` all that the board said: number, acknowledgement,
    reject, clock and credits.
    """

    def __init__(self, nonce: int = 0x1234, credits=(0, 0, 0)):
        self.nonce, self.credits = nonce, credits
        self.out: deque[int] = deque()
        self.ear = Ear()
        self.welcome: list[int] | None = None
        self.frames = {TLP: 0, STATUS: 0, WELCOME: 0}
        self._anew()
        self.say(hello_frame(nonce))

    def _anew(self):
        self.kept: list[list[int]] = []
        self.queue: deque[list[int]] = deque()
        self.oldest = self.expected = 0
        self.taken: list[list[int]] = []
        self.statuses: list[tuple] = []
        self.asked = False
        self.seen = (None, None)

    def open(self, nonce: int):
        """Begin another session, whatever was."""
        self.nonce, self.welcome = nonce, None
        self.out.clear()
        self._anew()
        self.say(hello_frame(nonce))

    def say(self, content: bytes):
        self.out.extend(content)

    def send(self, dws: list[int]):
        self.queue.append(dws)
        self._pump()

    def _pump(self):
        while self.welcome and self.queue and len(self.kept) < 16:
            self.kept.append(self.queue.popleft())
            self._say_tlp(len(self.kept) - 1)

    def _say_tlp(self, index: int):
        self.say(tlp_frame(self.oldest + index, self.expected, self.kept[index]))

    def say_status(self, *, reject: bool = False):
        number = self.oldest + len(self.kept)
        self.say(status_frame(number, self.expected, reject=reject, credits=self.credits))

    def _again(self):
        for index in range(len(self.kept)):
            self._say_tlp(index)

    def _ask(self):
        self.asked = True
        self.say_status(reject=True)

    def hear(self, byte: int | None):
        dws = self.ear.hear(byte)
        if dws is None:
            return
        kind, second, third, fourth = dws[0].to_bytes(4, "little")
        self.frames[kind] += 1
        if kind == WELCOME:
            assert len(dws) == 9 and second == 1
            if dws[0] >> 16 == self.nonce and self.welcome is None:
                self.welcome = dws[1:]
                self.say_status()
                self._pump()
        elif self.welcome is None:
            return
        elif kind == TLP:
            assert len(dws) == 1 + fourth
            self._acknowledged(third)
            self._hear_tlp(second, dws[1:])
        else:
            assert kind == STATUS and len(dws) == 5
            self._hear_status(second, third, fourth, dws[1:])

    def _hear_tlp(self, number: int, dws: list[int]):
        if number == self.expected % 256:
            self.expected += 1
            self.asked = False
            self.taken.append(dws)
        elif (number - self.expected) % 256 < 128 and not self.asked:
            self._ask()

    def _acknowledged(self, number: int):
        count = (number - self.oldest) % 256
        assert count <= len(self.kept), "the board acknowledges what was not sent"
        del self.kept[:count]
        self.oldest += count
        self._pump()

    def _hear_status(self, number: int, acknowledgement: int, flags: int, fields: list[int]):
        self.statuses.append((number, acknowledgement, flags & 1, *fields))
        waited = bool(self.kept)
        self._acknowledged(acknowledgement)
        progress = (self.oldest, self.expected)
        behind = number != self.expected % 256
        stuck = progress[0] == self.seen[0] and waited and self.kept and not self.out
        if flags & 1 or stuck:
            self._again()
        if behind and (not self.asked or progress[1] == self.seen[1]):
            self._ask()
        else:
            self.say_status()
        self.seen = progress
