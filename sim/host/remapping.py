"""The remapping unit: what messages mean, by the table in memory (VT-d §5.1, §5.2, §9.9-§9.11).

Written from the specification, and not from the driver that writes the table.
"""

import enum
from dataclasses import dataclass

from .memory import PAGE_BYTES, Memory

ENTRY_BYTES = 16
DESCRIPTOR_BYTES = 64


class FaultReason(enum.IntEnum):
    """Why an interrupt was blocked (VT-d table 15)."""

    RESERVED_IN_REQUEST = 0x20
    INDEX_BEYOND_TABLE = 0x21
    NOT_PRESENT = 0x22
    TABLE_UNREACHABLE = 0x23
    RESERVED_IN_ENTRY = 0x24
    COMPATIBILITY_BLOCKED = 0x25
    SOURCE_ID = 0x26
    DESCRIPTOR_UNREACHABLE = 0x27
    RESERVED_IN_DESCRIPTOR = 0x28
    BAD_REQUEST = 0x29


class Blocked(Exception):  # noqa: N818
    """An interrupt that reaches nobody. ``reason`` is None where no remapping was involved."""

    def __init__(self, why: str, reason: FaultReason | None = None) -> None:
        super().__init__(why if reason is None else f"fault {reason:#x}, {why}")
        self.reason = reason


@dataclass(frozen=True)
class Delivery:
    """An interrupt on its way to a processor, by its APIC identifier."""

    destination: int
    vector: int


def bits(value: int, high: int, low: int) -> int:
    """A field, both ends inclusive."""
    return value >> low & (1 << high - low + 1) - 1


class RemappingUnit:
    """Decodes messages. Off until it is given a table; messages are in compatibility format then.

    It caches entries that are present until they are invalidated, as hardware may, so that a
    missing invalidation shows.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._table: int | None = None
        self._entries = 0
        self._extended = self._compatibility = False
        self._cache: dict[int, int] = {}

    def set_table(
        self, address: int, entries_log2: int, *, extended: bool, compatibility: bool
    ) -> None:
        """See :meth:`driver.machine.Machine.set_remapping_table`."""
        if address % 4096 or not 1 <= entries_log2 <= 16:
            raise ValueError(f"a table of 2**{entries_log2} entries at {address:#x}")
        self._table, self._entries = address, 1 << entries_log2
        self._extended, self._compatibility = extended, compatibility

    def invalidate(self, index: int | None) -> None:
        """Forget an entry, or all."""
        if index is None:
            self._cache.clear()
        else:
            self._cache.pop(index, None)

    @property
    def present(self) -> int:
        """Entries of the table that are present now."""
        if self._table is None:
            return 0
        size, found = ENTRY_BYTES * self._entries, 0
        for start in range(0, size, PAGE_BYTES):
            page = self._memory.load(self._table + start, min(PAGE_BYTES, size - start))
            found += sum(byte & 1 for byte in page[::ENTRY_BYTES].strip(bytes(1)))
        return found

    def decode(self, offset: int, data: int, source: int) -> Delivery | None:
        """Where a message goes that is at this offset in the window.

        None if it was recorded in a posted-interrupt descriptor and needs no notification. Raises
        :class:`Blocked`.
        """
        remappable = offset >> 4 & 1
        if self._table is None:
            if remappable:
                raise Blocked("it is in remappable format, but remapping is off")
            return self._compatible(offset, data)
        if not remappable:
            if self._extended or not self._compatibility:
                raise Blocked("compatibility format", FaultReason.COMPATIBILITY_BLOCKED)
            return self._compatible(offset, data)
        index = bits(offset, 19, 5) | bits(offset, 2, 2) << 15
        if offset >> 3 & 1:
            if data >> 16:
                raise Blocked(f"data {data:#x}", FaultReason.RESERVED_IN_REQUEST)
            index += data
        return self._remap(index, source)

    @staticmethod
    def _compatible(offset: int, data: int) -> Delivery:
        if offset & 0xFFF or data >> 8:
            raise Blocked("it is no physical, fixed, edge-triggered interrupt")
        return Delivery(bits(offset, 19, 12), data)

    def _remap(self, index: int, source: int) -> Delivery | None:
        entry = self._entry(index)
        posted = entry >> 15 & 1
        reserved = bits(entry, 127, 84) if not posted else bits(entry, 95, 84)
        reserved |= bits(entry, 31, 24)
        if posted:
            reserved |= bits(entry, 7, 2) | bits(entry, 13, 12) | bits(entry, 37, 32)
        else:
            reserved |= bits(entry, 14, 12)
            if not self._extended:
                reserved |= bits(entry, 63, 48) | bits(entry, 39, 32)
        if reserved or bits(entry, 83, 82) == 3:
            raise Blocked(f"entry {index} is {entry:#x}", FaultReason.RESERVED_IN_ENTRY)
        self._check_source(index, entry, source)
        vector = bits(entry, 23, 16)
        if posted:
            address = bits(entry, 63, 38) << 6 | bits(entry, 127, 96) << 32
            return self._post(address, vector, urgent=bool(entry >> 14 & 1))
        if bits(entry, 7, 4) or entry >> 2 & 1:
            raise Blocked(f"entry {index} is no physical, fixed, edge-triggered interrupt")
        wide = bits(entry, 63, 32)
        return Delivery(wide if self._extended else wide >> 8, vector)

    def _entry(self, index: int) -> int:
        assert self._table is not None
        if index >= self._entries:
            raise Blocked(f"entry {index} of {self._entries}", FaultReason.INDEX_BEYOND_TABLE)
        if index in self._cache:
            return self._cache[index]
        try:
            data = self._memory.load(self._table + ENTRY_BYTES * index, ENTRY_BYTES)
        except KeyError:
            raise Blocked("no memory at the table", FaultReason.TABLE_UNREACHABLE) from None
        entry = int.from_bytes(data, "little")
        if not entry & 1:
            raise Blocked(f"entry {index} is not present", FaultReason.NOT_PRESENT)
        self._cache[index] = entry
        return entry

    @staticmethod
    def _check_source(index: int, entry: int, source: int) -> None:
        sid, kind = bits(entry, 79, 64), bits(entry, 83, 82)
        if kind == 1:
            ignored = (0, 0b100, 0b110, 0b111)[bits(entry, 81, 80)]
            good = (source ^ sid) & ~ignored == 0
        else:
            good = kind == 0 or sid >> 8 <= source >> 8 <= sid & 0xFF
        if not good:
            raise Blocked(
                f"entry {index} is {sid:#06x}'s, not {source:#06x}'s", FaultReason.SOURCE_ID
            )

    def _post(self, address: int, vector: int, *, urgent: bool) -> Delivery | None:
        """Record an interrupt; notify unless that was done, or is suppressed (VT-d §5.2.3)."""
        try:
            word = int.from_bytes(self._memory.load(address, DESCRIPTOR_BYTES), "little")
        except KeyError:
            raise Blocked(
                f"no memory at descriptor {address:#x}", FaultReason.DESCRIPTOR_UNREACHABLE
            ) from None
        if bits(word, 271, 258) or bits(word, 287, 280) or word >> 320:
            raise Blocked(f"descriptor {address:#x}", FaultReason.RESERVED_IN_DESCRIPTOR)
        outstanding, suppressed = word >> 256 & 1, word >> 257 & 1
        notify = not outstanding and (urgent or not suppressed)
        word |= 1 << vector | int(notify) << 256
        self._memory.store(address, word.to_bytes(DESCRIPTOR_BYTES, "little"))
        if not notify:
            return None
        wide = bits(word, 319, 288)
        return Delivery(wide if self._extended else wide >> 8, bits(word, 279, 272))
