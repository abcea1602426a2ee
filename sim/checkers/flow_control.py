"""Flow control: a device never uses credits that it was not granted, and returns all it grants."""

from ..host.credits import Flow, Total, data_credits
from ..host.observer import Observer
from ..host.tlp import FLOW, MalformedTlp, Tlp

_FLOWS = {"P": Flow.POSTED, "NP": Flow.NON_POSTED, "CPL": Flow.COMPLETION}
LOGGED = 20


class CreditChecker(Observer):
    """Counts credits in both directions.

    Attributes
    ----------
    errors : list of str
        What was wrong so far.
    """

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._limit: dict[Flow, Total] | None = None
        self._used = {flow: Total(0, 0) for flow in Flow}
        self._initial: dict[Flow, Total] | None = None
        self._spent = {flow: Total(0, 0) for flow in Flow}

    def granted(self, totals: dict[Flow, Total]) -> None:
        """The host's credits to the device are now these."""
        self._limit = {flow: Total(total.header, total.data) for flow, total in totals.items()}

    def advertised(self, totals: dict[Flow, Total]) -> None:
        """The device's credits to the host, before anything was sent."""
        self._initial = totals

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""
        self._spent[flow].add(data_credits(packet))

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        try:
            flow = _FLOWS[FLOW[Tlp.unpack(packet).fmt_type].name]
        except MalformedTlp:
            return
        self._used[flow].add(data_credits(packet))
        if self._limit is None:
            return
        limits = self._limit[flow].left(self._used[flow])
        for kind, left in zip(("header", "data"), limits, strict=True):
            if left < 0 and len(self.errors) < LOGGED:
                self.errors.append(
                    f"clock {clock}: {-left} {_name(flow)} {kind} credits too many were used"
                )

    def returned(self, granted: dict[Flow, Total]) -> None:
        """The device's credits at the end: as many are free as there were at the start."""
        if self._initial is None:
            return
        for flow in Flow:
            free = granted[flow].left(self._spent[flow])
            at_first = self._initial[flow].left(Total(0, 0))
            if free != at_first:
                self.errors.append(
                    f"{_name(flow)} credits (header, data): "
                    f"{at_first} at the start, {free} at the end"
                )

    def finish(self) -> list[str]:
        """Everything that was wrong."""
        return self.errors


def _name(flow: Flow) -> str:
    return flow.name.lower().replace("_", "-")
