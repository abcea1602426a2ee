"""One driver and its tenants: the host's, or a guest's."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from driver import Adi, Device, DriverError, MemoryMove, Operation, Queue, Vector
from driver.irq import boot
from driver.transport import Buffer, Transport

LARGEST_BYTES = 256
LONGEST_SILENCE_CYCLES = 400
MOST_VECTORS = 2

ACTIONS = {"ring": 5, "move": 4, "rewrite": 2, "silence": 3, "grow": 1, "replace": 2}
"""What is done with a tenant, and how often; each rings one bell."""


@dataclass(eq=False)
class Tenant:
    """An ADI, its memory, and what its vectors were made to ring."""

    adi: Adi
    source: Buffer
    destination: Buffer
    fired: Counter[Vector] = field(default_factory=Counter)


class House:
    """Lets tenants come, work and leave, each with one operation under way at most.

    So each operation is one bell of its vector, even where a mask would let two become one.

    Parameters
    ----------
    transport, device, queues
        The driver's.
    rng
        All chance.
    wrong
        Told of everything that is not as it should be, in sentences.
    reserve
        Vectors of the device that no tenant may have as its second.
    told
        Called with each new tenant.
    stepped
        Called after each operation.

    Members
    -------
    tenants
        Those who are there.
    actions
        What was done to vectors, by name.
    started
        Operations of :meth:`work` that have begun.
    operations, bells, lost, doubled, corrupted, resubmitted
        Of tenants that have left.
    """

    def __init__(
        self,
        transport: Transport,
        device: Device,
        queues: list[Queue],
        rng: random.Random,
        wrong: Callable[[str], None],
        *,
        reserve: int = 0,
        told: Callable[[Tenant], None] = lambda tenant: None,
        stepped: Callable[[], None] = lambda: None,
    ) -> None:
        self.device = device
        self.tenants: list[Tenant] = []
        self.actions: Counter[str] = Counter()
        self.operations = self.bells = self.lost = self.doubled = 0
        self.corrupted = self.resubmitted = 0
        self._transport, self._queues, self._random = transport, queues, rng
        self._wrong, self._told, self._stepped = wrong, told, stepped
        self._reserve = reserve
        self._idle: list[Tenant] = []
        self._arrived = self._left = self.started = 0
        self._cpus = sorted(boot(transport.machine).online)

    async def arrive(self) -> None:
        """A tenant comes, and rings at once."""
        queue = self._queues[self._arrived % len(self._queues)]
        self._arrived += 1
        adi = await self.device.create_adi(queue)
        tenant = Tenant(adi, adi.allocate(LARGEST_BYTES), adi.allocate(LARGEST_BYTES))
        self._told(tenant)
        self.tenants.append(tenant)
        await self._ring(tenant)
        self._idle.append(tenant)

    async def work(self, operations: int, workers: int) -> None:
        """So many operations of any tenants, by several tasks."""
        self._left = operations
        tasks = [self._transport.start(self._work()) for _ in range(workers)]
        for task in tasks:
            await task.join()

    async def leave(self) -> None:
        """Everybody leaves."""
        while self.tenants:
            await self._depart(self.tenants[-1])

    async def _work(self) -> None:
        while self._left > 0:
            self._left -= 1
            self.started += 1
            while not self._idle:
                await self._transport.sleep(64)
            place = self._random.randrange(len(self._idle))
            self._idle[place], self._idle[-1] = self._idle[-1], self._idle[place]
            tenant = self._idle.pop()
            (name,) = self._random.choices([*ACTIONS], [*ACTIONS.values()])
            try:
                await self._act(name, tenant)
            except DriverError as error:
                self._wrong(f"{name}: {type(error).__name__}: {error}")
            if tenant in self.tenants:
                self._idle.append(tenant)

    async def _act(self, name: str, tenant: Tenant) -> None:
        if name == "grow":
            room = self.device.free_vectors() > self._reserve
            name = name if room and len(tenant.adi.vectors) < MOST_VECTORS else "ring"
        self.actions[name] += 1
        if name == "silence":
            await self._silence(tenant)
        elif name == "replace":
            await self._depart(tenant)
            await self.arrive()
        else:
            if name == "grow":
                await self._grow(tenant)
            changes = {"move": self._move, "rewrite": Vector.retarget}
            await self._ring(tenant, changes.get(name))

    async def _submit(self, tenant: Tenant, vector: Vector) -> tuple[Operation[None], bytes]:
        data = self._random.randbytes(self._random.randint(1, LARGEST_BYTES))
        tenant.source.write(data)
        move = MemoryMove(tenant.source.address, tenant.destination.address, len(data))
        operation = await tenant.adi.submit(move, vector=tenant.adi.vectors.index(vector))
        tenant.fired[vector] += 1
        return operation, data

    async def _ring(
        self, tenant: Tenant, meanwhile: Callable[[Vector], Awaitable[None]] | None = None
    ) -> None:
        """A copy whose bell rings while something may happen to its vector."""
        vector = self._random.choice(tenant.adi.vectors)
        operation, data = await self._submit(tenant, vector)
        if meanwhile is not None:
            await meanwhile(vector)
        await self._finish(tenant, operation, data)

    async def _silence(self, tenant: Tenant) -> None:
        """A copy while its vector is masked: the bell rings when it no longer is."""
        vector = self._random.choice(tenant.adi.vectors)
        await vector.mask()
        bells = vector.bells
        operation, data = await self._submit(tenant, vector)
        await self._transport.sleep(self._random.randrange(LONGEST_SILENCE_CYCLES))
        if operation.done or vector.bells != bells:
            self._wrong(f"vector {vector.index} has rung although it was masked")
        await vector.unmask()
        await self._finish(tenant, operation, data)

    async def _finish(self, tenant: Tenant, operation: Operation[None], data: bytes) -> None:
        await operation.wait()
        self.corrupted += tenant.destination.read(0, len(data)) != data
        self._stepped()

    async def _move(self, vector: Vector) -> None:
        most = min(3, len(self._cpus))
        await vector.set_affinity(frozenset(self._random.sample(self._cpus, k=most)))

    async def _grow(self, tenant: Tenant) -> None:
        """The demand of a tenant becomes known: one more vector."""
        adi, number = tenant.adi, len(tenant.adi.vectors)
        vector = await self.device.alloc_vector(lambda: adi.rung(number), pasid=adi.pasid)
        adi.add_vector(vector)

    async def _depart(self, tenant: Tenant) -> None:
        """A tenant leaves, and its bells are counted."""
        adi = tenant.adi
        self.tenants.remove(tenant)
        await self.device.destroy_adi(adi)
        for vector in adi.vectors:
            missing = tenant.fired[vector] - vector.bells
            self.lost += max(missing, 0)
            self.doubled += max(-missing, 0)
        counts = tenant.fired.total(), adi.submitted, adi.completed
        if len(set(counts)) > 1:
            self._wrong(f"PASID {adi.pasid:#x}: fired, submitted, completed are {counts}")
        self.operations += adi.submitted
        self.bells += adi.bells
        self.resubmitted += adi.resubmitted
