"""The virtual device composer: virtual devices for guests, out of the host's one (SIOV, DSA §7.5).

A :class:`Guest` is a :class:`driver.transport.Transport`, so a guest runs :class:`driver.Device` as
it is.
"""

from .composer import Composer
from .device import SavedState, VirtualDevice
from .errors import ComposeError, VfioError
from .guest import Guest
from .pasids import Pasids
from .vfio import MSIX_IRQ_INDEX, IrqSet

__all__ = [
    "MSIX_IRQ_INDEX",
    "ComposeError",
    "Composer",
    "Guest",
    "IrqSet",
    "Pasids",
    "SavedState",
    "VfioError",
    "VirtualDevice",
]
