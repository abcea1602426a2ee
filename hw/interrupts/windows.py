"""Where the tables of message storage lie in BAR0."""

from amaranth import *
from amaranth.lib import enum
from amaranth.utils import ceil_log2

from ..regs.bar0 import bar0
from ..regs.config import Config


class Window(enum.Enum, shape=2):
    """Windows through which software sees message storage."""

    MSIX_PERMISSION = 0
    MSIX = 1
    MSIX_PENDING = 2
    IMS = 3


class Windows:
    """Tells windows and entries from offsets in BAR0.

    Only offsets inside the four windows are told apart; no others may come.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        space = bar0(config)
        self._tables = {
            Window.MSIX_PERMISSION: space.table("msixperm"),
            Window.MSIX: space.table("msix"),
            Window.MSIX_PENDING: space.table("pba"),
            Window.IMS: space.table("ims"),
        }

    def window(self, address):
        """Window of an offset; the tables follow one another in the order of :class:`Window`."""
        result = C(0, 2)
        for window, table in self._tables.items():
            result = Mux(address >= table.offset, window.value, result)
        return result

    def index(self, window, address):
        """Number of the entry, or of the 64-bit word of pending bits, at an offset."""
        result = C(0, 14)
        for candidate, table in self._tables.items():
            bits = ceil_log2(table.count * table.stride)
            inside = address[:bits]
            if table.offset % (1 << bits):
                inside = (address - table.offset)[:bits]
            result = Mux(window == candidate.value, inside[ceil_log2(table.stride) :], result)
        return result[:14]
