"""A machine with a device on paper, and the interrupts of that device's driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from driver.config_space import map_function
from driver.discovery import discover
from driver.entries import ImsEntries, MsixEntries
from driver.irq import MsiMap, PciDev, boot, free_irq, request_irq
from driver.stores import ImsStore, MsixStore
from driver.transport import Transport
from hw.regs import Config

from ..host.platform import Host
from .paper import REQUESTER, Paper
from .plan import Plan


@dataclass(eq=False)
class Held:
    """A vector in use: in which table and where, whose, and how often its handler was called."""

    table: str
    place: MsiMap
    pasid: int | None
    bells: int = 0

    def ring(self) -> None:
        """The handler."""
        self.bells += 1


class Machine:
    """Processors, a device, and the driver's own chips over its two tables.

    Made by :meth:`probe`.

    Members
    -------
    system, dev
        The interrupt subsystem, and the device in it.
    capacity
        Vectors of all processors.
    ims, msix
        The chips.
    in_use
        Vectors that are requested.
    requests
        Requests to the device to give it vectors, and to take them away.
    lost
        Events that did not call the handler of their vector once.
    """

    def __init__(self, config: Config, cpus: int) -> None:
        self._host = Host(config.message_window, cpus=cpus)
        self._paper = Paper(config, self._host)
        self._transport = cast(Transport, self._paper)
        self.system = boot(self._host)
        self.capacity = self.system.vector_domain.matrix.global_available
        self.dev = PciDev(self.system, self._transport, REQUESTER)
        self.in_use = self.lost = 0
        self.requests = {"allocate": 0, "free": 0}

    @classmethod
    async def probe(cls, plan: Plan) -> "Machine":
        """A machine whose device was found; nothing of it is in use yet."""
        config = Config(ims_vectors=plan.ims_vectors, msix_vectors=plan.msix_vectors)
        machine = cls(config, plan.cpus)
        transport = machine._transport
        found = await discover(transport, await map_function(transport))
        machine.ims = ImsStore(ImsEntries(transport, found))
        machine.msix = MsixStore(MsixEntries(transport, found))
        return machine

    async def request(self, held: Held) -> None:
        """Bring a vector into use: request_irq. If that fails, everything is as before."""
        owners = self.msix.owners if held.table == "msix" else self.ims.owners
        if held.pasid is not None:
            owners[held.place.index] = held.pasid
        name = f"tocsin-{held.table}-{held.place.index}"
        try:
            with self.counted("allocate"):
                await request_irq(self.system, held.place.virq, held.ring, name=name, dev_id=held)
        except BaseException:
            owners.pop(held.place.index, None)
            raise
        self.in_use += 1

    async def free(self, held: Held) -> None:
        """Take a vector out of use: free_irq."""
        with self.counted("free"):
            await free_irq(self.system, held.place.virq, held)
        owners = self.msix.owners if held.table == "msix" else self.ims.owners
        owners.pop(held.place.index, None)
        self.in_use -= 1

    def ring(self, held: Held) -> None:
        """Let an event of its ADI happen, which has to call its handler."""
        assert held.pasid is not None
        before = held.bells
        self._paper.ring(held.table, held.place.index, held.pasid)
        self.lost += held.bells != before + 1

    @contextmanager
    def counted(self, purpose: str) -> Iterator[None]:
        """Count requests to the device in this block."""
        before = self._paper.requests
        try:
            yield
        finally:
            self.requests[purpose] += self._paper.requests - before

    @property
    def reserved(self) -> int:
        """Vectors that are allocated in the device's tables, in use or not."""
        return sum(len(domain.store) for domain in self.dev.domains.values())

    @property
    def taken(self) -> int:
        """Vectors of processors that are taken."""
        return self.system.vector_domain.matrix.total_allocated

    def counts(self) -> dict[str, int]:
        """Everything that has to be given back; all 0 when it is."""
        matrix = self.system.vector_domain.matrix
        return {
            **self.system.counts(),
            "in tables": self.reserved,
            "in use": self.in_use,
            "unavailable": self.capacity - matrix.global_available,
            "present": self._host.interrupts.live,
            "unmasked": self._paper.unmasked,
            "owners of entries": len(self.msix.owners) + len(self.ims.owners),
            "misdirected": self._host.interrupts.misdirected,
        }
