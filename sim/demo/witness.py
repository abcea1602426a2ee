"""A host that writes down what the device does, and when."""

from collections import deque
from collections.abc import Callable

from driver.irq import boot
from driver.vector import Vector

from ..host.platform import Host


class Witness(Host):
    """Judges bells by what arrives at the host, whatever the driver makes of it.

    A completion record that is written to the memory of a PASID is owed one bell, by a vector of
    that PASID. A bell that nobody owes is counted as doubled, a record without a bell as lost; one
    that reaches a place which is nobody's, or no longer somebody's, as misdirected.

    Records are told from data by where they are: :meth:`expect_data` names the destinations.

    Members
    -------
    now
        The clock; set it to the transport's before the device works.
    latencies
        Clocks from a completion record's arrival to that of its bell, in the order of the bells.
    bells
        Clock and PASID of every bell.
    records
        Clock and PASID of every completion record.
    doubled
        Bells that nobody owed.
    """

    def __init__(self, window: int = 0xFEE0_0000) -> None:
        super().__init__(window)
        self.now: Callable[[], int] = lambda: 0
        self.latencies: list[int] = []
        self.bells: list[tuple[int, int]] = []
        self.records: list[tuple[int, int]] = []
        self.doubled = 0
        self._owed: dict[int, deque[int]] = {}
        self._data: dict[int, list[range]] = {}

    def expect_data(self, pasid: int, *places: range) -> None:
        """Writes by this PASID to these addresses are data; all others are records."""
        self._data[pasid] = list(places)
        self._owed.setdefault(pasid, deque())

    @property
    def lost(self) -> int:
        """Records whose bell has not come."""
        return sum(len(owed) for owed in self._owed.values())

    @property
    def misdirected(self) -> int:
        """Messages to nowhere, to places given back, or of a form that is none."""
        return self.interrupts.misdirected + self.interrupts.malformed

    def dma_write(self, address: int, data: bytes, pasid: int | None = None) -> None:
        """A write by the device."""
        super().dma_write(address, data, pasid)
        if pasid is None or pasid not in self._data:
            return
        if not any(address in place for place in self._data[pasid]):
            self._owed[pasid].append(self.now())
            self.records.append((self.now(), pasid))

    def interrupt(self, cpu: int, vector: int) -> bool:
        """A processor takes a vector: whose it is decides whose bell it was."""
        desc = boot(self).vector_domain.vector_irq[cpu].get(vector)
        for action in desc.actions if desc else ():
            if isinstance(action.dev_id, Vector) and action.dev_id.pasid is not None:
                self._heard(action.dev_id.pasid)
        return super().interrupt(cpu, vector)

    def _heard(self, pasid: int) -> None:
        now = self.now()
        self.bells.append((now, pasid))
        owed = self._owed.get(pasid)
        if owed:
            self.latencies.append(now - owed.popleft())
        else:
            self.doubled += 1
