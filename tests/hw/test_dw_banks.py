"""The memory that is written at any DW."""

import random

import pytest

from hw.flow.dw_banks import DwBanks

from .streams import simulate


@pytest.mark.parametrize("data_width", [64, 128, 256])
def test_beats_land_at_any_dw(data_width):
    print("seed 1")
    rng = random.Random(1)
    lanes, depth = data_width // 32, 16
    dut = DwBanks(data_width, depth)

    async def bench(ctx):
        memory = [0] * (depth * lanes)
        for address in range(depth * lanes):
            words = [rng.getrandbits(32) for _ in range(lanes)]
            enable = rng.choice(((1 << lanes) - 1, rng.getrandbits(lanes)))
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, sum(word << 32 * k for k, word in enumerate(words)))
            ctx.set(dut.write_enable, enable)
            await ctx.tick()
            ctx.set(dut.write_enable, 0)
            for k, word in enumerate(words):
                if enable >> k & 1:
                    memory[(address + k) % len(memory)] = word
            for word in {address // lanes, (address // lanes + 1) % depth}:
                ctx.set(dut.read_address, word)
                ctx.set(dut.read_enable, 1)
                await ctx.tick()
                got = ctx.get(dut.read_data)
                want = memory[word * lanes : (word + 1) * lanes]
                assert [got >> 32 * k & 0xFFFF_FFFF for k in range(lanes)] == want

    simulate(dut, bench)


def test_read_data_holds_while_disabled():
    dut = DwBanks(64, 4)

    async def bench(ctx):
        ctx.set(dut.write_data, 0x1234)
        ctx.set(dut.write_enable, 3)
        await ctx.tick()
        ctx.set(dut.write_enable, 0)
        ctx.set(dut.read_enable, 1)
        await ctx.tick()
        ctx.set(dut.read_enable, 0)
        ctx.set(dut.read_address, 1)
        await ctx.tick()
        assert ctx.get(dut.read_data) == 0x1234

    simulate(dut, bench)
