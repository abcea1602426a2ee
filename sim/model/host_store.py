"""Interrupt message storage whose entries lie in the host's memory, without time."""

from collections.abc import Callable
from dataclasses import dataclass

from hw.regs.config import Config

from .host import HostError
from .messages import IGNORE, MASK, PASID_ENABLE, PASID_SHIFT, WINDOW

ENTRY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A copy of an entry, as it was when it was fetched."""

    address: int
    data: int
    control: int


class HostStore:
    """What becomes of an event whose entry the device has to fetch.

    Copies are kept until software asks for a sync, and never given up before: a device may do so,
    and a driver that forgets to ask is found out. A fetch that fails is reported, and the event is
    held until the next sync of its entry, or of all.

    Parameters
    ----------
    config
        Parameters of the device.
    fetch
        Reads host memory; raises :class:`.host.HostError`.
    send
        Called once for each message, with its address and data.
    report
        Called with the index of an entry that could not be had, and why: 0 if its address lies
        outside of the message window.

    Members
    -------
    enabled : bool
    base, count : int
        Where the entries lie, and how many.
    bus_master : bool
    held : dict[int, set[bool]]
        Events that wait, by vector; whether they are completions.
    """

    def __init__(
        self,
        config: Config,
        fetch: Callable[[int, int], bytes],
        send: Callable[[int, int], None],
        report: Callable[[int, int], None],
    ):
        self._window = config.message_window
        self._fetch, self._send, self._report = fetch, send, report
        self.enabled = self.bus_master = False
        self.base = self.count = 0
        self.clear()

    def clear(self) -> None:
        """Forget all copies and all events."""
        self._copies: dict[int, Entry] = {}
        self.held: dict[int, set[bool]] = {}

    def configure(self, *, enabled: bool, base: int, count: int) -> None:
        """What software has written; turning it on or off starts anew."""
        if enabled != self.enabled:
            self.clear()
        self.enabled, self.base, self.count = enabled, base, count

    def allow(self, bus_master: bool) -> None:
        """Bus Master Enable; sends what it held back."""
        rises = bus_master and not self.bus_master
        self.bus_master = bus_master
        if rises:
            self._walk()

    def exists(self, index: int) -> bool:
        """Whether there is such an entry."""
        return 0 <= index < self.count

    def check(self, index: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether a descriptor may ring the vector (DSA §5.4)."""
        entry = self._entry(index) if self.exists(index) else None
        if entry is None or bool(entry.control & PASID_ENABLE) != pasid_enable:
            return False
        return not pasid_enable or entry.control >> PASID_SHIFT == pasid

    def event(self, index: int, *, completion: bool) -> None:
        """Something happened that this vector tells of."""
        if not self.exists(index):
            return
        copy = self._copies.get(index)
        if copy is None or not (completion and copy.control & IGNORE):
            self.held.setdefault(index, set()).add(completion)
            self._release(index)

    def sync(self, index: int | None) -> bool:
        """Changes of an entry, or of all, take effect. Returns whether the entry held an event."""
        if index is None:
            self._copies.clear()
            self._walk()
            return False
        self._copies.pop(index, None)
        held = index in self.held
        self._release(index)
        return held

    def _walk(self) -> None:
        for index in sorted(self.held):
            self._release(index)

    def _release(self, index: int) -> None:
        """Send what the vector holds, if its entry can be had and lets it."""
        if index not in self.held or not self.bus_master:
            return
        entry = self._entry(index)
        if entry is None:
            return
        if entry.control & IGNORE and self.held[index] == {True}:
            del self.held[index]
        elif not entry.control & MASK:
            del self.held[index]
            self._send(entry.address, entry.data)

    def _entry(self, index: int) -> Entry | None:
        """The copy, which is fetched if there is none."""
        if index not in self._copies:
            try:
                raw = self._fetch(self.base + ENTRY_BYTES * index, ENTRY_BYTES)
            except HostError as error:
                self._report(index, error.error.value)
                return None
            address, data, control = (
                int.from_bytes(raw[a:b], "little") for a, b in ((0, 8), (8, 12), (12, 16))
            )
            if address & ~WINDOW != self._window or address & 3:
                self._report(index, 0)
                return None
            self._copies[index] = Entry(address, data, control)
        return self._copies[index]
