"""The receiver keeps order, counts credits, and takes whatever comes."""

import random

import pytest

from hw.pcie.receiver import (
    NON_POSTED_DATA,
    NON_POSTED_HEADERS,
    POSTED_DATA,
    POSTED_HEADERS,
    Receiver,
)
from hw.pcie.records import ErrorKind
from hw.regs import Config
from hw.tlp.records import Kind

from .streams import Sink, offer, payload_words, simulate, wire_beats
from .test_tlp_pack import big


def write(tag, words, address=0x1000):
    bes = 0xFF if len(words) > 1 else 0x0F
    header = [0x4000_0000 | len(words), 0x0100_0000 | tag << 8 | bes, address]
    return header + big(words)


def read(tag, address=0x1000):
    return [0x0000_0001, 0x0100_000F | tag << 8, address]


def deferrable(tag, address=0x1000):
    return [0x5B00_0010, 0x0100_00FF | tag << 8, address, *range(16)]


def completion(tag, words):
    return [0x4A00_0000 | len(words), 4 * len(words), 0x0100_0000 | tag << 8, *big(words)]


class Bench:
    """A receiver with sinks that can be held shut."""

    def __init__(self, pause=0.0, seed=0):
        self.config = Config()
        self.dut = dut = Receiver(self.config)
        rng = [random.Random(seed + k) for k in range(5)]
        self.rng, self.pause = rng[4], pause
        self.posted = Sink(dut.o_posted, rng[0], pause)
        self.non_posted = Sink(dut.o_non_posted, rng[1], pause)
        self.completions = Sink(dut.o_completion, rng[2], pause)
        self.errors = Sink(dut.o_error, rng[3], pause)

    def run(self, bench):
        async def wrapped(ctx):
            ctx.set(self.dut.settings.max_payload_bytes, 512)
            await bench(ctx)

        sinks = [self.posted, self.non_posted, self.completions, self.errors]
        simulate(self.dut, wrapped, sinks=sinks)

    async def send(self, ctx, tlp):
        for beat in wire_beats(tlp, 64):
            await offer(ctx, self.dut.i, beat, self.rng, self.pause)

    async def settle(self, ctx, clocks=100):
        for _ in range(clocks):
            await ctx.tick()

    def credits(self, ctx):
        granted = ctx.get(self.dut.credits)
        return (
            granted.posted.header,
            granted.posted.data,
            granted.non_posted.header,
            granted.non_posted.data,
        )


def tags(sink):
    return [beats[0].header.tag for beats in sink.taken]


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_requests_come_out_whole_at_the_port_of_their_type(pause):
    bench = Bench(pause)
    rng = random.Random(1)
    sent = {"posted": [], "non_posted": [], "completion": []}

    async def feed(ctx):
        for k in range(150):
            words = [rng.randrange(1 << 32) for _ in range(rng.choice([1, 2, 3, 16, 17]))]
            kind = rng.choice(list(sent))
            tlp = {"posted": write, "completion": completion}.get(
                kind, lambda t, _: read(t, 0x2000 + 4 * t)
            )
            sent[kind].append((k, [] if kind == "non_posted" else words))
            await bench.send(ctx, tlp(k, words))
            # Never more than one request waits long, so credits always suffice.
            await bench.settle(ctx, 30)
        await bench.settle(ctx)

    bench.run(feed)
    assert bench.errors.taken == []
    for kind, sink in [
        ("posted", bench.posted),
        ("non_posted", bench.non_posted),
        ("completion", bench.completions),
    ]:
        assert tags(sink) == [tag for tag, _ in sent[kind]]
        for beats, (_, words) in zip(sink.taken, sent[kind], strict=True):
            assert payload_words(beats, len(words), 64) == words


def test_non_posted_never_passes_an_earlier_posted_and_lets_later_ones_pass():
    bench = Bench()

    async def feed(ctx):
        bench.posted.open = False
        await bench.send(ctx, write(1, [1, 2, 3]))
        await bench.send(ctx, read(2))
        await bench.send(ctx, write(3, [4]))
        await bench.settle(ctx)
        assert bench.non_posted.taken == [], "the read waits for the write"
        bench.non_posted.open = False
        bench.posted.open = True
        await bench.settle(ctx)
        assert tags(bench.posted) == [1, 3], "a write passes the read"
        bench.non_posted.open = True
        await bench.settle(ctx)
        assert tags(bench.non_posted) == [2]

    bench.run(feed)


def test_order_holds_after_very_many_posted_requests_passed():
    bench = Bench()

    async def feed(ctx):
        bench.non_posted.open = False
        await bench.send(ctx, read(1))
        for _ in range(300):
            await bench.send(ctx, write(2, [5]))
            await bench.settle(ctx, 12)
        bench.posted.open = False
        await bench.send(ctx, write(3, [6]))
        await bench.send(ctx, read(4))
        bench.non_posted.open = True
        await bench.settle(ctx)
        assert tags(bench.non_posted) == [1]
        bench.posted.open = True
        await bench.settle(ctx)
        assert tags(bench.non_posted) == [1, 4]
        assert len(bench.posted.taken) == 301

    bench.run(feed)


def test_credits_are_granted_again_when_requests_leave():
    bench = Bench()
    start = (POSTED_HEADERS, POSTED_DATA, NON_POSTED_HEADERS, NON_POSTED_DATA)

    async def feed(ctx):
        await ctx.tick()
        assert bench.credits(ctx) == start
        infinite = ctx.get(bench.dut.credits.completion)
        assert infinite.header_infinite and infinite.data_infinite
        bench.posted.open = bench.non_posted.open = False
        await bench.send(ctx, write(1, [0] * 17))
        await bench.send(ctx, read(2))
        await bench.send(ctx, deferrable(3))
        await bench.settle(ctx)
        assert bench.credits(ctx) == start
        bench.posted.open = bench.non_posted.open = True
        await bench.settle(ctx)
        spent = (1, 5, 2, 4)
        assert bench.credits(ctx) == tuple(map(sum, zip(start, spent, strict=True)))

    bench.run(feed)


def test_buffers_hold_all_that_credits_allow():
    bench = Bench()

    async def feed(ctx):
        bench.posted.open = bench.non_posted.open = False
        for k in range(POSTED_HEADERS):
            await bench.send(ctx, write(k, [k] * 16))
        for k in range(NON_POSTED_HEADERS):
            await bench.send(ctx, deferrable(k))
        await bench.settle(ctx)
        bench.posted.open = bench.non_posted.open = True
        await bench.settle(ctx, 400)
        assert tags(bench.posted) == list(range(POSTED_HEADERS))
        assert tags(bench.non_posted) == list(range(NON_POSTED_HEADERS))
        assert bench.errors.taken == []

    bench.run(feed)


@pytest.mark.parametrize("tlp", [write(99, [1]), write(99, [1] * 128), read(99)], ids=len)
def test_requests_beyond_the_credits_are_a_receiver_overflow_and_nothing_worse(tlp):
    bench = Bench()
    posted = tlp[0] >> 30 & 1

    async def feed(ctx):
        bench.posted.open = bench.non_posted.open = False
        for k in range(POSTED_HEADERS if posted else NON_POSTED_HEADERS):
            await bench.send(ctx, write(k, [k] * 16) if posted else read(k))
        for _ in range(3):
            await bench.send(ctx, tlp)
        await bench.send(ctx, completion(7, [1]))
        await bench.settle(ctx)
        assert [ErrorKind(e.kind) for e in bench.errors.taken] == [ErrorKind.RECEIVER_OVERFLOW] * 3
        assert list(bench.errors.taken[0].header)[:3] == tlp[:3]
        assert len(bench.completions.taken) == 1
        before = bench.credits(ctx)
        bench.posted.open = bench.non_posted.open = True
        await bench.settle(ctx, 400)
        sink = bench.posted if posted else bench.non_posted
        assert 99 not in tags(sink)
        await bench.send(ctx, write(50, [1]) if posted else read(50))
        await bench.settle(ctx)
        assert tags(sink)[-1] == 50
        assert before != bench.credits(ctx)

    bench.run(feed)


def test_credits_of_a_malformed_request_are_given_back():
    bench = Bench()
    start = (POSTED_HEADERS, POSTED_DATA, NON_POSTED_HEADERS, NON_POSTED_DATA)

    async def feed(ctx):
        await bench.send(ctx, write(1, [0] * 8)[:-1])
        await bench.send(ctx, [0x0000_0002, 0x0000_000F, 0x1000])
        await bench.settle(ctx)
        assert [ErrorKind(e.kind) for e in bench.errors.taken] == [ErrorKind.MALFORMED] * 2
        assert bench.posted.taken == bench.non_posted.taken == []
        spent = (1, 2, 1, 0)
        assert bench.credits(ctx) == tuple(map(sum, zip(start, spent, strict=True)))

    bench.run(feed)


def test_log_holds_the_header_as_the_wire_spells_it():
    bench = Bench()

    async def feed(ctx):
        await bench.send(ctx, [0x9180_0005, 0x4000_0002, 0x0100_000F, 0x1000, 0x1122_3344, 0])
        await bench.settle(ctx)
        (error,) = bench.errors.taken
        assert list(error.header) == [0x4000_0002, 0x0100_000F, 0x1000, 0]
        assert (error.header_valid, error.advisory) == (1, 0)
        assert (error.prefix_valid, error.prefix) == (1, 0x9180_0005)

    bench.run(feed)


@pytest.mark.parametrize("seed", range(8))
def test_random_rubbish_never_wedges_the_receiver(seed):
    print(f"seed {seed}")
    bench = Bench(pause=0.2, seed=seed)
    rng = random.Random(seed)
    good = [write(0, [1, 2, 3]), read(0), deferrable(0), completion(0, [1, 2])]

    async def rubbish(ctx):
        tlp = list(rng.choice(good))
        for _ in range(rng.randint(0, 3)):
            tlp[rng.randrange(min(3, len(tlp)))] ^= 1 << rng.randrange(32)
        tlp = tlp[: rng.randint(1, len(tlp))] if rng.random() < 0.3 else tlp
        tlp = tlp + [rng.randrange(1 << 32)] * rng.choice([0, 0, 1, 9])
        if rng.random() < 0.2:
            tlp = [rng.randrange(1 << 32) for _ in range(rng.randint(1, 40))]
        beats = wire_beats(tlp, 64)
        if rng.random() < 0.1:
            beats[-1]["last"] = False
        if rng.random() < 0.05:
            beats[0]["first"] = False
        for beat in beats:
            await offer(ctx, bench.dut.i, beat, rng, 0.1)

    async def feed(ctx):
        for round_ in range(60):
            for _ in range(rng.randint(1, 4)):
                await rubbish(ctx)
            await bench.settle(ctx, 60)
            mark = 0x200 + round_
            t8 = (mark >> 8 & 1) << 19 | (mark >> 9) << 23
            tlp = read(mark & 0xFF)
            await bench.send(ctx, [tlp[0] | t8, *tlp[1:]])
            await bench.settle(ctx, 60)
            assert tags(bench.non_posted)[-1] == mark
        assert all(Kind(beats[0].header.kind) for beats in bench.posted.taken)

    bench.run(feed)
