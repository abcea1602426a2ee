"""What a round of a soak run found, and all rounds together."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Round:
    """What happened in one round. Survives JSON.

    Parameters
    ----------
    disturbance
        What the host did to the device while it worked.
    kinds
        Operations by name.
    faults
        Reads of the device that the host let fail.
    refused
        Accesses that the IOMMU refused, all of them expected.
    clocks
        How long it took, in clocks of the device.
    errors
        What went wrong, in sentences.
    """

    disturbance: str = ""
    kinds: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    refused: int = 0
    clocks: int = 0
    errors: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass
class Total:
    """All rounds so far."""

    seed: int
    rounds: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    disturbances: Counter[str] = field(default_factory=Counter)
    faults: int = 0
    refused: int = 0
    clocks: int = 0
    failed: int | None = None
    """The round that went wrong; none follows it."""
    errors: list[str] = field(default_factory=list)

    def add(self, number: int, found: Round) -> None:
        """Count a round."""
        self.rounds += 1
        self.kinds += Counter(found.kinds)
        self.disturbances[found.disturbance] += 1
        self.faults += found.faults
        self.refused += found.refused
        self.clocks += found.clocks
        if found.errors:
            self.failed, self.errors = number, found.errors

    @property
    def last_line(self) -> str:
        """The line that a script may look at."""
        return (
            f"soak: seed={self.seed} rounds={self.rounds} operations={self.kinds.total()} "
            f"faults={self.faults} refused={self.refused} failed={int(self.failed is not None)}"
        )
