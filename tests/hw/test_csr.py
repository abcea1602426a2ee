"""Accesses reach the register they name, and fields change as their access says."""

import pytest
from amaranth import *
from amaranth.lib.wiring import Component, In, connect, flipped

from hw.csr.answer import Answer
from hw.csr.bank import RegisterBank
from hw.csr.bus import CsrSignature
from hw.csr.decoder import CsrDecoder
from hw.regs.schema import Access, Register, bits

from .streams import offer, simulate

RW, RW1C, WO = Access.RW, Access.RW1C, Access.WO

REGISTERS = (
    Register("low", 0x00, (bits("7:0", "a", RW, reset=0x5A), bits("31:16", "b", RW, sticky=True))),
    Register("high", 0x04, (bits("3:0", "events", RW1C), bits("12:8", "state"))),
    Register("start", 0x08, (bits("15:0", "operand", WO), bits("31", "go", WO))),
    Register("wide", 0x10, (bits("63:0", "lower", RW), bits("99:80", "upper", RW)), width=128),
    Register("fixed", 0x20, (bits("255:0", "map"),), width=256),
    Register("guarded", 0x48, (bits("63:0", "word", RW),), width=64),
)


def bank() -> RegisterBank:
    return RegisterBank(
        REGISTERS,
        inputs=["high.state"],
        constants={"fixed": 0x1111 << 192 | 0x2222 << 64 | 0x3333},
        locks=["guarded"],
    )


async def access(ctx, port, address, *, write=0, strobe=0xFF, data=0):
    payload = {"address": address, "write": write, "strobe": strobe, "data": data}
    await offer(ctx, port.access, payload)
    ctx.set(port.result.ready, 1)
    for _ in range(50):
        _, _, valid, value = await ctx.tick().sample(port.result.valid, port.result.payload)
        if valid:
            ctx.set(port.result.ready, 0)
            return value
    raise AssertionError("no result")


async def read(ctx, port, address):
    return await access(ctx, port, address)


async def write(ctx, port, address, data, strobe=0xFF):
    await access(ctx, port, address, write=1, data=data, strobe=strobe)


def run(bench):
    dut = bank()

    async def wrapped(ctx):
        await bench(ctx, dut)

    simulate(dut, wrapped)


def test_reset_values_and_constants_are_read():
    async def bench(ctx, dut):
        ctx.set(dut.high_state, 0x15)
        assert await read(ctx, dut.csr, 0x00) == 0x1500 << 32 | 0x5A
        assert await read(ctx, dut.csr, 0x20) == 0x3333
        assert await read(ctx, dut.csr, 0x28) == 0x2222
        assert await read(ctx, dut.csr, 0x38) == 0x1111

    run(bench)


def test_writes_change_enabled_bytes_of_writable_fields_only():
    async def bench(ctx, dut):
        await write(ctx, dut.csr, 0x00, (1 << 64) - 1, strobe=0b0000_0100)
        assert await read(ctx, dut.csr, 0x00) == 0x00FF_005A
        await write(ctx, dut.csr, 0x00, (1 << 64) - 1)
        assert await read(ctx, dut.csr, 0x00) == 0xFFFF_00FF
        assert ctx.get(dut.low_b) == 0xFFFF
        await write(ctx, dut.csr, 0x20, (1 << 64) - 1)
        assert await read(ctx, dut.csr, 0x20) == 0x3333

    run(bench)


def test_words_of_a_wide_register_are_separate():
    async def bench(ctx, dut):
        await write(ctx, dut.csr, 0x10, 0x1122_3344_5566_7788)
        assert ctx.get(dut.wide_upper) == 0
        await write(ctx, dut.csr, 0x18, (1 << 64) - 1)
        assert ctx.get(dut.wide_lower) == 0x1122_3344_5566_7788
        assert await read(ctx, dut.csr, 0x18) == 0xF_FFFF_0000

    run(bench)


def test_interleaved_halves_of_two_registers_do_not_mix():
    """Each write of half a register takes effect by itself: there is no shadow to share."""

    async def bench(ctx, dut):
        await write(ctx, dut.csr, 0x10, 0x1111_1111, strobe=0x0F)
        await write(ctx, dut.csr, 0x48, 0x2222_2222, strobe=0x0F)
        assert ctx.get(dut.wide_lower) == 0x1111_1111
        await write(ctx, dut.csr, 0x10, 0x3333_3333 << 32, strobe=0xF0)
        assert ctx.get(dut.guarded_word) == 0x2222_2222
        await write(ctx, dut.csr, 0x48, 0x4444_4444 << 32, strobe=0xF0)
        assert ctx.get(dut.wide_lower) == 0x3333_3333_1111_1111
        assert ctx.get(dut.guarded_word) == 0x4444_4444_2222_2222

    run(bench)


def test_set_wins_over_clear_in_the_same_clock():
    async def bench(ctx, dut):
        kept = []
        for delay in range(4):
            ctx.set(dut.high_events_set, 0b0011)
            await ctx.tick()
            ctx.set(dut.high_events_set, 0)
            payload = {"address": 0, "write": 1, "strobe": 0xFF, "data": 0b0001 << 32}
            ctx.set(dut.csr.access.payload, payload)
            ctx.set(dut.csr.access.valid, 1)
            ctx.set(dut.csr.result.ready, 1)
            # Bit 0 is set again for one clock: in that of the access, or some clocks later.
            for clock in range(8):
                ctx.set(dut.high_events_set, clock == delay)
                await ctx.tick()
                ctx.set(dut.csr.access.valid, 0)
            kept.append(ctx.get(dut.high_events))
        # The write takes effect at the end of the clock after the access.
        assert kept == [0b0010, 0b0011, 0b0011, 0b0011]

    run(bench)


def test_write_only_register_pulses_once_and_reads_zero():
    async def bench(ctx, dut):
        pulses = []

        async def write_it():
            payload = {"address": 8, "write": 1, "strobe": 0x0F, "data": 0x8000_1234}
            await offer(ctx, dut.csr.access, payload)
            ctx.set(dut.csr.result.ready, 1)
            for _ in range(6):
                pulses.append((ctx.get(dut.start_written), ctx.get(dut.start_operand)))
                await ctx.tick()
            ctx.set(dut.csr.result.ready, 0)

        await write_it()
        assert [value for pulse, value in pulses if pulse] == [0x1234]
        assert ctx.get(dut.start_go) == 1
        assert await read(ctx, dut.csr, 0x08) == 0
        await write(ctx, dut.csr, 0x08, 0, strobe=0xF0)
        assert ctx.get(dut.start_go) == 1, "a write that enables no byte of it is not one"

    run(bench)


def test_locked_register_ignores_writes():
    async def bench(ctx, dut):
        ctx.set(dut.guarded_locked, 1)
        await write(ctx, dut.csr, 0x48, 5)
        assert await read(ctx, dut.csr, 0x48) == 0
        ctx.set(dut.guarded_locked, 0)
        await write(ctx, dut.csr, 0x48, 5)
        assert await read(ctx, dut.csr, 0x48) == 5

    run(bench)


def test_reset_spares_sticky_fields():
    async def bench(ctx, dut):
        await write(ctx, dut.csr, 0x00, 0x4321_0077)
        ctx.set(dut.reset, 1)
        await ctx.tick()
        ctx.set(dut.reset, 0)
        assert await read(ctx, dut.csr, 0x00) == 0x4321_005A

    run(bench)


def test_unused_addresses_read_zero():
    async def bench(ctx, dut):
        await write(ctx, dut.csr, 0x1000, 5)
        for address in (0x40, 0x50, 0x1000):
            assert await read(ctx, dut.csr, address) == 0

    run(bench)


class Echo(Component):
    """A target that answers with its number and the address, after some clocks."""

    csr: In(CsrSignature())

    def __init__(self, number: int, delay: int):
        super().__init__()
        self.number, self.delay = number, delay

    def elaborate(self, platform):
        m = Module()
        left = Signal(8)
        m.d.comb += [
            self.csr.access.ready.eq(self.csr.access.valid & (left == self.delay)),
            self.csr.result.valid.eq(left > self.delay),
        ]
        with m.If(self.csr.access.valid & ~self.csr.access.ready):
            m.d.sync += left.eq(left + 1)
        with m.If(self.csr.access.valid & self.csr.access.ready):
            m.d.sync += [
                left.eq(self.delay + 1),
                self.csr.result.payload.eq(self.csr.access.p.address | self.number << 32),
            ]
        with m.If(self.csr.result.valid & self.csr.result.ready):
            m.d.sync += left.eq(0)
        return m


class Bus(Component):
    csr: In(CsrSignature())

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = CsrDecoder(
            {"one": [(0, 0x100), (0x300, 0x308)], "two": (0x100, 0x180)}
        )
        m.submodules.one = one = Echo(1, 0)
        m.submodules.two = two = Echo(2, 5)
        connect(m, flipped(self.csr), decoder.csr)
        connect(m, decoder.one, one.csr)
        connect(m, decoder.two, two.csr)
        return m


def test_decoder_routes_by_range_and_answers_for_nobody():
    dut = Bus()

    async def bench(ctx):
        for address, owner in [(0, 1), (0xF8, 1), (0x100, 2), (0x178, 2), (0x300, 1)] * 2:
            assert await read(ctx, dut.csr, address) == owner << 32 | address
        for address in (0x180, 0x2F8, 0x308, 0xFFFFF8):
            assert await read(ctx, dut.csr, address) == 0
        assert await read(ctx, dut.csr, 0x100) == 2 << 32 | 0x100

    simulate(dut, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_decoder_refuses_overlapping_ranges():
    with pytest.raises(ValueError, match="the ranges of a and b overlap at 0x80"):
        CsrDecoder({"a": (0, 0x100), "b": (0x80, 0x180)})


def test_answer_comes_once_for_each_access_with_what_was_read_when_it_was_done():
    dut = Answer()

    async def target(ctx):
        for number in range(6):
            await ctx.tick().until(dut.valid)
            # What is asked stays until it is done, however long that takes.
            for _ in range(number):
                assert ctx.get(dut.valid) and ctx.get(dut.access.address) == 8 * number
                ctx.set(dut.value, 0xBAD)
                await ctx.tick()
            ctx.set(dut.value, 100 + number)
            ctx.set(dut.done, 1)
            await ctx.tick()
            ctx.set(dut.done, 0)
            ctx.set(dut.value, 0xBAD)
            assert not ctx.get(dut.valid)

    async def master(ctx):
        for number in range(6):
            assert await read(ctx, dut.csr, 8 * number) == 100 + number
            await ctx.tick().repeat(1 + number)

    simulate(dut, target, master)
