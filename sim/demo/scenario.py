"""What the demonstration does: one coroutine over a transport, the same on model and RTL."""

import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from driver.adi import Adi
from driver.descriptors import MemoryMove
from driver.device import Device
from driver.errors import DriverError
from driver.queues import Queue
from driver.settings import QueueSettings
from driver.timeouts import Timeouts
from driver.transport import Buffer, Transport

from .result import Plan, Result
from .sharing import Sharing
from .witness import Witness

Progress = Callable[[int, int, str], None]

KEPT_ERRORS = 20
RETARGETED = 16
"""One ADI in this many has its vector moved while it fires."""


@dataclass(eq=False)
class Tenant:
    """An ADI and its memory."""

    number: int
    adi: Adi
    source: Buffer
    destination: Buffer
    expected: bytearray = field(repr=False)


async def demonstrate(
    transport: Transport,
    witness: Witness,
    plan: Plan,
    progress: Progress,
    timeouts: Timeouts | None = None,
) -> Result:
    """Give every tenant a bell after probe, and let all of them ring.

    In four acts: ADIs are created, each moving memory as soon as it exists; with all of them
    alive, the rest of the moves run while some ADIs are destroyed and replaced, and some vectors
    are moved to other targets; then all is taken down; and three tenants share one engine.
    """
    return await _Play(transport, witness, plan, progress, timeouts).run()


class _Play:
    def __init__(
        self,
        transport: Transport,
        witness: Witness,
        plan: Plan,
        progress: Progress,
        timeouts: Timeouts | None,
    ) -> None:
        self.transport, self.witness, self.plan, self.progress = transport, witness, plan, progress
        self.timeouts = timeouts
        self.random = random.Random(plan.seed)
        self.result = Result()
        self.tenants: dict[int, Tenant] = {}
        self.numbers: dict[int, int] = {}
        self.done = 0
        self.live = 0
        self.text = ""
        witness.now = transport.now

    async def run(self) -> Result:
        self.text = "probing"
        self._step(0)
        device = await Device.probe(self.transport, self.timeouts)
        device.on_error = lambda report: self._wrong(f"the device reports {report}")
        self.result.storage = device.capabilities.ims_vectors
        slots = device.capabilities.queue_slots // device.capabilities.queues
        queues = await device.start([QueueSettings(size=slots)] * device.capabilities.queues)

        self.text = "creating ADIs"
        await self._all(self._arrive(device, queues, n) for n in range(self.plan.adis))
        self.result.adis = self.result.vectors = self.live
        self.text = "all at once"
        await self._all(self._second_act(device, queues))
        self.text = "closing"
        self._step(0)
        strays = device.strays
        self._account(strays)
        await device.close()
        self._account(strays)
        self._picture()
        if self.plan.shared_operations:
            await self._share(strays)
        return self.result

    async def _share(self, strays: int) -> None:
        """The last act; its bells count, but are not part of the picture of the first three."""
        self.text = "sharing an engine"
        operations = self.plan.shared_operations
        sharing = Sharing(self.transport, self.witness, operations, self._step)
        await sharing.run()
        for sentence in sharing.wrong:
            self._wrong(sentence)
        self.result.operations += sharing.done
        self.result.sharers, self.result.turns = sharing.sharers, sharing.turns
        self._account(strays)

    def _second_act(
        self, device: Device, queues: list[Queue]
    ) -> Iterable[Coroutine[Any, Any, None]]:
        """Moves of all tenants in random order, with departures and changes of target between."""
        leaving = set(self.random.sample(range(self.plan.adis), self.plan.replaced))
        staying = [n for n in range(self.plan.adis) if n not in leaving]
        todo = [("move", n) for n in staying for _ in range(self.plan.operations_per_adi - 1)]
        todo += [("replace", n) for n in leaving]
        todo += [("retarget", n) for n in staying[::RETARGETED]]
        self.random.shuffle(todo)
        busy: set[int] = set()
        for what, number in todo:
            tenant = self.tenants[number]
            if what == "move":
                yield self._turn(busy, tenant)
            elif what == "retarget":
                yield self._retarget(tenant)
            else:
                yield self._replace(device, queues, tenant)

    async def _turn(self, busy: set[int], tenant: Tenant) -> None:
        """A move by a tenant, after the one it is at."""
        while tenant.number in busy:
            await self.transport.sleep(64)
        busy.add(tenant.number)
        try:
            await self._move(tenant)
        finally:
            busy.discard(tenant.number)

    async def _arrive(self, device: Device, queues: list[Queue], number: int) -> None:
        """Create an ADI and let it move memory at once."""
        tenant = self.tenants[number] = await self._create(device, queues, number)
        await self._move(tenant)

    async def _create(self, device: Device, queues: list[Queue], number: int) -> Tenant:
        adi = await device.create_adi(queues[number % len(queues)])
        self._occupy(+1)
        size = self.plan.largest_bytes
        source, destination = adi.allocate(size), adi.allocate(size)
        self.numbers[adi.pasid] = number
        place = range(destination.address, destination.address + size)
        self.witness.expect_data(adi.pasid, place)
        return Tenant(number, adi, source, destination, bytearray(size))

    async def _replace(self, device: Device, queues: list[Queue], old: Tenant) -> None:
        """Destroy an ADI and put another in its place, which does all of its own moves."""
        for _ in range(self.plan.operations_per_adi - 1):
            await self._move(old)
        await device.destroy_adi(old.adi)
        self._occupy(-1)
        self.result.replaced += 1
        number = self.plan.adis + self.result.replaced - 1
        await self._move(await self._create(device, queues, number))

    async def _retarget(self, tenant: Tenant) -> None:
        await tenant.adi.vectors[0].retarget()
        self.result.moved += 1

    async def _move(self, tenant: Tenant) -> None:
        """Copy a random piece of memory to a random place, and look at every byte afterwards."""
        limit = self.plan.largest_bytes
        size = min(limit, int(2 ** self.random.uniform(0, limit.bit_length())))
        start, end = (self.random.randrange(limit - size + 1) for _ in range(2))
        data = self.random.randbytes(size)
        tenant.source.write(data, start)
        tenant.expected[end : end + size] = data
        move = MemoryMove(
            source=tenant.source.address + start,
            destination=tenant.destination.address + end,
            size_bytes=size,
        )
        before = tenant.adi.retries
        operation = await tenant.adi.submit(move)
        try:
            await operation.wait()
        finally:
            self.result.retries += tenant.adi.retries - before
            self.result.operations += 1
        self.result.copied_bytes += size
        if tenant.destination.read() != tenant.expected:
            self.result.corrupted += 1
        self._step(1)

    async def _all(self, jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run coroutines, as many at a time as the host has workers."""
        source = iter(jobs)

        async def work() -> None:
            for job in source:
                try:
                    await job
                except DriverError as error:
                    self._wrong(f"{type(error).__name__}: {error}")

        for worker in [self.transport.start(work()) for _ in range(self.plan.workers)]:
            await worker.join()

    def _account(self, strays: int) -> None:
        """Read the witness's notes."""
        result, witness = self.result, self.witness
        result.interrupts = len(witness.bells)
        result.lost, result.doubled = witness.lost, witness.doubled
        result.misdirected = witness.misdirected + strays
        result.refused = len(witness.iommu.faults)
        result.clocks, result.requests = self.transport.now(), self.transport.requests
        for complaint in (*witness.check(), *map(str, witness.iommu.faults)):
            self._wrong(complaint)

    def _picture(self) -> None:
        """What the figures of the first three acts show."""
        result, witness = self.result, self.witness
        result.latencies = list(witness.latencies)
        result.bells = [(clock, self.numbers[pasid]) for clock, pasid in witness.bells]

    def _occupy(self, change: int) -> None:
        self.live += change
        self.result.occupancy.append((self.transport.now(), self.live))

    def _step(self, count: int) -> None:
        self.done += count
        self.progress(self.done, self.plan.all_operations, self.text)

    def _wrong(self, sentence: str) -> None:
        errors = self.result.errors
        if sentence not in errors and len(errors) < KEPT_ERRORS:
            errors.append(sentence)
