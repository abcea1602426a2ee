"""Frames of bytes on a line that may lose, change and add some (RFC 1662)."""

import zlib
from collections.abc import Iterator

from hw.regs.tether import CRC_RESIDUE, ESCAPE, FLAG, INVERT, LONGEST_TLP_DW

CRC_BYTES = 4
LONGEST_FRAME = 4 * (1 + LONGEST_TLP_DW) + CRC_BYTES
"""Bytes between the flags before they are escaped: no frame has more."""

_FLAG, _ESCAPE = bytes([FLAG]), bytes([ESCAPE])


def encode(body: bytes) -> bytes:
    """The frame as it goes over the line, flags included."""
    frame = body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    for byte in (ESCAPE, FLAG):
        frame = frame.replace(bytes([byte]), bytes([ESCAPE, byte ^ INVERT]))
    return _FLAG + frame + _FLAG


class Deframer:
    """Find frames in the bytes that come, whatever is between them.

    Attributes
    ----------
    bad : int
        Frames that were dropped because of their length or CRC.
    """

    def __init__(self) -> None:
        self.bad = 0
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Bodies of the frames that these bytes complete; they end before the CRC."""
        *frames, self._pending = (self._pending + data).split(_FLAG)
        if len(self._pending) > 2 * LONGEST_FRAME:
            # Too long for any frame: what is kept is just enough to be dropped at the next flag.
            self._pending = self._pending[: 2 * LONGEST_FRAME]
        for frame in frames:
            if not frame:
                continue
            body = _open(frame)
            if body is None:
                self.bad += 1
            else:
                yield body


def _open(frame: bytes) -> bytes | None:
    """The body of a frame, or None if it is damaged."""
    head, *rest = frame.split(_ESCAPE)
    if not all(rest):
        return None
    plain = head + b"".join(bytes([part[0] ^ INVERT]) + part[1:] for part in rest)
    whole = len(plain) % 4 == 0 and CRC_BYTES < len(plain) <= LONGEST_FRAME
    return plain[:-CRC_BYTES] if whole and zlib.crc32(plain) == CRC_RESIDUE else None
