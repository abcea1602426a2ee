"""A submitted descriptor, and the wait for its bell."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from .completion import Completion
from .descriptors import Descriptor
from .errors import DriverError
from .failures import failure
from .records import Record
from .transport import Transport

Result = TypeVar("Result")


class Operation(Generic[Result]):
    """One descriptor on its way. Made by :meth:`driver.adi.Adi.submit`.

    Members
    -------
    descriptor
        What was submitted.
    handle
        The interrupt handle that it was last submitted with.
    submitted_at, rung_at
        Clocks of the transport; ``rung_at`` is None until the bell has rung.

    **Errors** See :meth:`wait`.
    """

    def __init__(
        self,
        transport: Transport,
        descriptor: Descriptor[Result],
        record: Record,
        timeout_cycles: int,
        expire: "Callable[[Operation[Any]], Awaitable[None]]",
        desert: "Callable[[Operation[Any]], None]",
        release: Callable[[], None] | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.handle = 0
        self.submitted_at = transport.now()
        self.rung_at: int | None = None
        self.record = record
        self._transport = transport
        self._timeout_cycles = timeout_cycles
        self._expire = expire
        self._desert = desert
        self._release = release
        self._event = transport.event()
        self._outcome: Completion | DriverError | None = None

    @property
    def done(self) -> bool:
        """Whether :meth:`wait` returns at once."""
        return self._outcome is not None

    async def wait(self, timeout_cycles: int | None = None) -> Completion:
        """Wait for the bell, and return the completion record.

        The record is looked at only after the bell. Without one, the ADI is drained when the
        time is up, so nothing is left behind that could still write. A task that is cancelled
        while it waits leaves the draining to another.

        **Errors** :class:`~driver.failures.OperationFailed` names the status;
        :class:`~driver.errors.MissedBell` if there is a record but no bell came;
        :class:`~driver.errors.OperationTimeout` if there is neither;
        :class:`~driver.errors.OperationAborted` if the ADI was destroyed first.
        """
        limit = self._timeout_cycles if timeout_cycles is None else timeout_cycles
        try:
            if not await self._event.wait(limit):
                await self._expire(self)
        except (Exception, GeneratorExit):
            raise
        except BaseException:
            self._desert(self)
            raise
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, DriverError):
            raise outcome
        if not outcome.succeeded:
            raise failure(self.descriptor, outcome)
        return outcome

    async def result(self, timeout_cycles: int | None = None) -> Result:
        """What the operation has found; waits and raises as :meth:`wait` does."""
        return self.descriptor.result(await self.wait(timeout_cycles))

    def finish(self, outcome: Completion | DriverError, *, rung: bool = False) -> None:
        """Let the waiters go on with a completion record, or with an error."""
        if rung:
            self.rung_at = self._transport.now()
        self._outcome = outcome
        self.release()
        self._event.set()

    def release(self) -> None:
        """Give back, once, what the device needed besides the record; it uses it no more."""
        release, self._release = self._release, None
        if release is not None:
            release()
