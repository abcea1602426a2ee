"""The device as a whole, from wire to wire, where a few TLPs are enough to see that it is joined.

What takes traffic is in ``tests/cosim``.
"""

from hw.device import Device
from hw.regs import Config
from hw.regs.configspace import AER

from .streams import Sink, simulate, wire_beats, wire_dws

CONFIG = Config(ims_vectors=256, msix_vectors=8, queue_slots=8, tags=4)
ENABLE = [0x4400_0001, 0x0001_010F, 0x0300_0004, 0x0600_0000]
"""Memory space and Bus Master on, in the command register of function 03:00.0."""
UNMASK = [0x4400_0001, 0x0001_020F, 0x0300_0000 | AER + 0x14, 0]
"""Advisory errors are logged."""
PREFIX_LOG = [0x0400_0001, 0x0001_030F, 0x0300_0000 | AER + 0x38]
TURN_OFF = [0x3300_0000, 0x0001_0019, 0, 0]
READ = [0x0000_0001, 0x0001_0403, 0x40]


def sent_after(*tlps):
    """What the device sends when it is sent these, one after another."""
    dut = Device(CONFIG)
    sink = Sink(dut.o)

    async def bench(ctx):
        for kind in ("posted", "non_posted", "completion"):
            limit = getattr(dut.credits, kind)
            ctx.set(limit.header_infinite, 1)
            ctx.set(limit.data_infinite, 1)
        for _ in range(CONFIG.ims_vectors + CONFIG.msix_vectors + 50):
            await ctx.tick()
        for dws in tlps:
            for beat in wire_beats(dws, CONFIG.data_width):
                ctx.set(dut.i.payload, beat)
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)
            for _ in range(100):
                await ctx.tick()

    simulate(dut, bench, sinks=[sink])
    return [wire_dws(beats) for beats in sink.taken]


def test_configuration_errors_and_power_messages_pass_from_wire_to_wire():
    foreign = [0x9E00_ABCD, *READ]
    assert sent_after(ENABLE, UNMASK, TURN_OFF, foreign, PREFIX_LOG) == [
        [0x0A00_0000, 0x0300_0004, 0x0001_0100],
        [0x0A00_0000, 0x0300_0004, 0x0001_0200],
        [0x3500_0000, 0x0300_001B, 0, 0],  # PME_TO_Ack
        [0x0A00_0000, 0x0300_2002, 0x0001_0440],  # Unsupported Request, two bytes at 0x40
        [0x4A00_0001, 0x0300_0004, 0x0001_0300, 0xCDAB_009E],
    ]
