"""What Decode says of descriptors with several faults, of any 64 bytes, and how fast."""

import itertools
import random

import pytest

from hw.engine.decode import Decode
from hw.regs.descriptor import DESCRIPTOR, LAYOUTS, Flag, Opcode, Status

from .decode_bench import CONFIG, OPERANDS, RECORD, beats, decode, descriptor, faults, work
from .decode_reference import ALLOWED, COMMON, OPERATIONS, Around, number, verdict
from .streams import Sink, offer, simulate

ORDER = [
    Status.COMPLETION_ALIGNMENT,
    Status.BAD_OPCODE,
    Status.BAD_FLAGS,
    Status.RESERVED_NOT_ZERO,
    Status.PRIVILEGE,
    Status.BAD_TRANSFER_SIZE,
    Status.BAD_DESCRIPTOR_COUNT,
    Status.LIST_ALIGNMENT,
    Status.BAD_VALUE,
    Status.ADDRESS_ALIGNMENT,
    Status.DUALCAST_ALIGNMENT,
    Status.OVERLAP,
]

PRIVILEGED = {"privileged": True, "pasid_privileged": False}


def ways(opcode):
    """For each fault that the operation can have: fields, flags, and what is around."""
    found = {
        Status.COMPLETION_ALIGNMENT: ({"completion_address": 0x1010}, 0, {}),
        Status.BAD_OPCODE: ({}, 0, {"operations": (Opcode.NOP,) if opcode else ()}),
        Status.BAD_FLAGS: ({}, 1 << 1, {}),
        Status.RESERVED_NOT_ZERO: ({"handle": 1}, 0, {}),
        Status.PRIVILEGE: ({}, 0, PRIVILEGED),
    }
    if "size_bytes" in OPERANDS[opcode]:
        # Too much rather than nothing, so that memory overlaps.
        found[Status.BAD_TRANSFER_SIZE] = ({"size_bytes": (1 << 31) + 4}, 0, {})
    if opcode == Opcode.BATCH:
        found[Status.BAD_DESCRIPTOR_COUNT] = ({"count": 0}, 0, {})
        found[Status.LIST_ALIGNMENT] = ({"list_address": 0x20}, 0, {})
    if opcode == Opcode.CREATE_DELTA:
        found[Status.BAD_VALUE] = ({"max_delta_bytes": 81}, 0, {})
        found[Status.ADDRESS_ALIGNMENT] = ({"source_2": 0x9001}, 0, {})
        found[Status.OVERLAP] = ({"source": 0x7000, "delta_address": 0x7001}, 0, {})
    if opcode == Opcode.APPLY_DELTA:
        found[Status.BAD_VALUE] = ({"delta_bytes": 81}, 0, {})
        found[Status.ADDRESS_ALIGNMENT] = ({"destination": 0x7004}, 0, {})
        found[Status.OVERLAP] = ({"delta_address": 0x7008, "destination": 0x7008}, 0, {})
    if opcode in (Opcode.CRC, Opcode.COPY_CRC):
        found[Status.ADDRESS_ALIGNMENT] = ({"seed_address": 2, "seed": 0}, Flag.READ_SEED, {})
    if opcode == Opcode.DUALCAST:
        found[Status.DUALCAST_ALIGNMENT] = ({"destination_2": 0x9004}, 0, {})
    if opcode in (Opcode.MEMORY_MOVE, Opcode.COPY_CRC, Opcode.DUALCAST):
        found[Status.OVERLAP] = ({"source": 0x2_0003}, 0, {})
    return found


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda code: code.name)
def test_first_of_two_faults_is_reported(opcode):
    found, cases, expected = ways(opcode), [], []
    assert list(found) == sorted(found, key=ORDER.index)
    for first, second in itertools.combinations_with_replacement(found, 2):
        fields, flags, around = found[second]
        others, more, beside = found[first]
        word = descriptor(opcode, flags=RECORD | flags | more, **(fields | others))
        cases.append((word, Around(**(around | beside))))
        expected.append(first)
    assert [status for status, _ in faults(cases, data_width=256)] == expected


def test_every_fault_but_the_handles_is_found_by_some_operation():
    assert {status for opcode in Opcode for status in ways(opcode)} == set(ORDER)


@pytest.mark.parametrize("opcode", list(Opcode), ids=lambda code: code.name)
def test_job_holds_what_the_descriptor_and_its_queue_say(opcode):
    flags = RECORD | (0 if opcode == Opcode.NOP else Flag.COMPLETION_TRAFFIC_CLASS)
    fields = {
        "flags": flags | Flag.REQUEST_INTERRUPT,
        "handle": 0xBEEF,
        "completion_address": 0xFEDC_BA98_7654_3220,
    }
    fields |= {"list_address": 0x8765_4321_0FED_CBC0} if opcode == Opcode.BATCH else {}
    member = opcode not in (Opcode.BATCH, Opcode.DRAIN)
    word = descriptor(opcode, **fields) | 0x12345
    cases = [
        (word, Around()),
        (word, Around(member=member)),
        (word, Around(pasid_valid=False, shared=False)),
    ]
    for index, (job, _) in enumerate(decode(cases)):
        around, header = cases[index][1], work(cases[index][1], index)
        assert (job.fault, job.handle_beyond) == (0, 1)
        assert (job.queue, job.ims) == (header["queue"], header["ims"])
        assert job.tenant.valid == around.pasid_valid
        assert job.tenant.pasid == header["tenant"]["pasid"]
        assert (job.member, job.batch_index) == (around.member, header["batch_index"])
        assert (job.record, job.record_valid, job.interrupt) == (1, 1, 1)
        assert (job.opcode, job.flags) == (opcode, fields["flags"])
        assert (job.handle, job.completion_address) == (0xBEEF, fields["completion_address"])
        assert (job.source, job.destination) == (number(word, 16, 8), number(word, 24, 8))
        assert job.size_bytes == number(word, 32, 4)
        assert (job.operand, job.operand_2) == (number(word, 40, 8), number(word, 48, 8))
        if "expected" in OPERANDS[opcode]:
            assert job.expected == OPERANDS[opcode]["expected"]


def test_record_and_interrupt_follow_their_flags():
    cases = [(descriptor(Opcode.NOP, flags=flags << 2), Around()) for flags in (0, 1, 3, 4, 5, 7)]
    found = [(job.record_valid, job.record, job.interrupt) for job, _ in decode(cases)]
    assert found == [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1)]


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_each_descriptor_takes_its_beats_and_five_clocks(data_width):
    cases = [(descriptor(opcode), Around()) for opcode in Opcode]
    cases += [(descriptor(opcode) ^ 1 << 500, Around()) for opcode in Opcode]
    clocks = {clocks for _, clocks in decode(cases, data_width=data_width)}
    assert clocks == {512 // data_width + 5}


def random_around(rng):
    member = rng.random() < 0.4
    shared = rng.random() < 0.6
    return Around(
        shared=shared,
        pasid_valid=shared or rng.random() < 0.5,
        privileged=rng.random() < 0.5,
        member=member,
        max_transfer_log2=rng.choice((0, 10, 19, 21, 31, 31)),
        max_batch_log2=rng.choice((0, 3, 15)),
        operations=tuple(code for code in OPERATIONS if rng.random() < 0.98),
        user_interrupts=rng.random() < 0.8,
        pasid_privileged=rng.random() < 0.9,
    )


def random_address(rng):
    base = rng.choice((0x1000, 0, (1 << 64) - 64, rng.getrandbits(64)))
    return (base + rng.randrange(-300, 300) * rng.choice((1, 8, 8, 8, 4096))) % (1 << 64)


def random_descriptor(rng):
    """Seldom right, but mostly not wrong in many ways at once."""
    opcode = rng.choice(list(Opcode))
    values = {"opcode": opcode, "pasid": rng.getrandbits(20), "privileged": rng.getrandbits(1)}
    flags = int(RECORD) if rng.random() < 0.95 else 0
    allowed = sorted(ALLOWED[opcode] | COMMON - {0})
    for bit in rng.choices(allowed if rng.random() < 0.8 else range(24), k=rng.randrange(4)):
        flags |= 1 << bit
    for item in LAYOUTS[opcode].fields:
        if item.name == "count":
            values[item.name] = rng.choice((0, 1, 2, 8, 9, 1 << 16))
        elif item.name in ("size_bytes", "max_delta_bytes", "delta_bytes"):
            size = rng.choice((1, 2, 8, 10, 80, 100, rng.getrandbits(rng.randrange(1, 22))))
            values[item.name] = size * rng.choice((1, 10, 40, 40))
        elif item.width == 64:
            values[item.name] = random_address(rng) & rng.choice((-1, -8, -8, -64))
    if not flags & Flag.COMPLETION_ADDRESS_VALID or rng.random() < 0.98:
        values["completion_address"] = 0x40 if flags & Flag.COMPLETION_ADDRESS_VALID else 0
    if flags & Flag.REQUEST_INTERRUPT:
        values["handle"] = rng.getrandbits(16)
    if "seed_address" in values:
        values["seed"] = rng.getrandbits(32)
        values["seed" if flags & Flag.READ_SEED else "seed_address"] = 0
    if "destination_2" in values and rng.random() < 0.8:
        values["destination_2"] = values["destination_2"] & ~0xFFF | values["destination"] & 0xFFF
    word = LAYOUTS[opcode].pack(**(values | {"flags": flags}))
    for _ in range(rng.choice((0,) * 8 + (1, 2))):
        word ^= 1 << rng.randrange(512)
    return word


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("data_width", [64, 256])
def test_random_descriptors_are_judged_as_the_specification_does(seed, data_width):
    print(f"seed {seed}")
    rng = random.Random(seed)
    cases = [(random_descriptor(rng), random_around(rng)) for _ in range(700)]
    cases += [(rng.getrandbits(512), random_around(rng)) for _ in range(50)]
    found = faults(cases, data_width=data_width)
    for (word, around), got in zip(cases, found, strict=True):
        assert got == verdict(word, around), f"{word:0128x} {around}"
    assert {status for status, _ in found} == {Status.NONE, *ORDER}


@pytest.mark.parametrize("seed", [1, 2])
def test_job_waits_unchanged_until_it_is_taken(seed):
    print(f"seed {seed}")
    rng = random.Random(seed)
    cases = [(random_descriptor(rng), random_around(rng)) for _ in range(60)]
    dut = Decode(CONFIG)
    sink = Sink(dut.o, rng, 0.7)

    async def feed(ctx):
        for index, (word, around) in enumerate(cases):
            packet = beats(word, work(around, index), CONFIG.data_width)
            for beat in packet:
                if beat is packet[-1]:
                    ctx.set(dut.user_interrupts, around.user_interrupts)
                    ctx.set(dut.pasid_privileged, around.pasid_privileged)
                shaped = dut.i.payload.shape().from_bits(beat)
                await offer(ctx, dut.i, shaped, rng, 0.2)
            # What changes afterwards does not count.
            ctx.set(dut.user_interrupts, not around.user_interrupts)
            ctx.set(dut.pasid_privileged, not around.pasid_privileged)
        await sink.wait(ctx, len(cases))

    simulate(dut, feed, sinks=[sink])
    for index, ((word, around), job) in enumerate(zip(cases, sink.taken, strict=True)):
        status, invalid = verdict(word, around)
        assert job.fault == status
        assert status != Status.BAD_FLAGS or job.invalid_flags == invalid
        assert job.batch_index == work(around, index)["batch_index"]
        assert job.source == number(word, DESCRIPTOR["source"].lsb // 8, 8)
