"""What a crowd does: one coroutine over a transport, the same on model and RTL."""

import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from driver import Device, DriverError, Nop, Queue, QueueSettings
from driver.irq import boot
from driver.reports import ErrorReport
from driver.transport import Buffer, Transport
from driver.vdcm import Composer, Guest
from hw.regs.descriptor import Status

from ..demo.witness import Witness
from .house import House, Tenant
from .result import GUEST_ADIS, GUEST_VECTORS, Plan, Result

Progress = Callable[[int, int, str], None]

KEPT_ERRORS = 20
GUEST_WORKERS = 2
LONGEST_PAUSE_CYCLES = 200
LOGGED_ERRORS = 64
CANARY = bytes(range(256)) * 2
"""What a guest's memory holds that nobody has any business with."""


class CrowdWitness(Witness):
    """A witness of the host's own tenants. A guest's bells are for its own kernel to count."""

    def _heard(self, pasid: int) -> None:
        if pasid in self._owed:
            super()._heard(pasid)


@dataclass(eq=False)
class Room:
    """A guest, and what runs inside."""

    guest: Guest
    house: House
    queue: Queue
    canary: Buffer


class Crowd:
    """Host tenants and guests come; all work while vectors churn and guests move; all leave.

    Every operation copies memory and rings one bell. Now and then a guest names the handle of a
    vector that is not its own, which must do nothing but tell that guest so.
    """

    def __init__(
        self, transport: Transport, witness: CrowdWitness, plan: Plan, progress: Progress
    ) -> None:
        self._transport, self._witness, self._plan = transport, witness, plan
        self._progress = progress
        self._random = random.Random(plan.seed)
        self._result = Result()
        self._rooms: list[Room] = []
        self._done = 0
        self._text = "arriving"
        witness.now = transport.now

    async def run(self) -> Result:
        """Play it."""
        plan, result = self._plan, self._result
        device = await Device.probe(self._transport)
        found = device.capabilities
        before = self._counts(device)
        settings = QueueSettings(size=found.queue_slots // found.queues)
        queues = await device.start([settings] * found.queues, event_log_entries=LOGGED_ERRORS)
        composer = await Composer.attach(device, self._transport)
        house = House(
            self._transport,
            device,
            queues,
            self._random,
            self._wrong,
            reserve=plan.reserve,
            told=self._tell,
            stepped=self._step,
        )
        boots = [self._boot(composer, queues[n % len(queues)]) for n in range(plan.guests)]
        await self._all([*boots, *(house.arrive() for _ in range(plan.adis))])
        result.adis, result.guests = len(house.tenants), len(self._rooms)
        result.vectors = found.ims_vectors - device.free_vectors()
        self._text = "all at once"
        inside = [self._inside(room, house) for room in self._rooms]
        moves = [self._migrate(room, composer, queues) for room in self._rooms]
        jobs = [*inside, *moves, house.work(plan.operations, plan.workers)]
        await self._all(jobs, workers=len(jobs))
        self._text = "leaving"
        self._progress(self._done, plan.all_operations, self._text)
        await self._all(self._shut_down(room) for room in self._rooms)
        await house.leave()
        composer.close()
        after = self._counts(device)
        result.leaked = {name: after[name] - before[name] for name in after}
        await device.close()
        result.leaked |= {"remapping entries": self._witness.interrupts.live}
        result.leaked |= {f"host's {k}": n for k, n in boot(self._witness).counts().items()}
        result.leaked = {name: count for name, count in result.leaked.items() if count}
        self._account(device, house)
        return result

    # Guests

    async def _boot(self, composer: Composer, queue: Queue) -> None:
        """A virtual machine, its driver, and its ADIs."""
        guest = await Guest.boot(composer, queue, vectors=GUEST_VECTORS)
        device = await Device.probe(guest)
        queues = await device.start()
        rng = random.Random(self._random.getrandbits(64))
        house = House(guest, device, queues, rng, self._wrong, stepped=self._step)
        canary = guest.allocate(len(CANARY))
        canary.write(CANARY)
        self._rooms.append(Room(guest, house, queue, canary))
        for _ in range(GUEST_ADIS):
            await house.arrive()

    async def _inside(self, room: Room, neighbour: House) -> None:
        """A guest works; half-way it tries what is not its own."""
        half = self._plan.guest_operations // 2
        await room.house.work(half, GUEST_WORKERS)
        await self._trespass(room, neighbour)
        await room.house.work(self._plan.guest_operations - half, GUEST_WORKERS)

    async def _trespass(self, room: Room, neighbour: House) -> None:
        """No-ops without a record that name vectors of the host's tenants and of other guests."""
        houses = [neighbour, *(other.house for other in self._rooms if other is not room)]
        for house in houses[:2]:
            victim = self._random.choice(house.tenants).adi.vectors[0]
            (own, *_) = room.house.tenants
            data = Nop().encode(pasid=own.adi.pasid, handle=victim.handle)
            await own.adi.queue.submit(data, ims=False)
            own.adi.queue.retire()

    async def _migrate(self, room: Room, composer: Composer, queues: list[Queue]) -> None:
        """A guest is moved to another queue, several times while it works."""
        plan, rng = self._plan, self._random
        for move in range(plan.guest_moves):
            wanted = plan.guest_operations * (move + 1) // (plan.guest_moves + 1)
            while room.house.started < wanted:
                await self._transport.sleep(rng.randint(1, LONGEST_PAUSE_CYCLES))
            queue = rng.choice([each for each in queues if each is not room.queue])
            await room.guest.migrate(composer, queue)
            room.queue = queue
            self._result.moves += 1

    async def _shut_down(self, room: Room) -> None:
        """Everything inside leaves; then the virtual machine ends."""
        guest, house, result = room.guest, room.house, self._result
        await house.leave()
        if room.canary.read() != CANARY:
            result.corrupted += 1
        room.canary.free()
        for report in house.device.errors:
            if report.code != Status.BAD_HANDLE:
                self._wrong(f"a guest is told of {report}")
        if not house.device.errors:
            self._wrong("a guest was not told that a handle is not its own")
        await house.device.close()
        for name, count in boot(guest.machine).counts().items():
            if count:
                result.leaked[f"a guest's {name}"] = count
        result.misdirected += guest.machine.strays
        await guest.shut_down()

    # Keeping count

    def _tell(self, tenant: Tenant) -> None:
        """The witness has to know data from completion records."""
        buffer = tenant.destination
        place = range(buffer.address, buffer.address + buffer.size_bytes)
        self._witness.expect_data(tenant.adi.pasid, place)

    def _counts(self, device: Device) -> dict[str, int]:
        """What is in use, by name."""
        return {
            "vectors": -device.free_vectors(),
            "address spaces": len(self._witness.iommu.spaces),
        }

    def _account(self, device: Device, own: House) -> None:
        result, witness = self._result, self._witness
        guests = [room.house for room in self._rooms]
        for house in (own, *guests):
            result.operations += house.operations
            result.bells += house.bells
            result.corrupted += house.corrupted
            result.resubmitted += house.resubmitted
            for name, count in house.actions.items():
                result.actions[name] = result.actions.get(name, 0) + count
        result.lost = max(own.lost, witness.lost) + sum(house.lost for house in guests)
        result.doubled = max(own.doubled, witness.doubled) + sum(h.doubled for h in guests)
        result.misdirected += witness.misdirected + device.strays
        result.clocks, result.requests = self._transport.now(), self._transport.requests
        result.errors += [*witness.check(), *map(str, witness.iommu.faults)]
        for report in device.errors:
            self._judge(report)
        if result.bells != result.operations:
            self._wrong(f"{result.bells} bells for {result.operations} operations")

    def _judge(self, report: ErrorReport) -> None:
        if report.code != Status.BAD_HANDLE:
            self._wrong(f"the device reports {report}")

    async def _all(
        self, jobs: Iterable[Coroutine[Any, Any, None]], workers: int | None = None
    ) -> None:
        """Run coroutines, as many at a time as the host has workers."""
        source = iter(jobs)

        async def work() -> None:
            for job in source:
                try:
                    await job
                except DriverError as error:
                    self._wrong(f"{self._text}: {type(error).__name__}: {error}")

        tasks = [self._transport.start(work()) for _ in range(workers or self._plan.workers)]
        for task in tasks:
            await task.join()

    def _step(self) -> None:
        self._done += 1
        self._progress(self._done, self._plan.all_operations, self._text)

    def _wrong(self, sentence: str) -> None:
        errors = self._result.errors
        if sentence not in errors and len(errors) < KEPT_ERRORS:
            errors.append(sentence)
