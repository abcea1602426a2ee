"""Work queues: their configuration, their life, and their portals."""

import random
from dataclasses import replace

from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, QueueState
from hw.regs.descriptor import DESCRIPTOR_BYTES

from .backoff import Backoff
from .commands import Commands
from .discovery import Capabilities
from .errors import DriverError, QueueFull, SettingsError, SubmissionRejected
from .limits import Limits
from .lock import Lock
from .registers import Registers
from .settings import FIELDS, Mode, QueueSettings, within
from .timeouts import Timeouts
from .transport import Outcome, Transport
from .vector import Vector

PORTAL_BAR = 2
STAGE_BYTES = 8
SLOTS = 64
"""Places in a portal page that are all the same portal."""


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
    occupancy_vector
        What rings when it holds few descriptors; None if it was not asked for.
    """

    def __init__(
        self,
        index: int,
        transport: Transport,
        registers: Registers,
        commands: Commands,
        capabilities: Capabilities,
        timeouts: Timeouts,
        seed: int = 0,
    ) -> None:
        self.index = index
        self.settings: QueueSettings | None = None
        self.outstanding = 0
        self.occupancy_vector: Vector | None = None
        self._transport = transport
        self._registers = registers
        self._commands = commands
        self._capabilities = capabilities
        self._timeouts = timeouts
        self._entry = capabilities.queue_offset + capabilities.queue_stride * index
        self._slot = 0
        self._random = random.Random(f"{seed} {index}")
        self._staging = Lock(transport)

    @property
    def limits(self) -> Limits:
        """What its configuration and the device allow descriptors to ask for."""
        settings, found = self.settings, self._capabilities
        if settings is None:
            raise SettingsError(f"queue {self.index} has no configuration")
        transfer, batch = settings.max_transfer_log2, settings.max_batch_log2
        allowed = settings.operations
        return Limits(
            max_transfer_bytes=1 << (found.max_transfer_log2 if transfer is None else transfer),
            min_batch=1 if found.single_entry_batch else 2,
            max_batch=1 << (found.max_batch_log2 if batch is None else batch),
            operations=found.operations if allowed is None else allowed,
        )

    async def configure(self, settings: QueueSettings) -> None:
        """Write the configuration and read it back. The queue is disabled.

        **Errors** :class:`~driver.errors.SettingsError` before anything is written;
        :class:`~driver.errors.DriverError` if the device did not take it: the size is locked
        while the device is enabled, the rest while the queue is.
        """
        settings.check(self._capabilities)
        handle = None if self.occupancy_vector is None else self.occupancy_vector.index
        words = settings.words(self._capabilities, handle)
        for name, value in words.items():
            await self._registers.store(FIELDS[name], value, self._entry)
        for name, value in words.items():
            found = await self._registers.load(FIELDS[name], self._entry)
            if found != value:
                raise DriverError(
                    f"queue {self.index} did not take its {name}: {value:#x} reads back as "
                    f"{found:#x}; is the queue or the device enabled?"
                )
        self.settings = settings

    async def adopt(self) -> QueueSettings:
        """Take the configuration that it was given by somebody else (DSA §7.5.1)."""
        names = ["size", "threshold", "mode", "limits"]
        names += ["operations"] if self._capabilities.operation_config else []
        words = {name: await self._registers.load(FIELDS[name], self._entry) for name in names}
        self.settings = QueueSettings.of(words, self._capabilities)
        return self.settings

    async def state(self) -> QueueState:
        """Disabled, enabled or busy."""
        return QueueState((await self._status())["state"])

    async def occupancy(self) -> int:
        """Descriptors in the queue now."""
        return (await self._status())["occupancy"]

    def ring_occupancy(self) -> None:
        """Say that the queue holds few descriptors; the handler of its vector."""
        if self.settings is not None and self.settings.on_occupancy is not None:
            self.settings.on_occupancy()

    async def arm_occupancy(self, limit: int) -> None:
        """Let the queue interrupt once, as soon as it holds ``limit`` descriptors or fewer.

        If it does now, it interrupts at once (DSA §9.2.24).
        """
        if self.settings is None or self.occupancy_vector is None:
            raise SettingsError(f"queue {self.index} was given no on_occupancy to call")
        within("occupancy limit", limit, 0, self.settings.size)
        place = FIELDS["occupancy_limit"]
        await self._registers.store(place, place.pack(limit=limit), self._entry)
        await self._registers.store(
            FIELDS["status"], FIELDS["status"].pack(occupancy_interrupt=1), self._entry
        )
        await self._registers.store(place, place.pack(limit=limit, enable=1), self._entry)

    async def disarm_occupancy(self) -> None:
        """Take the request of :meth:`arm_occupancy` back, if it is not too late."""
        await self._registers.store(FIELDS["occupancy_limit"], 0, self._entry)

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

    def forget(self) -> None:
        """The device was reset: it has no configuration, no vector and nothing under way."""
        self.settings = self.occupancy_vector = None
        self.outstanding = 0

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
        """Send 64 bytes by posted write (MOVDIR64B); a full queue drops them and reports it.

        A staged queue gets them in eight writes, of which the last submits.
        """
        place = self._place(descriptor, Portal.UNLIMITED if portal_kind is None else portal_kind)
        if self.settings is not None and self.settings.staged:
            async with self._staging:
                for low in range(0, DESCRIPTOR_BYTES, STAGE_BYTES):
                    piece = descriptor[low : low + STAGE_BYTES]
                    await self._transport.write(PORTAL_BAR, place + low, piece)
            return
        await self._transport.write(PORTAL_BAR, place, descriptor)

    async def submit(self, descriptor: bytes, *, ims: bool = True) -> int:
        """Submit 64 bytes in the queue's way; a full queue is tried again, ever more slowly.

        Returns how often it was tried again. Each submission is answered by one :meth:`retire`
        when the descriptor has completed.

        **Errors** :class:`~driver.errors.QueueFull` when the submit timeout is over,
        :class:`~driver.errors.SubmissionRejected` when the device answers with an error.
        """
        deadline = self._transport.now() + self._timeouts.submit
        backoff, tries = Backoff(self._random), 0
        while not await self._offer(self._configured(), descriptor, ims):
            if self._transport.now() >= deadline:
                raise QueueFull(f"queue {self.index} was full for {self._timeouts.submit} clocks")
            await self._transport.sleep(backoff.pause())
            tries += 1
        return tries

    def _configured(self) -> QueueSettings:
        """Its configuration, which a reset may have taken away while a submission was retried."""
        if self.settings is None:
            raise SettingsError(f"queue {self.index} has no configuration")
        return self.settings

    def retire(self) -> None:
        """Count a descriptor submitted by :meth:`submit` as completed."""
        self.outstanding -= 1

    async def _offer(self, settings: QueueSettings, descriptor: bytes, ims: bool) -> bool:
        table = Portal.IMS if ims else Portal(0)
        if settings.mode is Mode.DEDICATED:
            if self.outstanding >= settings.size:
                return False
            self.outstanding += 1
            try:
                await self.post(descriptor, Portal.UNLIMITED | table)
            except BaseException:
                self.outstanding -= 1
                raise
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
        return FIELDS["status"].unpack(await self._registers.load(FIELDS["status"], self._entry))
