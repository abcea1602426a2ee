"""A root complex for RTL: cocotbext-pcie's, with what a device with PASIDs needs."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import First, Timer
from cocotbext.pcie.core.bridge import Bridge, HostBridge, RootPort
from cocotbext.pcie.core.rc import RootComplex
from cocotbext.pcie.core.tlp import CplStatus

from ..bench.cocotb_side import PERIOD_PS, cycles, now
from .platform import Host
from .port import LinkBehaviour, RtlPort
from .responder import Responder, completes, refusal
from .tlp import COMPLETIONS, MEMORY_READS, MEMORY_WRITES, Tlp

FAULTS = ("ur", "ca", "poison", "lost")


@dataclass(frozen=True)
class Behaviour:
    """How the root complex behaves.

    Parameters
    ----------
    split
        Completions of a read: ``"largest"`` possible, one for every ``"rcb"``, or cut at
        ``"random"`` legal places.
    latency_cycles
        Clocks from a read to its first completion, and between its completions: at least, at most.
    reorder
        Reads with different tags may be completed out of order.
    read_completion_boundary
        64 or 128 bytes.
    max_payload
        Largest payload, as the exponent in Device Control: 0 is 128 bytes.
    timeout_cycles
        Clocks after which a request of the host's is given up.
    fault
        Called with every read of the device; may return one of :data:`FAULTS`, which then happens.
    """

    split: str = "largest"
    latency_cycles: tuple[int, int] = (0, 0)
    reorder: bool = False
    read_completion_boundary: int = 64
    max_payload: int = 2
    timeout_cycles: int = 100_000
    fault: Callable[[Tlp], str | None] | None = None


class _Routing:
    """Routing of the TLPs that cocotbext-pcie's bridges do not know.

    Those that it makes by itself are of its own class and pass as they are.
    """

    def match_tlp(self, tlp: Any) -> bool:
        if isinstance(tlp, Tlp) and tlp.is_memory:
            return bool(self.match_bar(tlp.address))  # type: ignore[attr-defined]
        if isinstance(tlp, Tlp) and tlp.is_message:
            return False
        return bool(super().match_tlp(tlp))  # type: ignore[misc]

    def match_tlp_secondary(self, tlp: Any) -> bool:
        if isinstance(tlp, Tlp) and tlp.is_memory:
            low = self.mem_base <= tlp.address <= self.mem_limit  # type: ignore[attr-defined]
            base, limit = self.prefetchable_mem_base, self.prefetchable_mem_limit  # type: ignore[attr-defined]
            return bool(low or base <= tlp.address <= limit)
        return bool(super().match_tlp_secondary(tlp))  # type: ignore[misc]


class TocsinHostBridge(_Routing, HostBridge):  # type: ignore[misc]
    """Host bridge that routes every type of :class:`sim.host.tlp.Tlp`."""


class TocsinRootPort(_Routing, RootPort):  # type: ignore[misc]
    """Root port that routes every type of :class:`sim.host.tlp.Tlp`, onto a port to RTL."""

    def __init__(self, port: RtlPort):
        # The direct base would make a simulated link of its own, which then waits for a partner.
        Bridge.__init__(self)
        self.pcie_cap.pcie_device_type = 0x4
        self.pcie_cap.crs_software_visibility = True
        self.vendor_id, self.device_id = 0x1234, 0x0002
        self.set_downstream_port(port)


class TocsinRootComplex(RootComplex):  # type: ignore[misc]
    """Root complex with one root port, to which the RTL is connected.

    Enumeration, tags and routing are cocotbext-pcie's. Memory requests of the device go to the
    :class:`sim.host.platform.Host`, by PASID; writes to the message window are interrupts.

    Parameters
    ----------
    dut
        The simulated :class:`sim.host.link.Linked`.
    host
        Memory and interrupt controller.
    behaviour, link
        How it behaves, and its end of the link.

    Attributes
    ----------
    port : RtlPort
        The link.
    errors : list of str
        What the device did that no device may do, as sentences.
    messages : list of Tlp
        Message TLPs that the device has sent.
    foreign : list of Tlp
        Completions with tags of 256 and more, which only benches use that send requests themselves.
    """

    def __init__(
        self,
        dut: Any,
        host: Host,
        behaviour: Behaviour | None = None,
        link: LinkBehaviour | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.host = host
        self.responder = Responder(
            host,
            split=self.behaviour.split,
            boundary=self.behaviour.read_completion_boundary,
            payload_bytes=lambda: 128 << self.root_port.pcie_cap.max_payload_size,
        )
        self.errors, self.messages = self.responder.errors, self.responder.messages
        self.foreign: list[Tlp] = []
        self._due = 0
        super().__init__()
        self.max_payload_size = self.behaviour.max_payload
        self.read_completion_boundary = self.behaviour.read_completion_boundary == 128
        self.tag_count = 256
        self.port = RtlPort(dut, link)
        self.root_port = self.make_port(TocsinRootPort(self.port))
        supported = self.upstream_bridge.pcie_cap.max_payload_size_supported
        self.root_port.pcie_cap.max_payload_size_supported = supported

    # The base class sets this attribute to its own bridge just before it is used.
    default_upstream_bridge = property(lambda self: TocsinHostBridge, lambda self, value: None)

    @property
    def idle(self) -> bool:
        """Whether no request of the host's is under way."""
        return not self.port.queued and not any(self.tag_active)

    async def perform_nonposted_operation(
        self, req: Any, timeout: float = 0, timeout_unit: str = "ns"
    ) -> list[Tlp]:
        """Send a request and collect its completions; none if it was given up."""
        request = req if isinstance(req, Tlp) else Tlp(req)
        request.tag = await self.alloc_tag()
        completions: list[Tlp] = []
        await self.send(request)
        deadline = now() + self.behaviour.timeout_cycles
        while True:
            completion = await self._completion(request.tag, deadline)
            if completion is None:
                # The tag is never used again, so that a late completion meets nobody.
                self.errors.append(f"no completion within the time limit: {request.describe()}")
                return completions
            completions.append(completion)
            if completes(request, completion):
                break
        self.release_tag(request.tag)
        return completions

    async def _completion(self, tag: int, deadline: int) -> Tlp | None:
        queue, arrived = self.rx_cpl_queues[tag], self.rx_cpl_sync[tag]
        while queue.empty():
            left = deadline - now()
            if left <= 0:
                return None
            arrived.clear()
            await First(arrived.wait(), Timer(left * PERIOD_PS, "step"))
        completion: Tlp = queue.get_nowait()
        return completion

    async def handle_tlp(self, tlp: Any) -> None:
        """Take a TLP of the device, or of the root port itself."""
        tlp = tlp if isinstance(tlp, Tlp) else Tlp(tlp)
        kind = tlp.fmt_type
        if kind in COMPLETIONS:
            if tlp.tag >= len(self.tag_active):
                # Of a request that a bench sent by itself, with a tag that is never allocated here.
                self.foreign.append(tlp)
                return
            if not self.tag_active[tlp.tag]:
                self.errors.append(f"unexpected completion: {tlp.describe()}")
                return
            self.rx_cpl_queues[tlp.tag].put_nowait(tlp)
            self.rx_cpl_sync[tlp.tag].set()
        elif kind in MEMORY_WRITES:
            self.responder.write(tlp)
        elif kind in MEMORY_READS:
            self._read(tlp)
        else:
            for completion in self.responder.serve(tlp):
                await self.send(completion)

    def _read(self, tlp: Tlp) -> None:
        fault = self.behaviour.fault(tlp) if self.behaviour.fault else None
        if fault == "lost":
            return
        low, high = self.behaviour.latency_cycles
        due = now() + random.randint(low, high)
        if not self.behaviour.reorder:
            due = self._due = max(due, self._due)
        cocotb.start_soon(self._complete(tlp, due, fault))

    async def _complete(self, tlp: Tlp, due: int, fault: str | None) -> None:
        await cycles(due - now())
        if fault in ("ur", "ca"):
            await self.send(refusal(tlp, CplStatus.UR if fault == "ur" else CplStatus.CA))
            return
        for completion in self.responder.read(tlp):
            if completion.has_data():
                completion.ep = fault == "poison"
            await self.send(completion)
            if self.behaviour.reorder:
                low, high = self.behaviour.latency_cycles
                await cycles(random.randint(low, high))
