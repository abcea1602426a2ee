"""Every mistake that a descriptor can hold: its status, and that nothing was done."""

from dataclasses import dataclass, replace

import pytest

from driver import (
    Adi,
    ApplyDelta,
    Batch,
    CacheFlush,
    Compare,
    ComparePattern,
    CopyCrc,
    Crc,
    CreateDelta,
    Descriptor,
    DescriptorRefused,
    Drain,
    Dualcast,
    Fill,
    MemoryFailed,
    MemoryMove,
    Nop,
    OperationFailed,
    QueueSettings,
    Transport,
)
from driver.descriptors import NO_FLAGS, Silent
from hw.regs.descriptor import LAYOUTS, Flag, Opcode, Status

from .registry import EMPTY, alone, case, copy

SMALL = QueueSettings(size=8, max_transfer_log2=12, max_batch_log2=2)
ROOM = 8192
QUICK_CYCLES = 1500
DRAIN_FLAGS = Flag(1 << 18 | 1 << 19)
"""Suppress implicit readbacks (DSA table 8-15); this device makes none."""

NOWHERE = 0x6660_0000_0000


@dataclass(frozen=True)
class Flipped(Silent):
    """A descriptor with some of its 512 bits changed on the way to the device."""

    original: Descriptor
    flip: int
    flags: Flag = NO_FLAGS

    def __post_init__(self) -> None:
        object.__setattr__(self, "opcode", self.original.opcode)

    def encode(self, **common) -> bytes:
        word = int.from_bytes(self.original.encode(**common), "little") ^ self.flip
        return word.to_bytes(64, "little")


class Ground:
    """Memory for every operation, which no refused one may touch."""

    def __init__(self, adi: Adi) -> None:
        self.adi = adi
        self.buffer = adi.allocate(4 * ROOM, align=4096)
        self.one, self.two, self.three, self.four = (
            self.buffer.address + number * ROOM for number in range(4)
        )
        self.buffer.write(EMPTY * 4 * ROOM)

    def every(self) -> list[Descriptor]:
        """A sound descriptor of each operation."""
        one, two, three = self.one, self.two, self.three
        return [
            Nop(),
            Batch(self.one, 2),
            Drain(),
            MemoryMove(one, two, 64),
            Fill(1, two, 64),
            Compare(one, two, 64),
            ComparePattern(one, 1, 64),
            CreateDelta(one, two, 64, three, 80),
            ApplyDelta(one, two, 64, 10),
            Dualcast(one, two, three, 64),
            Crc(one, 64),
            CopyCrc(one, two, 64),
            CacheFlush(two, 64),
        ]

    async def refuses(self, descriptor: Descriptor, status: Status, *, flags: int = 0) -> None:
        """The device refuses it with this status and these invalid flags, and does nothing."""
        operation = await self.adi.submit(descriptor, check=False)
        with pytest.raises(DescriptorRefused) as caught:
            await operation.wait(QUICK_CYCLES)
        found = caught.value.completion
        assert found.status == status, (descriptor, found.name, status.name)
        assert found.invalid_flags == flags, (descriptor, hex(found.invalid_flags))
        assert found.bytes_completed == 0 and found.result == 0


async def _ground(transport: Transport) -> tuple:
    device, adi = await alone(transport, SMALL)
    return device, adi, Ground(adi)


async def _unharmed(device, adi: Adi, ground: Ground) -> None:
    assert ground.buffer.read() == EMPTY * 4 * ROOM, "a refused operation wrote"
    await copy(adi, 100, 1)
    await device.close()
    assert not device.errors


@case
async def reserved_bits_of_every_operation_have_to_be_zero(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    for descriptor in ground.every():
        free = ~LAYOUTS[descriptor.opcode].mask() & (1 << 512) - 1
        free &= ~((1 << 32) - 1)
        for bit in {free.bit_length() - 1, (free & -free).bit_length() - 1}:
            await ground.refuses(Flipped(descriptor, 1 << bit), Status.RESERVED_NOT_ZERO)
    shared = Flipped(Nop(), 1 << 25)
    await ground.refuses(shared, Status.RESERVED_NOT_ZERO)
    seeded = Crc(ground.one, 64, seed_address=ground.two)
    await ground.refuses(Flipped(seeded, 1 << 320), Status.RESERVED_NOT_ZERO)
    await ground.refuses(Flipped(Crc(ground.one, 64), 1 << 384), Status.RESERVED_NOT_ZERO)
    await _unharmed(device, adi, ground)


@case
async def flags_that_an_operation_does_not_have_are_named(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    common = Flag.FENCE | Flag.BLOCK_ON_FAULT | Flag.CACHE_CONTROL | Flag.DESTINATION_READBACK
    for descriptor in ground.every():
        wrong = common | Flag(1 << 19)
        if not hasattr(descriptor, "seed"):
            wrong |= Flag.READ_SEED | Flag.BYPASS_INVERSION | Flag.BYPASS_REFLECTION
        if "expected" not in {item.name for item in LAYOUTS[descriptor.opcode].fields}:
            wrong |= Flag.CHECK_RESULT
        if descriptor.opcode is Opcode.DRAIN:
            wrong &= ~DRAIN_FLAGS
        await ground.refuses(replace(descriptor, flags=wrong), Status.BAD_FLAGS, flags=wrong)
    await _unharmed(device, adi, ground)


@case
async def operation_with_a_result_has_to_ask_for_its_record(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    asked = int(Flag.REQUEST_COMPLETION)
    needing = {
        Opcode.COMPARE, Opcode.COMPARE_PATTERN, Opcode.CREATE_DELTA, Opcode.CRC, Opcode.COPY_CRC,
    }  # fmt: skip
    for descriptor in ground.every():
        if descriptor.opcode in needing:
            silent = Flipped(descriptor, asked << 32)
            await ground.refuses(silent, Status.BAD_FLAGS, flags=asked)
    await _unharmed(device, adi, ground)


@case
async def sizes_of_nothing_and_beyond_the_limit_are_refused(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    for descriptor in ground.every():
        if hasattr(descriptor, "size_bytes"):
            empty = Flipped(descriptor, descriptor.size_bytes << 256)
            await ground.refuses(empty, Status.BAD_TRANSFER_SIZE)
            large = replace(descriptor, size_bytes=4096 + 8)
            await ground.refuses(large, Status.BAD_TRANSFER_SIZE)
    for count, status in ((0, Status.BAD_DESCRIPTOR_COUNT), (5, Status.BAD_DESCRIPTOR_COUNT)):
        await ground.refuses(Batch(ground.one, count), status)
    await ground.refuses(Batch(ground.one + 32, 2), Status.LIST_ALIGNMENT)
    await _unharmed(device, adi, ground)


@case
async def operands_that_do_not_fit_together_are_refused(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    one, two, three, four = ground.one, ground.two, ground.three, ground.four
    value, align, overlap = Status.BAD_VALUE, Status.ADDRESS_ALIGNMENT, Status.OVERLAP
    for descriptor, status in (
        (CreateDelta(one, two, 64, three, 70), value),
        (CreateDelta(one, two, 64, three, 85), value),
        (CreateDelta(one, two, 64, three, 4100), value),
        (ApplyDelta(one, two, 64, 15), value),
        (ApplyDelta(one, two, 64, 4100), value),
        (CreateDelta(one + 4, two, 64, three, 80), align),
        (CreateDelta(one, two + 1, 64, three, 80), align),
        (CreateDelta(one, two, 60, three, 80), align),
        (ApplyDelta(one, two + 4, 64, 10), align),
        (ApplyDelta(one, two, 60, 10), align),
        (Crc(one, 64, seed_address=two + 2), align),
        (CopyCrc(one, two, 64, seed_address=three + 1), align),
        (Dualcast(one, two, three + 64, 64), Status.DUALCAST_ALIGNMENT),
        (MemoryMove(one, one + 63, 64), overlap),
        (MemoryMove(one + 63, one, 64), overlap),
        (CopyCrc(one, one, 64), overlap),
        (Dualcast(one, one + 4096, one + 4096, 64), overlap),
        (Dualcast(one + 10, one, two, 64), overlap),
        (Dualcast(two + 10, one, two, 64), overlap),
        (CreateDelta(one, two, 64, one + 56, 80), overlap),
        (CreateDelta(one, two, 64, two - 16, 80), overlap),
        (ApplyDelta(two - 5, two, 64, 10), overlap),
        (MemoryMove((1 << 64) - 8, 0, 64), overlap),
    ):
        await ground.refuses(descriptor, status)
    assert four
    await _unharmed(device, adi, ground)


@case
async def first_of_several_mistakes_is_reported(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    one = ground.one
    everything = Dualcast(one, one, one + 1, 64, Flag.FENCE)
    reserved, empty = 1 << 511, 64 << 256
    await ground.refuses(
        Flipped(everything, reserved | empty), Status.BAD_FLAGS, flags=int(Flag.FENCE)
    )
    everything = replace(everything, flags=NO_FLAGS)
    await ground.refuses(Flipped(everything, reserved | empty), Status.RESERVED_NOT_ZERO)
    await ground.refuses(Flipped(everything, empty), Status.BAD_TRANSFER_SIZE)
    await ground.refuses(everything, Status.DUALCAST_ALIGNMENT)
    await ground.refuses(replace(everything, destination_2=one), Status.OVERLAP)
    delta = CreateDelta(one + 1, one, 64, one, 85)
    await ground.refuses(delta, Status.BAD_VALUE)
    await ground.refuses(replace(delta, max_delta_bytes=80), Status.ADDRESS_ALIGNMENT)
    await ground.refuses(Batch(one + 1, 0), Status.BAD_DESCRIPTOR_COUNT)
    await _unharmed(device, adi, ground)


@case
async def memory_that_cannot_be_read_stops_every_operation(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    one, two, three = ground.one, ground.two, ground.three
    for descriptor in (
        MemoryMove(NOWHERE, two, 64),
        Compare(NOWHERE, two, 64),
        Compare(one, NOWHERE, 64),
        ComparePattern(NOWHERE, 1, 64),
        CreateDelta(NOWHERE, two, 64, three, 80),
        CreateDelta(one, NOWHERE, 64, three, 80),
        ApplyDelta(NOWHERE, two, 64, 10),
        Dualcast(NOWHERE, two, three, 64),
        Crc(NOWHERE, 64),
        Crc(one, 64, seed_address=NOWHERE),
        CopyCrc(NOWHERE, two, 64),
        Batch(NOWHERE, 2),
    ):
        with pytest.raises(MemoryFailed) as caught:
            await adi.run(descriptor)
        found = caught.value.completion
        assert found.status == Status.HARDWARE, (descriptor, found.name)
        assert found.bytes_completed == 0 and found.result == 0, descriptor
    await _unharmed(device, adi, ground)


@case
async def operation_that_the_device_lacks_is_refused(transport: Transport) -> None:
    device, adi, ground = await _ground(transport)
    for opcode in (0x0A, 0x12, 0x20 ^ 0x01, 0x7F, 0xFF):
        operation = await adi.submit(Flipped(Nop(), opcode << 56), check=False)
        with pytest.raises(OperationFailed) as caught:
            await operation.wait(QUICK_CYCLES)
        assert caught.value.status == Status.BAD_OPCODE, hex(opcode)
    await _unharmed(device, adi, ground)
