"""The device's two vector tables as interrupt chips.

An operation is one of :mod:`driver.entries`, on the entry that is the interrupt's hardware number.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from .entries import MASK, Entries, ImsEntries, MsixEntries
from .errors import VectorError
from .irq import SIMPLE_DESCS, BusToken, IrqChip, IrqData, MsiDesc, MsiDomainTemplate, MsiFlag
from .irq.irqdesc import NO_MESSAGE
from .transport import Message


class Store:
    """A chip over a table; :attr:`template` makes a domain of it.

    Members
    -------
    owners
        PASIDs by index, for interrupts whose cookie does not carry it: MSI-X has none.
    """

    def __init__(self, entries: Entries, name: str, token: BusToken, flags: MsiFlag) -> None:
        self.owners: dict[int, int] = {}
        self._entries = entries
        self._unreachable = 0
        chip = IrqChip(
            name,
            irq_mask=self._mask,
            irq_unmask=self._unmask,
            irq_shutdown=self._shutdown,
            irq_write_msi_msg=self._write_msi_msg,
            unlazy=True,
        )
        self.template = MsiDomainTemplate(name, chip, token, SIMPLE_DESCS | flags)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Do not touch the device in this block: it has been reset, or does not answer."""
        self._unreachable += 1
        try:
            yield
        finally:
            self._unreachable -= 1

    async def _mask(self, data: IrqData) -> None:
        if not self._unreachable:
            control = self._entries.control(self._owner(data))
            await self._entries.set_control(data.hwirq, control | MASK)
            await self._entries.flush(data.hwirq)

    async def _unmask(self, data: IrqData) -> None:
        if not self._unreachable:
            await self._entries.arm(data.hwirq, _desc(data).msg, self._owner(data))

    async def _shutdown(self, data: IrqData) -> None:
        if not self._unreachable:
            await self._entries.disarm(data.hwirq, held=data.desc.masked)

    async def _write_msi_msg(self, data: IrqData, message: Message) -> None:
        if self._unreachable:
            return
        if message == NO_MESSAGE:
            await self._entries.blank(data.hwirq)
            return
        self._entries.check(message)
        if data.desc.started:
            await self._rewrite(data, message)
        else:
            await self._entries.load(data.hwirq, message, self._owner(data))

    async def _rewrite(self, data: IrqData, message: Message) -> None:
        """Change a live entry; if it does not take the message, it keeps its old one."""
        control = self._entries.control(self._owner(data)) | (MASK if data.desc.masked else 0)
        try:
            await self._entries.rewrite(data.hwirq, message, control)
        except VectorError:
            await self._entries.rewrite(data.hwirq, _desc(data).msg, control)
            raise

    def _owner(self, data: IrqData) -> int | None:
        cookie = _desc(data).icookie
        return self.owners.get(data.hwirq) if cookie is None else cookie.pasid


class ImsStore(Store):
    """Interrupt message storage."""

    def __init__(self, entries: ImsEntries) -> None:
        super().__init__(entries, "IMS", BusToken.PCI_DEVICE_IMS, MsiFlag.PCI_IMS)


class MsixStore(Store):
    """The MSI-X table.

    Its messages are written when an interrupt is requested, not when it is allocated as Linux
    does for devices that send whatever an entry holds: here all of them are masked.
    """

    def __init__(self, entries: MsixEntries) -> None:
        flags = MsiFlag.PCI_MSIX | MsiFlag.PCI_MSIX_ALLOC_DYN | MsiFlag.MUST_REACTIVATE
        super().__init__(entries, "PCI-MSIX", BusToken.PCI_DEVICE_MSIX, flags)


def _desc(data: IrqData) -> MsiDesc:
    assert data.desc.msi_desc is not None
    return data.desc.msi_desc
