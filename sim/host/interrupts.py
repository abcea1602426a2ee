"""The interrupt controller: messages, through the remapping unit, to processors."""

from collections import Counter
from collections.abc import Callable, Sequence

from .memory import Memory
from .remapping import Blocked, Delivery, FaultReason, RemappingUnit

WINDOW_BYTES = 1 << 20
FIRST_VECTOR = 16
"""Those below are exceptions of a processor."""

LOGGED = 100
"""Complaints kept word for word; all are counted."""


class InterruptController:
    """Takes interrupt messages, and counts those that are not what they should be.

    Parameters
    ----------
    memory
        Where the remapping table is.
    window
        Where the 1 MiB of message addresses starts.
    apic_ids
        Of the processors, by their numbers.
    interrupt
        Enters a processor with a vector; returns whether it is anybody's.

    Attributes
    ----------
    unit : RemappingUnit
        Decodes messages.
    delivered, misdirected, malformed : int
        Messages that reached somebody; that reached nobody; and writes that are no messages.
    faults : Counter of FaultReason
        Those of the misdirected and malformed that the remapping unit reports.
    complaints : list of str
        The first of these, as sentences.
    """

    def __init__(
        self,
        memory: Memory,
        window: int,
        apic_ids: Sequence[int],
        interrupt: Callable[[int, int], bool],
    ) -> None:
        self.window = window
        self.unit = RemappingUnit(memory)
        self.delivered = self.misdirected = self.malformed = 0
        self.faults: Counter[FaultReason] = Counter()
        self.complaints: list[str] = []
        self._cpus = {apic: cpu for cpu, apic in enumerate(apic_ids)}
        self._interrupt = interrupt

    @property
    def live(self) -> int:
        """Entries of the remapping table that lead anywhere."""
        return self.unit.present

    def contains(self, address: int) -> bool:
        """Whether a write without PASID to this address is an interrupt message."""
        return self.window <= address < self.window + WINDOW_BYTES

    def deliver(self, address: int, data: int, source: int) -> bool:
        """Take a message of a requester. Returns whether it reached anybody."""
        try:
            delivery = self.unit.decode(address - self.window, data, source)
            if delivery is not None:
                self._take(delivery)
        except Blocked as blocked:
            if blocked.reason is not None:
                self.faults[blocked.reason] += 1
            self.misdirected += 1
            self._complain(f"message {address:#x}={data:#010x} of {source:#06x}: {blocked}")
            return False
        self.delivered += 1
        return True

    def reject(self, why: str) -> None:
        """Count an access to the window that is not a proper message."""
        self.malformed += 1
        self.faults[FaultReason.BAD_REQUEST] += 1
        self._complain(why)

    def _take(self, delivery: Delivery) -> None:
        cpu = self._cpus.get(delivery.destination)
        if cpu is None:
            raise Blocked(f"there is no APIC {delivery.destination}")
        if delivery.vector < FIRST_VECTOR or not self._interrupt(cpu, delivery.vector):
            raise Blocked(f"vector {delivery.vector:#x} of processor {cpu} is nobody's")

    def _complain(self, why: str) -> None:
        if len(self.complaints) < LOGGED:
            self.complaints.append(why)
