"""Frames are what RFC 1662 draws, and anything else is dropped without harm to the next."""

import random

import pytest

from hw.tether.framing import Deframer, Framer

from .streams import Sink, offer, simulate
from .tether_host import FLAG, escaped, frame

EVERY_BYTE = [int.from_bytes(bytes(range(k, k + 4)), "little") for k in range(0, 256, 4)]


def framed(frames: list[list[int]], pause: float = 0.0) -> bytes:
    """What the framer makes of DWs."""
    dut = Framer()
    sink = Sink(dut.o, random.Random(1), pause)
    total = sum(len(frame(dws)) for dws in frames)

    async def main(ctx):
        for dws in frames:
            for k, dw in enumerate(dws):
                beat = {"data": dw, "first": k == 0, "last": k == len(dws) - 1}
                await offer(ctx, dut.i, beat, random.Random(2), pause)
        await sink.wait(ctx, total)
        await ctx.tick().repeat(20)

    simulate(dut, main, sinks=[sink])
    return bytes(sink.taken)


def deframed(content) -> list[tuple[list[int], bool]]:
    """DWs and verdicts of what lies between flags; None is a break."""
    dut, words, ends = Deframer(), [], []

    class Ear:
        async def run(self, ctx):
            while True:
                _, _, word, data, end, good = await ctx.tick().sample(
                    dut.word, dut.data, dut.end, dut.good
                )
                if end:
                    ends.append((list(words), bool(good)))
                    words.clear()
                if word:
                    words.append(data)

    async def main(ctx):
        for byte in content:
            ctx.set(dut.valid, byte is not None)
            ctx.set(dut.broken, byte is None)
            ctx.set(dut.byte, byte or 0)
            await ctx.tick()
        ctx.set(dut.valid, 0)
        ctx.set(dut.broken, 0)
        await ctx.tick().repeat(3)

    simulate(dut, main, sinks=[Ear()])
    return ends


def good_frames(content) -> list[list[int]]:
    return [words[:-1] for words, good in deframed(content) if good]


@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_frames_have_flags_escapes_and_the_crc_of_zlib(pause):
    rng = random.Random(4)
    frames = [EVERY_BYTE, [0x7E7D7E7D] * 3, [0]]
    frames += [[rng.getrandbits(32) for _ in range(rng.randint(1, 20))] for _ in range(30)]
    assert framed(frames, pause) == b"".join(frame(dws) for dws in frames)


def test_frame_written_by_hand_is_made_and_taken():
    hand = bytes((0x7E, 0x7D, 0x5E, 0x01, 0x7D, 0x5D, 0x02))
    made = framed([[0x027D017E]])
    assert made[: len(hand)] == hand and made[-1] == FLAG
    assert good_frames(made) == [[0x027D017E]]


def test_every_byte_comes_through_and_frames_may_share_a_flag():
    first, second = frame(EVERY_BYTE), frame([1, 2])
    assert good_frames(first + second) == [EVERY_BYTE, [1, 2]]
    assert good_frames(first + second[1:]) == [EVERY_BYTE, [1, 2]]


@pytest.mark.parametrize(
    "bad",
    [
        frame([1, 2, 3], damage=1),
        frame([1, 2, 3], damage=1 << 31),
        frame([]),
        frame([1, 2, 3])[:-2] + b"\x7d\x7e",
        frame([1, 2, 3])[:9] + frame([1, 2, 3])[10:],
        frame([1, 2, 3])[:9] + b"\x00" + frame([1, 2, 3])[9:],
        [*frame([1, 2, 3])[:7], None, *frame([1, 2, 3])[7:]],
        b"\x00" * 5 + b"\x7e",
        [None, FLAG],
    ],
)
def test_what_is_no_frame_is_told_once_and_the_next_is_taken(bad):
    told = deframed([*bad, *frame([7, 8])])
    assert [good for _, good in told] == [False, True]
    assert told[-1][0][:-1] == [7, 8]


def test_garbage_of_any_length_is_dropped():
    rng = random.Random(6)
    garbage = rng.randbytes(3000)
    assert good_frames(garbage + bytes((FLAG,)) + frame([9])) == [[9]]


def test_flags_alone_are_nothing():
    assert deframed(bytes((FLAG,)) * 10) == []
    assert len(escaped(bytes(range(256)))) == 258
