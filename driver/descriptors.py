"""Descriptors and completion records as values (DSA chapter 8)."""

from dataclasses import dataclass
from typing import ClassVar

from hw.regs.descriptor import COMPLETION, COMPLETION_BYTES, DESCRIPTOR, Flag, Opcode, Status

from .errors import DriverError, SettingsError

TRANSFER_LIMIT = 1 << 32
NO_FLAGS = Flag(0)


class Descriptor:
    """What every operation has; its kinds follow.

    Parameters
    ----------
    flags
        Flags beyond those that ask for a completion record and an interrupt.
    """

    opcode: ClassVar[Opcode]
    flags: Flag

    def operands(self) -> dict[str, int]:
        """The fields that this kind of operation has besides the common ones."""
        return {}

    def encode(
        self,
        *,
        pasid: int = 0,
        completion_address: int | None = None,
        handle: int | None = None,
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
        """
        flags = self.flags
        if completion_address is not None:
            flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
        if handle is not None:
            flags |= Flag.REQUEST_INTERRUPT
        word = DESCRIPTOR.pack(
            pasid=pasid,
            flags=flags,
            opcode=self.opcode,
            completion_address=completion_address or 0,
            handle=handle or 0,
            **self.operands(),
        )
        return word.to_bytes(DESCRIPTOR.size_bytes, "little")


@dataclass(frozen=True)
class Nop(Descriptor):
    """Does nothing but complete."""

    opcode = Opcode.NOP
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class Drain(Descriptor):
    """Completes when every descriptor submitted to its queue before it has."""

    opcode = Opcode.DRAIN
    flags: Flag = NO_FLAGS


@dataclass(frozen=True)
class MemoryMove(Descriptor):
    """Copies bytes; any alignment of the two addresses will do.

    Parameters
    ----------
    source, destination
        Addresses in the memory of the submitter's PASID.
    size_bytes
        1 or more; the queue sets the limit.
    """

    opcode = Opcode.MEMORY_MOVE
    source: int
    destination: int
    size_bytes: int
    flags: Flag = NO_FLAGS

    def __post_init__(self) -> None:
        for name, value in (("source", self.source), ("destination", self.destination)):
            if not 0 <= value < 1 << 64:
                raise SettingsError(f"the {name} of a memory move has 64 bits: {value:#x}")
        if not 0 < self.size_bytes < TRANSFER_LIMIT:
            raise SettingsError(
                f"a memory move copies 1 to {TRANSFER_LIMIT - 1} bytes, not {self.size_bytes}"
            )

    def operands(self) -> dict[str, int]:
        return {
            "source": self.source,
            "destination": self.destination,
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True)
class Completion:
    """A decoded completion record.

    Parameters
    ----------
    status
        Bits 6:0 of the status byte (:class:`hw.regs.descriptor.Status`); 0 while none is there.
    write_fault
        Whether the access that failed was a write.
    result, bytes_completed, fault_address, invalid_flags
        As the record has them; which of them count depends on the status.
    """

    status: int
    write_fault: bool
    result: int
    bytes_completed: int
    fault_address: int
    invalid_flags: int

    @classmethod
    def decode(cls, record: bytes) -> "Completion":
        """Take the 32 bytes of a record apart."""
        if len(record) != COMPLETION_BYTES:
            raise ValueError(f"a completion record has {COMPLETION_BYTES} bytes, not {len(record)}")
        fields = COMPLETION.unpack(int.from_bytes(record, "little"))
        return cls(
            status=fields["status"] & 0x7F,
            write_fault=bool(fields["status"] >> 7),
            result=fields["result"],
            bytes_completed=fields["bytes_completed"],
            fault_address=fields["fault_address"],
            invalid_flags=fields["invalid_flags"],
        )

    @property
    def succeeded(self) -> bool:
        return self.status in (Status.SUCCESS, Status.SUCCESS_PREDICATE)

    @property
    def name(self) -> str:
        """The name of the status, or its number."""
        return Status(self.status).name if self.status in set(Status) else f"{self.status:#04x}"


class OperationFailed(DriverError):  # noqa: N818
    """The device completed an operation with an error; the record is in ``completion``."""

    def __init__(self, descriptor: Descriptor, completion: Completion) -> None:
        self.descriptor, self.completion = descriptor, completion
        super().__init__(
            f"{descriptor.opcode.name} failed: {completion.name} ({completion.status:#04x}), "
            f"{completion.bytes_completed} bytes completed, "
            f"fault address {completion.fault_address:#x}"
        )
