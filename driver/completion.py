"""Completion records as values (DSA §8.2)."""

from dataclasses import dataclass

from hw.regs.descriptor import COMPLETION, COMPLETION_BYTES, RESULTS, Status


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
    value
        What CRC and Create Delta have found: the CRC, or the size of the delta record in bytes.
    """

    status: int
    write_fault: bool
    result: int
    bytes_completed: int
    fault_address: int
    invalid_flags: int
    value: int = 0

    @classmethod
    def decode(cls, record: bytes) -> "Completion":
        """Take the 32 bytes of a record apart."""
        if len(record) != COMPLETION_BYTES:
            raise ValueError(f"a completion record has {COMPLETION_BYTES} bytes, not {len(record)}")
        word = int.from_bytes(record, "little")
        fields = COMPLETION.unpack(word)
        return cls(
            status=fields["status"] & 0x7F,
            write_fault=bool(fields["status"] >> 7),
            result=fields["result"],
            bytes_completed=fields["bytes_completed"],
            fault_address=fields["fault_address"],
            invalid_flags=fields["invalid_flags"],
            value=RESULTS.get(word, "value"),
        )

    @property
    def succeeded(self) -> bool:
        """Whether the operation was executed, whatever it has found."""
        return self.status in (Status.SUCCESS, Status.SUCCESS_PREDICATE)

    @property
    def name(self) -> str:
        """The name of the status, or its number."""
        return Status(self.status).name if self.status in set(Status) else f"{self.status:#04x}"
