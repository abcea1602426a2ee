"""Configuration space holds what the register map says, and sets what the device obeys."""

import random

import pytest

from hw.pcie.config_space import ConfigSpace
from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.bar2 import bar2_bytes
from hw.regs.configspace import AER, DEVICE3, MSIX, PASID, PCIE, PM, config_space
from hw.regs.schema import Access

from .streams import offer, simulate

CONFIG = Config()
SPACE = config_space(CONFIG)
COMMAND, DEVICE_CONTROL = 0x04, PCIE + 8


class Bench:
    """Configuration space with a master that reads and writes DWs."""

    def __init__(self, config=CONFIG):
        self.dut = ConfigSpace(config)

    def run(self, bench):
        async def wrapped(ctx):
            await bench(ctx)

        simulate(self.dut, wrapped)

    async def access(self, ctx, address, write=0, strobe=0xF, data=0, answer=True):
        port = self.dut.config
        payload = {
            "address": address,
            "write": write,
            "strobe": strobe,
            "data": data,
            "destination": 0x1200,
        }
        await offer(ctx, port.access, payload)
        ctx.set(port.result.ready, 1)
        (value,) = await ctx.tick().sample(port.result.payload).until(port.result.valid)
        ctx.set(port.result.ready, 0)
        if answer:
            await self.answer(ctx)
        return value

    async def answer(self, ctx):
        await ctx.tick()
        ctx.set(self.dut.config.answered, 1)
        await ctx.tick()
        ctx.set(self.dut.config.answered, 0)

    async def read(self, ctx, address):
        return await self.access(ctx, address)

    async def write(self, ctx, address, data, strobe=0xF, answer=True):
        await self.access(ctx, address, 1, strobe, data, answer)
        await ctx.tick()
        await ctx.tick()

    async def reset(self, ctx):
        await self.write(ctx, DEVICE_CONTROL, 0x8000, strobe=0b0010)


def test_every_register_has_its_reset_value():
    bench = Bench()

    async def check(ctx):
        for register in SPACE.registers:
            assert await bench.read(ctx, register.offset) == register.reset, register.name

    bench.run(check)


def test_every_writable_bit_and_no_other_can_be_written():
    bench = Bench()

    async def check(ctx):
        for register in SPACE.registers:
            writable = register.mask(Access.RW)
            if register.name == "pm_control":
                continue
            kept = register.mask(Access.RO)
            for value in (0xFFFF_FFFF, 0, 0xA5A5_5A5A):
                written = value & (0xFFFF_7FFF if register.name == "device_control" else -1)
                await bench.write(ctx, register.offset, written)
                expected = (register.reset & kept) | (written & writable)
                assert await bench.read(ctx, register.offset) == expected, register.name
            await bench.write(ctx, register.offset, register.reset)

    bench.run(check)


def test_writes_obey_byte_enables():
    bench = Bench()

    async def check(ctx):
        offset = SPACE.register("bar0_high").offset
        await bench.write(ctx, offset, 0x1122_3344, strobe=0b0101)
        assert await bench.read(ctx, offset) == 0x0022_0044

    bench.run(check)


def test_function_reset_resets_all_but_sticky_fields_after_the_answer():
    bench = Bench()

    async def check(ctx):
        for register in SPACE.registers:
            if register.name in ("pm_control", "device_control"):
                continue
            await bench.write(ctx, register.offset, 0xFFFF_FFFF)
        await bench.write(ctx, DEVICE_CONTROL, 0x8041, answer=False)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(bench.dut.flr)
        assert await bench.access(ctx, COMMAND, answer=False) & 0x6 == 0x6, "not reset yet"
        flrs = []
        ctx.set(bench.dut.config.answered, 1)
        for _ in range(6):
            _, _, flr = await ctx.tick().sample(bench.dut.flr)
            ctx.set(bench.dut.config.answered, 0)
            flrs.append(flr)
        assert sum(flrs) == 1
        for register in SPACE.registers:
            value = await bench.read(ctx, register.offset)
            for field in register.fields:
                sticky = field.sticky and field.access is Access.RW
                expected = (1 << field.width) - 1 if sticky else field.reset
                if (register.name, field.name) == ("device_control", "max_payload"):
                    expected = 2
                assert register.get(value, field.name) == expected, (register.name, field.name)

    bench.run(check)


def test_function_reset_spares_the_routing_id():
    bench = Bench()

    async def check(ctx):
        await bench.write(ctx, COMMAND, 0)
        assert ctx.get(bench.dut.settings.routing_id) == 0x1200
        await bench.reset(ctx)
        assert ctx.get(bench.dut.settings.routing_id) == 0x1200

    bench.run(check)


def test_reads_do_not_capture_the_routing_id():
    bench = Bench()

    async def check(ctx):
        await bench.read(ctx, COMMAND)
        assert ctx.get(bench.dut.settings.routing_id) == 0

    bench.run(check)


@pytest.mark.parametrize("config", [CONFIG, Config(ims_vectors=16_128, queues=64)])
def test_base_addresses_have_the_bits_that_exist(config):
    bench = Bench(config)

    async def check(ctx):
        for name, size, port in [
            ("bar0", bar0(config).size_bytes, bench.dut.bar0),
            ("bar2", bar2_bytes(config), bench.dut.bar2),
        ]:
            offset = SPACE.register(name).offset
            await bench.write(ctx, offset, 0xFFFF_FFFF)
            await bench.write(ctx, offset + 4, 0xFFFF_FFFF)
            low, high = await bench.read(ctx, offset), await bench.read(ctx, offset + 4)
            assert (high << 32 | low & ~0xF) == (1 << 64) - size
            assert low & 0xF == 0b1100
            assert ctx.get(port) == (1 << 64) - size

    bench.run(check)


def test_settings_follow_their_registers():
    bench = Bench()

    async def check(ctx):
        def setting(name):
            return ctx.get(getattr(bench.dut.settings, name))

        await ctx.tick()
        assert not setting("memory_space") and not setting("bus_master")
        assert setting("max_payload_bytes") == 128 and setting("max_read_bytes") == 512
        await bench.write(ctx, COMMAND, 0x6)
        assert setting("memory_space") and setting("bus_master")
        for code in range(8):
            await bench.write(ctx, DEVICE_CONTROL, code << 5 | code << 12)
            assert setting("max_payload_bytes") == min(128 << min(code, 2), 512)
            assert setting("max_read_bytes") == 128 << min(code, 5)
        assert not setting("extended_tag")
        await bench.write(ctx, DEVICE_CONTROL, 1 << 8)
        assert setting("extended_tag")
        await bench.write(ctx, PCIE + 0x28, 1 << 4)
        assert setting("timeout_disable")
        await bench.write(ctx, MSIX, 0b11 << 30)
        assert setting("msix_enable") and setting("function_mask")
        await bench.write(ctx, PASID + 4, 0b100 << 16)
        assert not setting("pasid_enable") and not setting("pasid_privileged")
        await bench.write(ctx, PASID + 4, 0b101 << 16)
        assert setting("pasid_enable") and setting("pasid_privileged")

    bench.run(check)


def test_sleeping_function_neither_masters_nor_answers_memory():
    bench = Bench()

    async def check(ctx):
        settings = bench.dut.settings
        await bench.write(ctx, COMMAND, 0x6)
        await bench.write(ctx, PM + 4, 3)
        assert await bench.read(ctx, PM + 4) & 3 == 3
        assert not ctx.get(settings.memory_space) and not ctx.get(settings.bus_master)
        for absent in (1, 2):
            await bench.write(ctx, PM + 4, absent)
            assert await bench.read(ctx, PM + 4) & 3 == 3, "D1 and D2 do not exist"
        await bench.write(ctx, PM + 4, 0)
        assert ctx.get(settings.memory_space) and ctx.get(settings.bus_master)

    bench.run(check)


def test_status_bits_from_the_requester_are_kept_until_cleared():
    bench = Bench()

    async def check(ctx):
        for port, bit in (
            (bench.dut.received_master_abort, 29),
            (bench.dut.received_target_abort, 28),
        ):
            ctx.set(port, 1)
            await ctx.tick()
            ctx.set(port, 0)
            assert await bench.read(ctx, COMMAND) >> 16 == 1 << (bit - 16) | 0x10
            await bench.write(ctx, COMMAND, 1 << bit)
            assert await bench.read(ctx, COMMAND) >> 16 == 0x10
        ctx.set(bench.dut.transactions_pending, 1)
        assert await bench.read(ctx, DEVICE_CONTROL) >> 21 & 1

    bench.run(check)


def test_unused_space_reads_as_zero():
    bench = Bench()
    used = {register.offset for register in SPACE.registers}
    rng = random.Random(4)
    offsets = rng.sample([k for k in range(0, 4096, 4) if k not in used], 60)

    async def check(ctx):
        for offset in [0x3C + 4, DEVICE3 - 4, AER + 0x48, *offsets]:
            if offset not in used:
                assert await bench.read(ctx, offset) == 0

    bench.run(check)
