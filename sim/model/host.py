"""What the model needs of the machine around it."""

import enum
from typing import Protocol


class ReadError(enum.Enum):
    """Why a read of host memory failed."""

    UNSUPPORTED_REQUEST = 1
    COMPLETER_ABORT = 2
    POISONED = 3
    TIMEOUT = 4


class HostError(Exception):
    """The host did not give what was read.

    Parameters
    ----------
    error
        How the completion said so.
    """

    def __init__(self, error: ReadError = ReadError.UNSUPPORTED_REQUEST, detail: str = ""):
        super().__init__(f"{error.name.lower().replace('_', ' ')}{detail and ': '}{detail}")
        self.error = error


class Host(Protocol):
    """Memory and interrupt controller, as the device reaches them."""

    def dma_read(self, address: int, length: int, pasid: int | None) -> bytes:
        """Read host memory. Raises :class:`HostError` where a completion would report failure."""
        ...

    def dma_write(self, address: int, data: bytes, pasid: int | None) -> None:
        """Write host memory. Posted: the device never learns of a failure."""
        ...

    def message(self, address: int, data: int) -> None:
        """An interrupt message: one DW, without PASID."""
        ...
