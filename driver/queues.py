"""Work queues: their configuration, their life, and their portals."""

import enum
from dataclasses import dataclass, replace

from hw.regs.bar0 import QUEUE_CONFIG
from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, QueueState
from hw.regs.descriptor import DESCRIPTOR_BYTES

from .commands import Commands
from .discovery import Capabilities
from .errors import DriverError, QueueFull, SettingsError, SubmissionRejected
from .registers import Registers
from .timeouts import Timeouts
from .transport import Outcome, Transport

PORTAL_BAR = 2
SLOTS = 64
"""Places in a portal page that are all the same portal."""

FIRST_PAUSE_CYCLES, LAST_PAUSE_CYCLES = 16, 1024
"""Back-off of submissions to a full queue: doubled from the first to the last."""

_FIELDS = {register.name: register for register in QUEUE_CONFIG}


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
    """

    size: int
    mode: Mode = Mode.SHARED
    threshold: int | None = None
    priority: int = 8
    pasid: int | None = None
    max_transfer_log2: int | None = None
    max_batch_log2: int | None = None
    operations: int | None = None

    def check(self, capabilities: Capabilities) -> None:
        """Refuse what the device would refuse, in one sentence."""
        shared = self.mode is Mode.SHARED
        if not (capabilities.shared if shared else capabilities.dedicated):
            raise SettingsError(f"the device has no {self.mode.value} queues")
        _within("size", self.size, 1, capabilities.queue_slots)
        _within("priority", self.priority, 1, 15)
        if self.threshold is not None:
            if not shared:
                raise SettingsError("a dedicated queue has no threshold")
            _within("threshold", self.threshold, 1, self.size)
        if self.pasid is not None:
            if shared:
                raise SettingsError("the PASID of a shared queue comes with each descriptor")
            _within("PASID", self.pasid, 0, (1 << capabilities.pasid_width) - 1)
        if self.max_transfer_log2 is not None:
            limit = capabilities.max_transfer_log2
            _within("max_transfer_log2", self.max_transfer_log2, 0, limit)
        if self.max_batch_log2 is not None:
            _within("max_batch_log2", self.max_batch_log2, 0, capabilities.max_batch_log2)
        if self.operations is not None and self.operations & ~capabilities.operations:
            raise SettingsError(
                f"operations {self.operations & ~capabilities.operations:#x} are not implemented"
            )

    def words(self, capabilities: Capabilities) -> dict[str, int]:
        """Register values of the queue's WQCFG entry, by name."""
        shared = self.mode is Mode.SHARED
        transfer, batch = self.max_transfer_log2, self.max_batch_log2
        words = {
            "size": self.size,
            "threshold": (self.threshold or self.size) if shared else 0,
            "mode": _FIELDS["mode"].pack(
                dedicated=int(not shared),
                priority=self.priority,
                pasid=self.pasid or 0,
                pasid_enable=int(shared or self.pasid is not None),
            ),
            "limits": _FIELDS["limits"].pack(
                max_transfer_log2=capabilities.max_transfer_log2 if transfer is None else transfer,
                max_batch_log2=capabilities.max_batch_log2 if batch is None else batch,
            ),
        }
        if capabilities.operation_config:
            everything = capabilities.operations
            words["operations"] = everything if self.operations is None else self.operations
        return words


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SettingsError(f"a queue's {name} is {low} to {high}, not {value}")


class Queue:
    """One work queue.

    Members
    -------
    index
        Its number.
    settings
        Its configuration, or None before there is one.
    outstanding
        Descriptors submitted by :meth:`submit` and not yet reported by :meth:`retire`; what a
        dedicated queue, which never says that it is full, is throttled by.
    """

    def __init__(
        self,
        index: int,
        transport: Transport,
        registers: Registers,
        commands: Commands,
        capabilities: Capabilities,
        timeouts: Timeouts,
    ) -> None:
        self.index = index
        self.settings: QueueSettings | None = None
        self.outstanding = 0
        self._transport = transport
        self._registers = registers
        self._commands = commands
        self._capabilities = capabilities
        self._timeouts = timeouts
        self._entry = capabilities.queue_offset + capabilities.queue_stride * index
        self._slot = 0

    async def configure(self, settings: QueueSettings) -> None:
        """Write the configuration and read it back. The queue is disabled.

        **Errors** :class:`~driver.errors.SettingsError` before anything is written;
        :class:`~driver.errors.DriverError` if the device did not take it: the size is locked
        while the device is enabled, the rest while the queue is.
        """
        settings.check(self._capabilities)
        words = settings.words(self._capabilities)
        for name, value in words.items():
            await self._registers.store(_FIELDS[name], value, self._entry)
        for name, value in words.items():
            found = await self._registers.load(_FIELDS[name], self._entry)
            if found != value:
                raise DriverError(
                    f"queue {self.index} did not take its {name}: {value:#x} reads back as "
                    f"{found:#x}; is the queue or the device enabled?"
                )
        self.settings = settings

    async def state(self) -> QueueState:
        """Disabled, enabled or busy."""
        return QueueState((await self._status())["state"])

    async def occupancy(self) -> int:
        """Descriptors in the queue now."""
        return (await self._status())["occupancy"]

    async def enable(self) -> None:
        """Let it accept descriptors. The device is enabled."""
        await self._commands.execute(Command.ENABLE_QUEUE, self.index)

    async def disable(self) -> None:
        """Accept no more descriptors, and wait until those inside have completed."""
        await self._commands.execute(Command.DISABLE_QUEUE, self._bit)

    async def drain(self) -> None:
        """Wait until every descriptor inside has completed and interrupted."""
        await self._commands.execute(Command.DRAIN_QUEUE, self._bit)

    async def abort(self) -> None:
        """Discard the descriptors inside; when this returns, none of them writes any more."""
        await self._commands.execute(Command.ABORT_QUEUE, self._bit)

    async def reset(self) -> None:
        """Disable it and clear its configuration but for its size."""
        await self._commands.execute(Command.RESET_QUEUE, self._bit)
        self.settings = None

    async def assign(self, pasid: int | None) -> None:
        """Hand a dedicated queue to a tenant and enable it; with None, leave it disabled."""
        if self.settings is None:
            raise SettingsError(f"queue {self.index} has no configuration")
        if await self.state() is not QueueState.DISABLED:
            await self.disable()
        await self.configure(replace(self.settings, pasid=pasid))
        if pasid is not None:
            await self.enable()

    async def enqueue(self, descriptor: bytes, portal_kind: Portal | None = None) -> Outcome:
        """Offer 64 bytes once, by deferrable write (ENQCMD)."""
        place = self._place(descriptor, Portal.LIMITED if portal_kind is None else portal_kind)
        return await self._transport.deferrable_write(PORTAL_BAR, place, descriptor)

    async def post(self, descriptor: bytes, portal_kind: Portal | None = None) -> None:
        """Send 64 bytes by posted write (MOVDIR64B); a full queue drops them and reports it."""
        place = self._place(descriptor, Portal.UNLIMITED if portal_kind is None else portal_kind)
        await self._transport.write(PORTAL_BAR, place, descriptor)

    async def submit(self, descriptor: bytes, *, ims: bool = True) -> int:
        """Submit 64 bytes in the queue's way; a full queue is tried again, ever more slowly.

        Returns how often it was tried again. Each submission is answered by one :meth:`retire`
        when the descriptor has completed.

        **Errors** :class:`~driver.errors.QueueFull` when the submit timeout is over,
        :class:`~driver.errors.SubmissionRejected` when the device answers with an error.
        """
        if self.settings is None:
            raise SettingsError(f"queue {self.index} has no configuration")
        deadline = self._transport.now() + self._timeouts.submit
        pause, tries = FIRST_PAUSE_CYCLES, 0
        while not await self._offer(self.settings, descriptor, ims):
            if self._transport.now() >= deadline:
                raise QueueFull(f"queue {self.index} was full for {self._timeouts.submit} clocks")
            await self._transport.sleep(pause)
            pause, tries = min(2 * pause, LAST_PAUSE_CYCLES), tries + 1
        return tries

    def retire(self) -> None:
        """Count a descriptor submitted by :meth:`submit` as completed."""
        self.outstanding -= 1

    async def _offer(self, settings: QueueSettings, descriptor: bytes, ims: bool) -> bool:
        table = Portal.IMS if ims else Portal(0)
        if settings.mode is Mode.DEDICATED:
            if self.outstanding >= settings.size:
                return False
            self.outstanding += 1
            await self.post(descriptor, Portal.UNLIMITED | table)
            return True
        outcome = await self.enqueue(descriptor, Portal.LIMITED | table)
        if outcome is Outcome.REJECTED:
            raise SubmissionRejected(f"queue {self.index} answered a submission with an error")
        self.outstanding += outcome is Outcome.ACCEPTED
        return outcome is Outcome.ACCEPTED

    def _place(self, descriptor: bytes, kind: Portal) -> int:
        if len(descriptor) != DESCRIPTOR_BYTES:
            raise ValueError(f"a portal takes {DESCRIPTOR_BYTES} bytes, not {len(descriptor)}")
        self._slot = (self._slot + 1) % SLOTS
        return portal(self.index, kind, self._slot)

    @property
    def _bit(self) -> int:
        """This queue as commands name it that take several at once."""
        return 1 << self.index % 16 | self.index // 16 << 16

    async def _status(self) -> dict[str, int]:
        return _FIELDS["status"].unpack(await self._registers.load(_FIELDS["status"], self._entry))
