"""A completer with registers, configuration space and queues around it, for tests."""

import random

from hw.pcie.completer import Completer
from hw.pcie.records import ErrorKind
from hw.regs import Config
from hw.tlp.records import Kind, Status

from .streams import Sink, offer, payload_beats, simulate
from .test_tlp_pack import request

CONFIG = Config()
BAR0, BAR2 = 0x20_4000_0000, 0x8010_0000
ROUTING_ID = 0x0300


class Bench:
    """A completer with register memory, a configuration space and queues behind it."""

    def __init__(self, config=CONFIG, pause=0.0, seed=0):
        self.width = config.data_width
        self.dut = dut = Completer(config)
        rng = [random.Random(seed + k) for k in range(4)]
        self.rng, self.pause = rng[3], pause
        self.completions = Sink(dut.o_completion, rng[0], pause)
        self.submissions = Sink(dut.o_submission, rng[1], pause)
        self.errors = Sink(dut.o_error, rng[2], pause)
        self.memory = bytearray(random.Random(99).randbytes(0x2000))
        self.accesses = []
        self.config_accesses = []
        self.answered = 0
        self.turned_off = 0
        self.accept = True
        self.bar2 = BAR2
        self.settings = {"memory_space": 1, "pasid_enable": 0, "routing_id": ROUTING_ID}

    async def _csr(self, ctx):
        port = self.dut.csr
        while True:
            ctx.set(port.access.ready, self.rng.random() >= self.pause)
            _, _, valid, ready, access = await ctx.tick().sample(
                port.access.valid, port.access.ready, port.access.payload
            )
            if not (valid and ready):
                continue
            ctx.set(port.access.ready, 0)
            self.accesses.append((access.address, access.write, access.strobe))
            assert access.address % 8 == 0
            word = self.memory[access.address : access.address + 8]
            if access.write:
                for k in range(8):
                    if access.strobe >> k & 1:
                        self.memory[access.address + k] = access.data >> 8 * k & 0xFF
            while self.rng.random() < self.pause:
                await ctx.tick()
            await self._result(ctx, port.result, int.from_bytes(word, "little"))

    async def _config(self, ctx):
        port = self.dut.config
        while True:
            ctx.set(port.access.ready, 1)
            _, _, valid, access = await ctx.tick().sample(port.access.valid, port.access.payload)
            if not valid:
                continue
            ctx.set(port.access.ready, 0)
            self.config_accesses.append(
                (access.address, access.write, access.strobe, access.data, access.destination)
            )
            await self._result(ctx, port.result, 0xC0F1_0000 | access.address)

    async def _result(self, ctx, port, value):
        ctx.set(port.payload, value)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def _queues(self, ctx):
        port = self.dut.i_verdict
        done = 0
        while True:
            await ctx.tick()
            if len(self.submissions.taken) > done:
                done += 1
                ctx.set(port.payload, self.accept)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
                ctx.set(port.valid, 0)

    async def _count_answers(self, ctx):
        while True:
            port = self.dut.config
            _, _, answered, off = await ctx.tick().sample(port.answered, port.turn_off)
            self.turned_off += off
            if answered:
                self.answered += 1
                assert self.completions.taken, "answered before the completion was taken"

    def run(self, bench):
        async def wrapped(ctx):
            for name, value in self.settings.items():
                ctx.set(getattr(self.dut.settings, name), value)
            ctx.set(self.dut.bar0, BAR0)
            ctx.set(self.dut.bar2, self.bar2)
            await bench(ctx)
            # Nothing more may come than what was waited for.
            count = len(self.completions.taken)
            for _ in range(40):
                await ctx.tick()
            assert len(self.completions.taken) == count

        sinks = [self.completions, self.submissions, self.errors]
        extra = [self._csr, self._config, self._queues, self._count_answers]
        sinks += [type("Process", (), {"run": staticmethod(process)}) for process in extra]
        simulate(self.dut, wrapped, sinks=sinks)

    async def post(self, ctx, header, words):
        header["fmt_type"] = header["fmt_type"] or 0x60
        for beat in payload_beats(header, words, self.width):
            await offer(ctx, self.dut.i_posted, beat, self.rng, self.pause)

    async def ask(self, ctx, header, words=()):
        count = len(self.completions.taken)
        for beat in payload_beats(header, list(words), self.width):
            await offer(ctx, self.dut.i_non_posted, beat, self.rng, self.pause)
        await self.completions.wait(ctx, count + 1)
        return self.completions.taken[-1]

    async def settle(self, ctx, clocks=60):
        for _ in range(clocks):
            await ctx.tick()


def read(address, length=1, first_be=0xF, last_be=None, **fields):
    last_be = (0xF if length > 1 else 0) if last_be is None else last_be
    return request(
        Kind.MEMORY_READ, address, length, first_be=first_be, last_be=last_be, fmt_type=0x20,
        requester=0x0100, tag=0x2A5, tc=3, attr=0b111, **fields,
    )  # fmt: skip


def write(address, length=1, kind=Kind.MEMORY_WRITE, **fields):
    return request(kind, address, length, **fields)


def statuses(bench):
    return [Status(beats[0].header.status) for beats in bench.completions.taken]


def kinds(bench):
    return [(ErrorKind(e.kind), e.advisory) for e in bench.errors.taken]
