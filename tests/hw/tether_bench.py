"""A session in a bench: a host that hears and says bytes, a device of lists, and a line between."""

import random
from collections.abc import Iterator
from dataclasses import replace

from amaranth import *

from hw.regs import Config
from hw.regs.tether import Identity
from hw.tether.session import Session
from sim.checkers.streams import StreamChecker

from .streams import simulate
from .tether_host import Host

WATCHDOG = 60_000

IDENTITY = Identity(
    version=(1, 2, 3), parameters=0x89ABCDEF, clock_hz=1_000_000, baud=10_000_000, board="bench"
)
"""A byte per clock: 512 clocks between two STATUS frames."""

LINKED_CYCLES = 5000

GRANTED = {
    "posted": {"header": 16, "data": 64},
    "non_posted": {"header": 8, "data": 32},
    "completion": {"header_infinite": 1, "data_infinite": 1},
}
GRANTED_WORDS = [16 | 64 << 8, 8 | 32 << 8, 1 << 20 | 1 << 21]


def random_tlp(rng: random.Random, length: int | None = None) -> list[int]:
    """A TLP of DWs as on the wire; most are short, some long, and some full of flags."""
    length = length or rng.choice((3, 4, 5, rng.randint(3, 40), rng.randint(3, 134)))
    if rng.random() < 0.1:
        return [rng.choice((0x7E7E7E7E, 0x7D7D7D7D, 0x5E7D207E)) for _ in range(length)]
    return [rng.getrandbits(32) for _ in range(length)]


class Noise:
    """Spoils bytes of a line: changes, drops, inserts, breaks, at a rate."""

    def __init__(self, rng: random.Random, rate: float = 0.0):
        self.rng, self.rate = rng, rate
        self.count = 0

    def pass_on(self, byte: int) -> list[int | None]:
        if self.rng.random() >= self.rate:
            return [byte]
        self.count += 1
        other = self.rng.randrange(256)
        return self.rng.choice(
            ([byte ^ 1 << self.rng.randrange(8)], [], [byte, other], [None], [byte, byte], [0x7E])
        )


class Watched(Elaboratable):
    """A session with checkers on its streams, and its outputs gathered."""

    def __init__(self, session: Session):
        self.session = session
        self.outputs = Signal(
            len(Value.cast(session.o.payload)) + len(session.o_byte.payload) + 5, name="outputs"
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.session = session = self.session
        for name in ("i", "o", "o_byte"):
            port = getattr(session, name)
            m.submodules[f"check_{name}"] = StreamChecker(port, name, session.reset)
        flags = Cat(session.error, session.reset, session.i.ready, session.o.valid)
        m.d.comb += self.outputs.eq(
            Cat(flags, session.o_byte.valid, session.o_byte.payload, session.o.payload)
        )
        return m


class Device:
    """Sends the TLPs of a list, and collects those that come."""

    def __init__(self, data_width: int, rng: random.Random, pause: float):
        self.width, self.rng, self.pause = data_width, rng, pause
        self.to_send: list[list[int]] = []
        self.taken: list[list[int]] = []
        self.open = True
        self._beats: list[int] = []
        self._current: list[int] = []
        self.offered: int | None = None
        self.ready = True

    def _willing(self) -> bool:
        return not self.pause or self.rng.random() >= self.pause

    def clock(self, reset: bool, taken: bool, beat: int | None):
        """A clock has passed: a beat was taken from here, and one came."""
        if beat is not None:
            count, last = beat >> self.width & 2 * self.width // 32 - 1, beat >> self._top
            self._current += [beat >> 32 * k & 0xFFFF_FFFF for k in range(count)]
            if last:
                self.taken.append(self._current)
                self._current = []
        if taken:
            self.offered = None
        if reset:
            self._beats, self._current, self.offered = [], [], None
        elif self.offered is None and self._willing():
            if not self._beats and self.to_send:
                self._beats = self._cut(self.to_send.pop(0))
            if self._beats:
                self.offered = self._beats.pop(0)
        self.ready = self.open and self._willing()

    @property
    def _top(self) -> int:
        """Bit of ``last``, above data, count and ``first``."""
        return self.width + (self.width // 32).bit_length() + 1

    def _cut(self, tlp: list[int]) -> list[int]:
        """Beats as numbers, laid out as in :class:`hw.tlp.records.Wire`."""
        lanes, beats = self.width // 32, []
        for start in range(0, len(tlp), lanes):
            group = tlp[start : start + lanes]
            data = sum(dw << 32 * k for k, dw in enumerate(group))
            first, last = start == 0, start + lanes >= len(tlp)
            count = len(group) << self.width
            beats.append(data | count | first << self._top - 1 | last << self._top)
        return beats


class Bench:
    """Runs a session between a host and a device.

    ``hurry`` shortens the time between two STATUS frames.
    """

    def __init__(
        self, *, data_width=64, seed=1, rates=(0.0, 0.0), pause=0.0, byte_clocks=1, hurry=1
    ):
        print(f"seed {seed}")
        config = Config(data_width=data_width)
        identity = replace(IDENTITY, baud=IDENTITY.baud * hurry)
        self.session = Session(config, identity, linked_cycles=LINKED_CYCLES)
        self.rng = random.Random(seed)
        self.noise = [Noise(random.Random(seed + k), rate) for k, rate in enumerate(rates, 1)]
        self.device = Device(data_width, self.rng, pause)
        self.host = Host()
        self.byte_clocks = byte_clocks
        self.clock = self.errors = 0

    def _line(self) -> Iterator[int | None]:
        """What the host says, as the board hears it; -1 for silence, None for a break."""
        while True:
            if self.host.out:
                for byte in self.noise[0].pass_on(self.host.out.popleft()):
                    yield byte
                    for _ in range(self.byte_clocks - 1):
                        yield -1
            else:
                yield -1

    async def world(self, ctx):
        """Everything around the session, in one process, for speed."""
        session, device, line = self.session, self.device, self._line()
        payload_in = Value.cast(session.i.payload)
        spoken = Cat(session.byte, session.valid, session.broken)
        ctx.set(session.granted, GRANTED)
        states = {}

        def put(value, number):
            if states.get(id(value)) != number:
                states[id(value)] = number
                ctx.set(value, number)

        while True:
            said = next(line)
            put(spoken, 0 if said == -1 else 1 << 9 if said is None else said | 1 << 8)
            hears = self.clock % self.byte_clocks == 0
            put(session.o_byte.ready, hears)
            put(session.i.valid, device.offered is not None)
            if device.offered is not None:
                put(payload_in, device.offered)
            put(session.o.ready, device.ready)
            _, _, outputs = await ctx.tick().sample(self.watched.outputs)
            error, reset, ready, valid, heard = (outputs >> k & 1 for k in range(5))
            self.clock += 1
            self.errors += error
            if heard and hears:
                for one in self.noise[1].pass_on(outputs >> 5 & 0xFF):
                    self.host.hear(one)
            beat = outputs >> 13 if valid and device.ready and not reset else None
            device.clock(bool(reset), ready and device.offered is not None, beat)

    async def until(self, ctx, condition, what="it never came", clocks=WATCHDOG):
        for _ in range(clocks // 10):
            if condition():
                return
            await ctx.tick().repeat(10)
        raise AssertionError(what)

    async def welcome(self, ctx):
        """Wait for the WELCOME; on a bad line, say HELLO again."""
        for _ in range(50):
            for _ in range(100):
                if self.host.welcome:
                    return
                await ctx.tick().repeat(10)
            self.host.open(self.host.nonce + 1)
        raise AssertionError("no WELCOME")

    def run(self, *benches):
        self.watched = Watched(self.session)

        class World:
            run = self.world

        simulate(self.watched, *benches, sinks=[World()])
