"""Vectors of all processors (Linux kernel/irq/matrix.c)."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import IrqError
from .failslab import Failslab

CpuMask = frozenset[int]


@dataclass
class CpuMap:
    """Vectors of one processor.

    Bitmaps are integers. ``alloc_map`` has the vectors in use, ``managed_map`` those set aside for
    managed interrupts, in use or not.
    """

    available: int
    allocated: int = 0
    managed: int = 0
    managed_allocated: int = 0
    online: bool = False
    alloc_map: int = 0
    managed_map: int = 0


class IrqMatrix:
    """Hands out the vectors ``alloc_start`` to ``alloc_end - 1`` of each processor.

    **Timing** Every call looks at the processors of a mask, never at interrupts.

    **Errors** :class:`~driver.irq.errors.IrqError`: ENOSPC where no vector is left, EINVAL for an
    empty mask.

    Members
    -------
    maps
        By processor.
    global_available, global_reserved, total_allocated
        Vectors free on online processors, promised without a place, and in use.
    """

    def __init__(self, cpus: int, alloc_start: int, alloc_end: int, failslab: Failslab) -> None:
        self._range = (1 << alloc_end) - (1 << alloc_start)
        self._system_map = 0
        self._failslab = failslab
        self.maps = [CpuMap(alloc_end - alloc_start) for _ in range(cpus)]
        self.global_available = self.global_reserved = self.total_allocated = 0

    def assign_system(self, bit: int) -> None:
        """Keep a vector of every processor for the system; before any goes online."""
        self._system_map |= 1 << bit
        if self._range >> bit & 1:
            for cm in self.maps:
                cm.available -= 1

    def online(self, cpu: int) -> None:
        """A processor takes part."""
        cm = self.maps[cpu]
        cm.online = True
        self.global_available += cm.available

    def offline(self, cpu: int) -> None:
        """A processor takes part no more; what is allocated on it is to be freed as usual."""
        cm = self.maps[cpu]
        cm.online = False
        self.global_available -= cm.available

    def reserve(self) -> None:
        """Promise a vector, without a place and without a guarantee."""
        self.global_reserved += 1

    def remove_reserved(self) -> None:
        """Take a promise back."""
        self.global_reserved -= 1

    def reserve_managed(self, mask: CpuMask) -> None:
        """Set a vector aside on each processor of a mask, online or not."""
        done: list[int] = []
        for cpu in sorted(mask):
            cm = self.maps[cpu]
            try:
                cm.managed_map |= self._area(cm)
            except IrqError:
                self.remove_managed(done)
                raise
            cm.managed += 1
            self._account(cm, -1)
            done.append(cpu)

    def remove_managed(self, mask: Iterable[int]) -> None:
        """Give back one vector that is set aside and not in use, on each processor of a mask."""
        for cpu in mask:
            cm = self.maps[cpu]
            cm.managed_map &= ~_lowest(cm.managed_map & ~cm.alloc_map)
            cm.managed -= 1
            self._account(cm, 1)

    def alloc_managed(self, mask: CpuMask) -> tuple[int, int]:
        """Use a vector that is set aside. Returns processor and vector."""
        cpus = [cpu for cpu in self._online(mask) if self._spare(cpu)]
        if not cpus:
            raise IrqError(
                errno.ENOSPC,
                f"no managed vector is left on processors {sorted(mask)}; reserve one first",
            )
        cpu = min(cpus, key=lambda each: self.maps[each].managed_allocated)
        cm = self.maps[cpu]
        bit = _lowest(self._spare(cpu))
        cm.alloc_map |= bit
        cm.managed_allocated += 1
        self._count(cm, 1)
        return cpu, bit.bit_length() - 1

    def alloc(self, mask: CpuMask, *, reserved: bool = False) -> tuple[int, int]:
        """Use a vector of the processor that has most left. Returns processor and vector.

        ``reserved`` turns a promise into this vector.
        """
        cpu = max(self._online(mask), key=lambda each: self.maps[each].available, default=None)
        if cpu is None:
            raise IrqError(errno.ENOSPC, f"no processor of {sorted(mask)} is online")
        cm = self.maps[cpu]
        bit = self._area(cm)
        cm.alloc_map |= bit
        self._account(cm, -1)
        self._count(cm, 1)
        self.global_reserved -= reserved
        return cpu, bit.bit_length() - 1

    def free(self, cpu: int, vector: int, *, managed: bool) -> None:
        """Give a vector back; a managed one stays set aside."""
        cm = self.maps[cpu]
        if not cm.alloc_map >> vector & 1:
            raise ValueError(f"vector {vector} of processor {cpu} is not allocated")
        cm.alloc_map &= ~(1 << vector)
        self._count(cm, -1)
        if managed:
            cm.managed_allocated -= 1
        else:
            self._account(cm, 1)

    def _online(self, mask: CpuMask) -> list[int]:
        if not mask:
            raise IrqError(errno.EINVAL, "the mask has no processor; name at least one")
        return [cpu for cpu in sorted(mask) if self.maps[cpu].online]

    def _spare(self, cpu: int) -> int:
        cm = self.maps[cpu]
        return cm.managed_map & ~cm.alloc_map

    def _area(self, cm: CpuMap) -> int:
        """The lowest free vector of a processor, as a bit."""
        self._failslab.step("a vector of the matrix", errno.ENOSPC)
        bit = _lowest(self._range & ~(self._system_map | cm.alloc_map | cm.managed_map))
        if not bit:
            raise IrqError(
                errno.ENOSPC,
                f"all {cm.allocated} vectors of the processor are in use; free some, or allow "
                f"the interrupt on more processors",
            )
        return bit

    def _account(self, cm: CpuMap, change: int) -> None:
        cm.available += change
        if cm.online:
            self.global_available += change

    def _count(self, cm: CpuMap, change: int) -> None:
        cm.allocated += change
        self.total_allocated += change


def _lowest(bits: int) -> int:
    return bits & -bits
