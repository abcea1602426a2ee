"""What those who watch the link get to see."""

from .credits import Flow, Total


class Observer:
    """Sees every TLP on the wire and every credit. Checkers derive from it."""

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device; its first beat was offered in clock ``start``."""

    def advertised(self, totals: dict[Flow, Total]) -> None:
        """The device's credits to the host, before anything was sent."""

    def granted(self, totals: dict[Flow, Total]) -> None:
        """The host's credits to the device are now these."""

    def returned(self, granted: dict[Flow, Total]) -> None:
        """The device's credits to the host at the end of the bench, when nothing is under way."""

    def finish(self) -> list[str]:
        """Called at the end of the bench. Everything that was wrong, as sentences."""
        return []
