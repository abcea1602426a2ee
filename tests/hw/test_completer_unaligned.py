"""64 bytes at any address touch 17 DW: they are served, and nothing longer is."""

import random

import pytest

from hw.pcie.records import ErrorKind
from hw.regs import Config
from hw.tlp.records import Kind, Status

from .completer_bench import BAR0, BAR2, Bench, kinds, read, statuses, write
from .streams import payload_words

STARTS = [0x100, 0x104]
SKEWS = [(0b1110, 0b0001), (0b1100, 0b0011), (0b1000, 0b0111), (0b1000, 0b0001)]
"""Byte enables at both ends of 17 DW that leave 64 bytes, or fewer."""
TOO_LONG = [(0b1111, 0b0001), (0b1110, 0b0011), (0b1000, 0b1111), (0b1111, 0b1111)]


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("start", STARTS)
def test_unaligned_64_bytes_are_read_at_once(data_width, start):
    bench = Bench(Config(data_width=data_width))

    async def check(ctx):
        for first, last in SKEWS:
            beats = await bench.ask(ctx, read(BAR0 + start, 17, first, last))
            low = 4 - first.bit_count()
            expected = [
                int.from_bytes(bench.memory[start + 4 * k :][:4], "little") for k in range(17)
            ]
            assert payload_words(beats, 17, data_width) == expected
            header = beats[0].header
            assert header.length_dw == 17
            assert header.byte_count == 60 + first.bit_count() + last.bit_count()
            assert header.lower_address == (start + low) & 0x7F

    bench.run(check)
    assert statuses(bench) == [Status.SUCCESS] * len(SKEWS)
    assert bench.errors.taken == []


@pytest.mark.parametrize("data_width", [64, 128, 256])
@pytest.mark.parametrize("start", STARTS)
def test_unaligned_64_bytes_are_written_at_once(data_width, start):
    bench = Bench(Config(data_width=data_width), pause=0.2)
    rng = random.Random(start)
    expected = bytearray(bench.memory)

    async def check(ctx):
        for first, last in SKEWS:
            data = rng.randbytes(68)
            words = [int.from_bytes(data[k : k + 4], "little") for k in range(0, 68, 4)]
            low, high = 4 - first.bit_count(), 64 + last.bit_count()
            expected[start + low : start + high] = data[low:high]
            header = write(BAR0 + start, 17, first_be=first) | {"last_be": last}
            await bench.post(ctx, header, words)
        await bench.settle(ctx, 200)

    bench.run(check)
    assert bench.memory == expected
    assert bench.errors.taken == []


def test_more_than_64_bytes_are_refused():
    bench = Bench()

    async def check(ctx):
        for first, last in TOO_LONG:
            for bar in (BAR0, BAR2):
                await bench.ask(ctx, read(bar, 17, first, last))
            header = write(BAR0, 17, first_be=first) | {"last_be": last}
            await bench.post(ctx, header, [1] * 17)
        await bench.settle(ctx)

    bench.run(check)
    assert bench.accesses == []
    assert statuses(bench) == [Status.COMPLETER_ABORT] * 2 * len(TOO_LONG)
    assert {kind for kind, _ in kinds(bench)} == {ErrorKind.COMPLETER_ABORT}
    assert len(kinds(bench)) == 3 * len(TOO_LONG)


def test_portal_reads_as_ones_at_any_address_and_takes_no_unaligned_write():
    bench = Bench()

    async def check(ctx):
        beats = await bench.ask(ctx, read(BAR2, 17, 0b1110, 0b0001))
        assert payload_words(beats, 17, 64) == [0xFFFF_FFFF] * 17
        header = write(BAR2, 17, first_be=0b1110) | {"last_be": 0b0001}
        await bench.post(ctx, header, [1] * 17)
        deferrable = write(BAR2, 17, Kind.DEFERRABLE_WRITE, first_be=0b1110) | {"last_be": 1}
        await bench.ask(ctx, deferrable, [1] * 17)
        await bench.settle(ctx)

    bench.run(check)
    assert bench.submissions.taken == []
    assert statuses(bench) == [Status.SUCCESS, Status.COMPLETER_ABORT]


QUEUES = 8


@pytest.mark.parametrize("base", [0x8012_0000, 0x20_400E_0000, 0x8006_0000])
def test_portals_reach_their_queue_wherever_bar2_is(base):
    """A BAR is aligned to its own size only, which is less than the 1 MiB around it."""
    bench = Bench(Config(queues=QUEUES))
    bench.bar2 = base

    async def check(ctx):
        for queue in range(QUEUES):
            for portal in range(4):
                address = base + (4 * queue + portal) * 4096
                await bench.ask(ctx, write(address, 16, Kind.DEFERRABLE_WRITE), range(16))
        await bench.settle(ctx)

    bench.run(check)
    reached = [beats[0].header for beats in bench.submissions.taken]
    assert [(header.queue, header.portal) for header in reached] == [
        (queue, portal) for queue in range(QUEUES) for portal in range(4)
    ]
