"""A bench around queues, control and an engine: registers, a host memory and message storage."""

import random

from amaranth import *
from amaranth.lib.wiring import Component, In, connect, flipped
from amaranth.sim import Simulator

from hw.control.control import Control
from hw.engine.engine import Engine
from hw.pcie.records import ReadStatus
from hw.queues.queues import WorkQueues
from hw.regs import Config
from hw.regs.bar0 import GROUP_CONFIG, QUEUE_CONFIG
from hw.regs.commands import Command
from hw.regs.descriptor import COMPLETION, DESCRIPTOR, Flag, Opcode
from sim.checkers.streams import instrument

from .register_bench import Registers
from .streams import offer

WATCHDOG = 40_000
CONFIG = Config(ims_vectors=256, msix_vectors=4, queues=4, queue_slots=16)


class Works(Component):
    """Queues, control and engine joined; what they need of the rest of the device is outside.

    While ``stall`` is set the engine gets no more descriptors.
    """

    def __init__(self, config: Config = CONFIG):
        self.config = config
        self.queues = WorkQueues(config)
        self.control = Control(config)
        self.engine = Engine(config)
        outside = {"stall": In(1)}
        for part, names in (
            (self.queues, ("i_submission", "o_verdict")),
            (self.control, ("settings", "store_busy", "reset_ims")),
            (
                self.engine,
                (
                    "o_check",
                    "i_verdict",
                    "o_event",
                    "o_read",
                    "i_read",
                    "o_write",
                    "i_written",
                ),
            ),
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
        m.submodules.engine = engine = self.engine
        connect(m, control.queues, queues.control)
        connect(m, control.abandon, engine.abandon)
        work = queues.o_work[0]
        # A stall shows itself only between packets, as an engine's would.
        stalled, inside = Signal(), Signal()
        with m.If(engine.i_work.valid & engine.i_work.ready):
            m.d.sync += inside.eq(~engine.i_work.p.last)
        m.d.comb += [
            stalled.eq(self.stall & ~inside),
            engine.i_work.payload.eq(work.payload),
            engine.i_work.valid.eq(work.valid & ~stalled),
            work.ready.eq(engine.i_work.ready & ~stalled),
        ]
        connect(m, engine.o_done, queues.i_done[0])
        connect(m, queues.o_error, control.i_queue_error)
        connect(m, engine.o_error, control.i_engine_error)
        m.d.comb += [
            engine.settings.eq(self.settings),
            control.settings.eq(self.settings),
            engine.user_interrupts.eq(control.user_interrupts),
            control.store_busy.eq(self.store_busy),
            self.reset_ims.eq(control.reset_ims),
        ]
        connect(m, flipped(self.i_submission), queues.i_submission)
        connect(m, queues.o_verdict, flipped(self.o_verdict))
        connect(m, flipped(self.registers), control.csr)
        connect(m, flipped(self.tables), queues.csr)
        connect(m, control.o_event, flipped(self.o_own_event))
        for name in ("o_check", "o_event", "o_read", "o_write"):
            connect(m, getattr(engine, name), flipped(getattr(self, name)))
        for name in ("i_verdict", "i_read", "i_written"):
            connect(m, flipped(getattr(self, name)), getattr(engine, name))
        return m


def descriptor(
    opcode=Opcode.NOP,
    *,
    flags=Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION,
    completion_address=0x1000,
    **fields,
) -> int:
    """A descriptor, valid unless made otherwise."""
    if not flags & Flag.COMPLETION_ADDRESS_VALID and completion_address == 0x1000:
        completion_address = 0
    return DESCRIPTOR.pack(
        opcode=opcode, flags=int(flags), completion_address=completion_address, **fields
    )


class Bench(Registers):
    """Drives :class:`Works` as host, root complex, requester and message storage.

    ``log`` holds what left, in order: ``("write", address, bytes, pasid)``, ``("event", ims,
    index)`` and ``("own",)``.
    """

    make = Works

    def __init__(self, config: Config = CONFIG, *, seed: int = 1, pause: float = 0.0):
        self.rng, self.pause = random.Random(seed), pause
        self.dut = self.make(config)
        super().__init__(config, self.dut.registers, self.dut.tables)
        self.memory: dict[int, int] = {}
        self.log: list[tuple] = []
        self.stages: list[str] = []
        self.read_faults: dict[int, ReadStatus] = {}
        self.read_cycles = 5
        self.write_cycles = 3
        self.reads_held = False
        self.permit = lambda ims, index, pasid, enable: True
        self.checks: list[tuple] = []
        self.reads: list[tuple] = []
        self.resets = 0
        self.bus_master = True
        self.clock = 0

    # Running

    def run(self, scenario):
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)

        async def main(ctx):
            self.set_settings(ctx)
            await ctx.tick().repeat(self.config.ims_vectors + self.config.msix_vectors + 4)
            await scenario(ctx)

        simulator.add_testbench(main)
        for sink in (
            self._serve_checks,
            self._serve_events,
            self._serve_own,
            self._accept_reads,
            self._serve_reads,
            self._serve_writes,
            self._acknowledge,
            self._watch,
        ):
            simulator.add_testbench(sink, background=True)
        self._written: list[tuple[int, int]] = []
        self._asked: list[tuple[int, int, int]] = []
        simulator.run()

    def set_settings(self, ctx, *, bus_master=1, pasid=1, privileged=1):
        self.bus_master = bool(bus_master)
        settings = self.dut.settings
        ctx.set(settings.max_read_bytes, 512)
        ctx.set(settings.bus_master, bus_master)
        ctx.set(settings.pasid_enable, pasid)
        ctx.set(settings.pasid_privileged, privileged)

    async def offer(self, ctx, port, payload):
        await offer(ctx, port, payload)

    async def take(self, ctx, port):
        while self.pause and self.rng.random() < self.pause:
            await ctx.tick()
        ctx.set(port.ready, 1)
        while True:
            _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
            if valid:
                ctx.set(port.ready, 0)
                return payload

    async def _watch(self, ctx):
        while True:
            _, _, reset = await ctx.tick().sample(self.dut.reset_ims)
            self.clock += 1
            self.resets += reset

    async def _serve_checks(self, ctx):
        while True:
            check = await self.take(ctx, self.dut.o_check)
            asked = (check.vector.ims, check.vector.index, check.pasid, check.pasid_enable)
            self.checks.append(asked)
            await self.offer(ctx, self.dut.i_verdict, int(self.permit(*asked)))

    async def _serve_events(self, ctx):
        while True:
            event = await self.take(ctx, self.dut.o_event)
            assert event.completion
            self.log.append(("event", event.ims, event.index))

    async def _serve_own(self, ctx):
        while True:
            event = await self.take(ctx, self.dut.o_own_event)
            assert (event.ims, event.index, event.completion) == (0, 0, 0)
            self.log.append(("own",))

    async def _accept_reads(self, ctx):
        while True:
            command = await self.take(ctx, self.dut.o_read)
            tenant = (command.tenant.valid, command.tenant.pasid)
            slot = self.config.read_slot_bytes
            last = command.address + command.length_bytes - 1
            assert command.length_bytes and command.address // slot == last // slot
            self.reads.append((command.address, command.length_bytes, tenant))
            self._asked.append((self.clock + self.read_cycles, *self.reads[-1][:2]))

    async def _serve_reads(self, ctx):
        while True:
            while not self._asked or self._asked[0][0] > self.clock or self.reads_held:
                await ctx.tick()
            _, address, size = self._asked.pop(0)
            await self._chunk(ctx, address, size)

    async def _chunk(self, ctx, address, size):
        status = self.read_faults.get(address, ReadStatus.SUCCESS)
        lanes = self.config.beat_bytes
        start = address - address % lanes
        count = -(-(address + size - start) // lanes) if status is ReadStatus.SUCCESS else 1
        for beat in range(count):
            word = 0
            for lane in range(lanes):
                place = start + beat * lanes + lane
                inside = address <= place < address + size
                byte = self.memory.get(place, 0) if inside else self.rng.randrange(256)
                word |= byte << 8 * lane
            header = {"address": address, "length_bytes": size, "status": status}
            while self.pause and self.rng.random() < self.pause:
                await ctx.tick()
            await self.offer(
                ctx,
                self.dut.i_read,
                {"header": header, "data": word, "first": beat == 0, "last": beat == count - 1},
            )

    async def _serve_writes(self, ctx):
        while True:
            beats = []
            while not beats or not beats[-1].last:
                beats.append(await self.take(ctx, self.dut.o_write))
                assert beats[-1].first == (len(beats) == 1)
                assert str(beats[-1].header) == str(beats[0].header)
            header, lanes = beats[0].header, self.config.beat_bytes
            offset = header.address % lanes
            assert len(beats) == -(-(offset + header.length_bytes) // lanes)
            data = b"".join(beat.data.to_bytes(lanes, "little") for beat in beats)
            data = data[offset : offset + header.length_bytes]
            tenant = header.tenant
            if self.bus_master:
                pasid = tenant.pasid if tenant.valid else None
                self.log.append(("write", header.address, data, pasid))
                for k, byte in enumerate(data):
                    self.memory[(header.address + k) % (1 << 64)] = byte
            self._written.append((self.clock + self.write_cycles, int(not self.bus_master)))

    async def _acknowledge(self, ctx):
        while True:
            if self._written and self._written[0][0] <= self.clock:
                await self.offer(ctx, self.dut.i_written, self._written.pop(0)[1])
            else:
                await ctx.tick()

    # Queues

    def queue_offset(self, queue, register):
        return self.space.table("wqcfg").entry(queue, register)

    async def configure_queue(
        self,
        ctx,
        queue,
        *,
        size=4,
        threshold=None,
        dedicated=0,
        priority=1,
        pasid=0,
        pasid_enable=1,
        privileged=0,
        max_transfer_log2=12,
        max_batch_log2=1,
        mode=None,
        **limits,
    ):
        layouts = {item.name: item for item in QUEUE_CONFIG}
        values = {
            "size": layouts["size"].pack(size=size),
            "threshold": layouts["threshold"].pack(
                threshold=size if threshold is None else threshold
            ),
            "mode": layouts["mode"].pack(
                dedicated=dedicated,
                priority=priority,
                pasid=pasid,
                pasid_enable=pasid_enable,
                privileged=privileged,
                **(mode or {}),
            ),
            "limits": layouts["limits"].pack(
                max_transfer_log2=max_transfer_log2, max_batch_log2=max_batch_log2, **limits
            ),
        }
        for name, value in values.items():
            await self.write(ctx, self.queue_offset(queue, name), value, 4)

    async def configure_group(self, ctx, queues, *, engines=1, flags=None, group=0):
        base = self.space.table("grpcfg").entry(group)
        if flags is None:
            flags = GROUP_CONFIG[2].pack(read_buffers_allowed=min(self.config.tags, 255))
        await self.write(ctx, base + GROUP_CONFIG[0].offset, queues)
        await self.write(ctx, base + GROUP_CONFIG[1].offset, engines)
        await self.write(ctx, base + GROUP_CONFIG[2].offset, flags)

    async def bring_up(self, ctx, *queues, user_interrupts=1):
        """Configure queues from keyword dictionaries and enable the device and them."""
        bitmap = 0
        for number, options in enumerate(queues):
            if options is not None:
                await self.configure_queue(ctx, number, **options)
                bitmap |= 1 << number
        await self.configure_group(ctx, bitmap)
        await self.write(ctx, self.offset("gencfg"), user_interrupts << 12, 4)
        assert await self.command(ctx, Command.ENABLE_DEVICE) == (0, 0)
        for number, options in enumerate(queues):
            if options is not None:
                assert await self.command(ctx, Command.ENABLE_QUEUE, number) == (0, 0)

    async def submit(self, ctx, queue, word, *, deferrable=1, portal=0):
        """Write 64 bytes to a portal; returns the verdict."""
        header = {"queue": queue, "portal": portal, "deferrable": deferrable}
        width = self.config.data_width
        count = 512 // width
        for beat in range(count):
            await self.offer(
                ctx,
                self.dut.i_submission,
                {
                    "header": header,
                    "data": word >> width * beat & ((1 << width) - 1),
                    "first": beat == 0,
                    "last": beat == count - 1,
                },
            )
        return await self.take(ctx, self.dut.o_verdict)

    def record(self, address=0x1000):
        """The completion record at an address."""
        data = bytes(self.memory.get(address + k, 0) for k in range(32))
        return COMPLETION.unpack(int.from_bytes(data, "little"))

    async def completion(self, ctx, address=0x1000):
        """Wait for a completion record, then return it."""
        for _ in range(WATCHDOG):
            if self.memory.get(address):
                return self.record(address)
            await ctx.tick()
        raise AssertionError("no completion record")

    def writes(self):
        return [entry for entry in self.log if entry[0] == "write"]

    def events(self):
        return [entry[1:] for entry in self.log if entry[0] == "event"]
