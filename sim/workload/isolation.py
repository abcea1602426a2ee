"""Tenants at work beside a hostile one: are they right, and how much are they slowed down?"""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from driver import Adi, Device, DriverError, ErrorReport, Mode, Queue, QueueSettings, Timeouts
from driver.transport import Transport
from hw.regs.commands import SoftwareError

from ..host.platform import Host
from .desk import Desk
from .hostile import Hostile, Reach

PATIENT = Timeouts(operation=20_000_000, drain=20_000_000, submit=10_000_000)
SECTION_BYTES = 4096
LARGEST_LOG2 = 9
"""The same for all, so that a turn of the hostile tenant's queues costs no more than another."""

PRIORITY = 8
VICTIMS, HOSTILE_QUEUES = 2, 2
PROMISE = VICTIMS / (VICTIMS + HOSTILE_QUEUES)
"""Share of the turns that equal priorities promise to the victims together."""

DESKS = 8


@dataclass
class Outcome:
    """What happened.

    Parameters
    ----------
    alone, attacked
        Operations of the victims in equal times, without and with the hostile tenant.
    deeds
        Misdeeds by name.
    resets
        How often a third party's queue was reset meanwhile.
    reported
        Errors that the device reported about the hostile tenant.
    errors
        What went wrong, as sentences.
    """

    alone: int = 0
    attacked: int = 0
    deeds: dict[str, int] = field(default_factory=dict)
    resets: int = 0
    reported: int = 0
    errors: list[str] = field(default_factory=list)


class Isolation:
    """A device with two victims, a hostile tenant, and a third party whose queue is reset.

    Parameters
    ----------
    transport, host
        The way to the device, and the memory around it.
    seed
        Of everything random.
    cycles
        How long each of the two measurements takes.
    """

    def __init__(self, transport: Transport, host: Host, *, seed: int, cycles: int) -> None:
        self._transport, self._host, self._cycles = transport, host, cycles
        self._random = random.Random(seed)
        self._outcome = Outcome()
        self._working = False
        self._done = 0
        self._enemy: Adi | None = None

    async def run(self) -> Outcome:
        """Measure alone, then under attack."""
        device = await Device.probe(self._transport, PATIENT)
        device.on_error = self._reported
        shared = QueueSettings(size=16, priority=PRIORITY, max_transfer_log2=LARGEST_LOG2)
        dedicated = replace(shared, mode=Mode.DEDICATED)
        *queues, own, third = await device.start([shared] * (VICTIMS + 1) + [dedicated] * 2)
        victims = [await device.create_adi(queue) for queue in queues[:VICTIMS]]
        self._enemy = await device.create_adi(queues[VICTIMS])
        await own.assign(self._enemy.pasid)
        desks = [self._desk(adi) for adi in victims for _ in range(DESKS)]

        self._outcome.alone = await self._measure(desks)
        hostile = self._hostile(self._enemy, own, victims, desks)
        attack = self._transport.start(hostile.run())
        resets = self._transport.start(self._reset(third))
        self._outcome.attacked = await self._measure(desks)
        hostile.stop = True
        await attack.join()
        await resets.join()
        await hostile.rest()
        self._outcome.deeds = dict(hostile.deeds)
        await self._judge(device, victims)
        return self._outcome

    def _desk(self, adi: Adi) -> Desk:
        chance = random.Random(self._random.getrandbits(64))
        return Desk(adi, chance, SECTION_BYTES, 1 << LARGEST_LOG2)

    def _hostile(self, enemy: Adi, own: Queue, victims: list[Adi], desks: list[Desk]) -> Hostile:
        reach = Reach(
            vectors=tuple(vector for adi in victims for vector in adi.vectors),
            pasids=tuple(adi.pasid for adi in victims),
            addresses=tuple(desk.place.start for desk in desks),
        )
        trials = self._desk(enemy).trials
        return Hostile(self._transport, enemy, own, reach, trials, self._random)

    async def _measure(self, desks: list[Desk]) -> int:
        self._working, before = True, self._done
        tasks = [self._transport.start(self._work(desk)) for desk in desks]
        await self._transport.sleep(self._cycles)
        self._working, after = False, self._done
        for task in tasks:
            await task.join()
        return after - before

    async def _work(self, desk: Desk) -> None:
        while self._working:
            trial = desk.trials.draw()
            try:
                completion = await desk.execute(trial)
            except DriverError as error:
                self._wrong(f"{trial.name}: {error}")
                return
            self._done += 1
            for complaint in desk.judge(trial, completion):
                self._wrong(complaint)

    async def _reset(self, queue: Queue) -> None:
        """A third party's queue comes and goes."""
        settings = queue.settings
        assert settings is not None
        while self._working:
            await queue.enable()
            await self._transport.sleep(self._random.randrange(200))
            await queue.reset()
            await queue.configure(settings)
            self._outcome.resets += 1

    def _reported(self, report: ErrorReport) -> None:
        assert self._enemy is not None
        theirs = report.pasid == self._enemy.pasid or report.code == SoftwareError.QUEUE_FULL
        if theirs and not report.halted:
            self._outcome.reported += 1
        else:
            self._wrong(f"the device reports {report}")

    async def _judge(self, device: Device, victims: list[Adi]) -> None:
        for adi in victims:
            await adi.drain()
            counts = adi.submitted, adi.completed, adi.bells
            if len(set(counts)) > 1:
                self._wrong(f"PASID {adi.pasid:#x}: submitted, completed, bells: {counts}")
        if device.strays:
            self._wrong(f"{device.strays} messages for vectors that nobody had")
        assert self._enemy is not None
        for fault in self._host.iommu.faults:
            if fault.pasid != self._enemy.pasid:
                self._wrong(str(fault))
        await device.close()

    def _wrong(self, sentence: str) -> None:
        if sentence not in self._outcome.errors:
            self._outcome.errors.append(sentence)


async def isolate(transport: Transport, host: Host, parameters: dict[str, Any]) -> Outcome:
    """Run it once."""
    return await Isolation(transport, host, **parameters).run()
