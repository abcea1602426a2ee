"""Random TLPs into the gateware's receive side and into the model: the same answers."""

import pytest
from amaranth import *
from amaranth.lib.wiring import connect
from amaranth.sim import Simulator

from hw.pcie.completer import Completer as CompleterRtl
from hw.pcie.config_space import ConfigSpace as ConfigSpaceRtl
from hw.pcie.receiver import Receiver
from hw.regs import configspace
from sim.model.device import Device
from sim.model.tlp import Completion, Kind, Request, Status, config_write
from sim.model.traffic import Traffic, difference
from sim.model.wire import decode, encode

from .model_bench import BAR0, BAR2, RID, SMALL, Memory

WAIT = 400
"""Clocks in which every TLP has been dealt with."""


class ReceiveSide(Elaboratable):
    """Receiver, completer and configuration space, joined as in the device."""

    def __init__(self):
        self.receiver = Receiver(SMALL)
        self.completer = CompleterRtl(SMALL)
        self.space = ConfigSpaceRtl(SMALL)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = self.receiver
        m.submodules.completer = completer = self.completer
        m.submodules.space = space = self.space
        connect(m, receiver.o_posted, completer.i_posted)
        connect(m, receiver.o_non_posted, completer.i_non_posted)
        connect(m, completer.config, space.config)
        connect(m, receiver.o_error, space.i_error[0])
        connect(m, completer.o_error, space.i_error[1])
        m.d.comb += [
            receiver.settings.eq(space.settings),
            completer.settings.eq(space.settings),
            completer.bar0.eq(space.bar0),
            completer.bar2.eq(space.bar2),
        ]
        return m


class Rig:
    """Drives the receive side clock by clock; what lies behind it is another model."""

    def __init__(self, ctx, side):
        self.ctx, self.side = ctx, side
        self.inside = Device(SMALL, Memory())
        self.completions = []
        self._result = None
        self._beats = []
        self._got = []
        self._verdict = False
        for port in (side.receiver.o_completion, side.completer.o_completion):
            ctx.set(port.ready, 1)
        ctx.set(side.completer.o_submission.ready, 1)
        ctx.set(side.space.o_message_request.ready, 1)

    async def clock(self):
        """One clock: everything valid is taken, everything asked is answered."""
        ctx, side, csr = self.ctx, self.side, self.side.completer.csr
        wire = side.receiver.i
        ctx.set(wire.valid, bool(self._beats))
        if self._beats:
            ctx.set(wire.payload, self._beats[0])
        ctx.set(csr.access.ready, self._result is None)
        ctx.set(csr.result.valid, self._result is not None)
        ctx.set(csr.result.payload, self._result or 0)
        ctx.set(side.completer.i_verdict.valid, self._verdict)
        sample = await ctx.tick().sample(
            wire.ready, csr.access.valid, csr.access.payload, csr.result.ready,
            side.completer.o_completion.valid, side.completer.o_completion.payload,
            side.completer.o_submission.valid, side.completer.o_submission.payload.last,
            side.completer.i_verdict.ready,
        )  # fmt: skip
        ready, asked, access, heard, valid, beat, submitted, last, judged = sample[2:]
        if self._beats and ready:
            self._beats.pop(0)
        if self._result is not None:
            self._result = None if heard else self._result
        elif asked:
            self._result = self._access(access)
        if self._verdict and judged:
            self._verdict = False
        if submitted and last:
            self._verdict = True
        if valid:
            self._collect(beat)

    def _access(self, access):
        if access.write:
            lanes = sum(0xFF << 8 * n for n in range(8) if access.strobe >> n & 1)
            self.inside.write_word(access.address, access.data, lanes)
            return 0
        return self.inside.read_word(access.address)

    def _collect(self, beat):
        self._got.append(beat.data)
        if beat.last:
            data = b"".join(word.to_bytes(8, "little") for word in self._got)
            self._got = []
            header = beat.header
            self.completions.append(
                Completion(
                    status=Status(header.status.value), length_dw=header.length_dw,
                    byte_count=header.byte_count, lower_address=header.lower_address,
                    completer=header.completer, requester=header.requester, tag=header.tag,
                    tc=header.tc, attr=header.attr, poisoned=bool(header.poisoned),
                    payload=data[: 4 * header.length_dw],
                )
            )  # fmt: skip

    async def send(self, data):
        """Send the bytes of a TLP and wait until it has been dealt with. Returns the answer."""
        padded = data + bytes(-len(data) % 8)
        for at in range(0, len(padded), 8):
            self._beats.append(
                {
                    "data": int.from_bytes(padded[at : at + 8], "little"),
                    "count": min(2, (len(data) - at) // 4),
                    "first": int(at == 0),
                    "last": int(at + 8 >= len(padded)),
                }
            )
        waited = 0
        before = len(self.completions)
        while len(self.completions) == before and waited < WAIT:
            await self.clock()
            waited += not self._beats
            tlp = decode(data)
            if not (isinstance(tlp, Request) and not tlp.posted) and waited > 60:
                break
        for _ in range(8):
            await self.clock()
        assert len(self.completions) <= before + 1
        return self.completions[before] if len(self.completions) > before else None

    async def read_config(self, offset):
        request = Request(kind=Kind.CONFIG_READ, address=RID << 16 | offset)
        answer = await self.send(encode(request))
        return int.from_bytes(answer.payload, "little")


SETTINGS = (
    (0x10, BAR0 & 0xFFFF_FFFF), (0x14, BAR0 >> 32),
    (0x18, BAR2 & 0xFFFF_FFFF), (0x1C, BAR2 >> 32),
    (0x04, 6), (configspace.AER + 0x14, 0),
)  # fmt: skip

UNCORRECTABLE = configspace.AER + 4


def first_differences(seed, count):
    """Send the same to both, then compare configuration space. Returns sentences.

    Of the logged header only those DWs are compared that a TLP cut short still had.
    """
    complaints = []
    side = ReceiveSide()
    model = Device(SMALL, Memory())

    async def bench(ctx):
        rig = Rig(ctx, side)
        source = Traffic(SMALL, seed, bar0_base=BAR0, bar2_base=BAR2, routing_id=RID)
        setup = [encode(config_write(at, value, destination=RID)) for at, value in SETTINGS]
        logged = 0
        for number, data in enumerate([*setup, *(source.next() for _ in range(count))]):
            tlp = decode(data)
            if isinstance(tlp, Completion):
                continue  # the requester's business
            before = model.space.read(UNCORRECTABLE)
            answers = [a for a in model.handle(tlp) if isinstance(a, Completion)]
            actual = await rig.send(data)
            wrong = difference(tlp, answers[0] if answers else None, actual)
            if wrong:
                complaints.append(f"TLP {number} {data.hex()} {tlp}: {wrong}")
            if model.space.read(UNCORRECTABLE) and not before:
                logged = len(tlp.header)
        for item in configspace.config_space(SMALL).registers:
            want, got = model.space.read(item.offset), await rig.read_config(item.offset)
            beyond = item.name[:-1] == "aer_header_" and int(item.name[-1]) >= logged
            if want != got and not beyond:
                complaints.append(f"{item.name} is {got:#010x} instead of {want:#010x}")

    sim = Simulator(side)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return complaints


@pytest.mark.parametrize("seed", [1, 2])
def test_receive_side_answers_as_the_model_does(seed):
    print(f"seed {seed}")
    assert first_differences(seed, 150) == []
