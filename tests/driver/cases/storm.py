"""Vectors that come, move, fall silent and go, while every one of them fires."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from driver import Adi, Device, Queue, Transport, Vector, VectorTable
from driver.irq import boot

from .registry import Bell, case, fire, settle, started

MOST_VECTORS = 300
WORKERS, SHOOTERS = 6, 3
WAIT_CYCLES = 200_000


@dataclass(eq=False)
class Subject:
    """A vector under test, and the events that it was sent, of which one at most is under way."""

    vector: Vector
    bell: Bell
    fired: int = 0
    leaving: bool = False

    @property
    def quiet(self) -> bool:
        return self.bell.count == self.fired


class Storm:
    """So many operations on the vectors of a device, by several tasks at once.

    Members
    -------
    done
        Operations by name.
    fired
        Events in all.
    """

    def __init__(self, device: Device, transport: Transport, operations: int, seed: int) -> None:
        self.done: dict[str, int] = {}
        self.fired = 0
        self._device, self._transport = device, transport
        self._left = operations
        self._random = random.Random(seed)
        self._subjects: list[Subject] = []
        self._cpus = sorted(boot(transport.machine).online)
        self._tables = [table for table in VectorTable if device.free_vectors(table)]
        room = sum(device.free_vectors(table) for table in VectorTable)
        self._most = min(MOST_VECTORS, room - WORKERS)
        self._working = WORKERS

    async def run(self, queue: Queue, adi: Adi) -> None:
        """Until all is done, and every vector has gone."""
        for _ in range(10):
            await self._allocate(adi.pasid)
        tasks = [self._transport.start(self._work(adi.pasid)) for _ in range(WORKERS)]
        tasks += [self._transport.start(self._shoot(queue, adi.pasid)) for _ in range(SHOOTERS)]
        for task in tasks:
            await task.join()
        while self._subjects:
            await self._free()
        await settle(self._transport)

    async def _work(self, pasid: int) -> None:
        try:
            while self._left > 0:
                self._left -= 1
                await self._operate(pasid)
        finally:
            self._working -= 1

    async def _operate(self, pasid: int) -> None:
        few, many = len(self._subjects) < 10, len(self._subjects) >= self._most
        name = self._random.choice(["come", "go", "move", "move", "rewrite", "mask", "unmask"])
        if few or many:
            name = "come" if few else "go"
        self.done[name] = self.done.get(name, 0) + 1
        if name == "come":
            await self._allocate(pasid)
        elif name == "go":
            await self._free()
        elif subject := self._pick(lambda each: not each.leaving):
            subject.leaving = True  # so that nobody frees it meanwhile; it may fire
            try:
                await self._change(name, subject.vector)
            finally:
                subject.leaving = False

    async def _change(self, name: str, vector: Vector) -> None:
        if name == "move":
            cpus = self._random.sample(self._cpus, k=min(3, len(self._cpus)))
            await vector.set_affinity(frozenset(cpus))
        elif name == "rewrite":
            await vector.retarget()
        elif name == "mask":
            await vector.mask()
        else:
            await vector.unmask()

    async def _allocate(self, pasid: int) -> None:
        table = self._random.choice(self._tables)
        if not self._device.free_vectors(table):
            table = self._tables[0]
        bell = Bell(self._transport)
        vector = await self._device.alloc_vector(bell, pasid=pasid, table=table)
        self._subjects.append(Subject(vector, bell))

    async def _free(self) -> None:
        subject = self._pick(lambda each: not each.leaving)
        if subject is None:
            return
        subject.leaving = True
        self._subjects.remove(subject)
        await subject.vector.unmask()
        await subject.bell.reach(subject.fired, WAIT_CYCLES)
        await self._device.free_vector(subject.vector)
        assert subject.quiet, f"{subject.bell.count} bells for {subject.fired} events"

    async def _shoot(self, queue: Queue, pasid: int) -> None:
        """Any vector may be next, but for those whose last event has not rung yet."""
        while self._working:
            subject = self._pick(lambda each: each.quiet)
            if subject is None:
                await self._transport.sleep(100)
                continue
            subject.fired += 1
            self.fired += 1
            await fire(self._transport, queue, pasid, subject.vector)

    def _pick(self, suits: Callable[[Subject], bool]) -> Subject | None:
        for _ in range(20):
            subject = self._random.choice(self._subjects) if self._subjects else None
            if subject is not None and suits(subject):
                return subject
        return None


async def storm(transport: Transport, operations: int, seed: int) -> Storm:
    """A storm over a device that is closed afterwards: nothing lost, doubled, misdirected."""
    device, (queue,) = await started(transport)
    table = VectorTable.IMS if device.free_vectors(VectorTable.IMS) else VectorTable.MSIX
    adi = await device.create_adi(queue, table=table)
    weather = Storm(device, transport, operations, seed)
    await weather.run(queue, adi)
    assert device.strays == 0 and not device.errors
    assert weather.fired > operations // 10, "hardly anything fired"
    await device.close()
    return weather


@case
async def storm_of_allocations_moves_and_masks_loses_nothing(transport: Transport) -> None:
    await storm(transport, 5000, seed=1)
