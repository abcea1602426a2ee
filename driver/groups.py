"""Groups: which engines serve which queues (DSA §3.4, chapter 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

from hw.regs.bar0 import GROUP_CONFIG, GROUP_CONFIG_BYTES

from .discovery import Capabilities
from .errors import SettingsError
from .registers import Registers

_FIELDS = {register.name: register for register in GROUP_CONFIG}

READ_BUFFERS_PER_ENGINE = 4
"""An engine that may use fewer cannot work (DSA §9.2.23)."""


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """Configuration of one group: any of its engines takes work from any of its queues.

    Parameters
    ----------
    queues, engines
        Their numbers; one or more of each, and none in two groups.
    read_buffers_reserved
        Reads in flight that no other group can take away.
    read_buffers_allowed
        Most reads in flight at once, those reserved included; as many as there are if None.
    """

    queues: Sequence[int]
    engines: Sequence[int]
    read_buffers_reserved: int = 0
    read_buffers_allowed: int | None = None


class Groups:
    """The group table of a device. Everything is checked before anything is written."""

    def __init__(self, registers: Registers, capabilities: Capabilities) -> None:
        self._registers = registers
        self._capabilities = capabilities

    def everything(self, queues: Sequence[int]) -> list[GroupSettings]:
        """One group of these queues and all engines."""
        return [GroupSettings(queues=queues, engines=range(self._capabilities.engines))]

    async def configure(self, groups: Sequence[GroupSettings], queues: Sequence[int]) -> None:
        """Write all groups; ``queues`` have a configuration. The device is disabled.

        **Errors** :class:`~driver.errors.SettingsError` before anything is written.
        """
        self.check(groups, queues)
        spare = self._spare(groups)
        for index in range(self._capabilities.groups):
            base = self._capabilities.group_offset + GROUP_CONFIG_BYTES * index
            group = groups[index] if index < len(groups) else None
            words = {"queues": 0, "engines": 0, "flags": 0}
            if group is not None:
                words["queues"] = sum(1 << item for item in group.queues)
                words["engines"] = sum(1 << item for item in group.engines)
                if self._capabilities.read_buffers:
                    words["flags"] = _FIELDS["flags"].pack(
                        read_buffers_reserved=group.read_buffers_reserved,
                        read_buffers_allowed=self._allowed(group, spare),
                    )
            for name, value in words.items():
                await self._registers.store(_FIELDS[name], value, base)

    def check(self, groups: Sequence[GroupSettings], queues: Sequence[int]) -> None:
        """Refuse what the device would refuse, in one sentence."""
        found = self._capabilities
        if len(groups) > found.groups:
            raise SettingsError(f"the device has {found.groups} groups, not {len(groups)}")
        for index, group in enumerate(groups):
            if not (group.queues and group.engines):
                raise SettingsError(f"group {index} needs 1 queue and 1 engine or more")
        _distinct("queue", [item for group in groups for item in group.queues], found.queues)
        _distinct("engine", [item for group in groups for item in group.engines], found.engines)
        grouped = {item for group in groups for item in group.queues}
        for queue in queues:
            if queue not in grouped:
                raise SettingsError(f"queue {queue} has a configuration, but no group")
        for queue in sorted(grouped - set(queues)):
            raise SettingsError(f"queue {queue} is in a group, but has no configuration")
        self._check_read_buffers(groups)

    def _check_read_buffers(self, groups: Sequence[GroupSettings]) -> None:
        total = self._capabilities.read_buffers
        limited = (item.read_buffers_reserved or item.read_buffers_allowed for item in groups)
        if not total:
            if any(limited):
                raise SettingsError("the device has no limits on the read buffers of groups")
            return
        spare = self._spare(groups)
        if spare < 0:
            raise SettingsError(
                f"the groups reserve {total - spare} read buffers; the device has {total}"
            )
        for index, group in enumerate(groups):
            reserved = group.read_buffers_reserved
            low = max(READ_BUFFERS_PER_ENGINE * len(group.engines), reserved)
            if reserved < 0 or not low <= self._allowed(group, spare) <= reserved + spare:
                raise SettingsError(
                    f"group {index} is allowed {low} to {reserved + spare} read buffers, "
                    f"not {self._allowed(group, spare)}"
                )

    def _spare(self, groups: Sequence[GroupSettings]) -> int:
        """Read buffers that nobody reserves."""
        reserved = sum(group.read_buffers_reserved for group in groups)
        return self._capabilities.read_buffers - reserved

    @staticmethod
    def _allowed(group: GroupSettings, spare: int) -> int:
        if group.read_buffers_allowed is None:
            return group.read_buffers_reserved + spare
        return group.read_buffers_allowed


def _distinct(name: str, members: Sequence[int], count: int) -> None:
    for member in members:
        if not 0 <= member < count:
            raise SettingsError(f"the device has {name}s 0 to {count - 1}, not {member}")
        if members.count(member) > 1:
            raise SettingsError(f"{name} {member} is in a group twice")
