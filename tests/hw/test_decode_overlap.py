"""Memory that a descriptor writes overlaps nothing else that it names (DSA §5.4, §8.3)."""

import random

import pytest

from hw.regs.descriptor import Opcode, Status

from .decode_bench import OPERANDS, descriptor, faults
from .decode_reference import Around

SIZE, ROOM = 200, 80
"""Bytes of a transfer and of a delta record."""

FAR = 1 << 60

APART = [
    (Opcode.MEMORY_MOVE, "source", SIZE, "destination", SIZE),
    (Opcode.COPY_CRC, "source", SIZE, "destination", SIZE),
    (Opcode.DUALCAST, "source", SIZE, "destination", SIZE),
    (Opcode.DUALCAST, "source", SIZE, "destination_2", SIZE),
    (Opcode.CREATE_DELTA, "source", SIZE, "delta_address", ROOM),
    (Opcode.CREATE_DELTA, "source_2", SIZE, "delta_address", ROOM),
    (Opcode.APPLY_DELTA, "delta_address", ROOM, "destination", SIZE),
]
"""Addresses that can come as close to each other as one likes, and the bytes behind them."""

TOGETHER = [
    (Opcode.COMPARE, "source", "source_2"),
    (Opcode.CREATE_DELTA, "source", "source_2"),
]
"""Addresses that may be the same."""

BASES = (0x10000, 0, 8, (1 << 64) - 8, (1 << 64) - SIZE, (1 << 64) - ROOM, 1 << 32, (1 << 63) - 64)


def names_of(opcode):
    """The addresses of an operation."""
    return [name for name in OPERANDS[opcode] if "source" in name or "destination" in name] + [
        name for name in OPERANDS[opcode] if name == "delta_address"
    ]


def place(opcode, **addresses):
    """A descriptor whose other addresses are far away."""
    fields = {"size_bytes": SIZE}
    fields |= {"max_delta_bytes": ROOM} if opcode == Opcode.CREATE_DELTA else {}
    fields |= {"delta_bytes": ROOM} if opcode == Opcode.APPLY_DELTA else {}
    for index, name in enumerate(names_of(opcode), 1):
        fields[name] = addresses[name] % (1 << 64) if name in addresses else index * FAR + 0x5000
    if opcode == Opcode.DUALCAST:
        low = fields["destination" if "destination" in addresses else "destination_2"] % 4096
        for name in {"destination", "destination_2"} - set(addresses):
            fields[name] = fields[name] & ~0xFFF | low
    return descriptor(opcode, **fields)


def check(cases):
    """Hold (descriptor, whether it overlaps) pairs against the gateware."""
    found = faults([(word, Around()) for word, _ in cases], data_width=256)
    for (word, near), (status, _) in zip(cases, found, strict=True):
        assert status == (Status.OVERLAP if near else Status.NONE), f"{word:0128x}"


@pytest.mark.parametrize(("opcode", "first", "first_bytes", "second", "second_bytes"), APART)
def test_overlap_is_found_up_to_the_last_byte(opcode, first, first_bytes, second, second_bytes):
    delta = opcode in (Opcode.CREATE_DELTA, Opcode.APPLY_DELTA)
    fixed, moving, cases = (first, second, []) if "delta" in second else (second, first, [])
    # The address that moves needs no alignment: the delta record's, or the source.
    before, after = (second_bytes, first_bytes) if moving == second else (first_bytes, second_bytes)
    for base in BASES:
        base = base & ~7 if delta else base + 3
        for distance in (0, 1, after - 1, -1, 1 - before):
            cases.append((place(opcode, **{fixed: base, moving: base + distance}), True))
        # The last ones are close to each other but for the upper half of the address.
        far = (1 << 32, -1 << 32, 1 << 63, (1 << 33) - 1, (1 << 63) - 1)
        for distance in (after, after + 1, -before, -before - 1, *far):
            cases.append((place(opcode, **{fixed: base, moving: base + distance}), False))
    check(cases)


def test_destinations_of_dualcast_do_not_overlap():
    cases = []
    for base in (0x10000, 5, (1 << 64) - 4096, (1 << 64) - 1):
        for distance in (0, 4096, 8192, -4096, -8192, 12288, 1 << 32):
            for size in (1, 4095, 4096, 4097, 8193):
                word = place(Opcode.DUALCAST, destination=base, destination_2=base + distance) & ~(
                    0xFFFFFFFF << 256
                )
                cases.append((word | size << 256, abs(distance) < size))
    check(cases)


@pytest.mark.parametrize(("opcode", "first", "second"), TOGETHER)
def test_sources_may_overlap(opcode, first, second):
    check([(place(opcode, **{first: base, second: base}), False) for base in (0, 0x10000)])


@pytest.mark.parametrize("opcode", [Opcode.FILL, Opcode.COMPARE_PATTERN, Opcode.CRC])
def test_what_is_no_address_overlaps_nothing(opcode):
    name = {Opcode.FILL: "destination"}.get(opcode, "source")
    number = {Opcode.CRC: "seed"}.get(opcode, "pattern")
    fields = {name: 0x4000, number: 0x4001}
    check([(descriptor(opcode, **fields), False)])


def test_seed_in_memory_may_lie_in_the_source_or_the_destination():
    cases = []
    for opcode in (Opcode.CRC, Opcode.COPY_CRC):
        for name in ("source", "destination"):
            if name in OPERANDS[opcode]:
                where = OPERANDS[opcode][name] & ~3
                word = descriptor(opcode, flags=1 << 2 | 1 << 3 | 1 << 16, seed_address=where)
                cases.append((word, False))
    check(cases)


@pytest.mark.parametrize("seed", [1, 2])
def test_large_runs_overlap_where_they_do(seed):
    print(f"seed {seed}")
    rng, cases = random.Random(seed), []
    for _ in range(150):
        size = rng.randrange(1, 1 << rng.randrange(1, 32))
        base = rng.getrandbits(64)
        distance = rng.choice((size, -size, 1 << rng.randrange(64))) + rng.randrange(-2, 3)
        near = min(distance % (1 << 64), -distance % (1 << 64)) < size
        other = (base + distance) % (1 << 64)
        word = descriptor(Opcode.MEMORY_MOVE, source=base, destination=other, size_bytes=size)
        cases.append(((word, Around(max_transfer_log2=31)), near))
    found = faults([case for case, _ in cases], data_width=256)
    assert [status == Status.OVERLAP for status, _ in found] == [near for _, near in cases]
    assert {near for _, near in cases} == {False, True}
