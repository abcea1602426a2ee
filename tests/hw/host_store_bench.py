"""A host with entries in its memory, and books about every vector.

The books know nothing of caches. A message has to be made of a version of its entry that may still
be in use: the last one, or one from before a sync that has not been answered. It has to be unmasked
in that version, and owed: a vector owes a message from an event on until the next message.
"""

import random
from collections import deque
from dataclasses import dataclass

from hw.host_ims.host_store import HostStore
from hw.pcie.records import ReadStatus
from hw.regs import Config

from .streams import WATCHDOG, Sink, offer, simulate

BASE, WINDOW = 0x7_0000_0000, 0xFEE0_0000
MASK, IGNORE, PASID_ENABLE = 1, 4, 8


@dataclass(frozen=True)
class Version:
    """An entry as software wrote it; ``number`` makes its message tell from all others."""

    number: int
    control: int

    def raw(self, vector: int) -> int:
        """As it lies in memory."""
        return (WINDOW + 4 * vector) | self.number << 64 | self.control << 96


class Books:
    """What each vector owes, and what its messages may be made of.

    Parameters
    ----------
    vectors
        How many there are.
    """

    def __init__(self, vectors: int):
        self.versions = [[Version(0, self.control(v))] for v in range(vectors)]
        self.owed = [False] * vectors
        self.completion_only = [True] * vectors
        self.messages = 0

    @staticmethod
    def control(vector: int) -> int:
        """Its owner: every third vector has none."""
        return (vector % 3 > 0) * (PASID_ENABLE | (1000 + vector) << 12)

    def event(self, vector: int, completion: bool) -> None:
        """An event was taken."""
        self.completion_only[vector] = completion and (
            self.completion_only[vector] or not self.owed[vector]
        )
        self.owed[vector] = True

    def write(self, vector: int, flags: int) -> None:
        """Software changes the entry in memory."""
        versions = self.versions[vector]
        versions.append(Version(versions[-1].number + 1, self.control(vector) | flags))

    def synced(self, vector: int, number: int) -> None:
        """Versions before this one are gone."""
        self.versions[vector] = [v for v in self.versions[vector] if v.number >= number]

    def message(self, address: int, data: int) -> int:
        """A message was taken; its vector."""
        vector = (address - WINDOW) // 4
        assert self.owed[vector], f"vector {vector} rang without an event"
        made_of = [v for v in self.versions[vector] if v.number == data]
        assert made_of, f"vector {vector} rang {data}, not one of {self.versions[vector]}"
        assert not made_of[0].control & MASK, f"vector {vector} rang though masked"
        self.owed[vector] = False
        self.messages += 1
        return vector


class Bench:
    """A store and its host. Memory answers in order, after ``latency`` clocks.

    Parameters
    ----------
    config
        Parameters of the device.
    seed
        Of pauses and of everything random.
    pause
        How often streams rest.
    """

    def __init__(self, config: Config, seed: int = 1, *, pause: float = 0.0, latency: int = 20):
        self.dut, self.config = HostStore(config), config
        self.rng, self.pause, self.latency = random.Random(seed), pause, latency
        self.count = config.host_vectors
        self.books = Books(self.count)
        self.failing: dict[int, ReadStatus] = {}
        self.fetched: list[int] = []
        self.clock, self.taken_at, self.errors = 0, [], Sink(self.dut.o_error)
        self.verdicts = Sink(self.dut.o_verdict, self.rng, pause)
        self.answers = Sink(self.dut.o_synced)

    def run(self, *benches):
        """Run to the end of all benches; nothing may be left to do after them."""

        async def open_(ctx):
            ctx.set(self.dut.base, BASE)
            ctx.set(self.dut.count, self.count)
            ctx.set(self.dut.bus_master, 1)

        simulate(
            self.dut,
            open_,
            *benches,
            sinks=(
                self.errors,
                self.verdicts,
                self.answers,
                _Runner(self._take),
                _Runner(self._serve),
            ),
        )

    async def _take(self, ctx):
        """Messages, while they come."""
        port = self.dut.o_message
        while True:
            ctx.set(port.ready, self.rng.random() >= self.pause)
            _, _, valid, ready, message = await ctx.tick().sample(port.valid, port.ready, port.p)
            self.clock += 1
            if valid and ready:
                self.books.message(message.address, message.data)
                self.taken_at.append(self.clock)

    async def _serve(self, ctx):
        """Memory: reads what stands there when the request comes."""
        dut, width = self.dut, self.config.data_width
        waiting, beats, clock = deque(), deque(), 0
        while True:
            ctx.set(dut.o_read.ready, self.rng.random() >= self.pause)
            if beats:
                header, data, first, last = beats[0]
                ctx.set(dut.i_read.p.header, header)
                ctx.set(dut.i_read.p.data, data)
                ctx.set(dut.i_read.p.first, first)
                ctx.set(dut.i_read.p.last, last)
            ctx.set(dut.i_read.valid, bool(beats))
            _, _, asks, asked, command, taken = await ctx.tick().sample(
                dut.o_read.valid, dut.o_read.ready, dut.o_read.p, dut.i_read.ready
            )
            clock += 1
            if beats and taken:
                beats.popleft()
            if asks and asked:
                assert (command.length_bytes, command.tenant.valid) == (16, 0)
                vector = (command.address - BASE) // 16
                self.fetched.append(vector)
                raw = self.books.versions[vector][-1].raw(vector)
                status = self.failing.get(vector, ReadStatus.SUCCESS)
                late = self.latency + self.rng.randrange(1 + self.latency // 2)
                waiting.append((clock + late, command.address, raw, status))
            if waiting and waiting[0][0] <= clock:
                _, address, raw, status = waiting.popleft()
                header = {"address": address, "length_bytes": 16, "status": status}
                lane, words = address % (width // 8) * 8, max(1, 128 // width)
                if status is not ReadStatus.SUCCESS:
                    words = 1
                for k in range(words):
                    data = raw << lane if width >= 128 else raw >> width * k
                    beats.append((header, data & ((1 << width) - 1), k == 0, k == words - 1))

    async def ring(self, ctx, vector: int, *, completion: bool = False):
        """An event, to its transfer."""
        event = {"index": vector, "ims": 1, "completion": completion}
        # A message that is taken in the clock of the transfer is an earlier event's.
        await offer(ctx, self.dut.i_event, event, self.rng, self.pause)
        if vector < self.count:
            self.books.event(vector, completion)

    async def sync(self, ctx, vector: int | None = None):
        """A sync, to its answer; returns whether anything was held."""
        vectors = range(self.count) if vector is None else [vector]
        numbers = {v: self.books.versions[v][-1].number for v in vectors}
        count = len(self.answers.taken)
        wish = {"index": vector or 0, "every": vector is None}
        await offer(ctx, self.dut.i_sync, wish, self.rng, self.pause)
        await self.answers.wait(ctx, count + 1)
        for v, number in numbers.items():
            self.books.synced(v, number)
        return self.answers.taken[-1]

    async def check(self, ctx, vector: int, pasid: int | None) -> int:
        """Whether a descriptor with this PASID may ring a vector."""
        count = len(self.verdicts.taken)
        check = {
            "vector": {"index": vector, "ims": 1},
            "pasid": pasid or 0,
            "pasid_enable": pasid is not None,
        }
        await offer(ctx, self.dut.i_check, check, self.rng, self.pause)
        await self.verdicts.wait(ctx, count + 1)
        return self.verdicts.taken[-1]

    async def settle(self, ctx):
        """Until nothing is under way."""
        for _ in range(WATCHDOG):
            await ctx.tick()
            if not ctx.get(self.dut.busy) and not ctx.get(self.dut.o_read.valid):
                # Others still count what happens in these clocks.
                await ctx.tick().repeat(2)
                return
        raise AssertionError("still busy")


class _Runner:
    """A background process, in the form that :func:`.streams.simulate` takes."""

    def __init__(self, run):
        self.run = run
