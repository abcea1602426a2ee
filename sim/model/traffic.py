"""Random TLPs, legal and not, and the comparison of what two devices answer."""

import random
from collections.abc import Callable, Iterator

from hw.regs import configspace
from hw.regs.bar0 import bar0
from hw.regs.bar2 import bar2_bytes
from hw.regs.config import Config

from .tlp import (
    Completion,
    Kind,
    Request,
    Status,
    Tenant,
    Tlp,
    config_read,
    config_write,
    memory_read,
    memory_write,
)
from .wire import decode, encode

#: Configuration registers that random writes may change without ending the conversation.
_HARMLESS = (0x0C, 0x3C, configspace.AER + 0x08, configspace.AER + 0x14)

_STARTS_COMMANDS = range(0xA0, 0xA4)

_CODES = [code for code in range(256) if code >> 5 != 0b100]
_MESSAGES = (0x00, 0x14, 0x19, 0x20, 0x40, 0x48, 0x50, 0x7E, 0x7F, 0x99)


class Traffic:
    """TLPs that a root complex, or somebody worse, might send to a device.

    The device is expected to be enumerated with Memory Space on and to be disabled; it stays so:
    nothing here moves a BAR, resets, starts a command, or submits to a queue that would accept.
    Of all else there is some: each kind of request, sizes up to the payload limit and beyond,
    every start and end within a DW, holes in byte enables, prefixes, poison, addresses inside,
    outside and across, reserved formats, wrong lengths, cut and flipped bytes.

    Parameters
    ----------
    config
        Parameters of the device.
    seed
        Of everything random.
    bar0_base, bar2_base
        Where the BARs are.
    routing_id
        The device's.
    damaged
        Fraction of TLPs that are damaged after they were made.
    """

    def __init__(
        self,
        config: Config,
        seed: int,
        *,
        bar0_base: int,
        bar2_base: int,
        routing_id: int,
        damaged: float = 0.2,
    ):
        self._random = random.Random(seed)
        self._space = bar0(config)
        self._bases = ((bar0_base, self._space.size_bytes), (bar2_base, bar2_bytes(config)))
        self._routing_id = routing_id
        self._damaged = damaged
        self._tag = 0
        self._places = [item.offset for item in self._space]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.next()

    def next(self) -> bytes:
        """The bytes of one TLP; tags of good ones count up, modulo 1024."""
        while True:
            data = encode(self._make())
            if self._random.random() < self._damaged:
                data = self._damage(data)
            if len(data) >= 4 and self._harmless(decode(data)):
                return data

    def _make(self) -> Request | Completion:
        rng = self._random
        self._tag = self._tag + 1 & 0x3FF
        makers: list[tuple[int, Callable[[], Request | Completion]]] = [
            (8, self._read),
            (8, self._write),
            (3, self._deferrable),
            (3, self._config_read),
            (2, self._config_write),
            (1, self._message),
            (1, self._other),
            (1, self._completion),
        ]
        return rng.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()

    # Kinds

    def _address(self, size: int) -> int:
        """Mostly inside a BAR, near registers and tables; sometimes anywhere."""
        rng = self._random
        if rng.random() < 0.05:
            return rng.getrandbits(rng.choice((32, 64))) & ~0x3F
        base, length = self._bases[rng.random() < 0.2]
        if rng.random() < 0.03:
            return base + rng.choice((-64, length))
        offset = rng.choice(self._places) + rng.randrange(256)
        if base == self._bases[1][0] or rng.random() < 0.3:
            offset = rng.randrange(length) & ~(0x3F if rng.random() < 0.7 else 0)
        return base + min(offset, length - size)

    def _size(self) -> int:
        rng = self._random
        if rng.random() < 0.05:
            return rng.randrange(1, 600)
        return rng.choice((1, 2, 4, 4, 8, 8, 16, 32, 64, rng.randrange(65)))

    def _who(self) -> Tenant:
        rng = self._random
        if rng.random() < 0.85:
            return Tenant()
        return Tenant(rng.getrandbits(20), rng.random() < 0.5, rng.random() < 0.5)

    def _read(self) -> Request:
        size = self._size()
        return self._with_holes(memory_read(self._address(size), size))

    def _write(self) -> Request:
        size = self._size()
        data = self._random.randbytes(size)
        return self._with_holes(memory_write(self._address(size), data))

    def _deferrable(self) -> Request:
        size = 64 if self._random.random() < 0.7 else self._size()
        data = self._random.randbytes(size)
        address = self._address(size)
        return self._with_holes(memory_write(address, data, deferrable=True))

    def _with_holes(self, request: Request) -> Request:
        """Sometimes a PASID, poison, attributes, or byte enables that no CPU would make."""
        rng = self._random
        plain = rng.random() < 0.7
        first, last = request.first_be, request.last_be
        if rng.random() < 0.1:
            first, last = rng.getrandbits(4), rng.getrandbits(4) if rng.random() < 0.5 else last
        return Request(
            kind=request.kind,
            address=request.address,
            length_dw=request.length_dw,
            first_be=first,
            last_be=last,
            requester=rng.getrandbits(16),
            tag=self._tag,
            tc=0 if plain else rng.getrandbits(3),
            attr=0 if plain else rng.getrandbits(3),
            poisoned=bool(request.payload) and rng.random() < 0.03,
            tenant=self._who(),
            payload=request.payload,
        )

    def _config_read(self) -> Request:
        size = self._random.choice((1, 2, 4))
        offset = self._random.randrange(0, configspace.BYTES, size)
        return config_read(offset, size, destination=self._destination(), tag=self._tag)

    def _config_write(self) -> Request:
        rng = self._random
        offset = rng.choice(_HARMLESS)
        return config_write(
            offset, rng.getrandbits(32), destination=self._destination(), tag=self._tag
        )

    def _destination(self) -> int:
        function = self._random.randrange(1, 8) if self._random.random() < 0.05 else 0
        return self._routing_id | function

    def _message(self) -> Request:
        rng = self._random
        code = rng.choice(_MESSAGES)
        return Request(
            kind=Kind.MESSAGE,
            address=rng.getrandbits(64),
            length_dw=0,
            first_be=code & 0xF,
            last_be=code >> 4,
            requester=rng.getrandbits(16),
            tc=rng.getrandbits(3) if rng.random() < 0.2 else 0,
            fmt_type=0x30 | rng.randrange(6),
        )

    def _other(self) -> Request:
        rng = self._random
        code = rng.choice((0x01, 0x02, 0x42, 0x05, 0x45, 0x4C, 0x6D))
        return Request(
            kind=Kind.UNSUPPORTED,
            address=rng.getrandbits(30) << 2 if code < 0x60 else rng.getrandbits(62) << 2,
            payload=rng.randbytes(4) if code & 0x40 else b"",
            tag=self._tag,
            fmt_type=code,
        )

    def _completion(self) -> Completion:
        rng = self._random
        data = rng.randbytes(4 * rng.randrange(4))
        return Completion(
            status=rng.choice(list(Status)) if not data else Status.SUCCESS,
            length_dw=len(data) // 4,
            requester=self._routing_id,
            tag=rng.getrandbits(8),
            payload=data,
        )

    # Damage

    def _damage(self, data: bytes) -> bytes:
        rng = self._random
        match rng.randrange(6):
            case 0:
                return data[: rng.randrange(0, len(data), 4)]
            case 1:
                return data + rng.randbytes(4 * rng.randrange(1, 4))
            case 2:
                return bytes([rng.choice(_CODES)]) + data[1:]
            case 3:
                return rng.randbytes(4) + data
            case 4:
                prefix = bytes([rng.choice((0x80, 0x90, 0x91, 0x9F))]) + rng.randbytes(3)
                return prefix + data
            case _:
                broken = bytearray(data)
                broken[rng.randrange(min(len(data), 16))] ^= 1 << rng.randrange(8)
                return bytes(broken)

    def _harmless(self, tlp: Tlp) -> bool:
        """Whether the device is still there afterwards, disabled and where it was."""
        if not isinstance(tlp, Request):
            return True
        if tlp.kind is Kind.CONFIG_WRITE:
            ours = tlp.address >> 16 == self._routing_id
            return (ours or bool(tlp.address >> 16 & 7)) and tlp.address & 0xFFC in _HARMLESS
        if tlp.kind is Kind.MEMORY_WRITE:
            start = tlp.address - self._bases[0][0]
            end = start + 4 * tlp.length_dw
            return end <= _STARTS_COMMANDS.start or start >= _STARTS_COMMANDS.stop
        return True


def difference(request: Tlp, expected: Completion | None, actual: Completion | None) -> str | None:
    """How an answer differs from what was expected, as a sentence, or None.

    What the specifications leave open is not compared: the data of a zero-length read.
    """
    if expected is None or actual is None:
        if expected is actual:
            return None
        return f"{'unexpected' if expected is None else 'no'} answer: {expected or actual}"
    empty = isinstance(request, Request) and request.length_dw == 1 and not request.first_be
    skipped = {"header"} | ({"payload"} if empty else set())
    for name in Completion.__dataclass_fields__:
        if name in skipped:
            continue
        want, got = getattr(expected, name), getattr(actual, name)
        if want != got:
            return f"{name} is {got!r} instead of {want!r}"
    return None
