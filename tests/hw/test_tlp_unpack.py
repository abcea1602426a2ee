"""TLPs become records; what is wrong with them is noticed, and the next one is taken."""

import random

import pytest

from hw.tlp.decode import Verdict
from hw.tlp.records import Kind
from hw.tlp.unpack import Unpack

from .streams import Sink, offer, payload_words, simulate, wire_beats
from .test_tlp_pack import big


class Bench:
    """Send TLPs, and keep what comes out with the discarded packets taken away."""

    def __init__(self, tlps, data_width=64, pause_in=0.0, pause_out=0.0, beats=None):
        self.dut = dut = Unpack(data_width)
        self.width = data_width
        self.requests, self.completions = [], []
        rng = random.Random(5)
        self.rejected = Sink(dut.o_rejected, random.Random(6), pause_out)
        sinks = [
            Sink(dut.o_request, random.Random(7), pause_out),
            Sink(dut.o_completion, random.Random(8), pause_out),
        ]
        stream = beats or [beat for tlp in tlps for beat in wire_beats(tlp, data_width)]

        async def feed(ctx):
            ctx.set(dut.max_payload_bytes, 512)
            for beat in stream:
                await offer(ctx, dut.i, beat, rng, pause_in)
            for _ in range(200):
                await ctx.tick()

        def watch(port, into):
            async def run(ctx):
                current = []
                while True:
                    _, _, valid, ready, payload, discard = await ctx.tick().sample(
                        port.valid, port.ready, port.payload, dut.discard
                    )
                    if valid and ready:
                        current.append(payload)
                        if payload.last:
                            if not discard:
                                into.append(current)
                            current = []

            return type("Watch", (), {"run": staticmethod(run)})

        watches = [watch(dut.o_request, self.requests), watch(dut.o_completion, self.completions)]
        simulate(dut, feed, sinks=[*sinks, self.rejected, *watches])

    def verdicts(self):
        return [Verdict(item.verdict) for item in self.rejected.taken]


def memory_write(length, *, four=False, prefix=False, digest=False, seed=0):
    rng = random.Random(seed)
    words = [rng.randrange(1 << 32) for _ in range(length)]
    first = 0x4000_0000 | four << 29 | digest << 15 | length & 0x3FF
    dws = [0x918A_BCDE] * prefix + [first, 0x1234_0000 | (0xFF if length > 1 else 0x0F)]
    dws += [0x0000_0012] * four + [0x8765_4000]
    return dws + big(words) + [0xDEAD_BEEF] * digest, words


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize(("pause_in", "pause_out"), [(0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4)])
def test_payload_is_aligned_after_every_header_length(data_width, pause_in, pause_out):
    shapes = [
        (length, four, prefix, digest)
        for length in range(1, 21)
        for four in (False, True)
        for prefix in (False, True)
        for digest in (False, True)
    ]
    sent = [
        memory_write(n, four=four, prefix=prefix, digest=digest, seed=k)
        for k, (n, four, prefix, digest) in enumerate(shapes)
    ]
    bench = Bench([tlp for tlp, _ in sent], data_width, pause_in, pause_out)
    assert bench.verdicts() == []
    assert len(bench.requests) == len(sent)
    for beats, (_, words), (length, four, prefix, _) in zip(
        bench.requests, sent, shapes, strict=True
    ):
        header = beats[0].header
        assert Kind(header.kind) == Kind.MEMORY_WRITE
        assert header.length_dw == length
        assert header.address == (0x12 << 32 if four else 0) | 0x8765_4000
        assert header.tenant.valid == prefix
        assert payload_words(beats, length, data_width) == words


def test_packets_without_payload_are_one_beat():
    tlps = [
        [0x0000_0010, 0x1234_01FF, 0x1000],
        [0x0000_8010, 0x1234_02FF, 0x1000, 0xDEAD_BEEF],
        [0x2000_0010, 0x1234_03FF, 0x1, 0x1000],
        [0x2000_8010, 0x1234_04FF, 0x1, 0x1000, 0xDEAD_BEEF],
        [0x9100_0001, 0x2000_8010, 0x1234_05FF, 0x1, 0x1000, 0xDEAD_BEEF],
        [0x9100_0001, 0x0000_0010, 0x1234_06FF, 0x1000],
    ]
    for data_width in (64, 128, 256):
        bench = Bench(tlps, data_width)
        assert bench.verdicts() == []
        assert [beats[0].header.tag for beats in bench.requests] == [1, 2, 3, 4, 5, 6]
        assert all(len(beats) == 1 for beats in bench.requests)


GOOD = [0x4000_0001, 0x1234_000F, 0x1000, 0x0102_0304]
READ = [0x0000_0001, 0x1234_000F, 0x1000]

MALFORMED = {
    "one DW": [0x4000_0001],
    "two DWs": [0x4000_0001, 0x1234_000F],
    "four DW header of three": [0x2000_0001, 0x1234_000F, 0x1000],
    "no payload": [0x4000_0001, 0x1234_000F, 0x1000],
    "payload too short": [0x4000_0004, 0x1234_00FF, 0x1000, 1, 2, 3],
    "payload too short by a beat": [0x4000_0008, 0x1234_00FF, 0x1000, 1, 2, 3],
    "payload too long": [0x4000_0001, 0x1234_000F, 0x1000, 1, 2],
    "payload too long by beats": [0x4000_0001, 0x1234_000F, 0x1000, *range(9)],
    "read with payload": [0x0000_0001, 0x1234_000F, 0x1000, 1],
    "digest missing": [0x4000_8001, 0x1234_000F, 0x1000, 1],
    "digest unannounced": [0x4000_0002, 0x1234_00FF, 0x1000, 1, 2, 3],
    "payload beyond the maximum": [0x4000_0081, 0x1234_00FF, 0x1000, *range(129)],
    "payload of 1024 DWs": [0x4000_0000, 0x1234_00FF, 0x1000, *range(1024)],
    "reserved format": [0xA000_0001, 0x1234_000F, 0x1000],
    "reserved type": [0x1F00_0001, 0x1234_000F, 0x1000],
    "deprecated type": [0x1B00_0001, 0x1234_000F, 0x1000],
    "message with three DWs": [0x1000_0000, 0x1234_0000, 0],
    "local prefix": [0x8000_0000, *GOOD],
    "vendor's local prefix": [0x8E00_0000, *GOOD],
    "two prefixes": [0x9100_0001, 0x9100_0001, *GOOD],
    "prefix alone": [0x9100_0001],
    "last byte enables of one DW": [0x4000_0001, 0x1234_001F, 0x1000, 1],
    "last byte enables missing": [0x4000_0002, 0x1234_000F, 0x1000, 1, 2],
    "first byte enables missing": [0x0000_0002, 0x1234_00F0, 0x1000],
    "crosses 4 KiB": [0x0000_0002, 0x1234_00FF, 0x1FFC],
    "write crosses 4 KiB": [0x4000_0002, 0x1234_00FF, 0x1FFC, 1, 2],
    "configuration of two DWs": [0x0400_0002, 0x1234_000F, 0x0100_0000],
    "configuration with last byte enables": [0x4400_0001, 0x1234_001F, 0x0100_0000, 1],
    "configuration in another class": [0x0410_0001, 0x1234_000F, 0x0100_0000],
    "configuration with attributes": [0x0400_1001, 0x1234_000F, 0x0100_0000],
    "I/O of two DWs": [0x0200_0002, 0x1234_000F, 0x1000],
    "power message in another class": [0x3410_0000, 0x0000_0019, 0, 0],
    "completion too long": [0x4A00_0001, 0x0000_0004, 0x0100_0000, 1, 2],
    "completion too short": [0x4A00_0002, 0x0000_0008, 0x0100_0000, 1],
}


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_tlp_is_reported_once_and_leaves_no_trace(name, data_width):
    tlp = MALFORMED[name]
    bench = Bench([tlp, GOOD, tlp, tlp, READ], data_width)
    assert bench.verdicts() == [Verdict.MALFORMED] * 3
    assert bench.completions == []
    good, read = bench.requests
    assert payload_words(good, 1, data_width) == [0x0403_0201]
    assert Kind(read[0].header.kind) == Kind.MEMORY_READ


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_tlp_that_never_ends_is_cut_by_the_next(data_width):
    for length in (3, 4, 8, 20, 200):
        dws = [0x4000_0010, 0x1234_00FF, 0x1000, *range(length)]
        endless = wire_beats(dws, data_width)
        for beat in endless:
            beat["last"] = False
            beat["count"] = data_width // 32
        bench = Bench([], data_width, beats=endless + wire_beats(GOOD, data_width))
        assert bench.verdicts() == [Verdict.MALFORMED]
        assert len(bench.requests) == 1


def test_stray_beats_are_dropped():
    stray = [{"data": 0x4000_0001, "count": 2, "first": 0, "last": k % 2} for k in range(5)]
    bench = Bench([], beats=stray + wire_beats(GOOD, 64) + stray + wire_beats(READ, 64))
    assert bench.verdicts() == []
    assert len(bench.requests) == 2


def test_foreign_prefix_is_unsupported():
    posted = [0x9E00_0000, *GOOD]
    bench = Bench([posted, [0x9000_0000, *READ], [0x9E00_0000, 0x0A00_0000, 4, 0x0100_0000]])
    assert bench.verdicts() == [Verdict.UNSUPPORTED, Verdict.UNEXPECTED_COMPLETION]
    assert bench.rejected.taken[0].raw.prefix == 0x9E00_0000
    (read,) = bench.requests
    assert (Kind(read[0].header.kind), read[0].header.foreign) == (Kind.MEMORY_READ, 1)
    assert read[0].header.fmt_type == 0x00


UNSUPPORTED = [
    *([0x0100_0001, 0x1234_000F, 0x1000], [0x2100_0001, 0x1234_000F, 1, 0x1000]),
    *([0x0200_0001, 0x1234_000F, 0x1000], [0x4200_0001, 0x1234_000F, 0x1000, 1]),
    *([0x0500_0001, 0x1234_000F, 0x1000], [0x4500_0001, 0x1234_000F, 0x1000, 1]),
    *([first, 0x1234_00FF, 0x1000, 1] for first in (0x4C00_0001, 0x4D00_0001)),
    *([0x6E00_0002, 0x1234_00FF, 1, 0x1000, 1, 2],),
]


@pytest.mark.parametrize("tlp", UNSUPPORTED, ids=lambda tlp: f"{tlp[0]:#010x}")
def test_request_of_a_type_without_use_goes_on_to_be_answered(tlp):
    bench = Bench([tlp])
    assert bench.verdicts() == []
    (beats,) = bench.requests
    assert Kind(beats[0].header.kind) == Kind.UNSUPPORTED
    assert beats[0].header.fmt_type == tlp[0] >> 24


def test_fields_of_a_request_are_taken_from_their_bits():
    tlp = [0x9180_0000 | 0xFEDCB, 0x7BD4_7810, 0xABCD_55E7, 0x8000_0001, 0x2000_0A04, *range(16)]
    (beats,) = Bench([tlp]).requests
    header = beats[0].header
    assert Kind(header.kind) == Kind.DEFERRABLE_WRITE
    assert header.address == 0x8000_0001_2000_0A04
    assert (header.length_dw, header.first_be, header.last_be) == (16, 0x7, 0xE)
    assert (header.requester, header.tag, header.tc) == (0xABCD, 0x255, 5)
    assert (header.attr, header.at, header.poisoned) == (0b111, 0b10, 1)
    assert (header.tenant.valid, header.tenant.pasid) == (1, 0xFEDCB)
    assert (header.tenant.privileged, header.tenant.execute) == (1, 0)


def test_steering_tag_is_not_taken_for_byte_enables():
    one = [0x0001_0001, 0x1234_0035, 0x1000]
    more = [0x0001_0004, 0x1234_0000, 0x1000]
    first, second = Bench([one, more]).requests
    assert (first[0].header.first_be, first[0].header.last_be) == (0xF, 0)
    assert (second[0].header.first_be, second[0].header.last_be) == (0xF, 0xF)


def test_fields_of_a_completion_are_taken_from_their_bits():
    tlp = [0x4A88_6002, 0x0100_2000, 0x0203_AA7F, 0x0102_0304, 0x0506_0708]
    reserved = [0x0A00_0000, 0x0100_6004, 0x0203_0000]
    first, second = Bench([tlp, reserved]).completions
    header = first[0].header
    assert (header.length_dw, header.byte_count, header.lower_address) == (2, 4096, 0x7F)
    assert (header.completer, header.requester, header.tag) == (0x0100, 0x0203, 0x3AA)
    assert (header.attr, header.poisoned, header.status.value) == (0b10, 1, 1)
    assert payload_words(first, 2, 64) == [0x0403_0201, 0x0807_0605]
    assert (second[0].header.status.value, second[0].header.length_dw) == (1, 0)


@pytest.mark.parametrize("data_width", [64, 128])
def test_wire_beats_are_taken_without_gaps(data_width):
    tlps = [memory_write(16, four=True)[0] for _ in range(20)]
    dut = Unpack(data_width)
    sink = Sink(dut.o_request)

    async def feed(ctx):
        ctx.set(dut.max_payload_bytes, 512)
        ctx.set(dut.i.valid, 1)
        for tlp in tlps:
            for beat in wire_beats(tlp, data_width):
                ctx.set(dut.i.payload, beat)
                _, _, ready = await ctx.tick().sample(dut.i.ready)
                assert ready
        ctx.set(dut.i.valid, 0)
        await sink.wait(ctx, 20)

    simulate(dut, feed, sinks=[sink])
