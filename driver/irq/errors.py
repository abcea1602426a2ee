"""Errors of the interrupt subsystem: the code that Linux returns, and what to do about it."""

# An error here is named for what happened, as in other drivers.
# ruff: noqa: N818

import errno
from dataclasses import dataclass

from ..errors import DriverError

ENOTSUPP = 524
"""Not in user space's list (include/linux/errno.h)."""

_NAMES = {**errno.errorcode, ENOTSUPP: "ENOTSUPP"}


@dataclass(frozen=True)
class MsiMap:
    """Where an interrupt was allocated: its index in the device's table and its number.

    As in Linux an index below 0 is an error code and goes with number 0. Functions here raise
    :class:`IrqError` instead, which carries such a map.
    """

    index: int
    virq: int


class IrqError(DriverError):
    """A call of the interrupt subsystem failed; nothing has changed.

    Parameters
    ----------
    code
        What Linux would return, without its sign: ``errno.ENOSPC``.
    sentence
        What was asked, what is allowed, what to do.
    """

    def __init__(self, code: int, sentence: str) -> None:
        self.errno = code
        super().__init__(f"{sentence} (-{_NAMES[code]})")

    @property
    def msi_map(self) -> MsiMap:
        """What Linux returns where it returns a map."""
        return MsiMap(-self.errno, 0)


class IrqShortage(IrqError):
    """Some of several interrupts could be had; all were given back (ENOSPC).

    Parameters
    ----------
    allocated
        How many.
    """

    def __init__(self, allocated: int, sentence: str) -> None:
        super().__init__(errno.ENOSPC, sentence)
        self.allocated = allocated
