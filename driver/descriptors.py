"""Descriptors as values (DSA chapter 8): what all have, and those that move and fill memory.

:mod:`driver.comparisons` and :mod:`driver.crc` have the others.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from hw.regs.descriptor import DESCRIPTOR, DESCRIPTOR_BYTES, LAYOUTS, Flag, Opcode

from .completion import Completion
from .errors import SettingsError
from .limits import Limits

Result = TypeVar("Result", covariant=True)

SIZE_LIMIT = 1 << 32
NO_FLAGS = Flag(0)
LIST_ALIGN = DESCRIPTOR_BYTES
DUALCAST_ALIGN = 0x1000
"""The two destinations of a Dualcast have the same offset in a page of this size."""

_COMMON = {item.name for item in LAYOUTS[Opcode.NOP].fields}


class Descriptor(Generic[Result]):
    """What every operation has; its kinds are dataclasses whose fields are its operands.

    **Errors** :class:`~driver.errors.SettingsError` when it is made, for values that no descriptor
    can hold, and from :meth:`check`, for those that the device would refuse.

    Members
    -------
    opcode, label, verb
        The operation, and how error messages speak of it.
    flags
        Flags beyond those that ask for a completion record and an interrupt, and those that
        follow from other operands.
    """

    opcode: ClassVar[Opcode]
    label: ClassVar[str]
    verb: ClassVar[str] = "takes"
    flags: Flag

    def __post_init__(self) -> None:
        for name, value in self.operands().items():
            width = LAYOUTS[self.opcode][name].width
            if name == "size_bytes" and not 0 < value < SIZE_LIMIT:
                raise SettingsError(
                    f"a {self.label} {self.verb} 1 to {SIZE_LIMIT - 1} bytes, not {value}"
                )
            if not 0 <= value < 1 << width:
                raise SettingsError(f"the {name} of a {self.label} has {width} bits: {value:#x}")

    def operands(self) -> dict[str, int]:
        """The fields that this kind of operation has besides the common ones."""
        names = (item.name for item in LAYOUTS[self.opcode].fields)
        return {name: getattr(self, name) or 0 for name in names if name not in _COMMON}

    def implied_flags(self) -> Flag:
        """Flags that follow from the operands."""
        return NO_FLAGS

    def check(self, limits: Limits) -> None:
        """Refuse what a queue with these limits would refuse, and say what is allowed."""
        if not limits.operations >> self.opcode & 1:
            allowed = [item.name for item in Opcode if limits.operations >> item & 1]
            raise SettingsError(
                f"the queue does not allow {self.opcode.name}; it allows {', '.join(allowed)}"
            )
        size = self.operands().get("size_bytes", 0)
        if size > limits.max_transfer_bytes:
            raise SettingsError(
                f"a {self.label} on this queue {self.verb} 1 to {limits.max_transfer_bytes} bytes, "
                f"not {size}"
            )

    def encode(
        self,
        *,
        pasid: int = 0,
        completion_address: int | None = None,
        handle: int | None = None,
        fence: bool = False,
    ) -> bytes:
        """The 64 bytes that a portal takes.

        Parameters
        ----------
        pasid
            Whose memory it speaks of. Dedicated queues use their own instead.
        completion_address
            Where the completion record goes, a multiple of 32; no record if None.
        handle
            The vector that rings when it is done; no interrupt if None.
        fence
            In a batch: wait for the members before, and go on only if they succeeded.
        """
        flags = self.flags | self.implied_flags()
        if completion_address is not None:
            flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
        if handle is not None:
            flags |= Flag.REQUEST_INTERRUPT
        if fence:
            flags |= Flag.FENCE
        word = LAYOUTS[self.opcode].pack(
            pasid=pasid,
            flags=flags,
            opcode=self.opcode,
            completion_address=completion_address or 0,
            handle=handle or 0,
            **self.operands(),
        )
        return word.to_bytes(DESCRIPTOR.size_bytes, "little")

    def result(self, completion: Completion) -> Result:
        """What the operation has found, from the record of one that succeeded."""
        raise NotImplementedError

    def aligned(self, alignment: int, **places: int) -> None:
        """Refuse operands that are not multiples of ``alignment``."""
        for name, value in places.items():
            if value % alignment:
                raise SettingsError(
                    f"the {name} of a {self.label} is a multiple of {alignment}, not {value:#x}"
                )

    def apart(self, *ranges: tuple[str, int, int], of: int = 1) -> None:
        """Refuse a range among the first ``of`` that overlaps any later one, modulo 2^64."""
        for number, (name, start, size) in enumerate(ranges[:of]):
            for other, begin, length in ranges[number + 1 :]:
                if (begin - start) % (1 << 64) < size or (start - begin) % (1 << 64) < length:
                    raise SettingsError(
                        f"the {name} of a {self.label} at {start:#x} overlaps its {other} at "
                        f"{begin:#x}"
                    )


AnyDescriptor = Descriptor[Any]


class Silent(Descriptor[None]):
    """An operation that finds nothing: it succeeds, or it raises."""

    def result(self, completion: Completion) -> None:
        return None


@dataclass(frozen=True)
class Nop(Silent):
    """Does nothing but complete."""

    opcode = Opcode.NOP
    label = "no-op"
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class Drain(Silent):
    """Completes when every descriptor submitted to its queue before it has."""

    opcode = Opcode.DRAIN
    label = "drain"
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class MemoryMove(Silent):
    """Copies bytes; any alignment of the two addresses will do.

    Parameters
    ----------
    source, destination
        Addresses in the memory of the submitter's PASID; the two may not overlap.
    size_bytes
        1 or more; the queue sets the limit.
    """

    opcode = Opcode.MEMORY_MOVE
    label = "memory move"
    verb = "copies"
    source: int
    destination: int
    size_bytes: int
    flags: Flag = NO_FLAGS

    def check(self, limits: Limits) -> None:
        super().check(limits)
        size = self.size_bytes
        self.apart(("destination", self.destination, size), ("source", self.source, size))


@dataclass(frozen=True)
class Fill(Silent):
    """Repeats eight bytes over memory, of any size and alignment.

    Parameters
    ----------
    pattern
        64 bits, lowest byte first; the first byte goes to ``destination``.
    """

    opcode = Opcode.FILL
    label = "fill"
    verb = "writes"
    pattern: int
    destination: int
    size_bytes: int
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class Dualcast(Silent):
    """Copies bytes to two places.

    Parameters
    ----------
    destination, destination_2
        Bits 11:0 of the two are equal; no two of the three ranges overlap.
    """

    opcode = Opcode.DUALCAST
    label = "dualcast"
    verb = "copies"
    source: int
    destination: int
    destination_2: int
    size_bytes: int
    flags: Flag = NO_FLAGS

    def check(self, limits: Limits) -> None:
        super().check(limits)
        if (self.destination ^ self.destination_2) % DUALCAST_ALIGN:
            raise SettingsError(
                f"bits 11:0 of the destinations of a dualcast are equal; those of "
                f"{self.destination:#x} and {self.destination_2:#x} are not"
            )
        size = self.size_bytes
        self.apart(
            ("second destination", self.destination_2, size),
            ("destination", self.destination, size),
            ("source", self.source, size),
            of=2,
        )


@dataclass(frozen=True)
class CacheFlush(Silent):
    """Makes the device forget what it may have cached of a range of memory."""

    opcode = Opcode.CACHE_FLUSH
    label = "cache flush"
    verb = "flushes"
    destination: int
    size_bytes: int
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch: how many of its members have completed."""

    completed: int


@dataclass(frozen=True)
class Batch(Descriptor[BatchResult]):
    """Executes a list of descriptors in memory; :class:`driver.batch.BatchList` writes it.

    Parameters
    ----------
    list_address
        Where they lie, 64 bytes each; a multiple of 64.
    count
        How many there are; the queue sets the limit.
    """

    opcode = Opcode.BATCH
    label = "batch"
    list_address: int
    count: int
    flags: Flag = NO_FLAGS

    def check(self, limits: Limits) -> None:
        super().check(limits)
        self.aligned(LIST_ALIGN, list_address=self.list_address)
        if not limits.min_batch <= self.count <= limits.max_batch:
            raise SettingsError(
                f"a batch on this queue has {limits.min_batch} to {limits.max_batch} members, "
                f"not {self.count}"
            )

    def result(self, completion: Completion) -> BatchResult:
        return BatchResult(completion.bytes_completed)
