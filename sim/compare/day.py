"""The day: the same fleet, one way after another."""

import asyncio
from collections import Counter
from collections.abc import Callable

from .fleet import DAY, MINUTE, Adi, Happening, Wish, day, fleet
from .machine import Held, Machine
from .plan import Plan
from .result import Level, Outcome, Result
from .ways import WAYS, Refused, Way

SAMPLED = 5 * MINUTE
"""The distance of samples."""

REPORTED = 250
"""Progress is shown every so many happenings."""

Progress = Callable[[int, int, str], None]
Enter = Callable[[str, int], Progress]


class Gauge:
    """Watches how much there is of something; nothing before the first note."""

    def __init__(self) -> None:
        self.level = Level()
        self._value = self._since = self._area = 0

    def note(self, now: int, value: int) -> None:
        """So much there is from now on."""
        self._until(now)
        self._value = value
        self.level.most = max(self.level.most, value)

    def finish(self) -> Level:
        """What there was over the day."""
        self._until(DAY)
        self.level.mean = round(self._area / DAY, 1)
        return self.level

    def _until(self, now: int) -> None:
        samples = self.level.samples
        due = -(-now // SAMPLED)
        samples += [self._value] * (due - len(samples))
        self._area += self._value * (now - self._since)
        self._since = now


def compare(plan: Plan, enter: Enter) -> Result:
    """Play all ways; takes seconds. ``enter`` is told of each, and how much it has to do."""
    adis = fleet(plan)
    happenings = day(adis)
    result = Result(plan=plan, adis=len(adis), wanted=_wanted(adis, happenings))
    for kind in WAYS:
        show = enter(kind.title, len(happenings))
        asyncio.run(_play(kind, adis, happenings, result, show))
    return result


def _wanted(adis: list[Adi], happenings: list[Happening]) -> Level:
    gauge, total, has = Gauge(), 0, Counter[int]()
    for now, wish, number in happenings:
        if wish is Wish.LEAVE:
            total -= has.pop(number)
        else:
            wants = adis[number].first if wish is Wish.COME else 1
            has[number] += wants
            total += wants
        gauge.note(now, total)
    return gauge.finish()


async def _play(
    kind: type[Way], adis: list[Adi], happenings: list[Happening], result: Result, show: Progress
) -> None:
    machine = await Machine.probe(result.plan)
    before = machine.counts()
    way = kind(machine, result.plan)
    await way.open()
    played = _Day(way, adis)
    for done, (now, wish, number) in enumerate(happenings):
        await played.happen(now, wish, adis[number])
        if done % REPORTED == 0:
            show(done, len(happenings), f"{len(played.tenants):,} ADIs")
    await way.close()
    outcome = played.outcome()
    outcome.leaked = {
        name: count - before[name]
        for name, count in machine.counts().items()
        if count != before[name]
    }
    result.capacity = machine.capacity
    result.ways.append(outcome)


class _Day:
    """What happens on one way, and what comes of it.

    Members
    -------
    tenants
        The vectors of each ADI that was admitted and has not left.
    """

    def __init__(self, way: Way, adis: list[Adi]) -> None:
        self._way = way
        self.tenants: dict[int, list[Held]] = {}
        self._refused: Counter[str] = Counter()
        self._denied: Counter[str] = Counter()
        self._short: set[int] = set()
        self._admitted = self._vectors = 0
        self._gauges = {name: Gauge() for name in ("adis", "reserved", "in_use", "taken")}
        self._note(0)

    async def happen(self, now: int, wish: Wish, adi: Adi) -> None:
        """One thing."""
        if wish is Wish.COME:
            await self._come(adi)
        elif adi.number in self.tenants:
            await (self._leave(adi) if wish is Wish.LEAVE else self._more(adi))
        self._note(now)

    async def _come(self, adi: Adi) -> None:
        pasid = adi.number + 1
        try:
            self._way.admit(pasid)
        except Refused as refused:
            self._refused[str(refused)] += 1
            return
        self.tenants[adi.number] = []
        try:
            for _ in range(adi.first):
                await self._take(adi)
        except Refused as refused:
            self._refused[str(refused)] += 1
            await self._leave(adi)
            return
        self._admitted += 1

    async def _more(self, adi: Adi) -> None:
        try:
            await self._take(adi)
        except Refused as refused:
            self._denied[str(refused)] += 1
            self._short.add(adi.number)

    async def _take(self, adi: Adi) -> None:
        self.tenants[adi.number].append(await self._way.take(adi.number + 1))
        self._vectors += 1

    async def _leave(self, adi: Adi) -> None:
        for held in self.tenants.pop(adi.number):
            await self._way.give(held)
        self._way.dismiss(adi.number + 1)

    def _note(self, now: int) -> None:
        machine = self._way.machine
        self._gauges["adis"].note(now, len(self.tenants))
        self._gauges["reserved"].note(now, machine.reserved)
        self._gauges["in_use"].note(now, machine.in_use)
        self._gauges["taken"].note(now, machine.taken)

    def outcome(self) -> Outcome:
        """What came of it."""
        way, plan = self._way, self._way.plan
        return Outcome(
            key=way.key,
            title=way.title,
            entries=plan.ims_vectors if way.table == "ims" else plan.msix_vectors,
            levels={name: gauge.finish() for name, gauge in self._gauges.items()},
            admitted=self._admitted,
            refused=dict(self._refused),
            short=len(self._short),
            denied=dict(self._denied),
            vectors=self._vectors,
            requests=way.machine.requests,
            lost=way.machine.lost,
        )
