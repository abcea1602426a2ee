"""Time that passes only when everybody waits, on top of asyncio."""

import asyncio
import heapq
from collections.abc import Callable

QUIET_ROUNDS = 8
"""Rounds of the event loop without any activity after which nobody is taken to be about to act."""


class Deadlock(RuntimeError):  # noqa: N818
    """Somebody waits for an event, and nothing can happen any more that would set it."""


class Clock:
    """A pseudo clock for coroutines, turned by the event loop.

    While somebody waits, each round of the event loop is a tick: ``work`` is called, and returns
    whether it did anything. When it did not, and nobody acts, time jumps to the next timer. When
    there is no timer either, the waiters get :class:`Deadlock`.

    Parameters
    ----------
    work
        Called once per tick.

    Members
    -------
    now : int
        Ticks so far.
    """

    def __init__(self, work: Callable[[], bool]):
        self.now = 0
        self._work = work
        self._timers: list[tuple[int, int, asyncio.Future[bool]]] = []
        self._order = 0
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._turning = False
        self._quiet = 0

    def touch(self) -> None:
        """Somebody acts: do not jump yet."""
        self._quiet = 0

    async def wait(self, until: int | None, listeners: dict["asyncio.Future[bool]", None]) -> bool:
        """Wait until a listener's future is set True, or the time has come (False)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        listeners[future] = None
        self._waiting[future] = None
        if until is not None:
            self._order += 1
            heapq.heappush(self._timers, (until, self._order, future))
        self.touch()
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)
        try:
            return await future
        finally:
            listeners.pop(future, None)
            self._waiting.pop(future, None)
            self.touch()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._waiting:
            self._turning = False
            return
        self._tick()
        loop.call_soon(self._turn, loop)

    def _tick(self) -> None:
        while self._timers and self._timers[0][2].done():
            heapq.heappop(self._timers)
        if self._work():
            self._quiet = 0
            self.now += 1
        else:
            self._quiet += 1
            if self._timers and self._quiet > QUIET_ROUNDS:
                self.now = max(self.now, self._timers[0][0])
            elif not self._timers and self._quiet > 64 * QUIET_ROUNDS:
                self._give_up()
        while self._timers and self._timers[0][0] <= self.now:
            future = heapq.heappop(self._timers)[2]
            if not future.done():
                future.set_result(False)
                self._quiet = 0

    def _give_up(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_exception(Deadlock("nothing is left that could set this event"))
