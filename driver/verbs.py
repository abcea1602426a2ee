"""The operations as calls: each submits a descriptor and waits for what it finds."""

from typing import TypeVar

from .comparisons import ApplyDelta, Compare, ComparePattern, Comparison, CreateDelta, DeltaRecord
from .crc import CopyCrc, Crc
from .descriptors import CacheFlush, Descriptor, Dualcast, Fill, MemoryMove, Nop
from .transport import Buffer

Result = TypeVar("Result")

Place = int | Buffer
"""An address in the memory of an ADI, or memory allocated there."""


def at(place: Place) -> int:
    """The address of a place."""
    return place if isinstance(place, int) else place.address


class Verbs:
    """One coroutine for each operation, which returns when the device has interrupted.

    **Errors** :class:`~driver.errors.SettingsError` before anything is submitted, for what the
    queue would refuse; then those of :meth:`driver.operation.Operation.wait`.
    """

    async def run(self, descriptor: Descriptor[Result]) -> Result:
        """Submit a descriptor, wait for its bell, and return what it has found."""
        raise NotImplementedError

    async def noop(self) -> None:
        """Nothing but a completion record and an interrupt."""
        await self.run(Nop())

    async def copy(self, source: Place, destination: Place, size: int) -> None:
        """Copy bytes; the two ranges may not overlap."""
        await self.run(MemoryMove(at(source), at(destination), size))

    async def fill(self, destination: Place, size: int, pattern: int = 0) -> None:
        """Repeat eight bytes, lowest first."""
        await self.run(Fill(pattern, at(destination), size))

    async def compare(self, first: Place, second: Place, size: int) -> Comparison:
        """Compare two ranges, and find the first byte that differs."""
        return await self.run(Compare(at(first), at(second), size))

    async def compare_pattern(self, source: Place, size: int, pattern: int = 0) -> Comparison:
        """Compare memory with eight bytes repeated, and find the first byte that differs."""
        return await self.run(ComparePattern(at(source), pattern, size))

    async def delta(
        self, original: Place, modified: Place, size: int, record: Place, max_bytes: int
    ) -> DeltaRecord:
        """Write down in ``record`` what makes the original equal to the modified range."""
        return await self.run(CreateDelta(at(original), at(modified), size, at(record), max_bytes))

    async def apply(self, record: Place, delta_bytes: int, destination: Place, size: int) -> None:
        """Change memory as a delta record of ``delta_bytes`` says."""
        await self.run(ApplyDelta(at(record), at(destination), size, delta_bytes))

    async def dualcast(
        self, source: Place, destination: Place, destination_2: Place, size: int
    ) -> None:
        """Copy bytes to two places, whose addresses agree in bits 11:0."""
        await self.run(Dualcast(at(source), at(destination), at(destination_2), size))

    async def crc(self, source: Place, size: int, *, seed: int = 0) -> int:
        """The CRC-32C of memory (:class:`~driver.crc.Crc`); ``seed`` is that of what is before."""
        return await self.run(Crc(at(source), size, seed))

    async def copy_crc(self, source: Place, destination: Place, size: int, *, seed: int = 0) -> int:
        """Copy bytes, and return their CRC-32C."""
        return await self.run(CopyCrc(at(source), at(destination), size, seed))

    async def flush(self, destination: Place, size: int) -> None:
        """Make the device forget what it may have cached of a range."""
        await self.run(CacheFlush(at(destination), size))
