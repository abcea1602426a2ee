"""Control registers of BAR0: what is neither table nor constant."""

from collections.abc import Callable

from hw.regs.bar0 import bar0
from hw.regs.capabilities import constants
from hw.regs.config import Config
from hw.regs.schema import Access

_SPARED = ("swerror", "evlstatus", "cmdstatus")
_LOCKED = ("gencfg", "evlcfg")


class Registers:
    """Values of the control registers, and the rules for writing them (DSA §9.2).

    Parameters
    ----------
    config
        Parameters of the device.
    command
        Called with the word written to CMD.

    Members
    -------
    values : dict[str, int]
        By name; hardware changes them here.
    """

    def __init__(self, config: Config, command: Callable[[int], None]):
        space = bar0(config)
        self._command = command
        fixed = constants(config)
        self._register = {item.name: item for item in space.registers}
        self.values = {item.name: fixed.get(item.name, 0) for item in space.registers}
        self._fixed = frozenset(fixed)
        self._initial = dict(self.values)
        self._writable = {name: item.mask(Access.RW) for name, item in self._register.items()}
        self._clearable = {
            name: sum(f.mask for f in item.fields if f.access is Access.RW1C)
            for name, item in self._register.items()
        }
        self._words: dict[int, list[tuple[str, int, int, int]]] = {}
        for item in space.registers:
            step = min(item.width, 64)
            for lsb in range(0, item.width, step):
                offset = item.offset + lsb // 8
                part = (item.name, 8 * (offset & 7), (1 << step) - 1, lsb)
                self._words.setdefault(offset & ~7, []).append(part)

    def reset(self) -> None:
        """Function Level Reset, or power-on."""
        self.values = dict(self._initial)

    def reset_device(self) -> None:
        """Reset Device: everything but what DSA Table 9-3 spares."""
        spared = {name: self.values[name] for name in _SPARED}
        self.values = self._initial | spared

    def get(self, name: str, field: str) -> int:
        """A field of a register."""
        return self._register[name].get(self.values[name], field)

    def set(self, name: str, **fields: int) -> None:
        """Change fields as hardware does."""
        self.values[name] = self._register[name].set(self.values[name], **fields)

    def read(self, address: int) -> int:
        """The aligned 8-byte word at an address."""
        value = 0
        for name, shift, mask, lsb in self._words.get(address, ()):
            if name != "cmd":
                value |= (self.values[name] >> lsb & mask) << shift
        return value

    def write(self, address: int, data: int, lanes: int, *, device_disabled: bool) -> None:
        """Write the bits in ``lanes`` of the aligned 8-byte word at an address."""
        for name, shift, mask, lsb in self._words.get(address, ()):
            bits = lanes >> shift & mask
            if not bits or name in self._fixed:
                continue
            part = data >> shift & mask & bits
            if name == "cmd":
                self._command(part)
            elif device_disabled or name not in _LOCKED:
                kept = self.values[name] & ~(self._writable[name] & bits << lsb)
                kept |= part << lsb & self._writable[name]
                self.values[name] = kept & ~(part << lsb & self._clearable[name])
