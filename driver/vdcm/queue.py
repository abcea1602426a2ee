"""The one queue of a virtual device, and the host's behind it (DSA §7.5.1, Table 9-7)."""

from collections.abc import Iterable
from dataclasses import replace

from hw.regs.commands import Command, QueueState

from ..device import Device
from ..queues import Queue
from ..settings import FIELDS, Mode, QueueSettings
from .image import Image
from .layout import Layout
from .pasids import Pasids
from .portals import Portals

GUEST_FIELDS = ("dedicated", "pasid", "pasid_enable", "privileged")
"""What mode support lets a guest choose, besides the threshold."""


class VirtualQueue:
    """What the guest sees of its queue, and what becomes of the host's.

    A queue that several guests share is enabled by the host; enabling it is then only a matter of
    mapping its portal. A queue of one guest is configured and enabled when the guest says so.

    Members
    -------
    state
        As the guest sees it.
    queue
        The host's.
    """

    def __init__(
        self,
        device: Device,
        queue: Queue,
        layout: Layout,
        image: Image,
        pasids: Pasids,
        portals: Portals,
    ) -> None:
        self.state = QueueState.DISABLED
        self.queue = queue
        self._device = device
        self._layout = layout
        self._image = image
        self._pasids = pasids
        self._portals = portals
        self._entry = layout.bar0.table("wqcfg").entry(0)

    def write(self, offset: int, value: int) -> None:
        """A 4-byte write into the entry: what the guest may not change is as it was."""
        if not self._layout.exclusive or self.state is not QueueState.DISABLED:
            return
        if offset == FIELDS["threshold"].offset:
            size = self._layout.settings.size
            self._image.put(FIELDS["threshold"], min(value & 0xFFFF, size), self._entry)
        elif offset == FIELDS["mode"].offset:
            mode = FIELDS["mode"]
            wanted = mode.unpack(value)
            chosen = {name: wanted[name] for name in GUEST_FIELDS}
            self._image.set(mode, self._entry, **chosen)

    def reset(self) -> None:
        """As the host has configured it."""
        self._layout.lay_queue(self._image)

    async def enable(self) -> None:
        """Let the guest submit."""
        if self._layout.exclusive:
            await self._configure()
            await self.queue.enable()
        self._set_state(QueueState.ENABLED)
        self._portals.mapped = True

    async def disable(self) -> None:
        """No more submissions; wait for those inside."""
        if self.state is QueueState.DISABLED:
            return
        self._portals.mapped = False
        if self._layout.exclusive:
            await self.queue.disable()
        else:
            await self.quiesce(Command.DRAIN_PASID, self._pasids.hosts)
        self._set_state(QueueState.DISABLED)

    async def quiesce(self, command: Command, pasids: Iterable[int]) -> None:
        """Drain or abort what the guest has submitted under these host PASIDs."""
        for pasid in pasids:
            await self._device.command(command, pasid)

    def restore(self, state: QueueState) -> None:
        """The state that it had elsewhere; :meth:`enable` makes it so."""
        self._set_state(state)

    async def release(self) -> None:
        """The host's queue as it was before it became the guest's; it is disabled."""
        if self._layout.exclusive:
            await self.queue.configure(self._layout.settings)

    async def _configure(self) -> None:
        """The host's queue as the guest wants it, with a host PASID in any case."""
        mode = FIELDS["mode"].unpack(self._image.get(FIELDS["mode"], self._entry))
        threshold = self._image.get(FIELDS["threshold"], self._entry)
        guest = mode["pasid"] if mode["pasid_enable"] else None
        base = self._layout.settings
        settings: QueueSettings
        if mode["dedicated"]:
            pasid = self._pasids.host(guest)
            settings = replace(base, mode=Mode.DEDICATED, threshold=None, pasid=pasid)
        else:
            settings = replace(
                base, mode=Mode.SHARED, threshold=threshold or None, pasid=None, staged=False
            )
        await self.queue.configure(settings)

    def _set_state(self, state: QueueState) -> None:
        self.state = state
        self._image.set(FIELDS["status"], self._entry, state=int(state))
