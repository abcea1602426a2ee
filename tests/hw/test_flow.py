"""Packets pass buffers and arbiters whole, in order, and once."""

import random

import pytest

from hw.flow.arbiter import Arbiter
from hw.flow.merge import Merge
from hw.flow.packet_fifo import PacketFifo
from hw.flow.share import Share
from hw.tlp.records import Packet
from hw.tlp.slice import Slice

from .streams import WATCHDOG, Sink, offer, simulate

WIDTH = 16


def beats(header: int, payload: list[int]) -> list[dict]:
    return [
        {"header": header, "data": word, "first": i == 0, "last": i == len(payload) - 1}
        for i, word in enumerate(payload)
    ]


async def collect(ctx, port, rng, pause, packets):
    current, done = [], []
    for _ in range(WATCHDOG):
        ctx.set(port.ready, rng.random() >= pause)
        _, _, valid, ready, payload = await ctx.tick().sample(port.valid, port.ready, port.payload)
        if valid and ready:
            assert payload.first == (not current)
            current.append((payload.header, payload.data))
            if payload.last:
                done.append(current)
                current = []
        if len(done) == packets:
            return done
    raise AssertionError(f"{len(done)} of {packets} packets came out")


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_fifo_keeps_committed_packets_and_forgets_discarded_ones(pause):
    rng = random.Random(7)
    dut = PacketFifo(8, WIDTH, depth=16, packets=4)
    sent = [
        (rng.randrange(256), [rng.randrange(1 << WIDTH) for _ in range(rng.randint(1, 16))])
        for _ in range(200)
    ]
    kept = [rng.random() < 0.7 for _ in sent]

    async def feed(ctx):
        for (header, payload), keep in zip(sent, kept, strict=True):
            for beat in beats(header, payload):
                ctx.set(dut.discard, not keep)
                await offer(ctx, dut.i, beat, rng, pause)

    async def check(ctx):
        expected = [p for p, keep in zip(sent, kept, strict=True) if keep]
        got = await collect(ctx, dut.o, random.Random(8), pause, len(expected))
        assert got == [[(header, word) for word in words] for header, words in expected]

    simulate(dut, feed, check)


def test_fifo_passes_a_beat_per_clock():
    dut = PacketFifo(8, WIDTH, depth=16, packets=4)

    async def feed(ctx):
        for header in range(40):
            for beat in beats(header, [1, 2, 3, 4]):
                await offer(ctx, dut.i, beat, random.Random(0), 0.0)

    async def check(ctx):
        ctx.set(dut.o.ready, 1)
        await ctx.tick().until(dut.o.valid)
        for _ in range(159):
            _, _, valid = await ctx.tick().sample(dut.o.valid)
            assert valid

    simulate(dut, feed, check)


def test_fifo_that_is_full_forgets_a_packet_that_does_not_wait():
    dut = PacketFifo(8, WIDTH, depth=16, packets=4)

    async def feed(ctx):
        for header in range(4):
            for beat in beats(header, [header, header]):
                await offer(ctx, dut.i, beat, random.Random(0), 0.0)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.discard, 1)
        for header in range(4, 9):
            for beat in beats(header, [header] * 20):
                ctx.set(dut.i.payload, beat)
                await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.discard, 0)
        for beat in beats(9, [9] * 16):
            await offer(ctx, dut.i, beat, random.Random(0), 0.0)

    async def check(ctx):
        for _ in range(200):
            await ctx.tick()
        got = await collect(ctx, dut.o, random.Random(8), 0.0, 5)
        assert got == [*([(k, k)] * 2 for k in range(4)), [(9, 9)] * 16]

    simulate(dut, feed, check)


@pytest.mark.parametrize("pause", [0.0, 0.5])
@pytest.mark.parametrize("kind", [Arbiter, Merge])
def test_arbiter_keeps_packets_whole_and_serves_every_input(kind, pause):
    dut = kind(Packet(8, WIDTH), 3)
    per_input = 60

    def feeder(index):
        rng = random.Random(index)

        async def feed(ctx):
            for number in range(per_input):
                words = [number] * rng.randint(1, 4)
                for beat in beats(index, words):
                    await offer(ctx, dut.i[index], beat, rng, pause)

        return feed

    async def check(ctx):
        got = await collect(ctx, dut.o, random.Random(9), pause, 3 * per_input)
        for packet in got:
            assert len(set(packet)) == 1
        order = [packet[0] for packet in got]
        for index in range(3):
            assert [n for i, n in order if i == index] == list(range(per_input))
        if pause == 0:
            # Everybody always has something to say, so turns are strict.
            assert [i for i, _ in order[:30]] == [order[k % 3][0] for k in range(30)]

    simulate(dut, *(feeder(i) for i in range(3)), check)


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_slice_keeps_every_payload_in_order(pause):
    dut = Slice(8)
    sent = [(7 * k) & 0xFF for k in range(200)]
    sink = Sink(dut.o, random.Random(3), pause)

    async def feed(ctx):
        for value in sent:
            await offer(ctx, dut.i, value, random.Random(4), pause)
        await sink.wait(ctx, len(sent))

    simulate(dut, feed, sinks=(sink,))
    assert sink.taken == sent
    if pause == 0:
        assert sink.times[-1] - sink.times[0] == len(sent) - 1


class Server:
    """Answers requests in order, each with a packet of as many beats as its number ends in."""

    def __init__(self, dut, rng, pause, depth):
        self.dut, self.rng, self.pause = dut, rng, pause
        self.requests = Sink(dut.o, rng, pause)
        self.depth = depth
        self.served = 0

    async def run(self, ctx):
        while True:
            await ctx.tick()
            assert len(self.requests.taken) - self.served <= self.depth
            if len(self.requests.taken) > self.served and self.rng.random() >= self.pause:
                packet = self.requests.taken[self.served]
                header = packet[0].header
                for beat in beats(header, [packet[0].data] * (1 + packet[0].data % 4)):
                    await offer(ctx, self.dut.i_answer, beat, self.rng, self.pause)
                self.served += 1


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_shared_server_answers_who_asked(pause):
    depth, per_client = 4, 50
    dut = Share(Packet(8, WIDTH), Packet(8, WIDTH), 3, depth)
    server = Server(dut, random.Random(5), pause, depth)
    answers = [Sink(port, random.Random(k), pause) for k, port in enumerate(dut.o_answer)]

    def feeder(index):
        rng = random.Random(index)

        async def feed(ctx):
            for number in range(per_client):
                for beat in beats(index, [number] * rng.randint(1, 4)):
                    await offer(ctx, dut.i[index], beat, rng, pause)
            await answers[index].wait(ctx, per_client)

        return feed

    simulate(dut, *(feeder(i) for i in range(3)), sinks=(server, server.requests, *answers))
    for index, sink in enumerate(answers):
        assert [packet[0].header for packet in sink.taken] == [index] * per_client
        assert [packet[0].data for packet in sink.taken] == list(range(per_client))
        assert all(len(packet) == 1 + packet[0].data % 4 for packet in sink.taken)
    assert all(len({beat.data for beat in packet}) == 1 for packet in server.requests.taken)
