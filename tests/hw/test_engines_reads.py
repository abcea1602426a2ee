"""Engines keep to the read buffers of their group (DSA §4.3)."""

from hw.engine.engines import Engines
from hw.pcie.records import ReadStatus
from hw.queues.records import Work
from hw.regs import Config
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED, Opcode

from .streams import Sink, offer, payload_beats, simulate
from .work_bench import descriptor

CONFIG = Config(engines=2, groups=2, tags=16, read_slot_bytes=128)
SIZE = 4096


async def give(ctx, dut, engine):
    """Hand an engine a long move."""
    word = descriptor(Opcode.MEMORY_MOVE, source=0x1_0000, destination=0x2_0000, size_bytes=SIZE)
    header = {
        **dict.fromkeys(Work.as_shape().members, 0),
        "tenant": {"valid": 0},
        "max_transfer_log2": 12,
        "operations": (1 << OPERATIONS_IMPLEMENTED.bit_count()) - 1,
    }
    words = [word >> 32 * k & 0xFFFF_FFFF for k in range(16)]
    for beat in payload_beats(header, words, CONFIG.data_width):
        await offer(ctx, dut.i_work[engine], beat)


async def answer(ctx, dut, command):
    header = {
        "address": command.address,
        "length_bytes": command.length_bytes,
        "status": ReadStatus.SUCCESS,
    }
    words = [0] * (command.length_bytes // 4)
    for beat in payload_beats(header, words, CONFIG.data_width):
        await offer(ctx, dut.i_read, beat)


def test_engines_read_no_more_at_a_time_than_their_group_may():
    dut = Engines(CONFIG)
    reads, writes = Sink(dut.o_read), Sink(dut.o_write)

    async def bench(ctx):
        ctx.set(dut.settings.bus_master, 1)
        ctx.set(dut.settings.max_read_bytes, 512)
        for engine, allowed in enumerate((4, 7)):
            ctx.set(dut.groups[engine].engines, 1 << engine)
            ctx.set(dut.groups[engine].flags.read_buffers_allowed, allowed)
        await give(ctx, dut, 0)
        await ctx.tick().repeat(200)
        assert len(reads.taken) == 4
        await give(ctx, dut, 1)
        await ctx.tick().repeat(200)
        assert len(reads.taken) == 4 + 7
        # What has come makes room for as much, until both moves have read all they want.
        for number in range(2 * SIZE // CONFIG.read_slot_bytes):
            await answer(ctx, dut, reads.taken[number])
            await ctx.tick().repeat(20)
            flying = len(reads.taken) - number - 1
            assert flying <= 11
        assert len(reads.taken) == 2 * SIZE // CONFIG.read_slot_bytes

    simulate(dut, bench, sinks=[reads, writes])
