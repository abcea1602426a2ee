"""A machine with a device on paper, and the interrupts of that device's driver."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from driver.config_space import map_function
from driver.discovery import Capabilities, discover
from driver.entries import ImsEntries, MsixEntries
from driver.irq import MsiMap, PciDev, boot, free_irq, request_irq
from driver.stores import ImsStore, MsixStore, Store
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
    paper
        The device itself.
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

    def __init__(self, host: Host, paper: Paper, found: Capabilities) -> None:
        transport = cast(Transport, paper)
        self.paper = paper
        self.system = boot(host)
        self.capacity = self.system.vector_domain.matrix.global_available
        self.dev = PciDev(self.system, transport, REQUESTER)
        self.ims = ImsStore(ImsEntries(transport, found))
        self.msix = MsixStore(MsixEntries(transport, found))
        self.in_use = self.lost = 0
        self.requests = {"allocate": 0, "free": 0}
        self._host = host

    @classmethod
    async def probe(cls, plan: Plan) -> "Machine":
        """A machine whose device was found; nothing of it is in use yet."""
        config = Config(ims_vectors=plan.ims_vectors, msix_vectors=plan.msix_vectors)
        host = Host(config.message_window, cpus=plan.cpus)
        paper = Paper(config, host)
        transport = cast(Transport, paper)
        return cls(host, paper, await discover(transport, await map_function(transport)))

    async def request(self, held: Held) -> None:
        """Bring a vector into use: request_irq. If that fails, everything is as before."""
        owners = self._store(held).owners
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
        self._store(held).owners.pop(held.place.index, None)
        self.in_use -= 1

    def _store(self, held: Held) -> Store:
        return self.msix if held.table == "msix" else self.ims

    def ring(self, held: Held) -> None:
        """Let an event of its ADI happen, which has to call its handler."""
        assert held.pasid is not None
        before = held.bells
        self.paper.ring(held.table, held.place.index, held.pasid)
        self.lost += held.bells != before + 1

    @contextmanager
    def counted(self, purpose: str) -> Iterator[None]:
        """Count requests to the device in this block."""
        before = self.paper.requests
        try:
            yield
        finally:
            self.requests[purpose] += self.paper.requests - before

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
            "unmasked": self.paper.unmasked,
            "owners of entries": len(self.msix.owners) + len(self.ims.owners),
            "misdirected": self._host.interrupts.misdirected,
        }
