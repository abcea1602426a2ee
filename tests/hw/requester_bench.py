"""A requester with a host behind it, for tests of reads."""

import random
from collections import deque

from hw.pcie.records import ReadStatus
from hw.pcie.requester import Requester
from hw.regs import Config

from .requester_host import ROUTING_ID, Answer, Host, byte_at, chunk_bytes
from .streams import Sink, simulate

SETTINGS = {
    "routing_id": ROUTING_ID,
    "bus_master": 1,
    "max_payload_bytes": 256,
    "max_read_bytes": 512,
    "pasid_enable": 1,
}

STATUS = {
    Answer.GOOD: ReadStatus.SUCCESS,
    Answer.POISONED: ReadStatus.POISONED,
    Answer.UNSUPPORTED: ReadStatus.UNSUPPORTED_REQUEST,
    Answer.RETRY: ReadStatus.UNSUPPORTED_REQUEST,
    Answer.ABORT: ReadStatus.COMPLETER_ABORT,
    Answer.NEVER: ReadStatus.TIMEOUT,
}


class Bench:
    """A requester, a host, and takers for what comes out."""

    def __init__(self, seed, *, pause=0.0, choose=None, rcb=64, settings=None, **parameters):
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.config = Config(**({"tags": 8, "read_slot_bytes": 256} | parameters))
        self.dut = Requester(self.config)
        self.settings = SETTINGS | (settings or {})
        self.host = Host(self.dut, self.config, self.rng, pause=pause, choose=choose, rcb=rcb)
        self.chunks = Sink(self.dut.o_read, self.rng, pause)
        self.posted = Sink(self.dut.o_posted, self.rng, pause)
        self.written = Sink(self.dut.o_written, self.rng, pause)
        self.errors = Sink(self.dut.o_error)
        self.pause = pause
        self.commands: deque = deque()

    def run(self, bench):
        async def main(ctx):
            ctx.set(self.dut.settings, self.settings)
            await bench(ctx)

        class Feeder:
            run = self.feed

        sinks = (self.host, self.host.requests, self.chunks, self.posted, self.written, self.errors)
        simulate(self.dut, main, sinks=(*sinks, Feeder))

    async def read(self, ctx, address, length, **tenant):
        """Cut a read into commands, to be offered one after another."""
        for here, size in self.expected_chunks(address, length):
            self.commands.append({"address": here, "length_bytes": size, "tenant": tenant})

    async def feed(self, ctx):
        port = self.dut.i_read
        while True:
            while not self.commands or self.rng.random() < self.pause:
                await ctx.tick()
            ctx.set(port.payload, self.commands.popleft())
            ctx.set(port.valid, 1)
            ready = flush = False
            while not ready and not flush:
                _, _, ready, flush = await ctx.tick().sample(port.ready, self.dut.flush)
            ctx.set(port.valid, 0)

    async def flush(self, ctx):
        """Flush the requester, and forget the commands that wait for it."""
        self.commands.clear()
        ctx.set(self.dut.flush, 1)
        await ctx.tick()
        ctx.set(self.dut.flush, 0)

    async def idle(self, ctx, clocks=40):
        for _ in range(clocks):
            await ctx.tick()

    def limit(self):
        return min(self.config.read_slot_bytes, self.settings["max_read_bytes"])

    def expected_chunks(self, address, length):
        """Address and length of each chunk of a read."""
        end = address + length
        while address < end:
            cut = min(end, (address // self.limit() + 1) * self.limit())
            yield address, cut - address
            address = cut

    def check(self, commands):
        """All chunks of all commands came, in order, with the right bytes or the right status."""
        wanted = [chunk for command in commands for chunk in self.expected_chunks(*command)]
        assert len(self.chunks.taken) == len(wanted)
        for beats, (address, length), read in zip(
            self.chunks.taken, wanted, self.host.reads, strict=True
        ):
            header = beats[0].header
            assert (header.address, header.length_bytes) == (address, length)
            assert header.status == STATUS[read.answer]
            if header.status == ReadStatus.SUCCESS:
                got = chunk_bytes(beats, self.config.data_width)
                assert got == bytes(byte_at(address + k) for k in range(length))
            else:
                assert len(beats) == 1


def random_commands(rng, count, longest):
    for _ in range(count):
        address = rng.randrange(1 << 20) | rng.choice((0, 0x12_3456_0000_0000))
        if rng.random() < 0.3:
            address &= ~7
        yield (
            address,
            rng.choice((1, 2, 3, 4, 5, 8, rng.randrange(1, 64), rng.randrange(1, longest))),
        )
