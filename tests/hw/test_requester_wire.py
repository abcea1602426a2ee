"""Requester and transmitter together: how much of the wire is payload."""

import pytest
from amaranth import *
from amaranth.lib.wiring import connect

from hw.pcie.requester import Requester
from hw.pcie.transmitter import Transmitter
from hw.regs import Config

from .requester_host import command_beats
from .streams import Sink, simulate
from .test_transmitter import INFINITE


class Joined(Elaboratable):
    """The requester's requests on the wire."""

    def __init__(self, config):
        self.requester = Requester(config)
        self.transmitter = Transmitter(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.requester = requester = self.requester
        m.submodules.transmitter = transmitter = self.transmitter
        connect(m, requester.o_posted, transmitter.i_posted)
        connect(m, requester.o_non_posted, transmitter.i_non_posted)
        return m


@pytest.mark.parametrize("tenant", [{}, {"valid": 1, "pasid": 5}])
@pytest.mark.parametrize("max_payload", [128, 256, 512])
def test_writes_fill_the_wire(max_payload, tenant):
    dut = Joined(Config())
    wire = Sink(dut.transmitter.o)
    written = Sink(dut.requester.o_written)
    pages = 3

    async def main(ctx):
        settings = {"bus_master": 1, "max_payload_bytes": max_payload, "pasid_enable": 1}
        ctx.set(dut.requester.settings, settings)
        ctx.set(dut.transmitter.credits, INFINITE)
        port = dut.requester.i_write
        ctx.set(port.valid, 1)
        for page in range(pages):
            for beat in command_beats((1 << 32) + 4096 * page, bytes(4096), 64, tenant):
                ctx.set(port.payload, beat)
                ready = 0
                while not ready:
                    _, _, ready = await ctx.tick().sample(port.ready)
        ctx.set(port.valid, 0)
        await wire.wait(ctx, pages * 4096 // max_payload)

    simulate(dut, main, sinks=(wire, written))
    packets = pages * 4096 // max_payload
    header_dw = 5 if tenant else 4
    beats_each = -(-(header_dw + max_payload // 4) // 2)
    assert len(wire.times) == packets * beats_each
    busy = wire.times[-1] - wire.times[0] + 1
    payload = pages * 4096 // 8
    print(f"payload {payload} of {busy} beats: {payload / busy:.3f}")
    assert busy == len(wire.times), "the wire was idle between beats"
