"""What jobs read is cut at the right places, and tokens say what comes."""

import random

import pytest

from hw.engine.cutter import Cutter
from hw.engine.records import TokenKind
from hw.regs import Config
from hw.regs.descriptor import Flag, Opcode, Status

from .streams import Sink, offer, simulate

SETTINGS = {"max_read_bytes": 256}
TENANT = {"valid": 1, "pasid": 5}
SOURCE, SECOND, SEED, END = TokenKind


def play(*jobs, pause=0.0, settings=SETTINGS, cancel_after=None):
    """Tokens and reads, joined: ``(kind, address, length)``, and ``END``."""
    dut = Cutter(Config())
    rng = random.Random(3)
    tokens, reads = Sink(dut.o_token, rng, pause), Sink(dut.o_read, rng, pause)

    async def main(ctx):
        ctx.set(dut.settings, settings)
        await ctx.tick()
        for job in jobs:
            await offer(ctx, dut.i, {"tenant": TENANT} | job, rng, pause)
        if cancel_after is not None:
            await reads.wait(ctx, cancel_after)
            ctx.set(dut.cancel, 1)
        for _ in range(3000):
            if sum(token.kind == END for token in tokens.taken) == len(jobs):
                break
            await ctx.tick()
        assert ctx.get(dut.i.ready)

    simulate(dut, main, sinks=(tokens, reads))
    commands = iter(reads.taken)
    joined = []
    for token in tokens.taken:
        if token.kind == END:
            joined.append(END)
        else:
            command = next(commands)
            assert (command.tenant.valid, command.tenant.pasid) == (1, 5)
            joined.append((token.kind, command.address, command.length_bytes))
    assert next(commands, None) is None
    return joined


@pytest.mark.parametrize("opcode", [Opcode.MEMORY_MOVE, Opcode.COMPARE_PATTERN, Opcode.DUALCAST])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_source_is_cut_at_multiples_of_the_largest_read(opcode, pause):
    job = {"opcode": opcode, "source": 0x1_0F10, "size_bytes": 0x300}
    assert play(job, job, pause=pause) == 2 * [
        (SOURCE, 0x1_0F10, 0xF0),
        (SOURCE, 0x1_1000, 0x100),
        (SOURCE, 0x1_1100, 0x100),
        (SOURCE, 0x1_1200, 0x10),
        END,
    ]


def test_source_wraps_round_at_the_end_of_memory():
    job = {"opcode": Opcode.MEMORY_MOVE, "source": (1 << 64) - 8, "size_bytes": 16}
    assert play(job) == [(SOURCE, (1 << 64) - 8, 8), (SOURCE, 0, 8), END]


@pytest.mark.parametrize(("read", "limit"), [(128, 128), (512, 512), (4096, 512)])
def test_largest_read_is_that_of_the_host_or_of_the_device(read, limit):
    job = {"opcode": Opcode.MEMORY_MOVE, "source": 0, "size_bytes": 1024}
    cut = play(job, settings={"max_read_bytes": read})
    assert cut == [*((SOURCE, place, limit) for place in range(0, 1024, limit)), END]


@pytest.mark.parametrize("opcode", [Opcode.COMPARE, Opcode.CREATE_DELTA])
def test_second_source_follows_each_block_of_the_first(opcode):
    job = {"opcode": opcode, "source": 0x10C0, "destination": 0x2010, "size_bytes": 0x150}
    assert play(job) == [
        (SOURCE, 0x10C0, 0x40),
        (SECOND, 0x2010, 0x40),
        (SOURCE, 0x1100, 0x100),
        (SECOND, 0x2050, 0xB0),
        (SECOND, 0x2100, 0x50),
        (SOURCE, 0x1200, 0x10),
        (SECOND, 0x2150, 0x10),
        END,
    ]


@pytest.mark.parametrize("opcode", [Opcode.CRC, Opcode.COPY_CRC])
def test_seed_comes_first_if_it_is_in_memory(opcode):
    job = {"opcode": opcode, "source": 0x1000, "size_bytes": 8, "operand_2": 0x5004}
    assert play(job) == [(SOURCE, 0x1000, 8), END]
    job["flags"] = int(Flag.READ_SEED)
    assert play(job) == [(SEED, 0x5004, 4), (SOURCE, 0x1000, 8), END]


@pytest.mark.parametrize("size", [0, 20, 300])
def test_delta_record_is_read_as_far_as_it_goes(size):
    job = {
        "opcode": Opcode.APPLY_DELTA,
        "source": 0x1000,
        "size_bytes": 4096,
        "operand": 0xFFFF_FFFF_0000_0000 | size,
    }
    cuts = [(SOURCE, 0x1000, 20)] if size == 20 else [(SOURCE, 0x1000, 256), (SOURCE, 0x1100, 44)]
    assert play(job) == [*(cuts if size else []), END]


@pytest.mark.parametrize(
    "why",
    [
        {"opcode": Opcode.NOP},
        {"opcode": Opcode.FILL},
        {"opcode": Opcode.CACHE_FLUSH},
        {"fault": Status.OVERLAP},
        {"abandoned": 1},
    ],
)
def test_what_reads_nothing_has_its_end_all_the_same(why):
    job = {"opcode": Opcode.MEMORY_MOVE, "source": 0x1000, "size_bytes": 512}
    read = {"opcode": Opcode.MEMORY_MOVE, "source": 0x2000, "size_bytes": 1}
    assert play(job | why, read) == [END, (SOURCE, 0x2000, 1), END]


@pytest.mark.parametrize("opcode", [Opcode.MEMORY_MOVE, Opcode.COMPARE])
def test_cancelled_job_is_read_no_further(opcode):
    job = {"opcode": opcode, "source": 0, "destination": 0x10_0040, "size_bytes": 1 << 20}
    cut = play(job, cancel_after=5)
    assert cut[-1] == END
    assert 5 <= len(cut) - 1 <= 7
