"""What a crowd is asked to do, and what came of it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hw.regs import Config, ConfigError
from hw.regs.config import IMS_MAX, IMS_UNIT

GUEST_ADIS, GUEST_VECTORS = 3, 8
"""ADIs of a guest, and entries of its MSI-X table: two for each ADI, and number 0."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do.

    Parameters
    ----------
    adis
        ADIs of the host's own, alive at once.
    guests
        Virtual machines beside them, with three ADIs each.
    operations
        Of the host's tenants once all are there: each rings a bell, and most do something to a
        vector meanwhile.
    guest_operations, guest_moves
        The same for each guest, and how often it is moved to another queue meanwhile.
    workers
        How many operations the host has under way at once.
    seed
        Of everything random.
    """

    adis: int = 2500
    guests: int = 16
    operations: int = 10_000
    guest_operations: int = 200
    guest_moves: int = 5
    workers: int = 96
    seed: int = 1

    def __post_init__(self) -> None:
        if self.adis < 1 or self.vectors > IMS_MAX:
            raise ConfigError(
                f"a device has {IMS_MAX} vectors: 1 to {IMS_MAX - self.reserve} ADIs beside "
                f"{self.guests} guests, not {self.adis}"
            )

    @property
    def reserve(self) -> int:
        """Vectors that the host's tenants leave to guests, and to ADIs that come meanwhile."""
        return self.guests * GUEST_VECTORS + self.workers

    @property
    def vectors(self) -> int:
        """Vectors that are needed at least."""
        return self.adis + self.reserve

    @property
    def config(self) -> Config:
        """A device with room for all of them; the default one if that is large enough."""
        wanted = -(-self.vectors // IMS_UNIT) * IMS_UNIT
        return Config(ims_vectors=max(wanted, Config().ims_vectors))

    @property
    def all_operations(self) -> int:
        """How many there are in all; each ADI begins with one."""
        guests = self.guests * (GUEST_ADIS + self.guest_operations)
        return self.adis + self.operations + guests


@dataclass(kw_only=True)
class Result:
    """What happened. Survives JSON, so that it can leave a simulator."""

    adis: int = 0
    """Of the host, alive at once."""
    guests: int = 0
    """Alive at the same time."""
    vectors: int = 0
    """In message storage at that time."""
    operations: int = 0
    bells: int = 0
    """Counted by the handlers that they are for."""
    lost: int = 0
    doubled: int = 0
    misdirected: int = 0
    corrupted: int = 0
    """Copies with a wrong byte."""
    moves: int = 0
    """Guests moved to another queue while they worked."""
    resubmitted: int = 0
    """Descriptors submitted again because a move had revoked their handle."""
    actions: dict[str, int] = field(default_factory=dict)
    """What was done to vectors while they rang, by name."""
    leaked: dict[str, int] = field(default_factory=dict)
    """What is in use after everybody has left, and was not before."""
    requests: int = 0
    clocks: int = 0
    errors: list[str] = field(default_factory=list)
    """What went wrong, in sentences."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def good(self) -> bool:
        """Whether all is as it should be."""
        wrong = self.lost + self.doubled + self.misdirected + self.corrupted
        return not wrong and not self.leaked and not self.errors

    @property
    def last_line(self) -> str:
        """The line that a script may look at."""
        return (
            f"crowd: adis={self.adis} guests={self.guests} vectors={self.vectors} "
            f"operations={self.operations} lost={self.lost} doubled={self.doubled} "
            f"misdirected={self.misdirected} leaked={sum(self.leaked.values())}"
        )
