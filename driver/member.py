"""One operation of a batch, and the failure of some of them."""

# An error here is named for what happened, as in other drivers.

from typing import Any, Generic, TypeVar

from .completion import Completion
from .descriptors import AnyDescriptor, Descriptor
from .errors import DriverError, OperationAborted
from .failures import OperationFailed, failure

Result = TypeVar("Result")


class Member(Generic[Result]):
    """One operation of a batch.

    Members
    -------
    index, descriptor, fenced
        Its place, what it asks for, and whether it waits for the members before it.
    completion
        Its record, once the batch has completed; None for a member that was not executed.
    """

    def __init__(self, index: int, descriptor: Descriptor[Result], *, fenced: bool) -> None:
        self.index = index
        self.descriptor = descriptor
        self.fenced = fenced
        self.completion: Completion | None = None
        self.over = False

    @property
    def abandoned(self) -> bool:
        """Whether the batch is over and this member was not executed."""
        return self.over and self.completion is None

    @property
    def failed(self) -> bool:
        """Whether the member was executed, and not with success."""
        return self.completion is not None and not self.completion.succeeded

    def result(self) -> Result:
        """What the operation has found.

        **Errors** :class:`~driver.failures.OperationFailed` if it failed,
        :class:`~driver.errors.OperationAborted` if it was abandoned, and
        :class:`~driver.errors.DriverError` before the batch is over.
        """
        if not self.over:
            raise DriverError(f"member {self.index} has no result before its batch has completed")
        if self.completion is None:
            raise OperationAborted(f"member {self.index} of the batch was abandoned")
        if self.failed:
            raise failure(self.descriptor, self.completion)
        return self.descriptor.result(self.completion)


class BatchFailed(OperationFailed):
    """Members of a batch failed, or were abandoned because a member before a fence had.

    Parameters
    ----------
    members
        All members of the batch.

    Members
    -------
    failed, abandoned
        Those that were executed without success, and those that were not executed.
    """

    def __init__(
        self, descriptor: AnyDescriptor, completion: Completion, members: "list[Member[Any]]"
    ) -> None:
        self.members = members
        self.failed = [member for member in members if member.failed]
        self.abandoned = [member for member in members if member.abandoned]
        super().__init__(descriptor, completion)

    def _sentence(self) -> str:
        parts = []
        for member in self.failed:
            assert member.completion is not None
            name = member.descriptor.opcode.name
            parts.append(f"member {member.index} ({name}) failed with {member.completion.name}")
        parts += [f"member {member.index} was abandoned" for member in self.abandoned]
        return f"of a batch of {len(self.members)}, " + ", ".join(parts)
