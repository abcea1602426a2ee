"""A bench around one engine: descriptors in; a host memory and message storage beside it."""

import random

from amaranth.sim import Simulator

from hw.engine.engine import Engine
from hw.pcie.records import ReadStatus
from hw.regs import Config
from hw.regs.descriptor import DESCRIPTOR, RESULTS, Flag, Opcode
from sim.checkers.streams import instrument

from .streams import offer

WATCHDOG = 20_000
CONFIG = Config(ims_vectors=256, msix_vectors=4, queues=4)
RECORD = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
WORK = {
    "tenant": {"valid": 1, "pasid": 7},
    "max_transfer_log2": 16,
    "max_batch_log2": 5,
    "operations": (1 << 64) - 1,
    "shared": 1,
}


def descriptor(opcode=Opcode.NOP, number=0, *, flags=RECORD, pasid=7, **fields) -> int:
    """A descriptor whose completion record is the ``number``-th one."""
    address = 0x1000 + 32 * number if flags & Flag.COMPLETION_ADDRESS_VALID else 0
    return DESCRIPTOR.pack(
        opcode=opcode, flags=int(flags), completion_address=address, pasid=pasid, **fields
    )


class EngineBench:
    """Hands descriptors to an engine as queues would, and is host and message storage.

    ``log`` holds what left, in order: ``("write", address, bytes)``, ``("event", index)``,
    ``("done", queue)`` and ``("error", record)``; ``times`` the clock of each.
    """

    make = Engine

    def __init__(self, config: Config = CONFIG, *, seed: int = 1, pause: float = 0.0):
        print(f"seed {seed}")
        self.config, self.rng, self.pause = config, random.Random(seed), pause
        self.dut = self.make(config)
        self.memory: dict[int, int] = {}
        self.log: list[tuple] = []
        self.times: list[int] = []
        self.reads: list[int] = []
        #: Addresses whose reads fail, and whose writes are dropped.
        self.broken: set[int] = set()
        self.dropped: set[int] = set()
        self.read_cycles, self.write_cycles = 20, 8
        self.reads_held = False
        self.permitted = True
        self.clock = 0
        self._asked: list[tuple] = []
        self._written: list[tuple[int, int]] = []

    def run(self, scenario):
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)

        async def main(ctx):
            settings = {"bus_master": 1, "pasid_enable": 1, "max_read_bytes": 512}
            ctx.set(self.dut.settings, settings)
            ctx.set(self.dut.user_interrupts, 1)
            self.prepare(ctx)
            await ctx.tick()
            await scenario(ctx)

        simulator.add_testbench(main)
        for sink in (
            self._count,
            self._check,
            self._accept_reads,
            self._serve_reads,
            self._serve_writes,
            self._acknowledge,
            self._note(self.dut.o_event, "event", lambda event: event.index),
            self._note(self.dut.o_error, "error", lambda error: error),
            *(self._note(port, "done", lambda done: done.queue) for port in self.dones()),
        ):
            simulator.add_testbench(sink, background=True)
        simulator.run()

    def prepare(self, ctx):
        """Set what else there is to be set."""

    def works(self) -> list:
        """Where descriptors go in, for each engine."""
        return [self.dut.i_work]

    def dones(self) -> list:
        """Where engines say what is done."""
        return [self.dut.o_done]

    def note(self, *entry):
        self.log.append(entry)
        self.times.append(self.clock)

    async def submit(self, ctx, word: int, *, engine: int = 0, **header):
        """Hand one descriptor to an engine."""
        width = self.config.data_width
        for beat in range(512 // width):
            payload = {
                "header": WORK | header,
                "data": word >> width * beat & ((1 << width) - 1),
                "first": beat == 0,
                "last": beat == 512 // width - 1,
            }
            await offer(ctx, self.works()[engine], payload, self.rng, self.pause)

    async def take(self, ctx, port):
        while self.pause and self.rng.random() < self.pause:
            await ctx.tick()
        ctx.set(port.ready, 1)
        while True:
            _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
            if valid:
                ctx.set(port.ready, 0)
                return payload

    async def _count(self, ctx):
        while True:
            await ctx.tick()
            self.clock += 1

    async def _check(self, ctx):
        while True:
            await self.take(ctx, self.dut.o_check)
            await ctx.tick().repeat(3)
            await offer(ctx, self.dut.i_verdict, int(self.permitted))

    def _note(self, port, name, look):
        async def run(ctx):
            while True:
                payload = await self.take(ctx, port)
                self.note(name, look(payload))

        return run

    async def _accept_reads(self, ctx):
        while True:
            command = await self.take(ctx, self.dut.o_read)
            self.reads.append(command.address)
            due = self.clock + self.read_cycles
            self._asked.append((due, command.address, command.length_bytes))

    async def _serve_reads(self, ctx):
        port, lanes = self.dut.i_read, self.config.beat_bytes
        while True:
            while not self._asked or self._asked[0][0] > self.clock or self.reads_held:
                await ctx.tick()
            _, address, size = self._asked.pop(0)
            broken = address in self.broken
            status = ReadStatus.TIMEOUT if broken else ReadStatus.SUCCESS
            header = {"address": address, "length_bytes": size, "status": status}
            start = address - address % lanes
            places = range(start, start + lanes if broken else address + size, lanes)
            for place in places:
                data = bytes(self.memory.get(place + k, 0xEE) for k in range(lanes))
                payload = {
                    "header": header,
                    "data": int.from_bytes(data, "little"),
                    "first": place == places[0],
                    "last": place == places[-1],
                }
                await offer(ctx, port, payload, self.rng, self.pause)

    async def _serve_writes(self, ctx):
        port, lanes = self.dut.o_write, self.config.beat_bytes
        while True:
            beats = []
            ctx.set(port.ready, 1)
            while not beats or not beats[-1].last:
                _, _, valid, payload = await ctx.tick().sample(port.valid, port.payload)
                if valid:
                    beats.append(payload)
            header = beats[0].header
            raw = b"".join(beat.data.to_bytes(lanes, "little") for beat in beats)
            skew = header.address % lanes
            data = raw[skew : skew + header.length_bytes]
            dropped = header.address in self.dropped
            if not dropped:
                self.note("write", header.address, data)
                self.fill(header.address, data)
            self._written.append((self.clock + self.write_cycles, int(dropped)))

    async def _acknowledge(self, ctx):
        while True:
            if self._written and self._written[0][0] <= self.clock:
                await offer(ctx, self.dut.i_written, self._written.pop(0)[1])
            else:
                await ctx.tick()

    # Looking on

    def fill(self, address: int, data: bytes):
        self.memory |= {address + k: byte for k, byte in enumerate(data)}

    def bytes_at(self, address: int, size: int) -> bytes:
        return bytes(self.memory.get(address + k, 0xEE) for k in range(size))

    def record(self, number: int = 0) -> dict | None:
        """The ``number``-th completion record, if it was written."""
        address = 0x1000 + 32 * number
        if address not in self.memory:
            return None
        return RESULTS.unpack(int.from_bytes(self.bytes_at(address, 32), "little"))

    def of(self, kind: str) -> list:
        return [entry[1] for entry in self.log if entry[0] == kind]

    def when(self, kind: str) -> list[int]:
        return [time for time, entry in zip(self.times, self.log, strict=True) if entry[0] == kind]

    async def wait(self, ctx, done: int):
        """Wait until so many descriptors are done."""
        for _ in range(WATCHDOG):
            if len(self.of("done")) >= done:
                return
            await ctx.tick()
        raise AssertionError(f"{self.of('done')} are done, of {done}")
