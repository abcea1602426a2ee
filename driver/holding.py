"""Submissions that are held while something happens that they must not meet."""

from .transport import Waiting

POLL_CYCLES = 64


class Holding:
    """Counts who holds submissions, and submissions that are under way.

    Members
    -------
    under_way
        Submissions that have begun and not ended; whoever submits counts them.
    """

    def __init__(self, transport: Waiting) -> None:
        self.under_way = 0
        self._held = 0
        self._transport = transport

    @property
    def held(self) -> bool:
        """Whether none may begin."""
        return bool(self._held)

    def hold(self) -> None:
        """Let none begin until :meth:`go_on` was called as often as this."""
        self._held += 1

    def go_on(self) -> None:
        """Let them begin again."""
        self._held -= 1

    async def released(self) -> None:
        """Wait until they may begin."""
        while self._held:
            await self._transport.sleep(POLL_CYCLES)

    async def settled(self) -> None:
        """Wait for those that are under way."""
        while self.under_way:
            await self._transport.sleep(POLL_CYCLES)
