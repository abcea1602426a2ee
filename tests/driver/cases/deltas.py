"""Delta records: made, applied, too small, and damaged."""

import random

import pytest

from driver import ApplyDelta, Delta, DeltaCorrupt, DescriptorRefused, Transport
from hw.regs.descriptor import Status

from .registry import EMPTY, alone, case, finish, pattern


@case
async def delta_record_makes_the_original_equal_to_the_modified(transport: Transport) -> None:
    device, adi = await alone(transport)
    rng = random.Random(7)
    size = 1024
    original, modified = adi.allocate(size), adi.allocate(size)
    record = adi.allocate(1400)
    for changes, skew in ((0, 0), (1, 1), (7, 2), (40, 5), (128, 3)):
        data = pattern(size, changes)
        altered = bytearray(data)
        for word in rng.sample(range(size // 8), changes):
            altered[8 * word + rng.randrange(8)] ^= 1 << rng.randrange(8)
        original.write(data)
        modified.write(bytes(altered))
        record.write(EMPTY * 1400)
        place = record.address + skew
        found = await adi.delta(original, modified, size, place, 1280)
        assert found.complete and found.equal == (changes == 0)
        assert found.size_bytes == 10 * changes and found.compared_bytes == size
        raw = record.read(skew, found.size_bytes)
        words = [at // 8 for at in range(0, size, 8) if data[at : at + 8] != altered[at : at + 8]]
        expected = b"".join(
            word.to_bytes(2, "little") + altered[8 * word : 8 * word + 8] for word in words
        )
        assert raw == expected
        assert record.read(skew + found.size_bytes, 8) == EMPTY * 8
        if changes:
            await adi.apply(place, found.size_bytes, original, size)
        assert original.read() == bytes(altered), changes
    await finish(device, adi)


@case
async def delta_record_that_is_too_small_says_how_far_it_reaches(transport: Transport) -> None:
    device, adi = await alone(transport)
    size = 512
    original, modified = adi.allocate(size), adi.allocate(size)
    record = adi.allocate(256)
    record.write(EMPTY * 256)
    altered = bytearray(size)
    for word in range(10, 40):
        altered[8 * word] = 1
    modified.write(bytes(altered))
    found = await adi.delta(original, modified, size, record, 80)
    assert found.outcome is Delta.EXCEEDED and not found.complete
    assert found.size_bytes == 80 and found.compared_bytes == 8 * 18
    assert record.read(80) == EMPTY * 176
    await adi.apply(record, 80, original, size)
    assert original.read() == bytes(altered[: 8 * 18]).ljust(size, b"\0")
    await finish(device, adi)


@case
async def delta_record_that_is_none_is_reported(transport: Transport) -> None:
    """Offsets that fall or lie beyond the transfer; what stands before them is applied."""
    device, adi = await alone(transport)
    record, buffer = adi.allocate(128), adi.allocate(128)

    def entry(word: int) -> bytes:
        return word.to_bytes(2, "little") + bytes([word + 1 & 0xFF]) * 8

    for words, status, good in (
        ((1, 3, 3), Status.DELTA_ORDER, 2),
        ((2, 1), Status.DELTA_ORDER, 1),
        ((1, 8), Status.DELTA_OFFSET, 1),
        ((0xFFFF,), Status.DELTA_OFFSET, 0),
    ):
        buffer.write(bytes(128))
        record.write(b"".join(entry(word) for word in words))
        with pytest.raises(DeltaCorrupt) as caught:
            await adi.apply(record, 10 * len(words), buffer, 64)
        assert caught.value.status == status, words
        assert caught.value.completion.bytes_completed == 10 * good
        expected = bytearray(128)
        for word in words[:good]:
            expected[8 * word : 8 * word + 8] = bytes([word + 1]) * 8
        assert buffer.read() == bytes(expected), words
    empty = ApplyDelta(record.address, buffer.address, 64, 0)
    with pytest.raises(DescriptorRefused) as refused:
        await (await adi.submit(empty, check=False)).wait()
    assert refused.value.status == Status.BAD_VALUE
    await finish(device, adi)
