"""Failures on demand, to see that everything is rolled back (Linux lib/fault-inject.c)."""

from .errors import IrqError


class Failslab:
    """Makes one of the coming steps of an allocation fail. Off unless armed.

    Every level asks :meth:`step` before each thing that can fail in a kernel, so that a test can
    fail all of them one after the other without knowing how many there are.

    Members
    -------
    failed
        Name of the step that was failed, or None.
    """

    def __init__(self) -> None:
        self.failed: str | None = None
        self._countdown: int | None = None

    def arm(self, skip: int) -> None:
        """Let ``skip`` steps pass and fail the next."""
        self.failed, self._countdown = None, skip

    def disarm(self) -> None:
        """Let everything pass again."""
        self._countdown = None

    def step(self, name: str, code: int) -> None:
        """Something that can fail with this code is about to be done."""
        if self._countdown is None:
            return
        self._countdown -= 1
        if self._countdown < 0:
            self.failed, self._countdown = name, None
            raise IrqError(code, f"{name} was made to fail; disarm the fault injection")
