"""CRC-32C as DSA computes it (DSA appendix A)."""

POLYNOMIAL = 0x1EDC_6F41

_ALL = 0xFFFF_FFFF
_REFLECTED_BYTE = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def reflect(word: int) -> int:
    """32 bits in the opposite order."""
    return int.from_bytes(word.to_bytes(4, "little").translate(_REFLECTED_BYTE), "big")


def _table() -> tuple[int, ...]:
    """What a byte adds to a remainder whose bit 0 is the most significant coefficient."""
    polynomial = reflect(POLYNOMIAL)
    table = []
    for byte in range(256):
        remainder = byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (polynomial if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_TABLE = _table()


class Crc:
    """A CRC under way.

    Feed it with :meth:`add`; :attr:`value` is what the completion record would say now, and the
    seed with which another descriptor could go on.

    Parameters
    ----------
    seed
        As in the descriptor or in memory.
    bypass_inversion
        Neither invert nor reflect seed and result.
    bypass_reflection
        Bit 7 of each byte comes first.
    """

    def __init__(self, seed: int, *, bypass_inversion: bool, bypass_reflection: bool):
        self._plain = bypass_inversion
        self._turned = bypass_reflection
        self._remainder = reflect(seed) if bypass_inversion else seed ^ _ALL

    def add(self, data: bytes) -> None:
        """Take more bytes."""
        remainder, table = self._remainder, _TABLE
        for byte in data.translate(_REFLECTED_BYTE) if self._turned else data:
            remainder = remainder >> 8 ^ table[(remainder ^ byte) & 0xFF]
        self._remainder = remainder

    @property
    def value(self) -> int:
        return reflect(self._remainder) if self._plain else self._remainder ^ _ALL
