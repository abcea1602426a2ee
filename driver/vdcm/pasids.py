"""Guest PASIDs and the host PASIDs behind them (DSA §7.5.3)."""

from ..errors import SettingsError
from ..transport import Transport

FIRST, LAST = 1, 0xF_FFFF
MOST = 256
"""PASIDs that one guest may have: they are the host's, and other guests need some too."""


class Pasids:
    """The address spaces of one virtual machine.

    Its memory is the default host PASID. Each PASID that it allocates has a host PASID of its own;
    one that it has not allocated means the default, as for a virtual IOMMU without that entry.

    Members
    -------
    default
        The host PASID of the guest's own memory.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.default = transport.allocate_pasid()
        self._hosts: dict[int, int] = {}
        self._next = FIRST

    @property
    def hosts(self) -> list[int]:
        """All host PASIDs of the guest."""
        return [self.default, *self._hosts.values()]

    def allocate(self) -> int:
        """A guest PASID with an empty address space."""
        if len(self._hosts) >= MOST:
            raise SettingsError(f"a guest has up to {MOST} PASIDs; free some")
        while self._next in self._hosts:
            self._next = self._next % LAST + 1
        guest, self._next = self._next, self._next % LAST + 1
        self._hosts[guest] = self._transport.allocate_pasid()
        return guest

    def free(self, guest: int) -> None:
        """Give a guest PASID back, and the address space behind it."""
        if guest not in self._hosts:
            raise SettingsError(f"the guest has no PASID {guest}")
        self._transport.free_pasid(self._hosts.pop(guest))

    def host(self, guest: int | None) -> int:
        """The host PASID behind a guest's."""
        return self.default if guest is None else self._hosts.get(guest, self.default)

    def guest(self, host: int) -> int | None:
        """The guest PASID in front of a host's; None for the default."""
        return next((guest for guest, each in self._hosts.items() if each == host), None)

    def release(self) -> None:
        """Give everything back; the device uses none of it any more."""
        for guest in list(self._hosts):
            self.free(guest)
        self._transport.free_pasid(self.default)
