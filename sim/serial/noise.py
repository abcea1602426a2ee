"""What a bad line does to bytes."""

import random


class Noise:
    """Damages one byte in so many: changes it, loses it, or adds one.

    Parameters
    ----------
    one_in
        On average; 0 for a clean line.
    seed
        Of the damage.

    Attributes
    ----------
    damaged : int
        Bytes so far.
    """

    def __init__(self, one_in: int, seed: int) -> None:
        self.damaged = 0
        self._one_in = one_in
        self._random = random.Random(seed)

    def __call__(self, data: bytes) -> bytes:
        """The bytes as they arrive."""
        if not self._one_in:
            return data
        arrived = bytearray()
        for byte in data:
            if self._random.randrange(self._one_in):
                arrived.append(byte)
                continue
            self.damaged += 1
            kind = self._random.randrange(3)
            if kind == 0:
                arrived.append(byte ^ self._random.randrange(1, 256))
            elif kind == 1:
                arrived += bytes([byte, self._random.randrange(256)])
        return bytes(arrived)
