"""Errors that have no completion record to go to, as values."""

from dataclasses import dataclass

from hw.regs.commands import SoftwareError
from hw.regs.descriptor import Opcode, Status


@dataclass(frozen=True)
class ErrorReport:
    """An error that had no completion record to go to (DSA §9.2.15), or a halt.

    Parameters
    ----------
    code
        A :class:`hw.regs.commands.SoftwareError` or :class:`hw.regs.descriptor.Status`; None for
        a halt without an error.
    queue, opcode, pasid
        Where it came from, as far as the device knows.
    batch_index
        Which member of a batch it was; None if it was submitted by itself.
    info, address
        Interrupt handle or fault address, for errors that have one.
    overflow
        Whether more errors followed that were not captured.
    halted
        Whether the device has stopped because of it.
    logged
        Whether it was read from the event log.
    """

    code: int | None
    queue: int | None = None
    opcode: int | None = None
    pasid: int | None = None
    info: int | None = None
    address: int = 0
    overflow: bool = False
    halted: bool = False
    batch_index: int | None = None
    logged: bool = False

    @classmethod
    def of(
        cls, fields: dict[str, int], *, halted: bool = False, logged: bool = False
    ) -> "ErrorReport":
        """Take an entry of the event log apart, or the software error register, which is alike."""
        described = bool(fields["descriptor_valid"])
        return cls(
            code=fields["code"],
            queue=fields["queue"] if fields["queue_valid"] else None,
            opcode=fields["opcode"] if described else None,
            pasid=fields["pasid"] if described else None,
            info=fields["info"] if fields["info_valid"] else None,
            address=fields["address"],
            overflow=bool(fields.get("overflow", 0)),
            halted=halted,
            batch_index=fields["batch_index"] if described and fields["batch"] else None,
            logged=logged,
        )

    @property
    def name(self) -> str:
        """The name of the code, or its number."""
        if self.code is None:
            return "HALT"
        for names in (SoftwareError, Status):
            if self.code in set(names):
                return names(self.code).name
        return f"{self.code:#04x}"

    def __str__(self) -> str:
        parts = [self.name]
        if self.queue is not None:
            parts.append(f"on queue {self.queue}")
        if self.opcode is not None:
            known = self.opcode in set(Opcode)
            parts.append(f"by {Opcode(self.opcode).name if known else hex(self.opcode)}")
            parts.append(f"of PASID {self.pasid}")
        if self.batch_index is not None:
            parts.append(f"as member {self.batch_index} of a batch")
        if self.overflow:
            parts.append("and more that were not captured")
        if self.halted:
            parts.append("and the device has halted")
        return " ".join(parts)
