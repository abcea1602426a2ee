"""The interrupt controller: every target has an address and data of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field

from driver.transport import Message

ADDRESS_BITS, DATA_BITS = 18, 32
LOGGED = 100
"""Complaints kept word for word; all are counted."""


@dataclass(eq=False)
class Target:
    """A place that one message leads to (:class:`driver.transport.InterruptTarget`)."""

    controller: "InterruptController"
    number: int
    message: Message
    handler: Callable[[], None]
    delivered: int = 0
    released: bool = False

    def release(self) -> None:
        """Give the target back. Its message is never given to another."""
        if self.released:
            raise ValueError(f"target {self.number} has been released before")
        self.released = True
        self.controller.live -= 1


@dataclass
class InterruptController:
    """Takes interrupt messages, and counts those that are not what they should be.

    No two targets share an address (up to 2**18 of them) or data, and both use all of their bits,
    so a message made of one entry's address and another's data leads nowhere.

    Parameters
    ----------
    window
        Where the 1 MiB of message addresses starts.
    """

    window: int = 0xFEE0_0000
    delivered: int = 0
    misdirected: int = 0
    malformed: int = 0
    live: int = 0
    complaints: list[str] = field(default_factory=list)
    _targets: list[Target] = field(default_factory=list)
    _by_message: dict[tuple[int, int], Target] = field(default_factory=dict)
    _by_address: dict[int, Target] = field(default_factory=dict)

    def allocate(self, handler: Callable[[], None]) -> Target:
        """A new target. The handler is called once for each message."""
        number = len(self._targets)
        # Multiplication by an odd number permutes, so neither address nor data repeats.
        low = (number * 0x2_4C3D + 0x1_5A5B) % (1 << ADDRESS_BITS)
        data = (number * 0x9E37_79B1 + 0x8000_00A5) % (1 << DATA_BITS)
        message = Message(self.window + 4 * low, data)
        target = Target(self, number, message, handler)
        self._targets.append(target)
        self._by_message[message.address, message.data] = target
        self._by_address[message.address] = target
        self.live += 1
        return target

    def contains(self, address: int) -> bool:
        """Whether a write without PASID to this address is an interrupt message."""
        return self.window <= address < self.window + (1 << 20)

    def deliver(self, address: int, data: int) -> Target | None:
        """Take a message. Returns its target, or None if it is misdirected."""
        target = self._by_message.get((address, data))
        if target is None:
            other = self._by_address.get(address)
            blame = (
                f"the address is target {other.number}'s, the data is not" if other else "unknown"
            )
            self._misdirected(f"message {address:#x}={data:#010x}: {blame}")
            return None
        if target.released:
            self._misdirected(f"message {address:#x}={data:#010x}: target was released")
            return None
        self.delivered += 1
        target.delivered += 1
        target.handler()
        return target

    def reject(self, why: str) -> None:
        """Count a write into the window that is not a proper message."""
        self.malformed += 1
        self._complain(why)

    def _misdirected(self, why: str) -> None:
        self.misdirected += 1
        self._complain(why)

    def _complain(self, why: str) -> None:
        if len(self.complaints) < LOGGED:
            self.complaints.append(why)
