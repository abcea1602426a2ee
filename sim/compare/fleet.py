"""The fleet: who comes when, wants how much when, and leaves when."""

import enum
import math
import random
from dataclasses import dataclass

from .plan import Plan

MINUTE = 60
DAY = 24 * 60 * MINUTE
"""Times are in seconds since midnight, when nobody is there."""

MEAN_STAY = 6 * 60 * MINUTE
SHORTEST_STAY = 5 * MINUTE

WANTS = (24, 20, 16, 12, 9, 7, 6, 6)
"""How many ADIs of a hundred come to want 1, 2, … 8 vectors in all."""

FIRST = (80, 20)
"""How many of a hundred want 1 or 2 of them when they come."""


class Wish(enum.IntEnum):
    """What happens to an ADI; of what happens in the same second, the lowest first."""

    LEAVE = 0
    COME = 1
    MORE = 2
    """It turns out to want another vector."""


@dataclass(frozen=True)
class Adi:
    """An assignable device interface, as its tenant uses it.

    Parameters
    ----------
    number
        In order of arrival, from 0.
    comes, leaves
        When.
    first
        Vectors that it wants at once, without which it is no use.
    more
        When it comes to want one more, and one more, in order.
    """

    number: int
    comes: int
    leaves: int
    first: int
    more: tuple[int, ...]


Happening = tuple[int, Wish, int]
"""When, what, and to the ADI of which number."""


def fleet(plan: Plan) -> list[Adi]:
    """The ADIs of a day: the same for the same plan."""
    rng = random.Random(plan.seed)
    shape = [math.sin(math.pi * minute / (DAY // MINUTE)) ** 2 for minute in range(DAY // MINUTE)]
    count = max(1, round(plan.adis * sum(shape) / _busiest(shape)))
    minutes = rng.choices(range(len(shape)), shape, k=count)
    arrivals = sorted(minute * MINUTE + rng.randrange(MINUTE) for minute in minutes)
    return [_adi(rng, number, comes) for number, comes in enumerate(arrivals)]


def _busiest(shape: list[float]) -> float:
    """The most that are there at once, if each minute brings as many as ``shape`` says."""
    stay = math.exp(-MINUTE / MEAN_STAY)
    there = most = 0.0
    for comes in shape:
        there = there * stay + comes
        most = max(most, there)
    return most


def _adi(rng: random.Random, number: int, comes: int) -> Adi:
    stays = max(SHORTEST_STAY, round(rng.expovariate(1 / MEAN_STAY)))
    leaves = min(comes + stays, DAY)
    (wants,) = rng.choices(range(1, len(WANTS) + 1), WANTS)
    (first,) = rng.choices(range(1, len(FIRST) + 1), FIRST)
    first = min(first, wants)
    more = sorted(rng.randrange(comes, leaves) for _ in range(wants - first))
    return Adi(number, comes, leaves, first, tuple(more))


def day(adis: list[Adi]) -> list[Happening]:
    """Everything that happens, in order. Whoever is there at midnight leaves then."""
    found: list[Happening] = []
    for adi in adis:
        found.append((adi.comes, Wish.COME, adi.number))
        found += ((when, Wish.MORE, adi.number) for when in adi.more)
        found.append((adi.leaves, Wish.LEAVE, adi.number))
    return sorted(found)
