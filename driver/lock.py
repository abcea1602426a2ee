"""Mutual exclusion between tasks of a transport."""

from collections import deque
from types import TracebackType

from .transport import Event, Waiting


class Lock:
    """A lock that is handed over in the order in which it was asked for.

    Use it with ``async with``, or by its two halves. Tasks of a transport switch only where they
    ``await``, so the bookkeeping in between needs no protection of its own. A task that is
    cancelled while it waits loses its turn, and nobody else's.
    """

    def __init__(self, transport: Waiting) -> None:
        self._transport = transport
        self._held = False
        self._waiters: deque[Event] = deque()

    async def acquire(self) -> None:
        """Wait for the lock, and hold it until :meth:`release`."""
        if not self._held:
            self._held = True
            return
        turn = self._transport.event()
        self._waiters.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn in self._waiters:
                self._waiters.remove(turn)
            else:
                self.release()
            raise

    def release(self) -> None:
        """Hand it over."""
        if self._waiters:
            self._waiters.popleft().set()
        else:
            self._held = False

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
