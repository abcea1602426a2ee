"""A submitted descriptor, and the wait for its bell."""

from collections.abc import Awaitable, Callable

from .descriptors import Completion, Descriptor, OperationFailed
from .errors import DriverError
from .records import Record
from .transport import Transport


class Operation:
    """One descriptor on its way. Made by :meth:`driver.adi.Adi.submit`.

    Members
    -------
    descriptor
        What was submitted.
    submitted_at, rung_at
        Clocks of the transport; ``rung_at`` is None until the bell has rung.

    **Errors** See :meth:`wait`.
    """

    def __init__(
        self,
        transport: Transport,
        descriptor: Descriptor,
        record: Record,
        timeout_cycles: int,
        expire: "Callable[[Operation], Awaitable[None]]",
    ) -> None:
        self.descriptor = descriptor
        self.submitted_at = transport.now()
        self.rung_at: int | None = None
        self.record = record
        self._transport = transport
        self._timeout_cycles = timeout_cycles
        self._expire = expire
        self._event = transport.event()
        self._outcome: Completion | DriverError | None = None

    @property
    def done(self) -> bool:
        """Whether :meth:`wait` returns at once."""
        return self._outcome is not None

    async def wait(self, timeout_cycles: int | None = None) -> Completion:
        """Wait for the bell, and return the completion record.

        The record is looked at only after the bell. Without one, the ADI is drained when the
        time is up, so nothing is left behind that could still write.

        **Errors** :class:`~driver.descriptors.OperationFailed` names the status;
        :class:`~driver.errors.MissedBell` if there is a record but no bell came;
        :class:`~driver.errors.OperationTimeout` if there is neither;
        :class:`~driver.errors.OperationAborted` if the ADI was destroyed first.
        """
        limit = self._timeout_cycles if timeout_cycles is None else timeout_cycles
        if not await self._event.wait(limit):
            await self._expire(self)
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, DriverError):
            raise outcome
        if not outcome.succeeded:
            raise OperationFailed(self.descriptor, outcome)
        return outcome

    def finish(self, outcome: Completion | DriverError, *, rung: bool = False) -> None:
        """Let the waiters go on with a completion record, or with an error."""
        if rung:
            self.rung_at = self._transport.now()
        self._outcome = outcome
        self._event.set()
