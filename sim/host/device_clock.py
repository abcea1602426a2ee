"""Time that a board tells."""

import asyncio
import heapq
from collections.abc import Callable


class DeviceClock:
    """The clock of a device that is far away: it stands until news of it come.

    Parameters
    ----------
    read
        Returns the latest reading, in clocks of the device.
    """

    def __init__(self, read: Callable[[], int]) -> None:
        self._read = read
        self._timers: list[tuple[int, int, asyncio.Future[bool]]] = []
        self._order = 0
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._failure: BaseException | None = None

    @property
    def now(self) -> int:
        return self._read()

    def check(self) -> None:
        """Raise what has ended the time, if anything has."""
        if self._failure is not None:
            raise self._failure

    async def wait(self, until: int | None, listeners: dict["asyncio.Future[bool]", None]) -> bool:
        """Wait until a listener's future is set True, or the time has come (False)."""
        self.check()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        listeners[future] = self._waiting[future] = None
        if until is not None:
            self._order += 1
            heapq.heappush(self._timers, (until, self._order, future))
        try:
            return await future
        finally:
            listeners.pop(future, None)
            self._waiting.pop(future, None)

    def advance(self) -> None:
        """There is a new reading: wake everybody whose time has come."""
        while self._timers and (self._timers[0][2].done() or self._timers[0][0] <= self.now):
            future = heapq.heappop(self._timers)[2]
            if not future.done():
                future.set_result(False)

    def stop(self, failure: BaseException) -> None:
        """No more readings will come: whoever waits, or will wait, gets this exception."""
        self._failure = failure
        for future in self._waiting:
            if not future.done():
                future.set_exception(failure)
