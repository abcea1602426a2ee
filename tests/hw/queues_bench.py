"""A bench around queues and control, with engines that a test lets take and finish descriptors."""

from amaranth import *
from amaranth.lib.wiring import Component, connect, flipped
from amaranth.sim import Simulator

from hw.control.control import Control
from hw.queues.outlet import PLACES
from hw.queues.queues import WorkQueues
from hw.regs import Config
from hw.regs.bar0 import GROUP_CONFIG
from hw.regs.commands import Command
from sim.checkers.streams import instrument

from .work_bench import Bench

CONFIG = Config(ims_vectors=256, msix_vectors=4, queues=4, queue_slots=16, groups=2, engines=3)


class QueuesAndControl(Component):
    """Queues and control joined; what they need of the rest of the device is outside."""

    def __init__(self, config: Config):
        self.queues, self.control = WorkQueues(config), Control(config)
        outside = {}
        for part, names in (
            (self.queues, ("i_submission", "o_verdict", "o_work", "i_done", "o_event")),
            (self.control, ("settings", "store_busy", "reset_ims", "abandon")),
        ):
            outside |= {name: part.signature.members[name] for name in names}
        outside["registers"] = self.control.signature.members["csr"]
        outside["tables"] = self.queues.signature.members["csr"]
        outside["o_own_event"] = self.control.signature.members["o_event"]
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
        connect(m, control.o_event, flipped(self.o_own_event))
        connect(m, queues.o_event, flipped(self.o_event))
        connect(m, control.abandon, flipped(self.abandon))
        for number in range(len(self.o_work)):
            connect(m, queues.o_work[number], flipped(self.o_work[number]))
            connect(m, flipped(self.i_done[number]), queues.i_done[number])
        m.d.comb += [
            control.settings.eq(self.settings),
            control.store_busy.eq(self.store_busy),
            queues.staged.eq(control.staged),
            self.reset_ims.eq(control.reset_ims),
        ]
        return m


class QueuesBench(Bench):
    """Drives :class:`QueuesAndControl` as host and as its engines.

    ``taken`` holds ``(engine, header, descriptor)`` in the order in which engines took them, and
    ``times`` the clock of each. An engine takes nothing while its bit is set in ``stalled``, and
    finishes what it took, in order, ``work_cycles`` later; nothing while its bit is set in
    ``held``; ``inside`` has what each holds. ``extra`` descriptors are taken all the same.
    ``finished`` lists engines as they finish.
    """

    make = QueuesAndControl

    def __init__(self, config: Config = CONFIG, **options):
        super().__init__(config, **options)
        self.taken: list[tuple] = []
        self.times: list[int] = []
        self.finished: list[int] = []
        self.stalled = self.held = 0
        self.bells_held = False
        self.extra = 0
        self.work_cycles = 20
        self.inside: list[list] = [[] for _ in range(config.engines)]

    def run(self, scenario):
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)

        async def main(ctx):
            self.set_settings(ctx)
            await ctx.tick().repeat(self.config.ims_vectors + self.config.msix_vectors + 4)
            await scenario(ctx)

        simulator.add_testbench(main)
        for sink in (self._serve_own, self._serve_occupancy, self._tick):
            simulator.add_testbench(sink, background=True)
        for number in range(self.config.engines):
            simulator.add_testbench(self._taker(number), background=True)
            simulator.add_testbench(self._finisher(number), background=True)
        simulator.run()

    async def _serve_occupancy(self, ctx):
        while True:
            while self.bells_held or not ctx.get(self.dut.o_event.valid):
                await ctx.tick()
            event = await self.take(ctx, self.dut.o_event)
            assert not event.completion
            self.log.append(("event", event.ims, event.index))

    async def _tick(self, ctx):
        while True:
            await ctx.tick()
            self.clock += 1

    def _taker(self, number):
        async def take(ctx):
            port = self.dut.o_work[number]
            while True:
                while (self.stalled >> number & 1 and not self.extra) or not ctx.get(port.valid):
                    await ctx.tick()
                self.extra = max(self.extra - 1, 0)
                word = 0
                for beat in range(512 // self.config.data_width):
                    payload = await self.take(ctx, port)
                    word |= payload.data << self.config.data_width * beat
                    assert payload.first == (beat == 0)
                assert payload.last
                self.taken.append((number, payload.header, word))
                self.times.append(self.clock)
                self.inside[number].append((payload.header.queue, self.clock + self.work_cycles))

        return take

    def _finisher(self, number):
        async def finish(ctx):
            inside = self.inside[number]
            while True:
                if inside and inside[0][1] <= self.clock and not self.held >> number & 1:
                    await self.offer(ctx, self.dut.i_done[number], {"queue": inside[0][0]})
                    self.finished.append(number)
                    inside.pop(0)
                await ctx.tick()

        return finish

    async def occupancy(self, ctx, queue):
        return (await self.queue(ctx, queue, "status"))["occupancy"]

    async def stop(self, ctx, queue, word, *, deferrable=1):
        """Let no engine take anything, and fill what stands ready for the first with ``word``."""
        self.stalled = -1
        for _ in range(PLACES):
            assert await self.submit(ctx, queue, word, deferrable=deferrable) == 1
            while await self.occupancy(ctx, queue):
                await ctx.tick()

    async def group_up(self, ctx, *groups, **options):
        """Enable the device with these groups, each a pair: queues with options, and engines."""
        for number, (queues, engines) in enumerate(groups):
            for queue, extra in queues.items():
                await self.configure_queue(ctx, queue, **options | extra)
            bitmap = sum(1 << queue for queue in queues)
            flags = GROUP_CONFIG[2].pack(read_buffers_allowed=self.config.tags)
            await self.configure_group(
                ctx, bitmap, engines=sum(1 << e for e in engines), flags=flags, group=number
            )
        assert await self.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        for queues, _ in groups:
            for queue in queues:
                assert await self.command(ctx, Command.ENABLE_QUEUE, queue) == (0, 0)

    async def wait_taken(self, ctx, count):
        for _ in range(20_000):
            if len(self.taken) >= count:
                return
            await ctx.tick()
        raise AssertionError(f"engines took {len(self.taken)} descriptors, not {count}")
