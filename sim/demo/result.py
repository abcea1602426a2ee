"""What a demonstration is asked to do, and what it found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hw.regs import Config, ConfigError
from hw.regs.config import IMS_MAX, IMS_UNIT


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do.

    Parameters
    ----------
    adis
        Assignable device interfaces alive at once, each with one vector: 1 to 16,128.
    operations_per_adi
        Memory moves by each of them, at least 1.
    largest_bytes
        Sizes are drawn between 1 and this.
    churn
        One in this many is destroyed and replaced while the rest run.
    shared_operations
        Operations of the last act, in which three tenants share an engine; none: leave it out.
    workers
        How many operations the host has under way at once.
    seed
        Of everything random.
    """

    adis: int = 2500
    operations_per_adi: int = 2
    largest_bytes: int = 1024
    churn: int = 10
    shared_operations: int = 800
    workers: int = 96
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.adis <= IMS_MAX:
            raise ConfigError(f"a device has 1 to {IMS_MAX} vectors, not {self.adis}")
        if self.operations_per_adi < 1:
            raise ConfigError(f"an ADI does 1 operation or more, not {self.operations_per_adi}")

    @property
    def config(self) -> Config:
        """A device with room for all of them; the default one if that is large enough."""
        vectors = -(-self.adis // IMS_UNIT) * IMS_UNIT
        return Config(ims_vectors=max(vectors, Config().ims_vectors))

    @property
    def replaced(self) -> int:
        """How many ADIs are destroyed and created anew."""
        return self.adis // self.churn

    @property
    def operations(self) -> int:
        """Operations of the first three acts; a replaced ADI starts anew with one."""
        return self.adis * self.operations_per_adi + self.replaced

    @property
    def all_operations(self) -> int:
        """About how many there are in all."""
        return self.operations + self.shared_operations


@dataclass(frozen=True, kw_only=True)
class Sharer:
    """What one of several tenants had of an engine that they shared.

    Parameters
    ----------
    name, priority
        Of the tenant.
    promised
        Share of the turns that its priority promises.
    turns, time
        Shares of the turns and of the engine's time that it had.
    """

    name: str
    priority: int
    promised: float
    turns: float
    time: float


@dataclass(kw_only=True)
class Result:
    """What happened. Survives JSON, so that it can leave a simulator.

    Times are in clocks of the device since the simulation began; in the functional model, which
    has no clock, in its steps.
    """

    adis: int = 0
    """Alive at once, at most."""
    vectors: int = 0
    """Allocated at once, at most."""
    storage: int = 0
    """Entries of interrupt message storage."""
    replaced: int = 0
    moved: int = 0
    """Vectors that were given another target while they fired."""
    operations: int = 0
    copied_bytes: int = 0
    interrupts: int = 0
    lost: int = 0
    doubled: int = 0
    misdirected: int = 0
    corrupted: int = 0
    """Operations after which a byte in the destination was not what it should be."""
    refused: int = 0
    """Accesses that the IOMMU refused."""
    retries: int = 0
    """Submissions that a full queue had answered with Retry."""
    requests: int = 0
    clocks: int = 0
    latencies: list[int] = field(default_factory=list)
    """From completion record to bell."""
    bells: list[tuple[int, int]] = field(default_factory=list)
    """Clock, and number of the ADI in order of creation."""
    occupancy: list[tuple[int, int]] = field(default_factory=list)
    """Clock, and vectors allocated from then on."""
    sharers: list[Sharer] = field(default_factory=list)
    """Tenants of the last act."""
    turns: list[tuple[int, int, int]] = field(default_factory=list)
    """Clocks from which and until which the engine worked for which of them."""
    errors: list[str] = field(default_factory=list)
    """What went wrong, in sentences."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Result":
        """The inverse of :meth:`to_json`."""
        lists: dict[str, Any] = {
            name: [tuple(item) for item in values[name]] for name in ("bells", "occupancy", "turns")
        }
        lists["sharers"] = [Sharer(**item) for item in values["sharers"]]
        return cls(**(values | lists))

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        wrong = self.lost + self.doubled + self.misdirected + self.corrupted + self.refused
        return not wrong and not self.errors

    @property
    def last_line(self) -> str:
        """The line that a script may look at."""
        return (
            f"demo: adis={self.adis} vectors={self.vectors} operations={self.operations} "
            f"interrupts={self.interrupts} lost={self.lost} doubled={self.doubled} "
            f"misdirected={self.misdirected}"
        )


def percentile(values: list[int], percent: float) -> int:
    """The smallest of the values that at least this share of them does not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)] if ordered else 0
