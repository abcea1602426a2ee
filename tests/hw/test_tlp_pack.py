"""Records become TLPs with the right header, at every length, width and pause."""

import random

import pytest

from hw.tlp.pack import Pack
from hw.tlp.records import Kind, Status

from .streams import Sink, offer, payload_beats, simulate, wire_dws

TENANT = {"valid": 0, "pasid": 0, "privileged": 0, "execute": 0}


def request(kind: Kind, address: int, length_dw: int, **fields) -> dict:
    return {
        "kind": kind,
        "fmt_type": 0,
        "address": address,
        "length_dw": length_dw,
        "first_be": 0xF,
        "last_be": 0xF if length_dw > 1 else 0,
        "requester": 0x1234,
        "tag": 0,
        "tc": 0,
        "attr": 0,
        "at": 0,
        "poisoned": 0,
        "tenant": TENANT,
        "foreign": 0,
        "prefix_rest": 0b0001_00,
        **fields,
    }


def completion(length_dw: int, **fields) -> dict:
    return {
        "status": Status.SUCCESS,
        "length_dw": length_dw,
        "byte_count": 4 * length_dw,
        "lower_address": 0,
        "completer": 0x0100,
        "requester": 0x0008,
        "tag": 0,
        "tc": 0,
        "attr": 0,
        "poisoned": 0,
        **fields,
    }


def big(words: list[int]) -> list[int]:
    """Payload DWs as they stand on the wire, read big-endian."""
    return [int.from_bytes(word.to_bytes(4, "little"), "big") for word in words]


def run(packets, data_width=64, pause_in=0.0, pause_out=0.0):
    dut = Pack(data_width)
    rng = random.Random(1)
    sink = Sink(dut.o, random.Random(2), pause_out)

    async def feed(ctx):
        for port, header, words in packets:
            ctx.set(dut.is_completion, port == "i_completion")
            for beat in payload_beats(header, words, data_width):
                await offer(ctx, getattr(dut, port), beat, rng, pause_in)
        await sink.wait(ctx, len(packets))

    simulate(dut, feed, sinks=[sink])
    return [wire_dws(beats) for beats in sink.taken], sink


TENANT_1 = {"valid": 1, "pasid": 0xABCDE, "privileged": 1, "execute": 0}
TENANT_2 = {"valid": 1, "pasid": 0x12345, "privileged": 0, "execute": 1}

HEADERS = [
    pytest.param(
        "i_request",
        request(Kind.MEMORY_READ, 0xFEE0_1000, 5, tag=0x155, last_be=0x7),
        [0x0008_0005, 0x1234_557F, 0xFEE0_1000],
        id="read-32",
    ),
    pytest.param(
        "i_request",
        request(Kind.MEMORY_READ, 0x1_0000_0004, 1024, tag=0x2AA, tc=5, attr=0b101),
        [0x20D4_1000, 0x1234_AAFF, 0x1, 0x4],
        id="read-64",
    ),
    pytest.param(
        "i_request",
        request(Kind.MEMORY_WRITE, 0xFFFF_FFFC, 1, first_be=0x3, poisoned=1),
        [0x4000_4001, 0x1234_0003, 0xFFFF_FFFC],
        id="write-32",
    ),
    pytest.param(
        "i_request",
        request(Kind.MEMORY_WRITE, 1 << 63, 2, tenant=TENANT_1),
        [0x918A_BCDE, 0x6000_0002, 0x1234_00FF, 0x8000_0000, 0x0],
        id="write-64-pasid",
    ),
    pytest.param(
        "i_request",
        request(Kind.DEFERRABLE_WRITE, 0x1000, 16, tenant=TENANT_2),
        [0x9141_2345, 0x5B00_0010, 0x1234_00FF, 0x1000],
        id="deferrable-32-pasid",
    ),
    pytest.param(
        "i_request",
        request(Kind.MESSAGE, 0, 0, first_be=0x1, last_be=0x3),
        [0x3000_0000, 0x1234_0031, 0, 0],
        id="message",
    ),
    pytest.param(
        "i_request",
        request(Kind.MESSAGE, 0, 0, first_be=0xB, last_be=0x1),
        [0x3500_0000, 0x1234_001B, 0, 0],
        id="message-gathered",
    ),
    pytest.param(
        "i_completion",
        completion(3, byte_count=4096, lower_address=0x7C, tag=0x3FF, tc=2, attr=0b010, poisoned=1),
        [0x4AA8_6003, 0x0100_0000, 0x0008_FF7C],
        id="completion-data",
    ),
    pytest.param(
        "i_completion",
        completion(0, status=Status.REQUEST_RETRY, byte_count=4),
        [0x0A00_0000, 0x0100_4004, 0x0008_0000],
        id="completion-retry",
    ),
]


@pytest.mark.parametrize(("port", "header", "dws"), HEADERS)
def test_header_is_encoded_as_the_specification_draws_it(port, header, dws):
    with_data = dws[0] >> 30 & 1 if dws[0] >> 29 != 4 else dws[1] >> 30 & 1
    words = [0x0403_0201 + k for k in range(header["length_dw"])] if with_data else []
    (tlp,), _ = run([(port, header, words)])
    assert tlp == dws + big(words)


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize(("pause_in", "pause_out"), [(0, 0), (0.4, 0), (0, 0.4), (0.4, 0.4)])
def test_payload_follows_every_header_length_at_every_length(data_width, pause_in, pause_out):
    rng = random.Random(3)
    packets, expected = [], []
    for length in range(21):
        for address, tenant in [(0x1000, TENANT), (1 << 40, TENANT), (1 << 40, TENANT_1)]:
            words = [rng.randrange(1 << 32) for _ in range(length)]
            kind = Kind.MEMORY_WRITE if length else Kind.MEMORY_READ
            header = request(kind, address, length or 7, tenant=tenant)
            packets.append(("i_request", header, words))
            first = (0x6000_0000 if length else 0x2000_0000) | (length or 7)
            bes = 0xFF if (length or 7) > 1 else 0x0F
            dws = [first, 0x1234_0000 | bes, address >> 32, address & 0xFFFF_FFFF]
            if address < 1 << 32:
                dws = [first & ~0x2000_0000, dws[1], dws[3]]
            if tenant["valid"]:
                dws = [0x918A_BCDE, *dws]
            expected.append(dws + big(words))
        words = [rng.randrange(1 << 32) for _ in range(length)]
        packets.append(("i_completion", completion(length, byte_count=4), words))
        first = 0x4A00_0000 | length if length else 0x0A00_0000
        expected.append([first, 0x0100_0004, 0x0008_0000, *big(words)])
    got, _ = run(packets, data_width, pause_in, pause_out)
    assert got == expected


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_wire_has_no_gaps_between_packets(data_width):
    rng = random.Random(4)
    packets = [
        ("i_request", request(Kind.MEMORY_WRITE, 0x1000, n), [0] * n)
        for n in (rng.choice([1, 2, 3, 4, 16, 17]) for _ in range(60))
    ]
    _, sink = run(packets, data_width)
    assert sink.times == list(range(sink.times[0], sink.times[0] + len(sink.times)))


def test_first_wire_beat_is_valid_two_clocks_after_the_first_input_beat():
    dut = Pack(64)

    async def bench(ctx):
        await ctx.tick()
        header = request(Kind.MEMORY_WRITE, 0xFEE0_0000, 1)
        ctx.set(dut.i_request.payload, payload_beats(header, [1], 64)[0])
        ctx.set(dut.i_request.valid, 1)
        await ctx.tick()
        assert not ctx.get(dut.o.valid)
        ctx.set(dut.i_request.valid, 0)
        await ctx.tick()
        assert ctx.get(dut.o.valid)

    simulate(dut, bench)
