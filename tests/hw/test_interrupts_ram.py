"""The memories of message storage are what they promise, on the ECP5 too.

:class:`Dp16kd` does what Lattice's memory usage guide for ECP5 (FPGA-TN-02204) says of the modes in
use: true dual port with widths of 1 to 18, and pseudo dual port with 36; byte enables in the low
address bits of the wide modes; an output register behind a clock enable of its own. What is
undefined there is garbage here.
"""

import random

import pytest
from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from hw.interrupts import ram
from hw.interrupts.ram import BlockRam, DistributedRam, technology_of

DEPTHS = {36: 512, 18: 1024, 9: 2048, 4: 4096, 2: 8192, 1: 16384}


class Dp16kd(Elaboratable):
    """Port A writes, port B reads through the output register."""

    def __init__(self, name, **connections):
        assert name == "DP16KD"
        self.parameters = {k[2:]: v for k, v in connections.items() if k.startswith("p_")}
        self.inputs = {k[2:]: v for k, v in connections.items() if k.startswith("i_")}
        self.outputs = {k[2:]: v for k, v in connections.items() if k.startswith("o_")}

    def bus(self, name, width):
        return Cat(Value.cast(self.inputs[f"{name}{bit}"]) for bit in range(width))

    def elaborate(self, platform):
        m = Module()
        i, p = self.inputs, self.parameters
        width = p["DATA_WIDTH_A"]
        assert p["DATA_WIDTH_B"] == width
        assert p["REGMODE_A"] == p["REGMODE_B"] == "OUTREG"
        for side in "AB":
            for bit in range(3):
                assert i[f"CS{side}{bit}"] == 0
        m.submodules.cells = cells = Memory(shape=width, depth=DEPTHS[width], init=[])
        writer, reader = cells.write_port(), cells.read_port(domain="comb")
        low = 14 - (DEPTHS[width] - 1).bit_length()
        # A write with a byte enable missing is not in use, and does nothing here.
        lanes = {36: 4, 18: 2}.get(width, 0)
        enables = self.bus("ADA", lanes).all() if lanes else 1
        data = Cat(self.bus("DIA", 18), self.bus("DIB", 18))[:width]
        write, read = Signal(), Signal()
        m.d.comb += [
            write.eq(Value.cast(i["CEA"]) & Value.cast(i["WEA"]) & enables),
            read.eq(Value.cast(i["CEB"])),
            writer.en.eq(write),
            writer.addr.eq(self.bus("ADA", 14)[low:]),
            writer.data.eq(data),
            reader.addr.eq(self.bus("ADB", 14)[low:]),
        ]
        latch, register = Signal(width), Signal(width)
        with m.If(read):
            collides = write & (writer.addr == reader.addr)
            m.d.sync += latch.eq(Mux(collides, ~reader.data, reader.data))
        with m.If(Value.cast(i["OCEB"])):
            m.d.sync += register.eq(latch)
        pins = [self.outputs[f"DOB{bit}"] for bit in range(18)]
        if width == 36:
            pins = [self.outputs[f"DOA{bit}"] for bit in range(18)] + pins
        m.d.comb += Cat(pins[:width]).eq(register)
        return m


@pytest.fixture
def on_ecp5(monkeypatch):
    monkeypatch.setattr(ram, "Instance", Dp16kd)


def exercise(dut, steps=1500):
    """Drive a memory at random, but for collisions, and compare it with a dictionary."""
    rng = random.Random(dut.depth * 100 + dut.width)
    words = {}
    used = [0, 1, dut.depth - 1, dut.depth // 2, *(rng.randrange(dut.depth) for _ in range(20))]

    async def drive(ctx):
        pipe = [0, 0]
        for _ in range(steps):
            write, enable = rng.random() < 0.5, rng.random() < 0.8
            target, source = rng.sample(used, 2)
            if target == source:
                continue
            value = rng.getrandbits(dut.width)
            ctx.set(dut.write, write)
            ctx.set(dut.write_address, target)
            ctx.set(dut.write_data, value)
            ctx.set(dut.enable, enable)
            ctx.set(dut.read_address, source)
            _, _, got = await ctx.tick().sample(dut.read_data)
            assert got == pipe[1]
            if enable:
                pipe = [words.get(source, 0), pipe[0]]
            if write:
                words[target] = value

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


SIZES = [(4, 9), (64, 33), (512, 40), (1000, 20), (2048, 35), (4096, 21), (5000, 3), (16384, 2)]


@pytest.mark.parametrize("depth,width", SIZES)
def test_generic_block_ram(depth, width):
    exercise(BlockRam(depth, width, "generic"))


@pytest.mark.parametrize("depth,width", [*SIZES, (16640, 2), (32768, 1)])
def test_block_ram_of_the_ecp5(depth, width, on_ecp5):
    exercise(BlockRam(depth, width, "ecp5"))


@pytest.mark.parametrize("depth,width", [(2, 5), (16, 9), (50, 3), (64, 26)])
def test_distributed_ram(depth, width):
    exercise(DistributedRam(depth, width))


def test_distributed_ram_reads_its_substitute_where_it_is_blank():
    dut = DistributedRam(16, 8, substitute=0xA5)

    async def drive(ctx):
        ctx.set(dut.enable, 1)
        for blank, expected in ((0, 0), (1, 0xA5), (0, 0)):
            ctx.set(dut.blank, blank)
            await ctx.tick()
            assert ctx.get(dut.read_data) == expected

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


def test_a_collision_is_garbage_in_the_model_of_the_block(on_ecp5):
    """So that a user who relies on one is found out."""
    dut = BlockRam(16, 4, "ecp5")

    async def drive(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.write, 1)
        ctx.set(dut.write_data, 0x3)
        await ctx.tick()
        ctx.set(dut.write, 0)
        await ctx.tick()
        assert ctx.get(dut.read_data) not in (0, 3)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


def test_unknown_technology_is_refused():
    with pytest.raises(ValueError, match=r"technology is one of .*, not 'asic'"):
        BlockRam(16, 4, "asic")


def test_technology_follows_the_platform():
    class Versa:
        device = "LFE5UM5G-45F"

    assert technology_of(Versa()) == "ecp5"
    assert technology_of(None) == "generic"
