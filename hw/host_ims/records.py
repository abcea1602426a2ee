"""What passes in and out of interrupt message storage in the host's memory."""

from amaranth import *
from amaranth.lib import data
from amaranth.utils import ceil_log2

from ..interrupts.pipe import WINDOW_BITS
from ..pcie.records import ReadStatus
from ..regs.bar0 import IMS_ENTRY

ENTRY_BYTES = 16
"""Of an entry, in memory as in BAR0."""

_ADDRESS, _DATA, _CONTROL = IMS_ENTRY


class CachedEntry(data.Struct):
    """What is kept of an entry: the bits that can vary."""

    #: Message address in DW, inside the message window.
    place: WINDOW_BITS - 2
    data: 32
    mask: 1
    ignore: 1
    pasid_enable: 1
    pasid: 20


class Pending(data.Struct):
    """Events that a vector holds; any number of a kind are one."""

    #: The completion of a descriptor, which Ignore silences.
    completion: 1
    #: Anything else.
    other: 1
    #: The entry could not be had, and is not asked for again before the next sync.
    failed: 1


class Sync(data.Struct):
    """A wish that changed entries take effect."""

    #: The entry, unless ``every``.
    index: 16
    #: All entries.
    every: 1


class HostTable(data.Struct):
    """Where software keeps entries."""

    #: Interrupt message storage is there, and not on the device.
    enable: 1
    #: Address in pages of 4096 bytes.
    page: 52
    count: 17


class FetchError(data.Struct):
    """An entry that could not be had."""

    index: 16
    #: Why, or ``SUCCESS`` if the entry came and its address lies outside of the message window.
    status: ReadStatus


def decode_entry(raw, window: int) -> tuple[Value, Value]:
    """An entry as it lies in memory: a :class:`CachedEntry` and whether its address is allowed."""
    address = raw[:64]
    control = {
        item.name: raw[96 + item.lsb : 96 + item.lsb + item.width] for item in _CONTROL.fields
    }
    entry = Cat(
        address[2:WINDOW_BITS],
        raw[64:96],
        control["mask"],
        control["ignore"],
        control["pasid_enable"],
        control["pasid"],
    )
    inside = (address[WINDOW_BITS:] == window >> WINDOW_BITS) & (address[:2] == 0)
    return entry, inside


class Geometry:
    """How a cache of entries is laid out.

    Parameters
    ----------
    vectors
        Entries in memory at most; a power of two.
    entries, ways
        Entries of the cache and of each of its sets; powers of two.
    """

    def __init__(self, vectors: int, entries: int, ways: int):
        self.vectors, self.ways, self.sets = vectors, ways, entries // ways
        self.index_bits, self.set_bits = ceil_log2(vectors), ceil_log2(self.sets)
        self.tag_bits = self.index_bits - self.set_bits

    def set_of(self, index) -> Value:
        """The set in which an entry may be."""
        return index[: self.set_bits]

    def tag_of(self, index) -> Value:
        """What tells it from others there."""
        return index[self.set_bits : self.index_bits]
