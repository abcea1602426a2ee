"""The transmit path: order, credits, latency, throughput."""

import random

import pytest

from hw.pcie.transmitter import Transmitter
from hw.pcie.transmitter_path import TransmitPath
from hw.regs import Config
from hw.tlp.records import Kind, Status

from .streams import Sink, offer, payload_beats, payload_words, simulate

ROUTING_ID = 0x0208
INFINITE = {
    kind: {"header_infinite": 1, "data_infinite": 1}
    for kind in ("posted", "non_posted", "completion")
}


class Bench:
    """A transmit path, what was accepted and what came out, in order."""

    def __init__(self, seed, *, pause=0.0, feed_pause=0.0, credits=INFINITE, data_width=64):
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.width = data_width
        self.feed_pause = feed_pause
        self.dut = TransmitPath(Config(data_width=data_width))
        self.credits = credits
        self.requests = Sink(self.dut.o_request, self.rng, pause)
        self.completions = Sink(self.dut.o_completion, self.rng, pause)
        #: Names in the order in which their first beat was accepted, and in which it left.
        self.accepted: list = []
        self.left: list = []

    async def watch(self, ctx):
        """Note order; same clock counts in priority order, the non-posted last."""
        dut = self.dut
        inputs = (
            ("m", dut.i_message, dut.i_message.p.data),
            ("c", dut.i_completion, dut.i_completion.p.header.byte_count),
            ("p", dut.i_posted, dut.i_posted.p.header.address),
            ("n", dut.i_non_posted, dut.i_non_posted.p.header.address),
        )
        samples = [taken_and_name(port, name) for _, port, name in inputs]
        flat = [item for group in samples for item in group]
        request, completion = dut.o_request, dut.o_completion
        while True:
            _, _, *got = await ctx.tick().sample(
                *flat,
                request.valid & request.ready & request.p.first,
                completion.valid & completion.ready & completion.p.first,
                request.valid & completion.valid,
                request.p.header,
                completion.p.header.byte_count,
                request.p.data,
            )
            for index, (kind, _, _) in enumerate(inputs):
                taken, name = got[2 * index : 2 * index + 2]
                if taken:
                    self.accepted.append((kind, name))
            takes_request, takes_completion, both, header, count, data = got[8:]
            assert not both
            if takes_completion:
                self.left.append(("c", count))
            if takes_request and header.kind == Kind.MEMORY_READ:
                self.left.append(("n", header.address))
            elif takes_request and header.address == 0xFEE0_0000:
                self.left.append(("m", data & 0xFFFF_FFFF))
            elif takes_request:
                self.left.append(("p", header.address))

    async def feed(self, ctx, kind, port, count):
        for number in range(1, count + 1):
            for beat in self.packet(kind, number):
                await offer(ctx, port, beat, self.rng, self.feed_pause)

    def packet(self, kind, number):
        if kind == "m":
            return [{"address": 0xFEE0_0000, "data": number}]
        if kind == "n":
            header = {"kind": Kind.MEMORY_READ, "address": 8 * number, "length_dw": 128}
            return payload_beats(header, [], self.width)
        length_dw = self.rng.choice((0, 1, 2, 3, 5, 16)) or (kind == "p")
        words = [number << 8 | k for k in range(length_dw)]
        if kind == "c":
            header = {"status": Status.SUCCESS, "length_dw": length_dw, "byte_count": number}
        else:
            header = {"kind": Kind.MEMORY_WRITE, "address": 4096 * number, "length_dw": length_dw}
        return payload_beats(header, words, self.width)

    def run(self, *benches):
        async def main(ctx):
            ctx.set(self.dut.credits, self.credits)
            ctx.set(self.dut.settings, {"routing_id": ROUTING_ID})

        watcher = type("Watcher", (), {"run": staticmethod(self.watch)})
        simulate(self.dut, main, *benches, sinks=(self.requests, self.completions, watcher))

    def feeders(self, **counts):
        ports = {
            "m": self.dut.i_message,
            "c": self.dut.i_completion,
            "p": self.dut.i_posted,
            "n": self.dut.i_non_posted,
        }

        def feeder(kind, count):
            async def run(ctx):
                await self.feed(ctx, kind, ports[kind], count)

            return run

        return [feeder(kind, count) for kind, count in counts.items()]

    async def wait(self, ctx, count):
        for _ in range(20_000):
            if len(self.left) >= count:
                return
            await ctx.tick()
        raise AssertionError(f"{len(self.left)} of {count} left")

    def until(self, count):
        async def run(ctx):
            await self.wait(ctx, count)

        return run

    def check_order(self):
        ordered = [item for item in self.accepted if item[0] != "n"]
        assert [item for item in self.left if item[0] != "n"] == ordered
        place = {item: index for index, item in enumerate(self.left)}
        posted = []
        for item in self.accepted:
            if item[0] in "mp":
                posted.append(item)
            elif item[0] == "n" and item in place:
                assert all(place.get(other, 1 << 30) < place[item] for other in posted)


def taken_and_name(port, name):
    """The samples that tell of an acceptance."""
    taken = port.valid & port.ready
    return (taken & port.p.first if hasattr(port.p, "first") else taken), name


@pytest.mark.parametrize(("seed", "pause", "feed_pause"), [(1, 0, 0), (2, 0.4, 0.3), (3, 0.1, 0.8)])
def test_everything_leaves_once_and_in_order(seed, pause, feed_pause):
    bench = Bench(seed, pause=pause, feed_pause=feed_pause)

    async def finish(ctx):
        await bench.wait(ctx, 200)

    bench.run(finish, *bench.feeders(m=50, c=50, p=50, n=50))
    bench.check_order()
    assert len(set(bench.left)) == 200
    for beats in bench.completions.taken:
        header = beats[0].header
        assert header.completer == ROUTING_ID
        assert payload_words(beats, header.length_dw, 64) == [
            header.byte_count << 8 | k for k in range(header.length_dw)
        ]
    for beats in bench.requests.taken:
        header = beats[0].header
        assert header.requester == ROUTING_ID
        if header.kind == Kind.MEMORY_WRITE and header.address != 0xFEE0_0000:
            assert payload_words(beats, header.length_dw, 64) == [
                header.address >> 12 << 8 | k for k in range(header.length_dw)
            ]


def test_message_is_a_plain_write_of_one_dw():
    bench = Bench(4)

    async def main(ctx):
        message = {"address": 0x1_2345_6780, "data": 0xCAFE_F00D}
        await offer(ctx, bench.dut.i_message, message)
        await bench.wait(ctx, 1)

    bench.run(main)
    ((beat,),) = bench.requests.taken
    header = beat.header
    assert (header.kind, header.address) == (Kind.MEMORY_WRITE, 0x1_2345_6780)
    assert (header.length_dw, header.first_be, header.last_be) == (1, 0xF, 0)
    assert (header.tc, header.attr, header.at, header.tag, header.poisoned) == (0, 0, 0, 0, 0)
    assert not header.tenant.valid
    assert header.requester == ROUTING_ID
    assert beat.data & 0xFFFF_FFFF == 0xCAFE_F00D


def test_message_offered_with_a_completion_and_a_write_goes_first():
    bench = Bench(5)
    bench.run(bench.until(5), *bench.feeders(m=3, c=1, p=1))
    assert [kind for kind, _ in bench.left] == ["m", "m", "m", "c", "p"]


class Starved:
    """Credits of one type come one by one; the others are plenty."""

    def __init__(self, bench, kind, start=0):
        self.bench, self.kind = bench, kind
        self.header = self.data = start

    def limits(self):
        limit = {"header": self.header & 0xFF, "data": self.data & 0xFFF}
        return INFINITE | {self.kind: limit}

    def grant(self, ctx, header, data):
        self.header += header
        self.data += data
        ctx.set(self.bench.dut.credits, self.limits())


@pytest.mark.parametrize(
    ("kind", "letter"), [("posted", "p"), ("non_posted", "n"), ("completion", "c")]
)
def test_a_packet_waits_for_header_and_data_credits(kind, letter):
    bench = Bench(6)
    starved = Starved(bench, kind)
    bench.credits = starved.limits()
    words = 5
    needs = 0 if kind == "non_posted" else 2

    async def main(ctx):
        await ctx.tick().repeat(30)
        assert not bench.left
        starved.grant(ctx, 1, 0)
        await ctx.tick().repeat(10)
        if needs:
            assert not bench.left
            starved.grant(ctx, 0, needs - 1)
            await ctx.tick().repeat(10)
            assert not bench.left
            starved.grant(ctx, 0, 1)
            await ctx.tick().repeat(10)
        assert len(bench.left) == 1
        starved.grant(ctx, 0, 100)
        await ctx.tick().repeat(10)
        assert len(bench.left) == 1
        starved.grant(ctx, 3, 100)
        await bench.wait(ctx, 4)

    bench.rng.choice = lambda _: words
    bench.run(main, *bench.feeders(**{letter: 4}))


def test_posted_and_completions_pass_a_starved_read():
    bench = Bench(7)
    starved = Starved(bench, "non_posted")
    bench.credits = starved.limits()

    async def main(ctx):
        await bench.wait(ctx, 30)
        assert all(kind != "n" for kind, _ in bench.left)
        starved.grant(ctx, 2, 0)
        await bench.wait(ctx, 32)

    bench.run(main, *bench.feeders(m=10, c=10, p=10, n=2))
    assert [kind for kind, _ in bench.left[30:]] == ["n", "n"]
    bench.check_order()


def test_read_is_about_to_leave_unless_it_waits_for_credits():
    bench = Bench(7)
    starved = Starved(bench, "non_posted")
    bench.credits = starved.limits()

    async def main(ctx):
        await ctx.tick().repeat(20)
        assert not ctx.get(bench.dut.non_posted_leaving)
        bench.requests.open = False
        starved.grant(ctx, 1, 0)
        await ctx.tick().repeat(20)
        assert ctx.get(bench.dut.non_posted_leaving)
        bench.requests.open = True
        await bench.wait(ctx, 1)
        await ctx.tick().repeat(5)
        assert not ctx.get(bench.dut.non_posted_leaving)

    bench.run(main, *bench.feeders(n=1))


def test_read_does_not_pass_a_starved_write():
    bench = Bench(8)
    starved = Starved(bench, "posted")
    bench.credits = starved.limits()

    async def late(ctx):
        await ctx.tick().repeat(10)
        await bench.feed(ctx, "n", bench.dut.i_non_posted, 1)

    async def main(ctx):
        await ctx.tick().repeat(60)
        assert not bench.left
        starved.grant(ctx, 5, 100)
        await bench.wait(ctx, 4)

    bench.run(main, late, *bench.feeders(p=3))
    bench.check_order()
    assert bench.left.index(("n", 8)) >= 1


def test_read_takes_its_turn_beside_endless_writes():
    bench = Bench(9)
    bench.run(bench.until(100), *bench.feeders(p=80, n=20))
    reads = [index for index, (kind, _) in enumerate(bench.left) if kind == "n"]
    assert reads[-1] < 60


@pytest.mark.parametrize("kind", ["m", "c", "p"])
def test_packets_leave_without_gaps(kind):
    bench = Bench(11)
    bench.run(bench.until(100), *bench.feeders(**{kind: 100}))
    times = bench.requests.times + bench.completions.times
    beats = len(times)
    assert times[beats - 1] - times[0] == beats - 1


def test_message_is_on_the_wire_within_three_clocks():
    dut = Transmitter(Config())
    wire = Sink(dut.o)
    waits = []

    async def main(ctx):
        ctx.set(dut.credits, INFINITE)
        await ctx.tick().repeat(5)
        for gap in range(20):
            ctx.set(dut.i_message.p, {"address": 0xFEE0_0000, "data": gap})
            ctx.set(dut.i_message.valid, 1)
            clocks = 0
            while not ctx.get(dut.o.valid):
                await ctx.tick()
                ctx.set(dut.i_message.valid, 0)
                clocks += 1
            waits.append(clocks)
            await ctx.tick().repeat(8 + gap % 3)

    simulate(dut, main, sinks=(wire,))
    assert len(wire.taken) == 20
    assert max(waits) <= 3


def test_messages_follow_each_other_on_the_wire():
    dut = Transmitter(Config())
    wire = Sink(dut.o)

    async def main(ctx):
        ctx.set(dut.credits, INFINITE)
        for number in range(50):
            await offer(ctx, dut.i_message, {"address": 0xFEE0_0000, "data": number})
        await wire.wait(ctx, 50)

    simulate(dut, main, sinks=(wire,))
    times = wire.times
    assert times[-1] - times[0] == len(times) - 1
