"""CRC generation (DSA §8.3.12, §8.3.13, appendix A)."""

from dataclasses import dataclass

from hw.regs.descriptor import Flag, Opcode

from .completion import Completion
from .descriptors import NO_FLAGS, Descriptor
from .errors import SettingsError
from .limits import Limits

SEED_ALIGN = 4


class _Crc(Descriptor[int]):
    seed: int
    seed_address: int | None
    invert: bool
    reflect: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seed and self.seed_address is not None:
            raise SettingsError(f"a {self.label} has a seed or a seed_address, not both")

    def implied_flags(self) -> Flag:
        flags = NO_FLAGS
        if self.seed_address is not None:
            flags |= Flag.READ_SEED
        if not self.invert:
            flags |= Flag.BYPASS_INVERSION
        if not self.reflect:
            flags |= Flag.BYPASS_REFLECTION
        return flags

    def check(self, limits: Limits) -> None:
        super().check(limits)
        self.aligned(SEED_ALIGN, seed_address=self.seed_address or 0)

    def result(self, completion: Completion) -> int:
        return completion.value


@dataclass(frozen=True)
class Crc(_Crc):
    """Computes the CRC-32C of memory, of any size and alignment.

    Parameters
    ----------
    seed
        The CRC of what comes before, so that a long CRC can be computed in pieces; 0 at the start.
    seed_address
        Where the seed lies in memory instead, a multiple of 4.
    invert, reflect
        As in iSCSI, both; without inversion, seed and result are neither inverted nor reflected,
        and without reflection bit 7 of each byte comes first.
    """

    opcode = Opcode.CRC
    label = "CRC"
    verb = "reads"
    source: int
    size_bytes: int
    seed: int = 0
    seed_address: int | None = None
    invert: bool = True
    reflect: bool = True
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class CopyCrc(_Crc):
    """Copies bytes and computes their CRC-32C; otherwise as :class:`Crc`.

    Parameters
    ----------
    source, destination
        Addresses; the two ranges may not overlap.
    """

    opcode = Opcode.COPY_CRC
    label = "copy with CRC"
    verb = "copies"
    source: int
    destination: int
    size_bytes: int
    seed: int = 0
    seed_address: int | None = None
    invert: bool = True
    reflect: bool = True
    flags: Flag = NO_FLAGS

    def check(self, limits: Limits) -> None:
        super().check(limits)
        size = self.size_bytes
        self.apart(("destination", self.destination, size), ("source", self.source, size))
