"""Posted-interrupt descriptors: interrupts recorded in memory (VT-d §9.11)."""

from ..machine import HostMemory, Machine

DESCRIPTOR_BYTES = 64
PIR_BYTES = 32
CONTROL = 32
"""Offset of the word with ON, SN, NV and NDST."""

OUTSTANDING = 1 << 0
SUPPRESS = 1 << 1
NOTIFICATION_SHIFT = 16
DESTINATION_SHIFT = 32


class PostedDescriptor:
    """A descriptor in the machine's memory.

    The remapping unit sets a bit for each posted interrupt and sends one notification; whoever is
    notified calls :meth:`drain`.

    Parameters
    ----------
    notification
        Vector of the notification.
    destination
        APIC that gets it.
    """

    def __init__(self, machine: Machine, notification: int, destination: int) -> None:
        self._memory: HostMemory = machine.allocate_physical(DESCRIPTOR_BYTES)
        self._store(notification << NOTIFICATION_SHIFT | destination << DESTINATION_SHIFT)

    @property
    def address(self) -> int:
        """Physical address, for :class:`~driver.irq.irqdesc.VcpuData`."""
        return self._memory.address

    @property
    def outstanding(self) -> bool:
        """Whether a notification was sent and nobody has drained since."""
        return bool(self._control() & OUTSTANDING)

    def suppress(self, on: bool) -> None:
        """Only record interrupts, without notification; or notify again."""
        control = self._control()
        self._store(control | SUPPRESS if on else control & ~SUPPRESS)

    def drain(self) -> list[int]:
        """The vectors posted since the last time, in ascending order."""
        self._store(self._control() & ~OUTSTANDING)
        pending = int.from_bytes(self._memory.read(0, PIR_BYTES), "little")
        self._memory.write(bytes(PIR_BYTES), 0)
        return [vector for vector in range(8 * PIR_BYTES) if pending >> vector & 1]

    def free(self) -> None:
        """Give the memory back. No entry may point here any more."""
        self._memory.free()

    def _control(self) -> int:
        return int.from_bytes(self._memory.read(CONTROL, 8), "little")

    def _store(self, control: int) -> None:
        self._memory.write(control.to_bytes(8, "little"), CONTROL)
