"""What a device is configured with before it is enabled: queues, groups, event log, extensions."""

from collections.abc import Sequence

from .discovery import Capabilities
from .errors import SettingsError
from .event_log import EventLog
from .groups import Groups, GroupSettings
from .queues import Queue
from .registers import Registers
from .settings import QueueSettings
from .vectors import Vectors


class Configuration:
    """Writes it, after all of it has been checked.

    Parameters
    ----------
    queues
        All queues of the device.
    event_log
        Its event log, which may be without memory.
    """

    def __init__(
        self,
        registers: Registers,
        capabilities: Capabilities,
        vectors: Vectors,
        queues: Sequence[Queue],
        event_log: EventLog,
    ) -> None:
        self._registers = registers
        self._capabilities = capabilities
        self._vectors = vectors
        self._queues = queues
        self._event_log = event_log
        self._groups = Groups(registers, capabilities)
        self._staging = False

    def check(
        self,
        chosen: dict[Queue, QueueSettings],
        groups: Sequence[GroupSettings] | None,
        event_log_entries: int,
    ) -> None:
        """Refuse what the device would refuse, before anything is written."""
        for item in chosen.values():
            item.check(self._capabilities)
        sizes = {queue: queue.settings for queue in self._queues if queue.settings} | chosen
        total = sum(item.size for item in sizes.values())
        if total > self._capabilities.queue_slots:
            raise SettingsError(
                f"the queues need {total} descriptors together; the device holds "
                f"{self._capabilities.queue_slots}"
            )
        if groups is not None:
            self._groups.check(groups, [queue.index for queue in sizes])
        self._event_log.check(event_log_entries)

    async def set_queues(self, chosen: dict[Queue, QueueSettings]) -> None:
        """Give queues their settings, and those that ask for it a vector that tells occupancy."""
        for queue, item in chosen.items():
            if item.on_occupancy is not None and queue.occupancy_vector is None:
                queue.occupancy_vector = await self._vectors.allocate(queue.ring_occupancy)
            await queue.configure(item)

    async def set_device(
        self, groups: Sequence[GroupSettings] | None, event_log_entries: int
    ) -> None:
        """Configure groups, event log and extensions. The device is disabled."""
        members = [queue.index for queue in self._queues if queue.settings is not None]
        if not members:
            raise SettingsError("no queue has a configuration, so there is nothing to enable")
        if self._capabilities.configurable:
            chosen = self._groups.everything(members) if groups is None else groups
            await self._groups.configure(chosen, members)
        elif groups is not None:
            raise SettingsError("the device's groups cannot be configured; leave them out")
        await self._event_log.configure(event_log_entries)
        await self._registers.write_fields(
            "gencfg", user_interrupts=1, event_log=int(self._event_log.enabled)
        )
        settings = (queue.settings for queue in self._queues)
        staging = any(item is not None and item.staged for item in settings)
        if staging != self._staging:
            await self._registers.write_fields("ext_control", staged_submission=int(staging))
            self._staging = staging

    def forget(self) -> None:
        """The device was reset: none of it is there any more."""
        self._event_log.free()
        self._staging = False
        for queue in self._queues:
            queue.forget()
