"""One round of a soak run: a device set up at random, tenants at work, and a disturbance."""

import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from driver import (
    Adi,
    Device,
    DriverError,
    ErrorReport,
    GroupSettings,
    Mode,
    Queue,
    QueueSettings,
    Timeouts,
)
from hw.regs.commands import Command

from ..workload.batches import BatchDesk
from ..workload.desk import Desk
from ..workload.trials import Trial
from .result import Round
from .stand import QUICK_FAULTS, Stand

COMMAND_REGISTER, BUS_MASTER = 0x04, 1 << 2
SECTION_BYTES, SMALL_SECTION_BYTES = 8192, 4096
MOST_MEMBERS = 6
SLOW = "a lost completion"
"""Costs a completion timeout, which is as long as all else in a round; so it comes seldom."""

KEPT_ERRORS = 10
FOREIGN = 0x5_0000_0000
"""An address that no tenant has memory at."""

PATIENT = Timeouts(operation=30_000_000, drain=30_000_000, submit=10_000_000, reset=200_000)

Progress = Callable[[int, int, str], None]


class Ended(Exception):  # noqa: N818
    """The device was taken away from a tenant, as it had to expect."""


class Play:
    """A round.

    Parameters
    ----------
    stand
        The device, freshly reset.
    seed, number
        Of the run and of the round: all chance comes from the two.
    operations
        About how many to do.
    progress
        Told how many are done.
    """

    def __init__(
        self, stand: Stand, seed: int, number: int, operations: int, progress: Progress
    ) -> None:
        self._stand, self._operations, self._progress = stand, operations, progress
        self._random = random.Random(f"{seed}/{number}")
        self._round = Round()
        self._kinds: Counter[str] = Counter()
        self._desks: list[Desk] = []
        self._batches: list[BatchDesk] = []
        self._trespassers: set[int] = set()
        self._aborted: set[Adi] = set()
        self._merging: set[Adi] = set()
        """Several events of theirs may have become one message."""
        self._over = self._halting = False
        self._disturbances: dict[str, Callable[[Device], Coroutine[Any, Any, None]]] = {
            "nothing": self._calm,
            "failing reads": self._fail_reads,
            SLOW: self._lose_completion,
            "drains": self._drain,
            "aborts": self._abort,
            "moving and masked vectors": self._move_vectors,
            "arrivals and departures": self._come_and_go,
            "bus master off": self._silence,
            "function level reset": self._reset,
        }

    async def run(self) -> Round:
        """Play it."""
        rng, found = self._random, self._round
        found.disturbance = rng.choices(
            list(self._disturbances),
            [0.2 if name == SLOW else 1 for name in self._disturbances],
        )[0]
        device = await self._probe()
        queues = await self._start(device)
        for queue in queues:
            for _ in range(1 if self._dedicated(queue) else rng.randint(1, 4)):
                await self._arrive(device, queue)
        work = [*map(self._work, self._desks), *map(self._work_in_batches, self._batches)]
        started = [self._stand.transport.start(item) for item in work]
        disturbance = self._stand.transport.start(self._disturbances[found.disturbance](device))
        for task in started:
            await task.join()
        self._over = True
        await disturbance.join()
        await self._leave(device)
        found.kinds = dict(self._kinds)
        found.faults = self._stand.faults.happened
        found.clocks = self._stand.transport.now()
        self._judge_refusals()
        for complaint in await self._stand.complaints():
            self._wrong(complaint)
        return found

    # The device

    async def _probe(self) -> Device:
        device = await Device.probe(self._stand.transport, PATIENT)
        device.on_error = self._reported
        return device

    async def _start(self, device: Device) -> list[Queue]:
        """Queues of random kinds and sizes, which together use all slots or fewer."""
        rng, found = self._random, device.capabilities
        count = rng.randint(1, found.queues)
        largest = found.queue_slots // count
        settings = []
        for _ in range(count):
            size = rng.randint(1, largest)
            shared = rng.random() < 0.7
            settings.append(
                QueueSettings(
                    size=size,
                    mode=Mode.SHARED if shared else Mode.DEDICATED,
                    threshold=rng.randint(1, size) if shared else None,
                    priority=rng.randint(1, 15),
                    staged=not shared and rng.random() < 0.5,
                )
            )
        return await device.start(
            settings,
            groups=self._groups(count, found.engines),
            event_log_entries=rng.choice((0, 64)),
        )

    def _groups(self, queues: int, engines: int) -> list[GroupSettings]:
        """All in one group, or engine by engine."""
        rng = self._random
        if engines < 2 or queues < 2 or rng.random() < 0.5:
            return [GroupSettings(queues=range(queues), engines=range(engines))]
        cut = rng.randrange(1, queues)
        allowed = rng.choice((None, 8))
        return [
            GroupSettings(queues=range(cut), engines=[0], read_buffers_allowed=allowed),
            GroupSettings(queues=range(cut, queues), engines=range(1, engines)),
        ]

    @staticmethod
    def _dedicated(queue: Queue) -> bool:
        return queue.settings is not None and queue.settings.mode is Mode.DEDICATED

    def _reported(self, report: ErrorReport) -> None:
        if not self._halting:
            self._wrong(f"the device reports {report}")

    async def _leave(self, device: Device) -> None:
        """Account for every bell, and leave the device quiet; then see that it still works."""
        if not self._halting:
            for adi in {desk.adi: None for desk in self._desks}:
                await self._balance(adi)
            if device.strays:
                self._wrong(f"{device.strays} messages for vectors that nobody had")
            await device.close()
            return
        device = await self._probe()
        self._desks, self._batches, self._over, self._halting = [], [], False, False
        (queue,) = await device.start([QueueSettings(size=4)])
        await self._arrive(device, queue)
        for desk in self._desks:
            await self._attempt(desk, desk.trials.draw())
        await device.close()

    async def _balance(self, adi: Adi) -> None:
        """After a drain there is a bell for each operation."""
        await adi.drain()
        counts = adi.submitted, adi.completed, adi.bells
        merged = adi in self._merging and counts[0] == counts[1] > counts[2]
        if adi not in self._aborted and len(set(counts)) > 1 and not merged:
            self._wrong(
                f"PASID {adi.pasid:#x}: {counts[0]} operations submitted, {counts[1]} completed, "
                f"{counts[2]} bells"
            )

    def _judge_refusals(self) -> None:
        """The IOMMU refuses what trespassers try, and nothing else."""
        for fault in self._stand.host.iommu.faults:
            if fault.pasid in self._trespassers and fault.address >= FOREIGN and not fault.write:
                self._round.refused += 1
            else:
                self._wrong(str(fault))

    def _wrong(self, sentence: str) -> None:
        errors = self._round.errors
        if sentence not in errors and len(errors) < KEPT_ERRORS:
            errors.append(sentence)

    # Tenants

    async def _arrive(self, device: Device, queue: Queue) -> Adi:
        rng = self._random
        adi = await device.create_adi(queue, vectors=rng.choice((1, 1, 3)))
        for _ in range(rng.randint(1, 3)):
            chance = random.Random(rng.getrandbits(64))
            self._desks.append(Desk(adi, chance, SECTION_BYTES, rng.choice((300, 3000, 6000))))
        if rng.random() < 0.3:
            chance = random.Random(rng.getrandbits(64))
            most = rng.randint(1, MOST_MEMBERS)
            self._batches.append(BatchDesk(adi, chance, most, SMALL_SECTION_BYTES, 1000))
        return adi

    async def _work(self, desk: Desk) -> None:
        """Operations of one desk, one after the other, until there have been enough of all."""
        rng = self._random
        while self._kinds.total() < self._operations and not self._over:
            chance = rng.random()
            if chance < 0.08:
                trial = desk.trials.draw_wrong()
            elif chance < 0.1:
                self._trespassers.add(desk.adi.pasid)
                trial = desk.trials.draw_trespass(FOREIGN + rng.randrange(1 << 20))
            else:
                trial = desk.trials.draw()
            try:
                await self._attempt(desk, trial)
            except Ended:
                return
            self._progress(self._kinds.total(), self._operations, self._round.disturbance)

    async def _work_in_batches(self, desk: BatchDesk) -> None:
        while self._kinds.total() < self._operations and not self._over:
            faults = self._stand.faults.happened
            try:
                trials, completions = await desk.attempt()
            except DriverError as error:
                if not self._halting and desk.adi not in self._aborted:
                    self._wrong(f"batch: {type(error).__name__}: {error}")
                return
            if self._halting:
                return
            self._kinds["batch"] += 1
            unlucky = self._stand.faults.happened > faults
            for complaint in desk.judge(trials, completions, unlucky=unlucky):
                self._wrong(f"in a batch: {complaint}")

    async def _attempt(self, desk: Desk, trial: Trial) -> None:
        """One operation, and what it leaves behind."""
        faults = self._stand.faults.happened
        try:
            completion = await desk.execute(trial)
        except DriverError as error:
            if not self._halting and desk.adi not in self._aborted:
                self._wrong(f"{trial.name}: {type(error).__name__}: {error}")
            raise Ended from error
        if self._halting:
            raise Ended  # its memory may be gone
        self._kinds[trial.name] += 1
        unlucky = self._stand.faults.happened > faults
        for complaint in desk.judge(trial, completion, unlucky=unlucky):
            self._wrong(complaint)

    # Disturbances; each goes on until the tenants have done enough

    async def _calm(self, device: Device) -> None:
        pass

    async def _pause(self, longest: int = 3000) -> bool:
        """Let some time pass, often little; whether the tenants are still at work."""
        await self._stand.transport.sleep(int(longest ** self._random.random()))
        return not self._over

    async def _until_some_work_is_done(self) -> None:
        enough = self._random.randrange(self._operations)
        while self._kinds.total() < enough and await self._pause(200):
            pass

    async def _fail_reads(self, device: Device) -> None:
        while await self._pause():
            self._stand.faults.arm(self._random.choice(QUICK_FAULTS), self._random.randrange(30))
        self._stand.faults.disarm()

    async def _lose_completion(self, device: Device) -> None:
        await self._pause()
        self._stand.faults.arm("lost", self._random.randrange(20))

    async def _drain(self, device: Device) -> None:
        while await self._pause():
            desk = self._random.choice(self._desks)
            if self._random.random() < 0.4:
                await desk.adi.drain()
            elif self._random.random() < 0.5:
                await desk.adi.queue.drain()
            else:
                await device.command(Command.DRAIN_ALL)

    async def _abort(self, device: Device) -> None:
        """One tenant loses what it has under way, from time to time."""
        victims = self._random.sample(self._desks, k=max(1, len(self._desks) // 3))
        for desk in victims:
            if not await self._pause():
                return
            self._aborted.add(desk.adi)
            await desk.adi.abort()

    async def _move_vectors(self, device: Device) -> None:
        while await self._pause(500):
            adi = self._random.choice(self._desks).adi
            vector = self._random.choice(adi.vectors)
            self._merging.add(adi)
            if self._random.random() < 0.5:
                await vector.retarget()
            else:
                await vector.mask()
                await self._pause(2000)
                await vector.unmask()

    async def _come_and_go(self, device: Device) -> None:
        """Tenants that stay for one operation."""
        shared = [desk.adi.queue for desk in self._desks if not self._dedicated(desk.adi.queue)]
        while shared and await self._pause(1000):
            count = len(self._desks)
            adi = await self._arrive(device, self._random.choice(shared))
            guests, self._desks[count:] = self._desks[count:], []
            self._batches = [desk for desk in self._batches if desk.adi is not adi]
            for desk in guests:
                await self._attempt(desk, desk.trials.draw())
            await self._balance(adi)
            await device.destroy_adi(adi)

    async def _silence(self, device: Device) -> None:
        """Bus Master Enable goes off under load, then the function is reset."""
        await self._until_some_work_is_done()
        self._halting = True
        transport = self._stand.transport
        command = await transport.config_read(COMMAND_REGISTER, 2)
        await transport.config_write(COMMAND_REGISTER, command & ~BUS_MASTER, 2)
        await self._pause()
        await device.function_level_reset()

    async def _reset(self, device: Device) -> None:
        await self._until_some_work_is_done()
        self._halting = True
        await device.function_level_reset()
