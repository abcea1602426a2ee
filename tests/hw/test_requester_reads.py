"""Reads through the requester, against a host that answers as it likes."""

import random

import pytest

from hw.pcie.records import ErrorKind, ReadStatus
from hw.pcie.requester import Requester
from hw.regs import Config

from .requester_host import ROUTING_ID, Answer, Host, byte_at, chunk_bytes
from .streams import Sink, offer, simulate

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

    def run(self, bench):
        async def main(ctx):
            ctx.set(self.dut.settings, self.settings)
            await bench(ctx)

        sinks = (self.host, self.host.requests, self.chunks, self.posted, self.written, self.errors)
        simulate(self.dut, main, sinks=sinks)

    async def read(self, ctx, address, length, **tenant):
        command = {"address": address, "length_bytes": length, "tenant": tenant}
        await offer(ctx, self.dut.i_read, command, self.rng, self.pause)

    async def idle(self, ctx, clocks=40):
        for _ in range(clocks):
            await ctx.tick()

    def limit(self):
        return min(self.config.read_slot_bytes, self.settings["max_read_bytes"])

    def expected_chunks(self, address, length):
        """Address, length and final of each chunk of a read."""
        end = address + length
        while address < end:
            cut = min(end, (address // self.limit() + 1) * self.limit())
            yield address, cut - address, cut == end
            address = cut

    def check(self, commands):
        """All chunks of all commands came, in order, with the right bytes or the right status."""
        wanted = [chunk for command in commands for chunk in self.expected_chunks(*command)]
        assert len(self.chunks.taken) == len(wanted)
        for beats, (address, length, final), read in zip(
            self.chunks.taken, wanted, self.host.reads, strict=True
        ):
            header = beats[0].header
            assert (header.address, header.length_bytes, header.final) == (address, length, final)
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


@pytest.mark.parametrize(
    ("seed", "pause", "rcb", "data_width", "max_read"),
    [
        (1, 0.0, 64, 64, 512),
        (2, 0.4, 64, 64, 128),
        (3, 0.1, 128, 128, 256),
        (4, 0.2, 64, 256, 4096),
        (5, 0.2, 4, 64, 256),
    ],
)
def test_reads_arrive_whole_and_in_order(seed, pause, rcb, data_width, max_read):
    bench = Bench(
        seed, pause=pause, rcb=rcb, data_width=data_width, settings={"max_read_bytes": max_read}
    )
    commands = list(random_commands(bench.rng, 60, 1500))
    wanted = sum(len(list(bench.expected_chunks(*command))) for command in commands)

    async def main(ctx):
        for command in commands:
            await bench.read(ctx, *command)
        await bench.chunks.wait(ctx, wanted)
        await bench.idle(ctx)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    bench.check(commands)
    assert not bench.errors.taken


def test_failed_reads_leak_no_tag():
    rng = random.Random(7)
    kinds = [Answer.GOOD, *(kind for kind in Answer if kind is not Answer.NEVER)]
    bench = Bench(6, pause=0.05, choose=lambda _: rng.choice(kinds), tags=4)
    commands = list(random_commands(bench.rng, 300, 400))
    wanted = sum(len(list(bench.expected_chunks(*command))) for command in commands)

    async def main(ctx):
        for command in commands:
            await bench.read(ctx, *command)
        await bench.chunks.wait(ctx, wanted)
        await bench.idle(ctx)
        assert not ctx.get(bench.dut.pending)

    bench.run(main)
    bench.check(commands)
    kinds = {report.kind for report in bench.errors.taken}
    assert kinds == {ErrorKind.POISONED, ErrorKind.MALFORMED}
    assert {read.header.tag for read in bench.host.reads} == set(range(4))
