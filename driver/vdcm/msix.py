"""The MSI-X table of a virtual device, made true through :mod:`driver.vdcm.vfio` (DSA §7.5.4)."""

from collections.abc import Callable
from functools import partial

from ..errors import DriverError
from ..lock import Lock
from ..transport import Message, Waiting
from .image import Image
from .layout import Layout
from .vfio import MSIX_IRQ_INDEX, Interrupts, IrqSet

Deliver = Callable[[Message], None]
"""Brings a message to a processor of the guest."""

_EVENTFD = IrqSet.DATA_EVENTFD | IrqSet.ACTION_TRIGGER
_MASK = IrqSet.DATA_NONE | IrqSet.ACTION_MASK
_UNMASK = IrqSet.DATA_NONE | IrqSet.ACTION_UNMASK


class VirtualMsix:
    """Table, permissions, pending bits.

    :meth:`sync` brings the host's side of an entry to what the guest has written: nothing behind it
    until it is unmasked the first time; then a vector, masked when it is; nothing again when its
    permission is taken away, and with all others when MSI-X is turned off.

    Parameters
    ----------
    bar0, config
        The registers.
    pasid
        The host PASID behind a guest's.
    deliver
        Brings messages to the guest.
    """

    def __init__(
        self,
        transport: Waiting,
        layout: Layout,
        bar0: Image,
        config: Image,
        interrupts: Interrupts,
        deliver: Deliver,
    ) -> None:
        self.interrupts = interrupts
        self._layout = layout
        self._bar0, self._config = bar0, config
        self._table = layout.bar0.table("msix")
        self._permissions = layout.bar0.table("msixperm")
        self._address, self._data, self._control = self._table.registers
        (self._permission,) = self._permissions.registers
        self._deliver = deliver
        self._owners: dict[int, int] = {}
        self._held: set[int] = set()
        self._lock = Lock(transport)

    @property
    def enabled(self) -> bool:
        """Whether the guest has turned MSI-X on."""
        return bool(self._msix["enable"])

    def permission(self, number: int) -> dict[str, int]:
        """The guest's permission entry of a vector."""
        entry = self._permissions.entry(number)
        return self._permission.unpack(self._bar0.get(self._permission, entry))

    def owner(self, number: int) -> int | None:
        """The guest PASID that may ring a vector; None is the guest's own memory."""
        permission = self.permission(number)
        return permission["pasid"] if permission["pasid_enable"] else None

    async def sync_all(self) -> None:
        """Bring every entry to what the guest has written."""
        if not self.enabled:
            async with self._lock:
                nothing = IrqSet.DATA_NONE | IrqSet.ACTION_TRIGGER
                await self.interrupts.set_irqs(nothing, MSIX_IRQ_INDEX, 0, 0)
                self._owners.clear()
        for number in range(self._table.count):
            await self.sync(number)

    async def sync(self, number: int) -> None:
        """Bring an entry to what the guest has written; one that cannot be backed stays dead."""
        async with self._lock:
            if self._backed(number) and not self._belongs(number):
                await self._set_trigger(number, False)
            if self._open(number) and self._wanted(number) and not self._backed(number):
                try:
                    await self._set_trigger(number, True)
                except DriverError:
                    return
            if self._backed(number):
                action = _UNMASK if self._open(number) else _MASK
                await self.interrupts.set_irqs(action, MSIX_IRQ_INDEX, number, 1)
            if self._open(number) and number in self._held:
                self._held.discard(number)
                self._send(number)

    async def back(self, number: int) -> int:
        """The host's index of a vector, for descriptors to name; masked ones get one as well.

        **Errors** :class:`~driver.errors.VectorsExhausted`.
        """
        async with self._lock:
            if not self._backed(number):
                await self._set_trigger(number, True)
                if not self._open(number):
                    await self.interrupts.set_irqs(_MASK, MSIX_IRQ_INDEX, number, 1)
        context = self.interrupts.context(number)
        assert context is not None and context.vector is not None
        return context.vector.index

    def fire(self, number: int) -> None:
        """An event for a vector: to the guest if it lets it through, else held."""
        if self._open(number):
            self._send(number)
        else:
            self._held.add(number)

    async def pending(self) -> int:
        """The pending bit array: of the host's entries, and of what is held here."""
        bits = sum(1 << number for number in self._held)
        for number in range(1, self._table.count):
            context = self.interrupts.context(number)
            if context is not None and context.vector is not None and context.vector.masked:
                bits |= int(await context.vector.pending()) << number
        return bits

    async def withdraw(self) -> dict[int, bool]:
        """Give all vectors back. Returns which there were, and whether an event was held there."""
        bits = await self.pending()
        backed = [n for n in range(1, self._table.count) if self._backed(n)]
        nothing = IrqSet.DATA_NONE | IrqSet.ACTION_TRIGGER
        async with self._lock:
            await self.interrupts.set_irqs(nothing, MSIX_IRQ_INDEX, 0, 0)
            self._owners.clear()
        return {n: bool(bits >> n & 1) for n in backed} | dict.fromkeys(self._held, True)

    async def resume(self, saved: dict[int, bool]) -> None:
        """Vectors for what :meth:`withdraw` has returned elsewhere; held events stay held."""
        self._held |= {number for number, held in saved.items() if held}
        await self.sync_all()
        for number in saved:
            if number and not self._backed(number):
                await self.back(number)

    def forget(self) -> None:
        """A reset: no events are held."""
        self._held.clear()

    @property
    def _msix(self) -> dict[str, int]:
        register = self._layout.config["msix"]
        return register.unpack(self._config.get(register))

    def _open(self, number: int) -> bool:
        """Whether events of an entry reach the guest."""
        msix = self._msix
        command = self._layout.config["command"]
        if not msix["enable"] or msix["function_mask"]:
            return False
        if not command.unpack(self._config.get(command))["bus_master"]:
            return False
        return not self._bar0.get(self._control, self._table.entry(number)) & 1

    def _wanted(self, number: int) -> bool:
        return bool(number) and not self.permission(number)["ignore"]

    def _belongs(self, number: int) -> bool:
        """Whether what is behind an entry is still what the guest wants there."""
        wanted = self._wanted(number) and self.enabled
        return wanted and self._owners[number] == self._owner_key(number)

    def _owner_key(self, number: int) -> int:
        owner = self.owner(number)
        return -1 if owner is None else owner

    def _backed(self, number: int) -> bool:
        return self.interrupts.context(number) is not None

    async def _set_trigger(self, number: int, on: bool) -> None:
        trigger = partial(self.fire, number) if on else None
        self._owners[number] = self._owner_key(number)
        await self.interrupts.set_irqs(_EVENTFD, MSIX_IRQ_INDEX, number, 1, [trigger])

    def _send(self, number: int) -> None:
        entry = self._table.entry(number)
        address = self._bar0.get(self._address, entry)
        self._deliver(Message(address, self._bar0.get(self._data, entry)))
