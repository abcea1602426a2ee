"""Operations that the device has completed with an error, by what a program can do about it."""

# An error here is named for what happened, as in other drivers.
# ruff: noqa: N818

from hw.regs.descriptor import Status

from .completion import Completion
from .descriptors import AnyDescriptor
from .errors import DriverError


class OperationFailed(DriverError):
    """The device completed an operation with an error.

    Parameters
    ----------
    descriptor
        What was asked for.
    completion
        The record; its ``bytes_completed`` says how far the operation came.
    """

    def __init__(self, descriptor: AnyDescriptor, completion: Completion) -> None:
        self.descriptor, self.completion = descriptor, completion
        super().__init__(self._sentence())

    @property
    def status(self) -> int:
        """The status of the record (:class:`hw.regs.descriptor.Status`)."""
        return self.completion.status

    def _sentence(self) -> str:
        completion = self.completion
        return (
            f"{self.descriptor.opcode.name} failed: {completion.name} ({completion.status:#04x}), "
            f"{completion.bytes_completed} bytes completed, "
            f"fault address {completion.fault_address:#x}"
        )


class DescriptorRefused(OperationFailed):
    """The device found the descriptor wrong and did nothing; asking again does not help."""


class InterruptRefused(DescriptorRefused):
    """The descriptor names a vector that is not its own; nothing was done."""


class MemoryFailed(OperationFailed):
    """Memory could not be read or written; the operation stopped half-way."""


class DeltaCorrupt(OperationFailed):
    """The delta record that was applied is not one; ``bytes_completed`` of it were applied."""


_REFUSED = frozenset(range(Status.BAD_OPCODE, Status.TRAFFIC_CLASS + 1))

_KINDS: dict[int, type[OperationFailed]] = {
    **dict.fromkeys(_REFUSED, DescriptorRefused),
    Status.BAD_HANDLE: InterruptRefused,
    Status.DELTA_ORDER: DeltaCorrupt,
    Status.DELTA_OFFSET: DeltaCorrupt,
    Status.PAGE_FAULT: MemoryFailed,
    Status.PAGE_FAULT_RESPONSE: MemoryFailed,
    Status.BATCH_PAGE_FAULT: MemoryFailed,
    Status.COMPLETION_TRANSLATION: MemoryFailed,
    Status.HARDWARE: MemoryFailed,
    Status.TRANSLATION_FAILED: MemoryFailed,
}


def failure(descriptor: AnyDescriptor, completion: Completion) -> OperationFailed:
    """The exception for a record that is not one of success."""
    return _KINDS.get(completion.status, OperationFailed)(descriptor, completion)
