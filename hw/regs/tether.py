"""The tether: TLPs over a serial line, as data for gateware and host.

A board without a PCI Express slot is reached over a UART. Both ends send frames of bytes, 8N1, with
the framing of HDLC: a flag before and after each, escapes inside (RFC 1662 §4.2), and a CRC-32 at
the end (RFC 1662 §C.3, the one of Ethernet). What lies between flag and CRC is whole DWs, least
significant byte first. A frame that is anything else is dropped.

========= ============== ===========================================================
DW 0      byte 0         :class:`Kind`
TLP       1, 2, 3        sequence number, acknowledgement, length in DWs, not 0; the TLP follows as
                         on a PCI Express link
STATUS    1, 2, 3        next sequence number, acknowledgement, :class:`Flag`; then
                         :data:`STATUS_FIELDS`
HELLO     1, 2 and 3     protocol, nonce; from the host only
WELCOME   1, 2 and 3     protocol, nonce of the HELLO; then :data:`WELCOME_FIELDS`; from the board
                         only
========= ============== ===========================================================

**Opening.** HELLO resets the device, as PERST# would, and both ends' sequence numbers to 0. The
host takes part only in what follows the WELCOME with the nonce of its latest HELLO; the line keeps
order, so nothing of an earlier session is left behind it. A frame that the board was sending then
may end in the middle. The board answers a HELLO of any protocol, and its WELCOME names its own.
Before the first HELLO it takes nothing else and says nothing; before the host's first STATUS the
board is granted nothing.

**Delivery.** TLPs are numbered modulo 256. An end takes the one that it expects next and drops all
others, so none is doubled and none overtakes. The acknowledgement is the number that the sender of
the frame expects next. TLPs that are not acknowledged are kept, at most :data:`WINDOW` of them, and
sent again from the acknowledged one on when a STATUS says REJECT. The next sequence number in a
STATUS is that of the TLP frame that comes next, be it sent the first time or again; so an end that
expects an earlier one knows that it was lost. An acknowledgement that names nothing sent is
ignored.

**Who notices a loss.** The board sends a STATUS :data:`STATUS_DELAY_BYTES` byte times after what it
says has changed, if no TLP waits; after every fourth TLP that it sends at the latest; and once in
:data:`STATUS_INTERVAL_BYTES` byte times, or right after the TLP that is under way then. A gap in
what it has received (a number less than 128 ahead of the one that it expects) it reports with
REJECT, once, until the TLP that was missing comes. It has no timers: the host sees from each STATUS
what the board has and has sent, and sends again, or asks again, when two of them show no progress.
The host answers each STATUS with one of its own, so that acknowledgements and credits that were
lost are made good.

**Flow control.** Every STATUS carries the sender's credits, as running totals like those of PCI
Express, so TLPs are never refused for lack of room; a TLP for which there is no room in the frame
buffer all the same is not acknowledged.
"""

import enum
from dataclasses import dataclass
from itertools import accumulate

PROTOCOL = 1
"""Version of what is described here."""

FLAG, ESCAPE, INVERT = 0x7E, 0x7D, 0x20
"""Between frames; before a byte of a frame that equals one of them; what it is XORed with."""

CRC_RESIDUE = 0x2144_DF1C
"""CRC-32, as ``zlib.crc32`` has it, of a frame with its CRC."""

WINDOW = 16
"""TLPs sent and not acknowledged, at most."""

LONGEST_TLP_DW = 134
"""Prefix, header, 512 bytes of payload, digest."""

STATUS_INTERVAL_BYTES = 128
"""Time between two STATUS frames of the board, at most, in times of a byte (10 bits)."""

STATUS_DELAY_BYTES = 16
"""Time in which a TLP that is about to come may go ahead of a STATUS."""

BAUD_MAX = 12_000_000
"""What the fastest usual bridge, an FT232H, carries."""


class Kind(enum.IntEnum):
    """First byte of a frame."""

    TLP = 0x54
    STATUS = 0x53
    HELLO = 0x48
    WELCOME = 0x57


class Flag(enum.IntFlag):
    """Byte 3 of a STATUS."""

    REJECT = 1
    """Send again from the acknowledged TLP on."""


@dataclass(frozen=True)
class Item:
    """A field of a frame, after DW 0: its name, and its place in bits from DW 1 on."""

    name: str
    width: int
    lsb: int

    def get(self, words: int) -> int:
        """Its value in the words, DW 1 in the lowest bits."""
        return words >> self.lsb & (1 << self.width) - 1

    def put(self, value: int) -> int:
        """The value in its place."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{self.name} has {self.width} bits; {value:#x} does not fit")
        return value << self.lsb


def _items(*fields: tuple[str, int]) -> tuple[Item, ...]:
    starts = accumulate((width for _, width in fields), initial=0)
    return tuple(Item(name, width, lsb) for (name, width), lsb in zip(fields, starts, strict=False))


STATUS_FIELDS = _items(
    ("clock", 32),
    ("posted", 32),
    ("non_posted", 32),
    ("completion", 32),
)
"""Clocks of the device since its configuration, modulo 2^32 (0 from the host), and credits of each
type: header 7:0, data 19:8, header infinite 20, data infinite 21."""

WELCOME_FIELDS = _items(
    ("patch", 8),
    ("minor", 8),
    ("major", 16),
    ("parameters", 32),
    ("clock_hz", 32),
    ("baud", 32),
    ("board", 128),
)
"""Version of Tocsin that the bitstream was made from, digest of the device's parameters, clock of
the device, rate of the line, name of the board in ASCII, padded with zeros."""


def words_of(fields: tuple[Item, ...]) -> int:
    """DWs that the fields take."""
    last = fields[-1]
    return (last.lsb + last.width) // 32


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a board says of itself in its WELCOME.

    Parameters
    ----------
    version
        Of Tocsin: major, minor, patch.
    parameters
        Digest of the device's parameters, see :meth:`hw.regs.config.Config.digest`.
    clock_hz, baud
        Clock of the device and rate of the line.
    board
        Its name in the registry, at most 16 letters of ASCII.
    """

    version: tuple[int, int, int]
    parameters: int
    clock_hz: int
    baud: int
    board: str

    def __post_init__(self) -> None:
        if not self.board.isascii() or len(self.board) > 16:
            raise ValueError(f"a board's name has at most 16 letters of ASCII, not {self.board!r}")

    def words(self) -> int:
        """The fields of a WELCOME, DW 1 in the lowest bits."""
        major, minor, patch = self.version
        values = {
            "patch": patch,
            "minor": minor,
            "major": major,
            "parameters": self.parameters,
            "clock_hz": self.clock_hz,
            "baud": self.baud,
            "board": int.from_bytes(self.board.encode().ljust(16, b"\0"), "little"),
        }
        return sum(item.put(values[item.name]) for item in WELCOME_FIELDS)

    @classmethod
    def from_words(cls, words: int) -> "Identity":
        """The inverse of :meth:`words`; letters that are not ASCII become question marks."""
        values = {item.name: item.get(words) for item in WELCOME_FIELDS}
        name = values["board"].to_bytes(16, "little").rstrip(b"\0")
        return cls(
            version=(values["major"], values["minor"], values["patch"]),
            parameters=values["parameters"],
            clock_hz=values["clock_hz"],
            baud=values["baud"],
            board="".join(chr(byte) if 32 <= byte < 127 else "?" for byte in name),
        )
