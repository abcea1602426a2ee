"""Which of the host's portal pages a guest has mapped, and where (DSA §7.5.2)."""

from hw.regs.bar2 import PAGE_BYTES, Portal, portal

from ..queues import Queue


class Portals:
    """BAR2 of a virtual device: pages of its queue's portals, passed through.

    In place of the MSI-X portals a guest has those for interrupt message storage: the limited one
    of a queue that several guests share, both of a queue of its own. Everywhere else is the dummy
    portal, which takes writes and does nothing (DSA §9.2.21).

    Members
    -------
    mapped
        Whether any page is there; not before the queue is enabled, nor while the device is moved.
    """

    def __init__(self, queue: Queue, *, exclusive: bool) -> None:
        self.mapped = False
        self._queue = queue
        self._pages = {Portal.LIMITED: Portal.LIMITED | Portal.IMS}
        if exclusive:
            self._pages[Portal.UNLIMITED] = Portal.UNLIMITED | Portal.IMS

    def place(self, offset: int) -> int | None:
        """The offset in the host's BAR2 behind one in the guest's; None is the dummy portal."""
        page, within = divmod(offset, PAGE_BYTES)
        if not self.mapped or page not in self._pages:
            return None
        return portal(self._queue.index, self._pages[Portal(page)]) + within
