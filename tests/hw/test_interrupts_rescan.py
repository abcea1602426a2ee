"""How long a pending vector waits for a rescan, at worst (:class:`hw.interrupts.store`)."""

import itertools

import pytest

from .interrupts_bench import BOTH, IMS, MASK, MSIX, Bench, message, messages, program

VECTORS = [*((MSIX, index) for index in range(64)), *((IMS, index) for index in range(256))]
NOISE = (IMS, 1)
"""Masked; its events come in every clock, and are one with the one that waits."""
SILENT, BUSY = 26, 265
"""Clocks of a turn that are no looks, without accesses and with accesses in every clock."""


def bound(vectors, pending, turn):
    """What the docstring of the store promises."""
    looks = vectors + 2 * pending
    return (looks / 64 + 3) * turn + looks + 9 * pending


def number(table, index):
    return table << 16 | index


class Traffic:
    """Events and checks in every clock, and accesses without pause.

    Of the accesses between two turns of a rescan, the last is the longest: a read of pending bits.
    """

    def __init__(self, b, accesses):
        self.b, self.accesses = b, accesses
        space = b.space
        write = {"address": space.table("msixperm").entry(1), "write": 1, "strobe": 1, "data": 0}
        read = {"address": space.table("pba").entry(0), "write": 0, "strobe": 0, "data": 0}
        self.pattern = itertools.cycle([write] * 15 + [read])
        self.offered = False
        table, index = NOISE
        b.ctx.set(b.dut.i_event.payload, {"ims": table, "index": index, "completion": 1})
        b.ctx.set(b.dut.i_event.valid, 1)
        b.ctx.set(b.dut.i_check.valid, 1)
        b.ctx.set(b.dut.csr.result.ready, 1)
        self._offer(accesses)

    def _offer(self, valid):
        self.b.ctx.set(self.b.dut.csr.access.valid, valid)
        if valid:
            self.b.ctx.set(self.b.dut.csr.access.payload, next(self.pattern))

    async def tick(self):
        csr = self.b.dut.csr
        sampled = await self.b.ctx.tick().sample(csr.access.ready, csr.result.valid)
        _, _, accepted, answered = sampled
        if accepted:
            self._offer(False)
        if answered:
            self._offer(self.accesses)

    async def stop(self):
        """Offer nothing more, and let the last access end."""
        self.b.ctx.set(self.b.dut.i_event.valid, 0)
        self.b.ctx.set(self.b.dut.i_check.valid, 0)
        self.accesses = False
        for _ in range(400):
            await self.tick()


async def hold_all(b, open_vectors):
    """Make every vector pending, all but some of them masked."""
    b.ctx.set(b.dut.bus_master, 0)
    for table, index in VECTORS:
        control = 0 if (table, index) in open_vectors else MASK
        await b.write(table, index, 1, number(table, index) | control << 32)
    for vector in VECTORS:
        await b.ring(*vector)
    await b.idle()
    assert not b.messages


def arrivals(b):
    """Number of each vector that has sent, and the clock; none may send twice."""
    found = {data: clock for _, data, clock in b.messages}
    assert len(found) == len(b.messages)
    return found


@pytest.mark.parametrize("accesses,turn", [(False, SILENT), (True, BUSY)], ids=["silent", "busy"])
def test_all_vectors_at_once_are_sent_within_the_bound(accesses, turn):
    async def test(b):
        waiting = [vector for vector in VECTORS if vector != NOISE]
        await hold_all(b, waiting)
        traffic = Traffic(b, accesses)
        b.ctx.set(b.dut.bus_master, 1)
        begun, limit = b.clock, bound(len(VECTORS), len(VECTORS), turn)
        while b.clock - begun < limit:
            await traffic.tick()
        await traffic.stop()
        found = arrivals(b)
        assert sorted(found) == sorted(number(*vector) for vector in waiting)
        print("last after", max(found.values()) - begun, "clocks; bound", limit)

    Bench().run(test)


@pytest.mark.parametrize("switch", ["enable", "function_mask"])
def test_switches_of_msix_that_toggle_do_not_starve_the_others(switch):
    async def test(b):
        waiting = [(IMS, 0), (IMS, 128), (IMS, 255)]
        await hold_all(b, waiting)
        traffic = Traffic(b, accesses=True)
        b.ctx.set(b.dut.bus_master, 1)
        begun, limit = b.clock, bound(len(VECTORS), len(VECTORS), BUSY)
        while b.clock - begun < limit:
            if b.clock % 50 == 0:
                b.ctx.set(getattr(b.dut, switch), b.clock // 50 & 1)
            await traffic.tick()
        await traffic.stop()
        assert sorted(arrivals(b)) == [number(*vector) for vector in waiting]

    Bench().run(test)


@pytest.mark.parametrize("victim", [(MSIX, 0), (MSIX, 40), (IMS, 0)], ids=str)
def test_vector_that_a_rescan_has_just_passed_is_met_by_the_next(victim):
    """The rescan finds it held by a switch, which lets go before the rescan ends."""

    async def test(b):
        await hold_all(b, [victim])
        traffic = Traffic(b, accesses=True)
        b.ctx.set(b.dut.bus_master, 1)
        await traffic.tick()
        await traffic.tick()
        b.ctx.set(b.dut.bus_master, 0)
        for _ in range(2500):
            await traffic.tick()
        assert not b.messages
        b.ctx.set(b.dut.bus_master, 1)
        begun, limit = b.clock, bound(len(VECTORS), len(VECTORS), BUSY)
        while not b.messages:
            assert b.clock - begun < limit
            await traffic.tick()
        await traffic.stop()
        assert list(arrivals(b)) == [number(*victim)]

    Bench().run(test)


@BOTH
def test_pending_vectors_are_found_under_full_load(table):
    """Peers' mistake 3: the pending scan ran only while no event arrived."""

    async def test(b):
        held = (0, 5, 63 if table == MSIX else 255)
        for index in held:
            await program(b, table, index)
        await program(b, IMS, 200)
        b.ctx.set(b.dut.bus_master, 0)
        await b.tick(2)
        for index in held:
            await b.ring(table, index)
        await b.idle()
        assert not b.messages
        b.ctx.set(b.dut.bus_master, 1)
        b.ctx.set(b.dut.i_event.payload, {"ims": IMS, "index": 200})
        b.ctx.set(b.dut.i_event.valid, 1)
        await b.tick(int(bound(len(VECTORS), len(held), SILENT)))
        b.ctx.set(b.dut.i_event.valid, 0)
        sent = messages(b)
        assert [m for m in sent if m != message(IMS, 200)] == [message(table, i) for i in held]
        assert len(sent) > 100

    Bench().run(test)
