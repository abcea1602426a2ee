"""Writes through the requester."""

import random

import pytest

from hw.pcie.requester import Requester
from hw.regs import Config

from .requester_host import ROUTING_ID, command_beats, written_bytes
from .streams import Sink, offer, simulate

SETTINGS = {
    "routing_id": ROUTING_ID,
    "bus_master": 1,
    "max_payload_bytes": 128,
    "max_read_bytes": 512,
}


class Bench:
    """A requester and takers for what it writes."""

    def __init__(self, seed, *, pause=0.0, settings=None, **parameters):
        print(f"seed {seed}")
        self.rng = random.Random(seed)
        self.pause = pause
        self.config = Config(**({"tags": 4, "read_slot_bytes": 128} | parameters))
        self.dut = Requester(self.config)
        self.settings = SETTINGS | (settings or {})
        self.packets = Sink(self.dut.o_posted, self.rng, pause)
        self.written = Sink(self.dut.o_written, self.rng, pause)

    def run(self, bench):
        async def main(ctx):
            ctx.set(self.dut.settings, self.settings)
            await bench(ctx)

        simulate(self.dut, main, sinks=(self.packets, self.written))

    async def write(self, ctx, address, data, tenant=None):
        for beat in command_beats(address, data, self.config.data_width, tenant):
            await offer(ctx, self.dut.i_write, beat, self.rng, self.pause)

    def bytes_of(self, packets):
        limit = self.settings["max_payload_bytes"]
        return [
            pair
            for beats in packets
            for pair in written_bytes(beats, self.config.data_width, limit)
        ]


def random_writes(rng, count):
    for _ in range(count):
        address = rng.randrange(1 << 16) | rng.choice((0, 0xFFFF_FFF0_0000))
        longest = rng.choice((4, 16, 64, 300, 1200))
        yield address, rng.randbytes(rng.randrange(1, longest + 1))


@pytest.mark.parametrize(
    ("seed", "pause", "data_width", "max_payload"),
    [(1, 0.0, 64, 128), (2, 0.3, 64, 256), (3, 0.1, 128, 512), (4, 0.1, 256, 128)],
)
def test_every_byte_is_written_once_and_in_order(seed, pause, data_width, max_payload):
    bench = Bench(
        seed, pause=pause, data_width=data_width, settings={"max_payload_bytes": max_payload}
    )
    writes = [*random_writes(bench.rng, 50), (0x1FFD, bytes(range(256)) * 16)]

    async def main(ctx):
        for address, data in writes:
            await bench.write(ctx, address, data)
        await bench.written.wait(ctx, len(writes))

    bench.run(main)
    wanted = [(address + k, byte) for address, data in writes for k, byte in enumerate(data)]
    assert bench.bytes_of(bench.packets.taken) == wanted
    assert bench.written.taken == [0] * len(writes)


def test_writes_are_cut_as_seldom_as_allowed():
    bench = Bench(5, settings={"max_payload_bytes": 256})

    async def main(ctx):
        await bench.write(ctx, 0xF84, bytes(700))
        await bench.written.wait(ctx, 1)

    bench.run(main)
    ranges = [(p[0].header.address, p[0].header.length_dw * 4) for p in bench.packets.taken]
    assert ranges == [(0xF84, 0x7C), (0x1000, 256), (0x1100, 256), (0x1200, 64)]


def test_written_comes_after_the_last_packet_was_accepted():
    bench = Bench(6)
    seen = []

    async def watch(ctx):
        packets = 0
        while True:
            _, _, last, done = await ctx.tick().sample(
                bench.dut.o_posted.valid & bench.dut.o_posted.ready & bench.dut.o_posted.p.last,
                bench.dut.o_written.valid & bench.dut.o_written.ready,
            )
            if done:
                seen.append(packets)
            packets += last

    watcher = type("Watcher", (), {"run": staticmethod(watch)})

    async def main(ctx):
        for _ in range(5):
            await bench.write(ctx, 0x40, bytes(300))
        await bench.written.wait(ctx, 5)

    async def setup(ctx):
        ctx.set(bench.dut.settings, bench.settings)
        await main(ctx)

    bench.packets.rng, bench.packets.pause = bench.rng, 0.7
    simulate(bench.dut, setup, sinks=(bench.packets, bench.written, watcher))
    packets_each = 3
    assert len(seen) == 5
    for index, packets in enumerate(seen):
        assert packets >= packets_each * (index + 1)


def test_writes_with_bus_master_off_vanish_and_say_so():
    bench = Bench(7, pause=0.2, settings={"bus_master": 0})

    async def main(ctx):
        for _ in range(10):
            await bench.write(ctx, 0x10, bytes(500))
        await bench.written.wait(ctx, 10)
        ctx.set(bench.dut.settings, bench.settings | {"bus_master": 1})
        await bench.write(ctx, 0x10, b"after")
        await bench.written.wait(ctx, 11)

    bench.run(main)
    assert bench.written.taken == [1] * 10 + [0]
    assert bytes(byte for _, byte in bench.bytes_of(bench.packets.taken)) == b"after"


def test_bus_master_switched_at_any_time_never_tears_a_packet():
    bench = Bench(8, pause=0.2)
    writes = list(random_writes(bench.rng, 40))

    async def flip(ctx):
        for _ in range(40):
            for _ in range(bench.rng.randrange(1, 60)):
                await ctx.tick()
            ctx.set(bench.dut.settings.bus_master, bench.rng.randrange(2))

    flipper = type("Flipper", (), {"run": staticmethod(flip)})

    async def main(ctx):
        ctx.set(bench.dut.settings, bench.settings)
        for address, data in writes:
            await bench.write(ctx, address, data)
        await bench.written.wait(ctx, len(writes))

    simulate(bench.dut, main, sinks=(bench.packets, bench.written, flipper))
    got = iter(bench.bytes_of(bench.packets.taken))
    assert {0, 1} == set(bench.written.taken)
    pending = next(got)
    for (address, data), dropped in zip(writes, bench.written.taken, strict=True):
        found = 0
        for k, byte in enumerate(data):
            if pending == (address + k, byte):
                found += 1
                pending = next(got, None)
        assert dropped or found == len(data)
    assert pending is None


@pytest.mark.parametrize("enable", [0, 1])
def test_a_tenants_write_goes_with_its_pasid_or_not_at_all(enable):
    bench = Bench(9, settings={"pasid_enable": enable})
    tenant = {"valid": 1, "pasid": 0xABCDE, "privileged": 1, "execute": 1}

    async def main(ctx):
        await bench.write(ctx, 0x1000, bytes(8), tenant)
        await bench.write(ctx, 0x2000, bytes(8))
        await bench.written.wait(ctx, 2)

    bench.run(main)
    tenants = [packet[0].header.tenant for packet in bench.packets.taken]
    assert [tenant.valid for tenant in tenants] == ([1, 0] if enable else [0])
    assert bench.written.taken == [1 - enable, 0]
    if enable:
        assert (tenants[0].pasid, tenants[0].privileged, tenants[0].execute) == (0xABCDE, 0, 0)


def test_pages_stream_without_gaps():
    bench = Bench(10, settings={"max_payload_bytes": 256}, read_slot_bytes=512)

    async def main(ctx):
        for page in range(4):
            await bench.write(ctx, 0x10_0000 + 4096 * page, bytes(4096))
        await bench.written.wait(ctx, 4)

    bench.run(main)
    beats = 4 * 4096 // 8
    times = bench.packets.times
    assert len(times) == beats
    assert times[-1] - times[0] == beats - 1


def test_flush_finishes_the_packet_on_offer_and_forgets_the_rest():
    for wait in range(2, 60, 9):
        bench = Bench(11, settings={"max_payload_bytes": 128})
        bench.packets.pause = 0.5

        async def main(ctx, bench=bench, wait=wait):
            beats = command_beats(0x1004, b"\x11" * 500, 64)
            for beat in beats[:wait]:
                await offer(ctx, bench.dut.i_write, beat)
            ctx.set(bench.dut.flush, 1)
            await ctx.tick()
            ctx.set(bench.dut.flush, 0)
            for beat in beats[wait:]:
                await offer(ctx, bench.dut.i_write, beat)
            for k in range(3):
                await bench.write(ctx, 0x8004 + 0x1000 * k, b"\x22" * 300)
            await bench.written.wait(ctx, 3)

        bench.run(main)
        assert bench.written.taken == [0] * 3
        got = bench.bytes_of(bench.packets.taken)
        new = [(a, b) for a, b in got if a >= 0x8000]
        old = [(a, b) for a, b in got if a < 0x8000]
        assert new == [(0x8004 + 0x1000 * k + j, 0x22) for k in range(3) for j in range(300)]
        assert old == [(0x1004 + j, 0x11) for j in range(len(old))]
        assert len(old) <= 8 * wait
