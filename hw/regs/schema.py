"""The vocabulary in which registers are written down as data.

A register map is a value made of :class:`Field`, :class:`Register` and :class:`Table`. Gateware,
driver, model, C header and documentation are made from the same value, so none of them can drift.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class Access(enum.Enum):
    """Who may change a field, and how.

    A field that software and hardware change in the same clock keeps the hardware's value, except
    for ``RW``, which hardware never changes.
    """

    RO = "RO"
    """Software reads; hardware decides. Writes are ignored."""

    RW = "RW"
    """Software reads and writes."""

    RW1C = "RW1C"
    """Hardware sets; software clears by writing 1. A set in the same clock wins."""

    WO = "WO"
    """Software writes; reads return 0."""


@dataclass(frozen=True)
class Field:
    """A run of bits with one meaning.

    Parameters
    ----------
    name
        Identifier, unique within the register.
    lsb, width
        Place in the register, in bits.
    access
        See :class:`Access`.
    reset
        Value after reset, unshifted.
    doc
        One sentence for the reader of the register map.
    sticky
        Whether the value survives a Function Level Reset.
    """

    name: str
    lsb: int
    width: int
    access: Access = Access.RO
    reset: int = 0
    doc: str = ""
    sticky: bool = False

    @property
    def msb(self) -> int:
        """Highest bit, inclusive."""
        return self.lsb + self.width - 1

    @property
    def mask(self) -> int:
        """Ones where the field lies in its register."""
        return ((1 << self.width) - 1) << self.lsb

    @property
    def bits(self) -> str:
        """Place as a specification prints it: ``"7:4"`` or ``"31"``."""
        return f"{self.msb}:{self.lsb}" if self.width > 1 else f"{self.lsb}"


def bits(
    place: str,
    name: str,
    access: Access = Access.RO,
    doc: str = "",
    *,
    reset: int = 0,
    sticky: bool = False,
) -> Field:
    """Write a field the way a specification does: ``bits("7:4", "priority", Access.RW)``."""
    msb, _, lsb = place.partition(":")
    low = int(lsb or msb)
    return Field(name, low, int(msb) - low + 1, access, reset, doc, sticky)


@dataclass(frozen=True)
class Register:
    """A naturally aligned word of 32 or 64 bits, or a wider one made of several 64-bit words.

    Parameters
    ----------
    name
        Identifier, unique within its space.
    offset
        Bytes from the start of the space, or of the entry in a :class:`Table`.
    fields
        The fields; bits that no field names are reserved: they read as 0 and ignore writes.
    width
        Bits: 32, or a multiple of 64.
    doc, source
        One sentence, and the clause of the specification it comes from.
    """

    name: str
    offset: int
    fields: tuple[Field, ...] = ()
    width: int = 32
    doc: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        used = 0
        for item in self.fields:
            if item.msb >= self.width:
                raise ValueError(f"{self.name}.{item.name}: bit {item.msb} of {self.width}")
            if used & item.mask:
                raise ValueError(f"{self.name}.{item.name}: bits {item.bits} are taken twice")
            used |= item.mask

    def __getitem__(self, name: str) -> Field:
        for item in self.fields:
            if item.name == name:
                return item
        raise KeyError(f"register {self.name} has no field {name!r}")

    @property
    def size_bytes(self) -> int:
        return self.width // 8

    @property
    def reset(self) -> int:
        """Value after reset, as software reads it."""
        return self.pack(**{item.name: item.reset for item in self.fields})

    def mask(self, *access: Access) -> int:
        """Ones in every field that has one of the accesses given (all fields if none given)."""
        return sum(f.mask for f in self.fields if not access or f.access in access)

    def pack(self, **values: int) -> int:
        """Make a register value from field values; fields not named are 0."""
        word = 0
        for name, value in values.items():
            item = self[name]
            if not 0 <= value < 1 << item.width:
                raise ValueError(
                    f"{self.name}.{name} takes 0 to {(1 << item.width) - 1}, not {value}"
                )
            word |= value << item.lsb
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """Take a register value apart."""
        return {f.name: (word & f.mask) >> f.lsb for f in self.fields}

    def get(self, word: int, name: str) -> int:
        """One field of a register value."""
        item = self[name]
        return (word & item.mask) >> item.lsb

    def set(self, word: int, **values: int) -> int:
        """A register value with some fields replaced."""
        for name in values:
            word &= ~self[name].mask
        return word | self.pack(**values)


@dataclass(frozen=True)
class Table:
    """``count`` entries of equal size, one after another.

    Parameters
    ----------
    name
        Identifier, unique within its space.
    offset
        Bytes from the start of the space to entry 0.
    stride
        Bytes from one entry to the next.
    count
        How many entries there are.
    registers
        The registers of one entry; offsets count from the start of the entry.
    """

    name: str
    offset: int
    stride: int
    count: int
    registers: tuple[Register, ...]
    doc: str = ""
    source: str = ""

    def __getitem__(self, name: str) -> Register:
        for register in self.registers:
            if register.name == name:
                return register
        raise KeyError(f"table {self.name} has no register {name!r}")

    @property
    def size_bytes(self) -> int:
        return self.stride * self.count

    @property
    def end(self) -> int:
        """First byte after the table."""
        return self.offset + self.size_bytes

    def entry(self, index: int, name: str | None = None) -> int:
        """Offset of an entry, or of one register of it."""
        if not 0 <= index < self.count:
            raise IndexError(f"{self.name} has entries 0 to {self.count - 1}, not {index}")
        return self.offset + index * self.stride + (self[name].offset if name else 0)


@dataclass(frozen=True)
class Space:
    """An address space: registers and tables by name.

    Parameters
    ----------
    name
        What the space is called, such as ``BAR0``.
    size_bytes
        Its size; a power of two.
    registers, tables
        What lies in it. Bytes that belong to neither read as 0 and ignore writes.
    """

    name: str
    size_bytes: int
    registers: tuple[Register, ...] = ()
    tables: tuple[Table, ...] = ()
    _named: Mapping[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named: dict[str, Register | Table] = {}
        spans = sorted(
            ((item.offset, item.offset + item.size_bytes, item) for item in self),
            key=lambda span: span[:2],
        )
        end = 0
        for start, stop, item in spans:
            if start < end:
                raise ValueError(f"{self.name}: {item.name} at {start:#x} overlaps its neighbour")
            if item.name in named:
                raise ValueError(f"{self.name}: the name {item.name} is taken twice")
            named[item.name] = item
            end = stop
        if end > self.size_bytes:
            raise ValueError(f"{self.name}: {end:#x} bytes do not fit into {self.size_bytes:#x}")
        object.__setattr__(self, "_named", named)

    def __iter__(self) -> Iterator[Register | Table]:
        yield from self.registers
        yield from self.tables

    def register(self, name: str) -> Register:
        """The register of that name."""
        item = self._named[name]
        assert isinstance(item, Register)
        return item

    def table(self, name: str) -> Table:
        """The table of that name."""
        item = self._named[name]
        assert isinstance(item, Table)
        return item
