"""What a composer refuses."""

import errno

from ..errors import DriverError


class ComposeError(DriverError):
    """A virtual device cannot be made, moved or operated as was asked."""


class VfioError(DriverError):
    """A call of the VFIO interface failed; nothing has changed.

    Parameters
    ----------
    code
        What Linux would return, without its sign.
    sentence
        What was asked, and what is allowed.
    """

    def __init__(self, code: int, sentence: str) -> None:
        self.errno = code
        super().__init__(f"{sentence} (-{errno.errorcode[code]})")
