"""TLPs that wait for credits and their turn."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from cocotbext.pcie.core.dllp import FcType

from .credits import Flow, Total, data_credits

FLOWS = {FcType.P: Flow.POSTED, FcType.NP: Flow.NON_POSTED, FcType.CPL: Flow.COMPLETION}


@dataclass
class Waiting:
    """A TLP that waits, and the credits it takes."""

    order: int
    flow: Flow
    packet: bytes
    #: Whatever the sender wants back with it.
    note: Any = None


class Outbox:
    """Hands out TLPs in the order in which they were put in, as far as credits allow.

    A posted TLP may pass the others; none passes a posted one (PCIe Base 6.x §2.4.1).

    Attributes
    ----------
    limit : dict of Flow to Total
        What the receiver grants; whoever carries the TLPs keeps it up to date.
    used : dict of Flow to Total
        Credits spent so far.
    """

    def __init__(self, limit: dict[Flow, Total]) -> None:
        self.limit = limit
        self.used = {flow: Total(0, 0) for flow in Flow}
        self._order = 0
        self._waiting: dict[Flow, deque[Waiting]] = {flow: deque() for flow in Flow}

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    def put(self, packet: bytes, flow: Flow, note: Any = None) -> None:
        """Let the bytes of a TLP wait, under the credits of a type."""
        self._order += 1
        self._waiting[flow].append(Waiting(self._order, flow, packet, note))

    def take(self) -> Waiting | None:
        """The TLP whose turn it is, if there are credits for one; they are spent."""
        posted = self._waiting[Flow.POSTED]
        oldest = posted[0].order if posted else self._order + 1
        ready = [
            waiting[0]
            for flow, waiting in self._waiting.items()
            if waiting and waiting[0].order <= oldest and self._enough(flow, waiting[0].packet)
        ]
        if not ready:
            return None
        chosen = min(ready, key=lambda waiting: waiting.order)
        self._waiting[chosen.flow].popleft()
        self.used[chosen.flow].add(data_credits(chosen.packet))
        return chosen

    def _enough(self, flow: Flow, packet: bytes) -> bool:
        header, data = self.limit[flow].left(self.used[flow])
        return header >= 1 and data >= data_credits(packet)
