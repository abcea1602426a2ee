"""Events and tasks of :mod:`driver.transport` on top of asyncio, for any clock."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol


class Clock(Protocol):
    """A time, and a way to wait for it."""

    @property
    def now(self) -> int: ...

    async def wait(self, until: int | None, listeners: dict["asyncio.Future[bool]", None]) -> bool:
        """Wait until a listener's future is set True, or the time has come (False)."""
        ...


class ClockEvent:
    """Something that happens, for others to wait for (:class:`driver.transport.Event`)."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._set = False
        self._waiters: dict[asyncio.Future[bool], None] = {}

    def set(self) -> None:
        """It has happened: wake everybody who waits."""
        self._set = True
        for future in self._waiters:
            if not future.done():
                future.set_result(True)

    def clear(self) -> None:
        """It has not happened yet."""
        self._set = False

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    async def wait(self, timeout_cycles: int | None = None) -> bool:
        """Wait until set. Returns whether it was, before the time was up."""
        if self._set:
            return True
        until = None if timeout_cycles is None else self._clock.now + timeout_cycles
        return await self._clock.wait(until, self._waiters)


class ClockTask:
    """A coroutine that runs beside its caller (:class:`driver.transport.Task`)."""

    def __init__(self, work: Coroutine[Any, Any, Any]):
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(_retrieve)

    async def join(self) -> Any:
        """Wait until it returns; its result or its exception becomes the caller's."""
        return await asyncio.shield(self._task)


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Nobody needs to join a task, so an exception is not lost noise."""
    if not task.cancelled():
        task.exception()
