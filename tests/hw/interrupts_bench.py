"""What the tests of message storage share: a store under simulation, and verbs."""

import random

import pytest
from amaranth.sim import Simulator

from hw.interrupts.store import MessageStore
from hw.regs.bar0 import bar0
from hw.regs.config import Config

WATCHDOG = 30_000
IMS, MSIX = 1, 0
MASK, PENDING, IGNORE, PASID_ENABLE = 1, 2, 4, 8
WINDOW = 0xFEE0_0000
BOTH = pytest.mark.parametrize("table", [MSIX, IMS], ids=["msix", "ims"])


class Bench:
    """Drives a store and collects its messages, a coroutine for each side.

    Parameters
    ----------
    ims, msix
        Entries of the tables.
    window
        Base of the message window.
    pause
        Probability that messages are not taken in a clock.
    """

    def __init__(self, ims=256, msix=64, *, window=WINDOW, pause=0.0):
        self.config = Config(ims_vectors=ims, msix_vectors=msix, message_window=window)
        self.dut = MessageStore(self.config)
        self.space = bar0(self.config)
        self.pause = pause
        self.rng = random.Random(5)
        self.messages = []
        self.clock = 0
        self.stop = False

    def run(self, test):
        """Run ``test(self)`` from the end of the first sweep on, everything switched on."""

        async def main(ctx):
            self.ctx = ctx
            for name in ("enable", "bus_master"):
                ctx.set(getattr(self.dut, name), 1)
            ctx.set(self.dut.o_verdict.ready, 1)
            await self.idle()
            await test(self)
            await self.idle()
            self.finished = True

        async def listen(ctx):
            port = self.dut.o_message
            while True:
                ready = self.rng.random() >= self.pause and not self.stop
                ctx.set(port.ready, ready)
                _, _, valid, message = await ctx.tick().sample(port.valid, port.payload)
                if valid and ready:
                    self.messages.append((message.address, message.data, self.clock))
                self.clock += 1

        self.finished = False
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(main)
        simulator.add_testbench(listen, background=True)
        simulator.run()
        assert self.finished
        return self

    async def tick(self, count=1):
        for _ in range(count):
            await self.ctx.tick()

    async def idle(self):
        """Until nothing is inside any more."""
        for _ in range(WATCHDOG):
            _, _, busy = await self.ctx.tick().sample(self.dut.busy)
            if not busy:
                return
        raise AssertionError("the store stays busy")

    async def put(self, port, payload):
        """Offer a beat until it is taken; returns the clock of the transfer."""
        self.ctx.set(port.payload, payload)
        self.ctx.set(port.valid, 1)
        for _ in range(WATCHDOG):
            _, _, ready = await self.ctx.tick().sample(port.ready)
            if ready:
                self.ctx.set(port.valid, 0)
                return
        raise AssertionError("nobody took the beat")

    async def ring(self, table, index, completion=1):
        event = {"ims": table, "index": index, "completion": completion}
        await self.put(self.dut.i_event, event)

    async def check(self, table, index, pasid=0, pasid_enable=0):
        await self.put(
            self.dut.i_check,
            {
                "vector": {"ims": table, "index": index},
                "pasid": pasid,
                "pasid_enable": pasid_enable,
            },
        )
        for _ in range(WATCHDOG):
            o = self.dut.o_verdict
            _, _, valid, verdict = await self.ctx.tick().sample(o.valid, o.payload)
            if valid:
                return verdict
        raise AssertionError("no verdict")

    async def access(self, address, write, data=0, strobe=0xFF):
        csr = self.dut.csr
        payload = {"address": address, "write": write, "strobe": strobe, "data": data}
        await self.put(csr.access, payload)
        self.ctx.set(csr.result.ready, 1)
        for _ in range(WATCHDOG):
            _, _, valid, word = await self.ctx.tick().sample(csr.result.valid, csr.result.payload)
            if valid:
                self.ctx.set(csr.result.ready, 0)
                return word
        raise AssertionError("no result")

    def offset(self, table, index, upper=0):
        return self.space.table("ims" if table else "msix").entry(index) + 8 * upper

    async def read(self, table, index, upper=0):
        return await self.access(self.offset(table, index, upper), 0)

    async def write(self, table, index, upper, data, strobe=0xFF):
        await self.access(self.offset(table, index, upper), 1, data, strobe)

    async def program(self, table, index, address, data, control=0):
        await self.write(table, index, 0, address)
        await self.write(table, index, 1, data | control << 32)

    async def control(self, table, index, value):
        """Write data and control, data being the index."""
        await self.write(table, index, 1, index | value << 32)

    async def pending_words(self):
        pba = self.space.table("pba")
        return [await self.access(pba.entry(n), 0) for n in range(pba.count)]

    async def is_pending(self, table, index):
        if table == IMS:
            return bool(await self.read(IMS, index, 1) >> 32 & PENDING)
        return bool((await self.pending_words())[index // 64] >> index % 64 & 1)

    def sent(self):
        """Data of the messages so far."""
        return [data for _, data, _ in self.messages]


def address_of(table, index):
    """An address of its own for each vector; of MSI-X, with all 64 bits in use."""
    return WINDOW | index << 4 if table == IMS else 0x8123_4567_0000_0000 | index << 4


async def program(b, table, index, control=0):
    """Give a vector its own message."""
    await b.program(table, index, address_of(table, index), 0xA000 + index, control)


def message(table, index):
    """What :func:`program` gives a vector."""
    return address_of(table, index), 0xA000 + index


def messages(b):
    """Messages so far."""
    return [(address, data) for address, data, _ in b.messages]
