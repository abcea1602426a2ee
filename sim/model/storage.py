"""All of a device's vectors: tables on the device, and entries in the host's memory."""

from collections.abc import Callable

from hw.regs.config import Config

from .host_store import HostStore
from .messages import MessageStore


class Storage:
    """Asks the store in which a vector is.

    Parameters are those of :class:`.messages.MessageStore` and :class:`.host_store.HostStore`.

    Members
    -------
    tables : MessageStore
    host : HostStore
    """

    def __init__(
        self,
        config: Config,
        fetch: Callable[[int, int], bytes],
        send: Callable[[int, int], None],
        report: Callable[[int, int], None],
    ):
        self.tables = MessageStore(config, send)
        self.host = HostStore(config, fetch, send, report)

    def settings(self, *, enable: bool, function_mask: bool, bus_master: bool) -> None:
        """MSI-X Enable, Function Mask and Bus Master Enable; sends what they held back."""
        self.tables.settings(enable=enable, function_mask=function_mask, bus_master=bus_master)
        self.host.allow(bus_master)

    def reset(self) -> None:
        """Everything to its value after power-on."""
        self.tables.reset()
        self.host.configure(enabled=False, base=0, count=0)

    def reset_ims(self) -> None:
        """Reset Device (DSA §9.2)."""
        self.tables.reset_ims()
        self.host.configure(enabled=False, base=0, count=0)

    def exists(self, ims: bool, index: int) -> bool:
        """Whether there is such an entry."""
        if ims and self.host.enabled:
            return self.host.exists(index)
        return self.tables.exists(ims, index)

    def check(self, ims: bool, index: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether a descriptor may ring a vector (DSA §5.4)."""
        if ims and self.host.enabled:
            return self.host.check(index, pasid, pasid_enable)
        return self.tables.check(ims, index, pasid, pasid_enable)

    def event(self, ims: bool, index: int, *, completion: bool) -> None:
        """Something happened that this vector tells of."""
        if ims and self.host.enabled:
            self.host.event(index, completion=completion)
        else:
            self.tables.event(ims, index, completion=completion)

    @property
    def pending(self) -> int:
        """How many vectors hold an event."""
        return self.tables.pending + len(self.host.held)
