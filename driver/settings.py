"""What a queue can be given, checked before the hardware sees it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from hw.regs.bar0 import QUEUE_CONFIG

from .discovery import Capabilities
from .errors import SettingsError

FIELDS = {register.name: register for register in QUEUE_CONFIG}
"""Registers of a queue's entry in WQCFG."""


class Mode(enum.Enum):
    """Who submits to a queue, and how."""

    SHARED = "shared"
    """Many tenants, each with its PASID in the descriptor, by deferrable write (ENQCMD)."""
    DEDICATED = "dedicated"
    """One tenant that counts its descriptors, by posted write (MOVDIR64B)."""


@dataclass(frozen=True, kw_only=True)
class QueueSettings:
    """Configuration of one queue.

    Parameters
    ----------
    size
        Descriptors that it holds. All queues together share the device's slots.
    mode
        Shared or dedicated.
    threshold
        Shared queues: descriptors up to which limited portals accept; ``size`` if None.
    priority
        1 to 15, higher is served more often.
    pasid
        Dedicated queues: the tenant; None for the memory of the function itself.
    max_transfer_log2, max_batch_log2
        Largest transfer in bytes and batch in descriptors; the device's limits if None.
    operations
        Bit n: opcode n is allowed; everything that the device implements if None.
    staged
        Dedicated queues: submit by eight writes of 8 bytes, for hosts that cannot write 64 bytes
        at once.
    on_occupancy
        Called when the queue holds few descriptors; :meth:`driver.queues.Queue.arm_occupancy` says
        how few, and lets it happen once.
    """

    size: int
    mode: Mode = Mode.SHARED
    threshold: int | None = None
    priority: int = 8
    pasid: int | None = None
    max_transfer_log2: int | None = None
    max_batch_log2: int | None = None
    operations: int | None = None
    staged: bool = False
    on_occupancy: Callable[[], None] | None = None

    @classmethod
    def of(cls, words: dict[str, int], capabilities: Capabilities) -> "QueueSettings":
        """What register values of a WQCFG entry say, as :meth:`words` writes them."""
        mode = FIELDS["mode"].unpack(words["mode"])
        limits = FIELDS["limits"].unpack(words["limits"])
        return cls(
            size=words["size"],
            mode=Mode.DEDICATED if mode["dedicated"] else Mode.SHARED,
            threshold=None if mode["dedicated"] else words["threshold"],
            priority=mode["priority"],
            pasid=mode["pasid"] if mode["dedicated"] and mode["pasid_enable"] else None,
            max_transfer_log2=limits["max_transfer_log2"],
            max_batch_log2=limits["max_batch_log2"],
            operations=words["operations"] if capabilities.operation_config else None,
        )

    def check(self, capabilities: Capabilities) -> None:
        """Refuse what the device would refuse, in one sentence."""
        shared = self.mode is Mode.SHARED
        if not (capabilities.shared if shared else capabilities.dedicated):
            raise SettingsError(f"the device has no {self.mode.value} queues")
        within("size", self.size, 1, capabilities.queue_slots)
        within("priority", self.priority, 1, 15)
        if self.threshold is not None:
            if not shared:
                raise SettingsError("a dedicated queue has no threshold")
            within("threshold", self.threshold, 1, self.size)
        if self.pasid is not None:
            if shared:
                raise SettingsError("the PASID of a shared queue comes with each descriptor")
            within("PASID", self.pasid, 0, (1 << capabilities.pasid_width) - 1)
        if self.max_transfer_log2 is not None:
            limit = capabilities.max_transfer_log2
            within("max_transfer_log2", self.max_transfer_log2, 0, limit)
        if self.max_batch_log2 is not None:
            low = 0 if capabilities.single_entry_batch else 1
            within("max_batch_log2", self.max_batch_log2, low, capabilities.max_batch_log2)
        if self.operations is not None and self.operations & ~capabilities.operations:
            raise SettingsError(
                f"operations {self.operations & ~capabilities.operations:#x} are not implemented"
            )

        if self.staged and shared:
            raise SettingsError("only dedicated queues take descriptors in pieces")
        if self.staged and not capabilities.staged_submission:
            raise SettingsError("the device does not take descriptors in pieces")
        if self.on_occupancy is not None and not capabilities.occupancy_interrupt:
            raise SettingsError("the device's queues do not interrupt when they run empty")

    def words(
        self, capabilities: Capabilities, occupancy_handle: int | None = None
    ) -> dict[str, int]:
        """Register values of the queue's WQCFG entry, by name.

        ``occupancy_handle`` is the entry of interrupt message storage that rings when the queue
        holds few descriptors.
        """
        shared = self.mode is Mode.SHARED
        transfer, batch = self.max_transfer_log2, self.max_batch_log2
        words = {
            "size": self.size,
            "threshold": (self.threshold or self.size) if shared else 0,
            "mode": FIELDS["mode"].pack(
                dedicated=int(not shared),
                priority=self.priority,
                pasid=self.pasid or 0,
                pasid_enable=int(shared or self.pasid is not None),
            ),
            "limits": FIELDS["limits"].pack(
                max_transfer_log2=capabilities.max_transfer_log2 if transfer is None else transfer,
                max_batch_log2=capabilities.max_batch_log2 if batch is None else batch,
            ),
        }
        if occupancy_handle is not None:
            words["occupancy_handle"] = FIELDS["occupancy_handle"].pack(
                handle=occupancy_handle, ims=1
            )
        if capabilities.operation_config:
            everything = capabilities.operations
            words["operations"] = everything if self.operations is None else self.operations
        return words


def within(name: str, value: int, low: int, high: int) -> None:
    """Refuse a value that is not from ``low`` to ``high``."""
    if not low <= value <= high:
        raise SettingsError(f"a queue's {name} is {low} to {high}, not {value}")
