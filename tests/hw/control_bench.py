"""A bench around control alone: registers, the host memory of the event log, and errors."""

from amaranth.sim import Simulator

from hw.control.control import Control
from hw.regs import Config
from hw.regs.commands import Command
from hw.regs.event_log import EVENT, EVENT_BYTES
from sim.checkers.streams import instrument

from .register_bench import WATCHDOG, Registers, pause, take
from .streams import offer

CONFIG = Config(ims_vectors=256, msix_vectors=4, queues=4, queue_slots=16)
LOG = 0x1234_5000


class Bench(Registers):
    """Drives :class:`Control`. There are no queues: commands find nothing to wait for.

    ``memory`` holds what was written, by address; ``writes`` the headers of those writes. While
    ``taking`` is false the requester takes nothing, and while ``answering`` is false it does not
    say what became of writes. ``rings`` counts vectors; none is taken while ``hold_rings`` is set.
    """

    def __init__(self, config: Config = CONFIG):
        self.dut = Control(config)
        super().__init__(config, self.dut.csr)
        self.memory: dict[int, int] = {}
        self.writes: list = []
        self.answers: list[int] = []
        self.taking = self.answering = True
        self.hold_rings = False
        self.rings = 0

    def run(self, scenario):
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)

        async def main(ctx):
            self.set_settings(ctx)
            ctx.set(self.dut.queues.ready, 1)
            ctx.set(self.dut.queues.settled, 1)
            await ctx.tick().repeat(self.config.ims_vectors + self.config.msix_vectors + 4)
            await scenario(ctx)

        simulator.add_testbench(main)
        for server in (self._serve_writes, self._answer, self._serve_rings):
            simulator.add_testbench(server, background=True)
        simulator.run()

    def set_settings(self, ctx, *, bus_master=1, pasid=1, privileged=1):
        settings = self.dut.settings
        ctx.set(settings.bus_master, bus_master)
        ctx.set(settings.pasid_enable, pasid)
        ctx.set(settings.pasid_privileged, privileged)

    async def _serve_writes(self, ctx):
        lanes = self.config.beat_bytes
        while True:
            beats = []
            while not beats or not beats[-1].last:
                while not self.taking:
                    await ctx.tick()
                beats.append(await take(ctx, self.dut.o_write))
                assert beats[-1].first == (len(beats) == 1)
            header = beats[0].header
            assert len(beats) * lanes == header.length_bytes
            bus_master = ctx.get(self.dut.settings.bus_master)
            if bus_master:
                self.writes.append(header)
                data = b"".join(beat.data.to_bytes(lanes, "little") for beat in beats)
                self.memory |= {header.address + k: byte for k, byte in enumerate(data)}
            self.answers.append(int(not bus_master))

    async def _answer(self, ctx):
        while True:
            if self.answering and self.answers:
                await pause(ctx, 5)
                await offer(ctx, self.dut.i_written, self.answers.pop(0))
            else:
                await ctx.tick()

    async def _serve_rings(self, ctx):
        port = self.dut.o_event
        while True:
            ctx.set(port.ready, not self.hold_rings)
            _, _, valid, ready, vector = await ctx.tick().sample(
                port.valid, port.ready, port.payload
            )
            if valid and ready:
                assert (vector.ims, vector.index, vector.completion) == (0, 0, 0)
                self.rings += 1

    # The event log

    async def enable(self, ctx, *, size=64, base=LOG, log=1, interrupts=7, **evlcfg):
        """Enable the device with an event log."""
        register = self.space.register("evlcfg")
        base >>= register["base"].lsb
        await self.put(ctx, "evlcfg", base=base, size=size, **evlcfg)
        await self.put(ctx, "gencfg", event_log=log)
        await self.put(ctx, "genctrl")
        await self.write(ctx, self.offset("genctrl"), interrupts, 4)
        return (await self.command(ctx, Command.ENABLE_DEVICE))[0]

    async def err(self, ctx, **fields):
        """Let an engine report an error, and wait until it has gone where it goes."""
        await offer(ctx, self.dut.i_engine_error, fields)
        await ctx.tick().repeat(40)

    def entry(self, index, base=LOG):
        """An entry of the event log, or None if nothing was written there."""
        address = base + EVENT_BYTES * index
        if address not in self.memory:
            return None
        data = bytes(self.memory[address + k] for k in range(EVENT_BYTES))
        return EVENT.unpack(int.from_bytes(data, "little"))

    async def status(self, ctx):
        """Head, tail and interrupt pending."""
        return tuple((await self.get(ctx, "evlstatus")).values())

    async def wait_rings(self, ctx, count):
        for _ in range(WATCHDOG):
            if self.rings >= count:
                return
            await ctx.tick()
        raise AssertionError(f"{self.rings} of {count} vectors came")


def run(scenario, **options):
    """Run a scenario of ``(ctx, bench)``."""
    bench = Bench(**options)

    async def wrapped(ctx):
        await scenario(ctx, bench)

    bench.run(wrapped)
