"""Address translation per PASID, and refusal of what is not mapped."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from .memory import PAGE_BYTES

PASID_BITS = 20


class Reason(enum.Enum):
    """Why an access was refused."""

    UNKNOWN_PASID = "no such PASID"
    NOT_MAPPED = "page not mapped"
    READ_ONLY = "page is read-only"


@dataclass(frozen=True)
class Fault:
    """One access that was refused."""

    reason: Reason
    #: Address space, or None for the function's own.
    pasid: int | None
    address: int
    write: bool

    def __str__(self) -> str:
        who = "function" if self.pasid is None else f"PASID {self.pasid:#x}"
        what = "write to" if self.write else "read of"
        return f"{who}: {what} {self.address:#x} refused, {self.reason.value}"


class AccessRefused(Exception):  # noqa: N818
    """An access that the IOMMU does not let through."""

    def __init__(self, fault: Fault):
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True)
class Mapping:
    """What a page of an address space leads to."""

    frame: int
    writable: bool


class AddressSpace:
    """Page table and address allocator of one PASID.

    Every address space hands out the same addresses in the same order, half of them below 4 GiB
    and half above. So a request with the wrong PASID reads the wrong data or is refused, but never
    works by luck, and both header formats are used.
    """

    LOW, LOW_END, HIGH = 0x1000_0000, 0x8000_0000, 0x12_3000_0000

    def __init__(self) -> None:
        self.pages: dict[int, Mapping] = {}
        self._next = {False: self.LOW, True: self.HIGH}
        self._count = 0

    def allocate(self, size: int, align: int) -> int:
        """A range of addresses that was never used before, with an unmapped page after it."""
        align = max(align, PAGE_BYTES)
        span = -(-size // PAGE_BYTES) * PAGE_BYTES
        high = bool(self._count % 2)
        self._count += 1
        if not high and self._next[False] + align + span >= self.LOW_END:
            high = True
        start = -(-self._next[high] // align) * align
        self._next[high] = start + span + PAGE_BYTES
        return start


class Iommu:
    """The IOMMU: address spaces by PASID, and a log of what was refused.

    The function's own address space has the key None and always exists.
    """

    def __init__(self) -> None:
        self.spaces: dict[int | None, AddressSpace] = {None: AddressSpace()}
        self.faults: list[Fault] = []
        self._allocated = 0

    def allocate_pasid(self) -> int:
        """A PASID that was not used before. All 20 bits take part."""
        if self._allocated >= (1 << PASID_BITS) - 1:
            raise RuntimeError(f"all {1 << PASID_BITS} PASIDs have been used")
        self._allocated += 1
        pasid = self._allocated * 0x9E37B % (1 << PASID_BITS)
        self.spaces[pasid] = AddressSpace()
        return pasid

    def free_pasid(self, pasid: int) -> None:
        """Take a PASID away; requests that still carry it are refused."""
        space = self.spaces[pasid]
        if space.pages:
            raise ValueError(f"PASID {pasid:#x} still has {len(space.pages)} pages mapped")
        del self.spaces[pasid]

    def translate(
        self, pasid: int | None, address: int, size: int, *, write: bool
    ) -> Iterator[tuple[int, int, int]]:
        """Split an access into (frame, offset, size), after checking all of it.

        Raises
        ------
        AccessRefused
            Any byte of it is not allowed. The fault has been logged.
        """
        pieces = []
        space = self.spaces.get(pasid)
        if space is None:
            self._refuse(Reason.UNKNOWN_PASID, pasid, address, write)
        end = address + size
        while address < end:
            page, offset = divmod(address, PAGE_BYTES)
            mapping = space.pages.get(page)
            if mapping is None:
                self._refuse(Reason.NOT_MAPPED, pasid, address, write)
            if write and not mapping.writable:
                self._refuse(Reason.READ_ONLY, pasid, address, write)
            length = min(end - address, PAGE_BYTES - offset)
            pieces.append((mapping.frame, offset, length))
            address += length
        return iter(pieces)

    def _refuse(self, reason: Reason, pasid: int | None, address: int, write: bool) -> NoReturn:
        fault = Fault(reason, pasid, address, write)
        self.faults.append(fault)
        raise AccessRefused(fault)
