"""What a comparison found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from .plan import Plan


@dataclass(kw_only=True)
class Level:
    """How much there was of something over the day.

    Parameters
    ----------
    most, mean
        Its peak, and its mean over time.
    samples
        What there was every few minutes (:data:`sim.compare.day.SAMPLED`).
    """

    most: int = 0
    mean: float = 0.0
    samples: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Outcome:
    """What came of one way.

    Parameters
    ----------
    key, title
        Which it is.
    entries
        Vectors that the device has for it.
    levels
        ADIs alive, and vectors reserved, in use, and taken from processors.
    admitted
        ADIs that came and were not refused.
    refused
        ADIs that were refused, by error code and reason.
    short
        ADIs that were admitted and did not get all vectors that they wanted later.
    denied
        Vectors that they did not get, by error code and reason.
    vectors
        Vectors that were taken into use.
    requests
        To the device, to give it vectors and to take them away.
    lost
        Bells that did not ring as they should.
    leaked
        What was in use after the day and not before it.
    """

    key: str
    title: str
    entries: int
    levels: dict[str, Level] = field(default_factory=dict)
    admitted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    short: int = 0
    denied: dict[str, int] = field(default_factory=dict)
    vectors: int = 0
    requests: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    leaked: dict[str, int] = field(default_factory=dict)

    @property
    def refusals(self) -> int:
        """How many ADIs were refused."""
        return sum(self.refused.values())


@dataclass(kw_only=True)
class Result:
    """What came of all of them, with the same fleet.

    Parameters
    ----------
    plan
        What was asked.
    capacity
        Vectors that the processors have for devices.
    adis
        ADIs that came.
    wanted
        Vectors that would have been in use had nobody been refused any.
    ways
        One after another.
    """

    plan: Plan
    capacity: int = 0
    adis: int = 0
    wanted: Level = field(default_factory=Level)
    ways: list[Outcome] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def errors(self) -> list[str]:
        """What went wrong, in sentences."""
        found = []
        for way in self.ways:
            if way.lost:
                found.append(f"{way.title}: {way.lost} bells were lost")
            found += (
                f"{way.title}: after the day {count} more than before are {name}"
                for name, count in way.leaked.items()
            )
        return found

    @property
    def last_line(self) -> str:
        """The line that a script may look at."""
        refused = " ".join(f"{way.key}_refused={way.refusals}" for way in self.ways)
        lost = sum(way.lost for way in self.ways)
        leaked = sum(map(abs, (n for way in self.ways for n in way.leaked.values())))
        return f"compare: adis={self.adis} {refused} lost={lost} leaked={leaked}"
