"""Three ways to hand out vectors, as drivers of PCI devices do and did."""

import errno
from collections import deque

from driver.irq import (
    IrqError,
    MsiInstanceCookie,
    MsiMap,
    pci_alloc_irq_vectors,
    pci_create_ims_domain,
    pci_free_irq_vectors,
    pci_ims_alloc_irq,
    pci_ims_free_irq,
    pci_irq_vector,
    pci_msix_alloc_irq_at,
    pci_msix_free_irq,
)

from .machine import Held, Machine
from .plan import Plan

WHY = {
    errno.EBUSY: "the device's table is full",
    errno.ENOSPC: "no processor has a vector left",
}


class Refused(Exception):  # noqa: N818
    """A vector that cannot be had.

    Parameters
    ----------
    code
        The error code, as Linux has it.
    why
        In words.
    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"-{errno.errorcode[code]}, {why}")


class Way:
    """One way. Use :meth:`open` first and :meth:`close` last.

    A kind of way overrides where a vector comes from and where it goes to. In all of them MSI-X
    vector 0 is the device's own.

    Members
    -------
    machine
        On which all of it happens.

    **Errors** :class:`Refused`; everything is as before then.
    """

    key: str
    title: str
    table = "msix"

    def __init__(self, machine: Machine, plan: Plan) -> None:
        self.machine = machine
        self.plan = plan

    async def open(self) -> None:
        """What the driver claims at probe."""
        await self._claim(1)

    async def _claim(self, vectors: int) -> None:
        machine, hwsize = self.machine, self.plan.msix_vectors
        with machine.counted("allocate"):
            await pci_alloc_irq_vectors(machine.dev, machine.msix.template, hwsize, 1, vectors)
        self._own = Held("msix", MsiMap(0, pci_irq_vector(machine.dev, 0)), None)
        await machine.request(self._own)

    async def close(self) -> None:
        """Give back what was claimed at probe."""
        await self.machine.free(self._own)
        with self.machine.counted("free"):
            await pci_free_irq_vectors(self.machine.dev)

    def admit(self, pasid: int) -> None:
        """An ADI comes."""

    def dismiss(self, pasid: int) -> None:
        """An ADI that has given its vectors back leaves."""

    async def take(self, pasid: int) -> Held:
        """A vector for an ADI, which has rung once when this returns."""
        try:
            with self.machine.counted("allocate"):
                held = Held(self.table, await self._alloc(pasid), pasid)
            try:
                await self.machine.request(held)
            except BaseException:
                await self._free(held)
                raise
        except IrqError as error:
            raise Refused(error.errno, WHY[error.errno]) from error
        self.machine.ring(held)
        return held

    async def give(self, held: Held) -> None:
        """Ring a vector once more, and give it back."""
        self.machine.ring(held)
        await self.machine.free(held)
        with self.machine.counted("free"):
            await self._free(held)

    async def _alloc(self, pasid: int) -> MsiMap:
        raise NotImplementedError

    async def _free(self, held: Held) -> None:
        raise NotImplementedError


class MsixAtProbe(Way):
    """All MSI-X vectors are claimed at probe, and shared out in equal parts.

    An ADI gets a share when it comes. It requests a vector of it only when it wants one, so that
    a processor's vector is taken no earlier than in the other ways.
    """

    key, title = "msix_at_probe", "MSI-X at probe"

    async def open(self) -> None:
        await self._claim(self.plan.msix_vectors)
        share, vectors = self.plan.share, self.machine.reserved
        self._free_shares = deque(range(1, vectors - share + 1, share))
        self._shares: dict[int, deque[int]] = {}

    def admit(self, pasid: int) -> None:
        if not self._free_shares:
            raise Refused(errno.ENOSPC, "all shares are taken")
        first = self._free_shares.popleft()
        self._shares[pasid] = deque(range(first, first + self.plan.share))

    def dismiss(self, pasid: int) -> None:
        self._free_shares.append(min(self._shares.pop(pasid)))

    async def _alloc(self, pasid: int) -> MsiMap:
        if not self._shares[pasid]:
            raise Refused(errno.ENOSPC, "the ADI's share is used up")
        index = self._shares[pasid].popleft()
        return MsiMap(index, pci_irq_vector(self.machine.dev, index))

    async def _free(self, held: Held) -> None:
        assert held.pasid is not None
        self._shares[held.pasid].append(held.place.index)


class DynamicMsix(Way):
    """MSI-X vectors are added when they are wanted, and taken out when they are not."""

    key, title = "msix_dynamic", "MSI-X on demand"

    async def _alloc(self, pasid: int) -> MsiMap:
        return await pci_msix_alloc_irq_at(self.machine.dev)

    async def _free(self, held: Held) -> None:
        await pci_msix_free_irq(self.machine.dev, held.place)


class MessageStorage(Way):
    """Vectors are in interrupt message storage, from when they are wanted until they are not."""

    key, title, table = "ims", "IMS on demand", "ims"

    async def open(self) -> None:
        await super().open()
        machine = self.machine
        pci_create_ims_domain(machine.dev, machine.ims.template, self.plan.ims_vectors)

    async def _alloc(self, pasid: int) -> MsiMap:
        return await pci_ims_alloc_irq(self.machine.dev, MsiInstanceCookie(pasid))

    async def _free(self, held: Held) -> None:
        await pci_ims_free_irq(self.machine.dev, held.place)


WAYS: tuple[type[Way], ...] = (MsixAtProbe, DynamicMsix, MessageStorage)
