"""Where the tables of message storage lie in BAR0."""

from amaranth import *
from amaranth.lib import enum
from amaranth.utils import ceil_log2

from ..regs.bar0 import bar0
from ..regs.config import Config
from .compare import at_least


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
            result = Mux(at_least(address, table.offset), window.value, result)
        return result

    def place(self, places, window, address):
        """Place of the entry at an offset; for pending bits, of the first in the 64-bit word."""
        ims = self._inside(Window.IMS, address)[4 : 4 + places.bits]
        bits = places.msix_bits
        msix = Mux(
            window == Window.MSIX_PENDING.value,
            Cat(C(0, 6), self._inside(Window.MSIX_PENDING, address)[3:])[:bits],
            Mux(
                window == Window.MSIX.value,
                self._inside(Window.MSIX, address)[4:],
                self._inside(Window.MSIX_PERMISSION, address)[3:],
            )[:bits],
        )
        msix_place = Cat(msix, C(places.first >> bits, places.bits - bits))
        return Mux(window == Window.IMS.value, ims, msix_place)

    def _inside(self, window, address):
        """Offset in a table, modulo a power of two that it fits into."""
        table = self._tables[window]
        bits = ceil_log2(table.count * table.stride)
        # What the table is aligned to needs no subtraction.
        low = min((table.offset & -table.offset).bit_length() - 1, bits)
        return Cat(address[:low], (address[low:bits] - (table.offset >> low))[: bits - low])
