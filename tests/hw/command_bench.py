"""A bench around control and the queues, with engines that only pretend."""

import random
from dataclasses import dataclass

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.sim import Simulator

from hw.control.control import Control
from hw.queues.queues import WorkQueues
from hw.regs import Config
from hw.regs.commands import Command
from hw.regs.descriptor import DESCRIPTOR, Opcode
from sim.checkers.streams import instrument

from .register_bench import Registers, pause, take
from .streams import offer

CONFIG = Config(ims_vectors=256, msix_vectors=4, queues=4, queue_slots=16)


class Desk(Component):
    """Control and queues, joined; engines and the rest of the device are outside."""

    def __init__(self, config: Config):
        self.queues, self.control = WorkQueues(config), Control(config)
        outside = {
            name: self.queues.signature.members[name]
            for name in ("i_submission", "o_verdict", "o_work", "i_done")
        }
        outside |= {
            name: self.control.signature.members[name]
            for name in (
                "settings",
                "store_busy",
                "reset_ims",
                "staged",
                "abandon",
                "i_engine_error",
                "o_event",
            )
        }
        outside["registers"] = self.control.signature.members["csr"]
        outside["tables"] = self.queues.signature.members["csr"]
        super().__init__(outside)

    def elaborate(self, platform):
        m = Module()
        m.submodules.queues = queues = self.queues
        m.submodules.control = control = self.control
        connect(m, control.queues, queues.control)
        connect(m, queues.o_error, control.i_queue_error)
        connect(m, flipped(self.i_submission), queues.i_submission)
        connect(m, queues.o_verdict, flipped(self.o_verdict))
        connect(m, flipped(self.registers), control.csr)
        connect(m, flipped(self.tables), queues.csr)
        connect(m, flipped(self.i_engine_error), control.i_engine_error)
        connect(m, control.o_event, flipped(self.o_event))
        connect(m, control.abandon, flipped(self.abandon))
        for outer, inner in zip(self.o_work, queues.o_work, strict=True):
            connect(m, inner, flipped(outer))
        for outer, inner in zip(self.i_done, queues.i_done, strict=True):
            connect(m, flipped(outer), inner)
        m.d.comb += [
            control.settings.eq(self.settings),
            control.store_busy.eq(self.store_busy),
            self.reset_ims.eq(control.reset_ims),
            self.staged.eq(control.staged),
        ]
        return m


@dataclass(frozen=True)
class Item:
    """A descriptor that an engine was given."""

    queue: int
    pasid: int | None
    serial: int


class Bench(Registers):
    """Drives :class:`Desk` as host, engines and message storage.

    An engine takes descriptors, unless ``stall``, and finishes them in order, unless ``frozen``:
    those that are not to be abandoned go into ``effects``. ``rings`` counts vectors, ``resets``
    resets of message storage. What is in ``background`` runs beside the scenario.
    """

    def __init__(self, config: Config = CONFIG, *, seed: int = 1):
        print(f"seed {seed}")
        self.dut, self.rng = Desk(config), random.Random(seed)
        super().__init__(config, self.dut.registers, self.dut.tables)
        self.effects: list[Item] = []
        self.held: list[list[Item]] = [[] for _ in range(config.engines)]
        self.stall = self.frozen = False
        self.rings = self.resets = 0
        self.background: list = []

    def run(self, scenario):
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)

        async def main(ctx):
            self.set_settings(ctx)
            await ctx.tick().repeat(self.config.ims_vectors + self.config.msix_vectors + 4)
            await scenario(ctx, self)

        simulator.add_testbench(main)
        servers = [self._serve_rings, self._watch, *self.background]
        for engine in range(self.config.engines):
            servers += [self._giver(engine), self._finisher(engine)]
        for server in servers:
            simulator.add_testbench(server, background=True)
        simulator.run()

    def set_settings(self, ctx, *, bus_master=1, pasid=1, privileged=1):
        settings = self.dut.settings
        ctx.set(settings.bus_master, bus_master)
        ctx.set(settings.pasid_enable, pasid)
        ctx.set(settings.pasid_privileged, privileged)

    async def _watch(self, ctx):
        while True:
            _, _, reset = await ctx.tick().sample(self.dut.reset_ims)
            self.resets += reset

    async def _serve_rings(self, ctx):
        while True:
            vector = await take(ctx, self.dut.o_event)
            assert (vector.ims, vector.index) == (0, 0)
            self.rings += 1

    # Engines

    def _giver(self, engine):
        async def run(ctx):
            while True:
                while self.stall or len(self.held[engine]) > 4:
                    await ctx.tick()
                word, beat = 0, None
                count = 512 // self.config.data_width
                for k in range(count):
                    beat = await take(ctx, self.dut.o_work[engine])
                    word |= beat.data << self.config.data_width * k
                tenant = beat.header.tenant
                pasid = tenant.pasid if tenant.valid else None
                serial = DESCRIPTOR.get(word, "source")
                self.held[engine].append(Item(beat.header.queue, pasid, serial))

        return run

    def _finisher(self, engine):
        async def run(ctx):
            while True:
                await pause(ctx, 1 + self.rng.randrange(60))
                if self.frozen or not self.held[engine]:
                    continue
                item = self.held[engine][0]
                if not self._abandoned(ctx, item):
                    self.effects.append(item)
                await pause(ctx, 1 + self.rng.randrange(10))
                self.held[engine].pop(0)
                await offer(ctx, self.dut.i_done[engine], {"queue": item.queue})

        return run

    def _abandoned(self, ctx, item):
        abandon = self.dut.abandon
        if not ctx.get(abandon.valid) or not ctx.get(abandon.affected) >> item.queue & 1:
            return False
        return not ctx.get(abandon.by_pasid) or item.pasid == ctx.get(abandon.pasid)

    # Queues

    async def bring_up(self, ctx, *queues, engines=None):
        """Configure queues from keyword dictionaries in one group, and enable all."""
        for number, options in enumerate(queues):
            await self.configure_queue(ctx, number, **options)
        everything = (1 << self.config.engines) - 1 if engines is None else engines
        await self.configure_group(ctx, 0, queues=(1 << len(queues)) - 1, engines=everything)
        assert await self.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        for number in range(len(queues)):
            assert await self.command(ctx, Command.ENABLE_QUEUE, number) == (0, 0)

    async def submit(self, ctx, queue, *, pasid=0, serial=0, deferrable=1):
        """Write a descriptor to a portal; returns the verdict."""
        word = DESCRIPTOR.pack(opcode=Opcode.NOP, pasid=pasid, source=serial)
        width = self.config.data_width
        count = 512 // width
        for beat in range(count):
            payload = {
                "header": {"queue": queue, "portal": 0, "deferrable": deferrable},
                "data": word >> width * beat & ((1 << width) - 1),
                "first": beat == 0,
                "last": beat == count - 1,
            }
            await offer(ctx, self.dut.i_submission, payload)
        return await take(ctx, self.dut.o_verdict)


def run(scenario, **options):
    """Run a scenario of ``(ctx, bench)``."""
    Bench(**options).run(scenario)
