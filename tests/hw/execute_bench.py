"""A bench that reads ahead for jobs as a front does, and watches what they write."""

import random
from collections import deque

from amaranth.sim import Simulator

from hw.engine.execute import Execute
from hw.engine.records import TokenKind
from hw.pcie.records import ReadStatus
from hw.regs import Config
from sim.checkers.streams import instrument

from .execute_reference import Case, Chunk, chunks, outcome
from .streams import WATCHDOG, Sink, offer

CONFIG = Config()
TENANT = {"valid": 1, "pasid": 0x12345, "privileged": 0, "execute": 0}


class ExecuteBench:
    """Runs cases one after another.

    Parameters
    ----------
    limit
        Chunks end at multiples of it.
    ahead
        Chunks that are asked for before the one at hand has come.
    """

    def __init__(self, config=CONFIG, *, limit=None, seed=1, pause=0.0, ahead=4):
        self.config, self.limit = config, limit or config.read_slot_bytes
        self.rng, self.pause, self.ahead = random.Random(seed), pause, ahead
        self.dut = Execute(config)
        self.memory: dict[int, int] = {}
        self.cases: list[Case] = []
        self.writes = Sink(self.dut.o_write, self.rng, pause)
        self.results = Sink(self.dut.o, self.rng, pause)
        self.tokens: deque = deque()
        self.reads: deque = deque()
        self.asked = 0
        self.stops: dict[int, int] = {}
        """Clocks after its begin in which a job is stopped, by number of the job."""
        self.clock = 0
        self.taken: list[tuple[int, int]] = []
        """Clocks in which each job was offered, and its result was taken."""
        self.current = 0

    def place(self, address, content):
        self.memory.update(enumerate(content, address))

    def run(self, *cases):
        """Run them all and look at what became of each."""
        self.cases = list(cases)
        simulator = Simulator(instrument(self.dut))
        simulator.add_clock(8e-9)
        for part in (self._front, self._give_tokens, self._give_chunks, self._stop):
            simulator.add_testbench(part, background=True)
        for sink in (self.writes, self.results):
            simulator.add_testbench(sink.run, background=True)
        simulator.add_testbench(self._jobs)
        simulator.run()

    async def _jobs(self, ctx):
        for number, case in enumerate(self.cases):
            self.current = number
            while self.rng.random() < self.pause:
                await ctx.tick()
            ctx.set(self.dut.i.payload, {**case.fields(), "tenant": TENANT})
            ctx.set(self.dut.i.valid, 1)
            begun, before = self.clock, len(self.writes.taken)
            for _ in range(WATCHDOG * 4):
                _, _, ready = await ctx.tick().sample(self.dut.i.ready)
                if ready:
                    # What comes next does not concern the job under way.
                    ctx.set(self.dut.i.valid, 0)
                    ctx.set(self.dut.i.payload, {"opcode": self.rng.randrange(256), "fault": 1})
                if len(self.results.taken) > number:
                    break
            else:
                raise AssertionError(f"job {number} never ends: {case}")
            # The last beat may still be on offer, and then nothing else is.
            beats = self._beats()
            for _ in range(WATCHDOG):
                if not ctx.get(self.dut.lags):
                    break
                await ctx.tick()
            assert self._beats() - beats <= 1
            assert not self.writes.current, "a write was not finished"
            self.taken.append((begun, self.clock))
            assert len(self.results.taken) == number + 1
            self._check(number, case, self.writes.taken[before:])
        await ctx.tick().repeat(20)
        assert not self.tokens and not self.reads
        assert len(self.results.taken) == len(self.cases)

    def _beats(self):
        return sum(map(len, self.writes.taken)) + len(self.writes.current)

    def written(self, packets):
        """Bytes written, and by which address; none twice."""
        lanes, found = self.config.beat_bytes, {}
        for beats in packets:
            header = beats[0].header
            assert header.tenant.pasid == TENANT["pasid"] and header.tenant.valid
            assert 1 <= header.length_bytes <= 4096
            place = header.address % lanes
            content = b"".join(beat.data.to_bytes(lanes, "little") for beat in beats)
            assert len(content) == (place + header.length_bytes + lanes - 1) // lanes * lanes
            for k in range(header.length_bytes):
                assert header.address + k not in found, "written twice"
                found[header.address + k] = content[place + k]
        return found

    def _check(self, number, case, packets):
        found, result = self.written(packets), self.results.taken[number]
        expected = outcome(case, self.memory, self.limit)
        text = f"job {number}: {case}"
        if number in self.stops:
            assert found.items() <= expected.writes.items(), text
            return
        assert found == expected.writes, text
        assert result.status == expected.status, text
        assert result.result == expected.result, text
        assert result.bytes_completed == expected.bytes_completed, text
        if expected.value is not None:
            assert result.value == expected.value, text

    async def _stop(self, ctx):
        since, seen = 0, 0
        while True:
            if self.current != seen:
                since, seen = 0, self.current
            due = self.stops.get(self.current)
            ctx.set(self.dut.stop, due is not None and since >= due)
            await ctx.tick()
            self.clock += 1
            since += 1

    async def _front(self, ctx):
        """Tokens and chunks of every job, a few ahead, until nobody wants more."""
        for number, case in enumerate(self.cases):
            for index, chunk in enumerate(chunks(case, self.limit)):
                while len(self.tokens) + len(self.reads) > 2 * self.ahead:
                    await ctx.tick()
                if self.current == number and ctx.get(self.dut.cancel):
                    break
                self.asked += 1
                self.tokens.append(TokenKind[chunk.kind])
                self.reads.append((chunk, index == case.failing))
            self.tokens.append(TokenKind.END)
            while self.current < number - 2:
                await ctx.tick()

    async def _give_tokens(self, ctx):
        while True:
            while not self.tokens:
                await ctx.tick()
            await offer(ctx, self.dut.i_token, {"kind": self.tokens[0]}, self.rng, self.pause)
            self.tokens.popleft()

    async def _give_chunks(self, ctx):
        while True:
            while not self.reads:
                await ctx.tick()
            await self._give(ctx, *self.reads[0])
            self.reads.popleft()

    async def _give(self, ctx, chunk: Chunk, fails):
        lanes = self.config.beat_bytes
        begin = chunk.address - chunk.address % lanes
        count = 1 if fails else -(-(chunk.address + chunk.length - begin) // lanes)
        status = self.rng.choice(list(ReadStatus)[1:]) if fails else ReadStatus.SUCCESS
        header = {"address": chunk.address, "length_bytes": chunk.length, "status": status}
        for beat in range(count):
            content = bytearray(self.rng.randbytes(lanes))
            for k in range(lanes):
                at = begin + beat * lanes + k
                if not fails and chunk.address <= at < chunk.address + chunk.length:
                    content[k] = self.memory.get(at, 0)
            payload = {
                "header": header,
                "data": int.from_bytes(content, "little"),
                "first": beat == 0,
                "last": beat == count - 1,
            }
            await offer(ctx, self.dut.i_read, payload, self.rng, self.pause)
