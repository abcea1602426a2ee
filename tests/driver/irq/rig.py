"""A machine and a device on paper: an interrupt chip that keeps its table in a dict."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from driver.irq import (
    SIMPLE_DESCS,
    BusToken,
    IrqChip,
    IrqData,
    MsiDomainTemplate,
    MsiFlag,
    MsiInstanceCookie,
    MsiMap,
    PciDev,
    boot,
    pci_alloc_irq_vectors,
    pci_create_ims_domain,
    pci_ims_alloc_irq,
)
from driver.transport import Message
from sim.host.platform import Host

REQUESTER = 0x0100
HWSIZE = 8
MSIX = MsiFlag.PCI_MSIX | MsiFlag.PCI_MSIX_ALLOC_DYN | MsiFlag.MUST_REACTIVATE


class Clock:
    """Time that a test sets, and events and tasks of asyncio."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time

    async def sleep(self, cycles: int) -> None:
        self.time += cycles
        await asyncio.sleep(0)

    def event(self) -> Any:
        return asyncio.Event()

    def start(self, work: Coroutine[Any, Any, Any]) -> Any:
        return Task(asyncio.ensure_future(work))


class Task:
    def __init__(self, future: Any) -> None:
        self.future = future

    async def join(self) -> Any:
        return await self.future


class Table:
    """Entries that ring when told to, unless they are masked; a masked event is kept.

    Members
    -------
    log
        Names of the chip's operations, in order.
    refuse
        Operations that raise this error.
    """

    def __init__(self, host: Host, *, unlazy: bool = True) -> None:
        self.host = host
        self.messages: dict[int, Message] = {}
        self.open: set[int] = set()
        self.held: set[int] = set()
        self.log: list[str] = []
        self.refuse: dict[str, Exception] = {}
        self.pause = False
        self.chip = IrqChip(
            "PAPER",
            irq_mask=self.irq_mask,
            irq_unmask=self.irq_unmask,
            irq_write_msi_msg=self.irq_write_msi_msg,
            unlazy=unlazy,
        )

    async def _note(self, name: str) -> None:
        self.log.append(name)
        if self.pause:
            await asyncio.sleep(0)
        if name in self.refuse:
            raise self.refuse[name]

    async def irq_mask(self, data: IrqData) -> None:
        await self._note("mask")
        self.open.discard(data.hwirq)

    async def irq_shutdown(self, data: IrqData) -> None:
        await self._note("shutdown")
        self.open.discard(data.hwirq)

    async def irq_unmask(self, data: IrqData) -> None:
        await self._note("unmask")
        self.open.add(data.hwirq)
        if data.hwirq in self.held:
            self.held.discard(data.hwirq)
            self.ring(data.hwirq)

    async def irq_write_msi_msg(self, data: IrqData, message: Message) -> None:
        await self._note("write" if message.address else "blank")
        self.messages[data.hwirq] = message

    def ring(self, index: int, requester: int = REQUESTER) -> bool:
        """An event. Returns whether a message was sent and reached anybody."""
        if index not in self.open:
            self.held.add(index)
            return False
        message = self.messages[index]
        return self.host.message(message.address, message.data, requester)

    def template(self, token: BusToken, flags: MsiFlag, **more: Any) -> MsiDomainTemplate:
        return MsiDomainTemplate(
            more.pop("name", "PAPER"), more.pop("chip", self.chip), token, flags, **more
        )

    def ims(self, **more: Any) -> MsiDomainTemplate:
        return self.template(BusToken.PCI_DEVICE_IMS, SIMPLE_DESCS | MsiFlag.PCI_IMS, **more)

    def msix(self, flags: MsiFlag = MSIX) -> MsiDomainTemplate:
        return self.template(BusToken.PCI_DEVICE_MSIX, SIMPLE_DESCS | flags)


class Rig:
    """A host, its interrupt subsystem, and a device with message storage if it can have any."""

    def __init__(
        self, *, cpus: int = 4, remapping: bool = True, hwsize: int = HWSIZE, unlazy: bool = True
    ) -> None:
        self.host = Host(cpus=cpus, remapping=remapping)
        self.system = boot(self.host)
        self.clock = Clock()
        self.dev = PciDev(self.system, self.clock, REQUESTER)
        self.table = Table(self.host, unlazy=unlazy)
        self.capacity = self.system.vector_domain.matrix.global_available
        if remapping:
            pci_create_ims_domain(self.dev, self.table.ims(), hwsize)

    async def claim(self, vectors: int = 1, hwsize: int = HWSIZE) -> int:
        """MSI-X vectors from 0."""
        return await pci_alloc_irq_vectors(self.dev, self.table.msix(), hwsize, vectors, vectors)

    async def ims(self, **more: Any) -> MsiMap:
        return await pci_ims_alloc_irq(self.dev, MsiInstanceCookie(), **more)

    def counts(self) -> dict[str, int]:
        """Everything that can leak."""
        matrix = self.system.vector_domain.matrix
        domains = {f"in {each.name}": len(each.store) for each in self.dev.domains.values()}
        return {
            **self.system.counts(),
            **domains,
            "present": self.host.interrupts.live,
            "unavailable": self.capacity - matrix.global_available,
            "managed in use": sum(each.managed_allocated for each in matrix.maps),
        }


class Calls:
    """A handler that counts."""

    def __init__(self, result: Any = None) -> None:
        self.count = 0
        self.result = result

    def __call__(self) -> Any:
        self.count += 1
        return self.result


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)
