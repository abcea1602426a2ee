"""Operations that compare memory, and what they find (DSA §8.3.6 to §8.3.9)."""

import enum
from dataclasses import dataclass

from hw.regs.descriptor import DELTA_BYTES, DELTA_LIMIT_BYTES, Flag, Opcode

from .completion import Completion
from .descriptors import NO_FLAGS, Descriptor, Silent
from .errors import SettingsError
from .limits import Limits

WORD_BYTES = 8
"""Delta records speak of memory in units of this many bytes."""

SMALLEST_DELTA_BYTES = 80


@dataclass(frozen=True)
class Comparison:
    """What a comparison has found; true if everything is equal.

    Parameters
    ----------
    equal
        Whether all bytes are the same.
    first_difference
        Offset of the first byte that is not; None if there is none.
    """

    equal: bool
    first_difference: int | None = None

    def __bool__(self) -> bool:
        return self.equal


class _Comparing(Descriptor[Comparison]):
    verb = "compares"
    expect_equal: bool | None

    def operands(self) -> dict[str, int]:
        named = {**self.__dict__, "expected": int(self.expect_equal is False)}
        return {name: named[name] for name in named if name not in ("flags", "expect_equal")}

    def implied_flags(self) -> Flag:
        return NO_FLAGS if self.expect_equal is None else Flag.CHECK_RESULT

    def result(self, completion: Completion) -> Comparison:
        if not completion.result:
            return Comparison(True)
        return Comparison(False, completion.bytes_completed)


@dataclass(frozen=True)
class Compare(_Comparing):
    """Compares two ranges of memory, of any size and alignment.

    Parameters
    ----------
    expect_equal
        In a batch: a result other than this one stops the batch at the next fence. None if any
        result will do.
    """

    opcode = Opcode.COMPARE
    label = "compare"
    source: int
    source_2: int
    size_bytes: int
    expect_equal: bool | None = None
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class ComparePattern(_Comparing):
    """Compares memory with eight bytes repeated, lowest first; otherwise as :class:`Compare`."""

    opcode = Opcode.COMPARE_PATTERN
    label = "compare pattern"
    source: int
    pattern: int
    size_bytes: int
    expect_equal: bool | None = None
    flags: Flag = NO_FLAGS


class Delta(enum.IntEnum):
    """How the creation of a delta record ended (DSA §8.3.8)."""

    EQUAL = 0
    """Nothing differs; the record is empty."""
    COMPLETE = 1
    """Every difference is in the record."""
    EXCEEDED = 2
    """The record was too small for all of them."""


@dataclass(frozen=True)
class DeltaRecord:
    """What the creation of a delta record has found.

    Parameters
    ----------
    outcome
        Whether anything differs, and whether the record holds all of it.
    size_bytes
        Bytes of the record that were written: 10 for each 8 bytes that differ.
    compared_bytes
        How far the sources were compared; all of the range unless the record was too small.
    """

    outcome: Delta
    size_bytes: int
    compared_bytes: int

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.outcome is Delta.EQUAL

    @property
    def complete(self) -> bool:
        """Whether applying the record makes the first source equal to the second."""
        return self.outcome is not Delta.EXCEEDED


@dataclass(frozen=True)
class CreateDelta(Descriptor[DeltaRecord]):
    """Writes down what has to change in one range of memory to make it equal to another.

    Parameters
    ----------
    source, source_2
        The original and the modified range; multiples of 8.
    size_bytes
        A multiple of 8, up to 512 KiB.
    delta_address
        Where the record goes, apart from both sources.
    max_delta_bytes
        Room for it: 80 bytes or more, a multiple of 10.
    expect
        In a batch: an outcome that is not among these stops the batch at the next fence. None if
        any will do.
    """

    opcode = Opcode.CREATE_DELTA
    label = "delta creation"
    verb = "compares"
    source: int
    source_2: int
    size_bytes: int
    delta_address: int
    max_delta_bytes: int
    expect: tuple[Delta, ...] | None = None
    flags: Flag = NO_FLAGS

    def operands(self) -> dict[str, int]:
        named = dict(self.__dict__)
        del named["expect"], named["flags"]
        return {**named, "expected": sum(1 << item for item in set(self.expect or ()))}

    def implied_flags(self) -> Flag:
        return NO_FLAGS if self.expect is None else Flag.CHECK_RESULT

    def check(self, limits: Limits) -> None:
        super().check(limits)
        largest = min(DELTA_LIMIT_BYTES, limits.max_transfer_bytes)
        if self.size_bytes > largest:
            raise SettingsError(
                f"a delta creation on this queue compares 8 to {largest} bytes, "
                f"not {self.size_bytes}"
            )
        room = self.max_delta_bytes
        highest = limits.max_transfer_bytes // DELTA_BYTES * DELTA_BYTES
        if room % DELTA_BYTES or not SMALLEST_DELTA_BYTES <= room <= highest:
            raise SettingsError(
                f"the max_delta_bytes of a delta creation on this queue is a multiple of "
                f"{DELTA_BYTES} from {SMALLEST_DELTA_BYTES} to {highest}, not {room}"
            )
        self.aligned(
            WORD_BYTES,
            source=self.source,
            source_2=self.source_2,
            size_bytes=self.size_bytes,
        )
        self.apart(
            ("delta record", self.delta_address, room),
            ("source", self.source, self.size_bytes),
            ("second source", self.source_2, self.size_bytes),
        )

    def result(self, completion: Completion) -> DeltaRecord:
        outcome = Delta(completion.result)
        exceeded = outcome is Delta.EXCEEDED
        compared = completion.bytes_completed if exceeded else self.size_bytes
        return DeltaRecord(outcome, completion.value, compared)


@dataclass(frozen=True)
class ApplyDelta(Silent):
    """Changes memory as a delta record says.

    Parameters
    ----------
    delta_address, delta_bytes
        The record and its size, a multiple of 10, at least one.
    destination, size_bytes
        What it was made from: address and size, multiples of 8, apart from the record.
    """

    opcode = Opcode.APPLY_DELTA
    label = "delta application"
    verb = "changes"
    delta_address: int
    destination: int
    size_bytes: int
    delta_bytes: int
    flags: Flag = NO_FLAGS

    def check(self, limits: Limits) -> None:
        super().check(limits)
        largest = min(DELTA_LIMIT_BYTES, limits.max_transfer_bytes)
        if self.size_bytes > largest:
            raise SettingsError(
                f"a delta application on this queue changes 8 to {largest} bytes, "
                f"not {self.size_bytes}"
            )
        highest = limits.max_transfer_bytes // DELTA_BYTES * DELTA_BYTES
        if self.delta_bytes % DELTA_BYTES or not 0 < self.delta_bytes <= highest:
            raise SettingsError(
                f"the delta_bytes of a delta application on this queue is a multiple of "
                f"{DELTA_BYTES} from {DELTA_BYTES} to {highest}, not {self.delta_bytes}"
            )
        self.aligned(WORD_BYTES, destination=self.destination, size_bytes=self.size_bytes)
        self.apart(
            ("delta record", self.delta_address, self.delta_bytes),
            ("destination", self.destination, self.size_bytes),
        )
