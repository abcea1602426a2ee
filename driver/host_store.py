"""Interrupt message storage in the host's memory as an interrupt chip.

The queue variant of Linux's message storage: the operations change only the entry in memory, which
is the shadow of what the device works with; ``irq_bus_lock`` takes a lock that sleeps, and
``irq_bus_sync_unlock`` sees whether anything has changed, has the device sync it, waits, and
unlocks (Linux drivers/irqchip/irq-ims-msi.c, ``struct ims_queue_info``; never merged).
"""

from .entries import IGNORE, MASK, ims_control
from .host_entries import HostEntries
from .irq import BusToken, IrqData, MsiFlag
from .irq.irqdesc import NO_MESSAGE
from .lock import Lock
from .stores import Store
from .transport import Message, Waiting


class HostStore(Store):
    """A chip over entries in memory. One interrupt at a time changes.

    Parameters
    ----------
    entries
        The table, which has been placed.
    """

    def __init__(self, transport: Waiting, entries: HostEntries) -> None:
        super().__init__(
            "IMS",
            BusToken.PCI_DEVICE_IMS,
            MsiFlag.PCI_IMS,
            irq_bus_lock=self._bus_lock,
            irq_bus_sync_unlock=self._bus_sync_unlock,
        )
        self._entries = entries
        self._lock = Lock(transport)
        self._leaving: set[int] = set()

    async def pending(self, index: int) -> bool:
        """Whether an event waits for the mask to clear."""
        async with self._lock:
            return await self._entries.sync(index)

    async def sync_all(self) -> None:
        """Have the device read every entry anew."""
        async with self._lock:
            await self._entries.sync_all()

    async def _bus_lock(self, data: IrqData) -> None:
        await self._lock.acquire()

    async def _bus_sync_unlock(self, data: IrqData) -> None:
        """Make every change effective; those that an earlier failure has left behind as well."""
        try:
            if not self._unreachable:
                for index in sorted(self._entries.changed):
                    await self._sync(index)
        finally:
            self._lock.release()

    async def _sync(self, index: int) -> None:
        """An entry that goes out of use holds no event afterwards."""
        held = await self._entries.sync(index)
        if held and index in self._leaving:
            await self._entries.let_go(index)
        self._leaving.discard(index)

    async def _mask(self, data: IrqData) -> None:
        if not self._unreachable:
            self._entries.set_control(data.hwirq, self._control(data) | MASK)

    async def _unmask(self, data: IrqData) -> None:
        if not self._unreachable:
            self._entries.set_control(data.hwirq, self._control(data))

    async def _shutdown(self, data: IrqData) -> None:
        """Mask, ignore and take the owner away."""
        if not self._unreachable:
            self._entries.set_control(data.hwirq, MASK | IGNORE)
            self._leaving.add(data.hwirq)

    async def _write_msi_msg(self, data: IrqData, message: Message) -> None:
        """What an entry holds that is out of use is never sent, so nothing is blanked."""
        if self._unreachable or message == NO_MESSAGE:
            return
        self._entries.check(message)
        masked = data.desc.masked or not data.desc.started
        self._leaving.discard(data.hwirq)
        self._entries.rewrite(data.hwirq, message, self._control(data) | (MASK if masked else 0))

    def _control(self, data: IrqData) -> int:
        return ims_control(self._owner(data))
