"""Mutual exclusion between tasks of a transport."""

from collections import deque
from types import TracebackType

from .transport import Event, Waiting


class Lock:
    """A lock that is handed over in the order in which it was asked for.

    Use it with ``async with``. Tasks of a transport switch only where they ``await``, so the
    bookkeeping in between needs no protection of its own. A task that is cancelled while it waits
    loses its turn, and nobody else's.
    """

    def __init__(self, transport: Waiting) -> None:
        self._transport = transport
        self._held = False
        self._waiters: deque[Event] = deque()

    async def __aenter__(self) -> None:
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
                self._hand_over()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hand_over()

    def _hand_over(self) -> None:
        if self._waiters:
            self._waiters.popleft().set()
        else:
            self._held = False
