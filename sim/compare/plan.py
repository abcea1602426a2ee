"""What a comparison is asked to do."""

from dataclasses import dataclass

from hw.regs import ConfigError
from hw.regs.config import IMS_MAX, MSIX_MAX

from ..host.platform import CPUS

MOST_PER_ADI = 8
"""The most vectors that an ADI wants."""

MOST_ADIS = 16_000
MOST_CPUS = 256


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do.

    Parameters
    ----------
    adis
        ADIs that would be alive at once when the day is busiest, if none were refused: about as
        many, 1 to 16,000.
    cpus
        Processors of the machine, each with 203 vectors for devices: 1 to 256.
    share
        Vectors that an ADI is given for good where all are claimed at probe: 1 to 8.
    seed
        Of everything random.
    """

    adis: int = 3000
    cpus: int = CPUS
    share: int = MOST_PER_ADI
    seed: int = 1

    def __post_init__(self) -> None:
        for name, most in (("adis", MOST_ADIS), ("cpus", MOST_CPUS), ("share", MOST_PER_ADI)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ConfigError(f"{name} takes 1 to {most}; {value} is not that")

    @property
    def msix_vectors(self) -> int:
        """Entries of the device's MSI-X table: all that the format can name."""
        return MSIX_MAX

    @property
    def ims_vectors(self) -> int:
        """Entries of its message storage: all that the format can name."""
        return IMS_MAX
