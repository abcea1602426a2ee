"""A session in a bench: a host that hears and says bytes, a device of lists, and a line between."""

import random

from amaranth import *

from hw.regs import Config
from hw.regs.tether import Identity
from hw.tether.session import Session
from sim.checkers.streams import StreamChecker

from .streams import offer, simulate, wire_beats, wire_dws
from .tether_host import Host

WATCHDOG = 400_000

IDENTITY = Identity(
    version=(1, 2, 3), parameters=0x89ABCDEF, clock_hz=1_000_000, baud=10_000_000, board="bench"
)
"""A byte per clock: 512 clocks between two STATUS frames."""

GRANTED = {
    "posted": {"header": 16, "data": 64},
    "non_posted": {"header": 8, "data": 32},
    "completion": {"header_infinite": 1, "data_infinite": 1},
}


def random_tlp(rng: random.Random, length: int | None = None) -> list[int]:
    """A TLP of DWs; most are short, as most are on a link, and some are full of flags."""
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
    """A session, with checkers on its streams."""

    def __init__(self, session: Session):
        self.session = session

    def elaborate(self, platform):
        m = Module()
        m.submodules.session = session = self.session
        for name in ("i", "o", "o_byte"):
            port = getattr(session, name)
            m.submodules[f"check_{name}"] = StreamChecker(port, name, session.reset)
        return m


class Bench:
    """Runs a session between a host and a device.

    ``to_device`` collects what came out of the session, ``from_device`` is sent into it.
    """

    def __init__(self, *, data_width=64, seed=1, rates=(0.0, 0.0), pause=0.0, byte_clocks=1):
        print(f"seed {seed}")
        self.width, self.pause, self.byte_clocks = data_width, pause, byte_clocks
        self.session = Session(Config(data_width=data_width), IDENTITY, linked_cycles=5000)
        self.rng = random.Random(seed)
        self.noise = [Noise(random.Random(seed + k), rate) for k, rate in enumerate(rates, 1)]
        self.host = Host()
        self.from_device: list[list[int]] = []
        self.to_device: list[list[int]] = []
        self.clock = 0
        self.heard = 0
        self.errors = 0
        self.device_open = True

    async def speak(self, ctx):
        """The host's bytes to the board, and the board's to the host."""
        session, ahead = self.session, []
        while True:
            if not ahead and self.host.out:
                ahead = self.noise[0].pass_on(self.host.out.popleft())
            now = self.clock % self.byte_clocks == 0
            byte = ahead.pop(0) if ahead and now else 256
            ctx.set(session.valid, byte is not None and byte < 256)
            ctx.set(session.broken, byte is None)
            ctx.set(session.byte, (byte or 0) % 256)
            ctx.set(session.o_byte.ready, now)
            _, _, valid, heard, error = await ctx.tick().sample(
                session.o_byte.valid, session.o_byte.payload, session.error
            )
            self.clock += 1
            self.errors += error
            if valid and now:
                self.heard += 1
                for one in self.noise[1].pass_on(heard):
                    self.host.hear(one)

    async def feed(self, ctx):
        """The device's TLPs, in turn; what is under way at a reset is gone."""
        session = self.session
        while True:
            beats = wire_beats(self.from_device.pop(0), self.width) if self.from_device else []
            for beat in beats:
                while self.pause and self.rng.random() < self.pause:
                    await ctx.tick()
                ctx.set(session.i.payload, beat)
                ctx.set(session.i.valid, 1)
                _, _, ready, reset = await ctx.tick().sample(session.i.ready, session.reset)
                while not ready and not reset:
                    _, _, ready, reset = await ctx.tick().sample(session.i.ready, session.reset)
                ctx.set(session.i.valid, 0)
                if reset:
                    break
            if not beats:
                await ctx.tick()

    async def take(self, ctx):
        """The host's TLPs, collected."""
        session, current = self.session, []
        while True:
            ctx.set(session.o.ready, self.device_open and self.rng.random() >= self.pause)
            _, _, valid, ready, beat, reset = await ctx.tick().sample(
                session.o.valid, session.o.ready, session.o.payload, session.reset
            )
            if reset:
                current = []
            elif valid and ready:
                current.append(beat)
                if beat.last:
                    self.to_device.append(wire_dws(current))
                    current = []

    async def until(self, ctx, condition, what="it never came", clocks=WATCHDOG):
        for _ in range(clocks):
            if condition():
                return
            await ctx.tick()
        raise AssertionError(what)

    async def welcome(self, ctx):
        await self.until(ctx, lambda: self.host.welcome, "no WELCOME")

    def run(self, *benches):
        async def grant(ctx):
            ctx.set(self.session.granted, GRANTED)

        class Side:
            def __init__(self, run):
                self.run = run

        sides = [Side(part) for part in (self.speak, self.feed, self.take)]
        simulate(Watched(self.session), grant, *benches, sinks=sides)
