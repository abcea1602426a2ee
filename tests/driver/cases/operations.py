"""Every operation at odd sizes and alignments, each byte and each result checked."""

from driver import (
    Compare,
    Comparison,
    CopyCrc,
    Crc,
    CreateDelta,
    Delta,
    Dualcast,
    Transport,
)
from hw.regs.descriptor import Status

from .registry import EMPTY, alone, case, finish, pattern

SIZES = (1, 3, 8, 13, 64, 255, 513, 1500)
GUARD = 64


def crc32c(data: bytes, seed: int = 0) -> int:
    """CRC-32C bit by bit, as iSCSI has it; ``seed`` is the CRC of what comes before."""
    value = ~seed & 0xFFFF_FFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F6_3B78 if value & 1 else 0)
    return ~value & 0xFFFF_FFFF


@case
async def fills_of_every_size_and_alignment_are_exact(transport: Transport) -> None:
    device, adi = await alone(transport)
    word = bytes.fromhex("f1e2d3c4b5a69788")
    buffer = adi.allocate(2048)
    for number, size in enumerate(SIZES):
        into = GUARD + (number * 5 + size) % 9
        buffer.write(EMPTY * 2048)
        await adi.fill(buffer.address + into, size, int.from_bytes(word, "little"))
        expected = EMPTY * into + (word * (size // 8 + 1))[:size]
        assert buffer.read() == expected + EMPTY * (2048 - len(expected)), (size, into)
    await finish(device, adi)


@case
async def comparisons_find_the_first_byte_that_differs(transport: Transport) -> None:
    device, adi = await alone(transport)
    first, second = adi.allocate(2048), adi.allocate(2048)
    for number, size in enumerate(SIZES):
        left, right = number % 8, (3 * number + 1) % 8
        data = pattern(size, number)
        first.write(b"\x55" * 2048)
        second.write(b"\xaa" * 2048)
        first.write(data, left)
        second.write(data, right)
        places = first.address + left, second.address + right
        assert await adi.compare(*places, size) == Comparison(True), (size, left, right)
        for at in {0, size // 3, size - 1}:
            second.write(bytes([data[at] ^ 1 << number % 8]), right + at)
            assert await adi.compare(*places, size) == Comparison(False, at), (size, at)
            second.write(data[at : at + 1], right + at)
    await finish(device, adi)


@case
async def comparisons_with_a_pattern_are_exact(transport: Transport) -> None:
    device, adi = await alone(transport)
    word = bytes.fromhex("0123456789abcdef")
    number = int.from_bytes(word, "little")
    buffer = adi.allocate(2048)
    for skew, size in enumerate(SIZES):
        data = (word * 256)[:size]
        buffer.write(EMPTY * 2048)
        buffer.write(data, skew)
        place = buffer.address + skew
        assert await adi.compare_pattern(place, size, number) == Comparison(True), size
        for at in {0, size // 2, size - 1}:
            buffer.write(bytes([data[at] ^ 0x80]), skew + at)
            found = await adi.compare_pattern(place, size, number)
            assert found == Comparison(False, at), (size, at)
            buffer.write(data[at : at + 1], skew + at)
    await finish(device, adi)


@case
async def expectation_that_is_not_met_is_told_by_the_status(transport: Transport) -> None:
    device, adi = await alone(transport)
    first, second = adi.allocate(64), adi.allocate(64)
    second.write(b"\1", 9)
    met, missed = Status.SUCCESS, Status.SUCCESS_PREDICATE
    for size, expected, status in (
        (9, True, met), (9, False, missed), (10, True, missed), (10, False, met), (10, None, met),
    ):  # fmt: skip
        compare = Compare(first.address, second.address, size, expected)
        completion = await (await adi.submit(compare)).wait()
        assert completion.status == status, (size, expected)
        assert compare.result(completion).equal == (size == 9)
    record = adi.allocate(80)
    for size, expect, status in (
        (8, (Delta.EQUAL,), met), (8, (Delta.COMPLETE,), missed), (16, (Delta.EQUAL,), missed),
        (16, (Delta.COMPLETE, Delta.EXCEEDED), met), (16, (), missed),
    ):  # fmt: skip
        delta = CreateDelta(first.address, second.address, size, record.address, 80, expect)
        completion = await (await adi.submit(delta)).wait()
        assert completion.status == status, (size, expect)
    await finish(device, adi)


@case
async def dualcasts_of_every_size_and_alignment_are_exact(transport: Transport) -> None:
    device, adi = await alone(transport)
    source = adi.allocate(2048)
    one, two = adi.allocate(4096, align=4096), adi.allocate(4096, align=4096)
    source.write(pattern(2048, 3))
    for number, size in enumerate(SIZES):
        out, into = number % 8, GUARD + 3 * number % 8
        for buffer in (one, two):
            buffer.write(EMPTY * 4096)
        await adi.dualcast(source.address + out, one.address + into, two.address + into, size)
        expected = EMPTY * into + pattern(2048, 3)[out : out + size]
        for buffer in (one, two):
            assert buffer.read() == expected + EMPTY * (4096 - len(expected)), (size, out, into)
    await finish(device, adi)


@case
async def crcs_of_every_size_and_alignment_are_exact(transport: Transport) -> None:
    device, adi = await alone(transport)
    source, seed = adi.allocate(2048), adi.allocate(64)
    source.write(pattern(2048, 9))
    source.write(b"123456789", 1601)
    assert await adi.crc(source.address + 1601, 9) == 0xE306_9283, "the check value of CRC-32C"
    for byte, known in ((0x00, 0x8A91_36AA), (0xFF, 0x62A8_AB43)):
        source.write(bytes([byte]) * 32, 1601)
        assert await adi.crc(source.address + 1601, 32) == known, "RFC 7143, appendix A.4"
    for number, size in enumerate(SIZES):
        out = 3 * number % 8
        data = pattern(2048, 9)[out : out + size]
        expected = crc32c(data)
        assert await adi.crc(source.address + out, size) == expected, (size, out)
        cut = size // 2
        if cut:
            before = await adi.crc(source.address + out, cut)
            rest = source.address + out + cut
            assert await adi.crc(rest, size - cut, seed=before) == expected, (size, cut)
            seed.write(before.to_bytes(4, "little"), 4)
            resumed = Crc(rest, size - cut, seed_address=seed.address + 4)
            assert await adi.run(resumed) == expected, (size, cut)
    await finish(device, adi)


@case
async def copies_with_crc_are_exact(transport: Transport) -> None:
    device, adi = await alone(transport)
    source, destination = adi.allocate(2048), adi.allocate(2048)
    source.write(pattern(2048, 11))
    for number, size in enumerate(SIZES):
        out, into = 5 * number % 8, GUARD + number % 8
        destination.write(EMPTY * 2048)
        move = CopyCrc(source.address + out, destination.address + into, size, seed=number)
        data = pattern(2048, 11)[out : out + size]
        assert await adi.run(move) == crc32c(data, number), (size, out, into)
        expected = EMPTY * into + data
        assert destination.read() == expected + EMPTY * (2048 - len(expected)), (size, out, into)
    await finish(device, adi)


@case
async def flush_and_noop_find_nothing_to_say(transport: Transport) -> None:
    device, adi = await alone(transport)
    buffer = adi.allocate(256)
    buffer.write(pattern(256, 1))
    await adi.flush(buffer.address + 3, 77)
    await adi.noop()
    assert buffer.read() == pattern(256, 1)
    await finish(device, adi)


@case
async def operations_of_all_kinds_run_side_by_side(transport: Transport) -> None:
    """Submitted at once and waited for afterwards; none disturbs another."""
    device, adi = await alone(transport)
    source, other = adi.allocate(1024), adi.allocate(1024)
    one, two = adi.allocate(4096, align=4096), adi.allocate(4096, align=4096)
    source.write(pattern(1024, 1))
    other.write(pattern(1024, 1)[:1000] + b"\0" * 24)
    crc = await adi.submit(Crc(source.address + 1, 1000))
    compare = await adi.submit(Compare(source.address, other.address, 1024))
    dual = await adi.submit(Dualcast(source.address, one.address, two.address, 1024))
    again = await adi.submit(Crc(other.address + 1, 999))
    copied = await adi.submit(CopyCrc(source.address, one.address + 2048, 1024))
    await dual.wait()
    assert await crc.result() == crc32c(pattern(1024, 1)[1:1001])
    assert await compare.result() == Comparison(False, 1000)
    assert await again.result() == crc32c(pattern(1024, 1)[1:1000])
    assert await copied.result() == crc32c(pattern(1024, 1))
    assert one.read(0, 1024) == two.read(0, 1024) == one.read(2048, 1024) == source.read()
    await finish(device, adi)
