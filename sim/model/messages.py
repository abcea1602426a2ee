"""Message storage: MSI-X table, its pending bits and permissions, and IMS, without time."""

from collections.abc import Callable

from hw.regs.bar0 import bar0
from hw.regs.config import Config

MASK, PENDING, IGNORE, PASID_ENABLE = 1, 2, 4, 8
PASID_SHIFT = 12

_IMS_CONTROL = 0xFFFF_F000 | PASID_ENABLE | IGNORE | MASK
_PERMISSION = 0xFFFF_F000 | PASID_ENABLE | IGNORE
_WINDOW = (1 << 20) - 1
_DW = 0xFFFF_FFFF


class MessageStore:
    """Both tables of interrupt messages, and what becomes of an event.

    An event is sent, held as pending, or, if it is the completion of a descriptor and the entry
    says Ignore, dropped. Nothing else happens to it, and each exactly once (DSA §3.7, §9.2.28).

    Set :attr:`enable`, :attr:`function_mask` and :attr:`bus_master` through :meth:`settings`; read
    and write the windows with addresses as in BAR0.

    Parameters
    ----------
    config
        Parameters of the device.
    send
        Called once for each message, with its address and data.

    Members
    -------
    windows : dict[str, range]
        Where the four tables lie in BAR0: ``msix``, ``pba``, ``msixperm``, ``ims``.
    """

    def __init__(self, config: Config, send: Callable[[int, int], None]):
        space = bar0(config)
        self._send = send
        self._window = config.message_window
        self.windows = {
            name: range(space.table(name).offset, space.table(name).end)
            for name in ("msix", "pba", "msixperm", "ims")
        }
        self._count = (config.msix_vectors, config.ims_vectors)
        self.enable = self.function_mask = self.bus_master = False
        self.reset()

    def reset(self) -> None:
        """Everything to its value after power-on."""
        msix = self._count[0]
        self._msix_address = [0] * msix
        self._msix_data = [0] * msix
        self._msix_mask = [1] * msix
        self.reset_ims()

    def reset_ims(self) -> None:
        """Reset Device: IMS, permissions and pending bits; the MSI-X table is kept (DSA §9.2)."""
        msix, ims = self._count
        self._msix_pending = [0] * msix
        self._permission = [0] * msix
        self._address = [self._window] * ims
        self._data = [0] * ims
        self._control = [MASK] * ims

    def settings(self, *, enable: bool, function_mask: bool, bus_master: bool) -> None:
        """MSI-X Enable, Function Mask and Bus Master Enable; sends what they held back."""
        before = (self.enable, self.function_mask, self.bus_master)
        if before == (enable, function_mask, bus_master):
            return
        self.enable, self.function_mask, self.bus_master = enable, function_mask, bus_master
        for index in range(self._count[0]):
            self._release_msix(index)
        if bus_master and not before[2]:
            for index in range(self._count[1]):
                self._release_ims(index)

    def exists(self, ims: bool, index: int) -> bool:
        """Whether there is such an entry."""
        return 0 <= index < self._count[ims]

    def check(self, ims: bool, index: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether a descriptor may ring a vector (DSA §5.4)."""
        if not self.exists(ims, index):
            return False
        control = self._control[index] if ims else self._permission[index]
        if bool(control & PASID_ENABLE) != pasid_enable:
            return False
        return not pasid_enable or control >> PASID_SHIFT == pasid

    def event(self, ims: bool, index: int, *, completion: bool) -> None:
        """Something happened that this vector tells of.

        Parameters
        ----------
        completion
            It is the completion of a descriptor, so Ignore applies.
        """
        if ims:
            if completion and self._control[index] & IGNORE:
                return
            self._control[index] |= PENDING
            self._release_ims(index)
        else:
            if completion and self._permission[index] & IGNORE:
                return
            self._msix_pending[index] = 1
            self._release_msix(index)

    def _release_ims(self, index: int) -> None:
        if self._control[index] & (PENDING | MASK) == PENDING and self.bus_master:
            self._control[index] &= ~PENDING
            self._send(self._address[index], self._data[index])

    def _release_msix(self, index: int) -> None:
        open_ = self.enable and not self.function_mask and self.bus_master
        if self._msix_pending[index] and not self._msix_mask[index] and open_:
            self._msix_pending[index] = 0
            self._send(self._msix_address[index], self._msix_data[index])

    @property
    def pending(self) -> int:
        """How many events wait."""
        return sum(self._msix_pending) + sum(bool(word & PENDING) for word in self._control)

    def read(self, address: int) -> int:
        """The aligned 8-byte word at an address inside one of the windows."""
        if address in self.windows["ims"]:
            index, upper = divmod(address - self.windows["ims"].start, 16)
            if upper:
                return self._data[index] | self._control[index] << 32
            return self._address[index]
        if address in self.windows["msix"]:
            index, upper = divmod(address - self.windows["msix"].start, 16)
            if upper:
                return self._msix_data[index] | self._msix_mask[index] << 32
            return self._msix_address[index]
        if address in self.windows["pba"]:
            first = (address - self.windows["pba"].start) * 8
            return sum(bit << i for i, bit in enumerate(self._msix_pending[first : first + 64]))
        return self._permission[(address - self.windows["msixperm"].start) // 8]

    def write(self, address: int, data: int, lanes: int) -> None:
        """Write the bits in ``lanes`` of an aligned 8-byte word inside one of the windows."""
        if address in self.windows["ims"]:
            index, upper = divmod(address - self.windows["ims"].start, 16)
            if upper:
                self._data[index] = (self._data[index] & ~lanes | data & lanes) & _DW
                mask = lanes >> 32 & _IMS_CONTROL
                self._control[index] = self._control[index] & ~mask | data >> 32 & mask
                self._release_ims(index)
            else:
                new = (self._address[index] & ~lanes | data & lanes) & ~3
                if new & ~_WINDOW == self._window:
                    self._address[index] = new
        elif address in self.windows["msix"]:
            index, upper = divmod(address - self.windows["msix"].start, 16)
            if upper:
                self._msix_data[index] = (self._msix_data[index] & ~lanes | data & lanes) & _DW
                if lanes >> 32 & 1:
                    self._msix_mask[index] = data >> 32 & 1
                self._release_msix(index)
            else:
                self._msix_address[index] = (self._msix_address[index] & ~lanes | data & lanes) & ~3
        elif address in self.windows["msixperm"]:
            index = (address - self.windows["msixperm"].start) // 8
            mask = lanes & _PERMISSION
            self._permission[index] = self._permission[index] & ~mask | data & mask
