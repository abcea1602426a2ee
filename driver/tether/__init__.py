"""The host's end of the tether: TLPs over a serial line (:mod:`hw.regs.tether`)."""

from .errors import TetherError
from .line import Line, SerialLine
from .link import Link, Statistics

__all__ = ["Line", "Link", "SerialLine", "Statistics", "TetherError"]
