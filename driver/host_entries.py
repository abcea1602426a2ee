"""Entries of interrupt message storage in the host's memory, and the command that syncs them.

The rules, beside those of :mod:`driver.entries`:

- The device may read an entry at any time, and keep what it read. So an entry is masked before its
  message changes, and every store is one aligned 8-byte word or less: whenever the device looks, it
  finds an entry that is masked or whole.
- A change is effective when a sync that began after it has ended. The old copy is gone then, and
  the read that says so has pushed every message made from it ahead of itself (PCIe Base 6.x
  §2.4.1).
- The memory is the device's until it was reset.
"""

from hw.regs.extension import EXTENSION

from .discovery import Capabilities
from .entries import ENTRY_BYTES, IGNORE, MASK, check_message
from .errors import CommandTimeout, SettingsError, VectorError
from .registers import Registers
from .timeouts import Timeouts
from .transport import Buffer, Message, Transport

TABLE_ALIGN = 4096
CONTROL_OFFSET, CONTROL_BYTES = 12, 4
POLL_CYCLES = 64

_SYNC = next(register for register in EXTENSION if register.name == "ext_sync")


class HostEntries:
    """The table in memory, where the device finds it, and what of it has changed since its sync.

    Members
    -------
    count
        How many entries there are; 0 while interrupt message storage is on the device.
    changed
        Entries that the device may not have seen as they are now.

    **Errors** :class:`~driver.errors.CommandTimeout` if a sync does not end.
    """

    def __init__(
        self,
        transport: Transport,
        registers: Registers,
        capabilities: Capabilities,
        timeouts: Timeouts,
    ) -> None:
        self.count = 0
        self.changed: set[int] = set()
        self._transport = transport
        self._registers = registers
        self._capabilities = capabilities
        self._timeouts = timeouts
        self._buffer: Buffer | None = None

    def check_count(self, count: int) -> None:
        """Refuse a size that the device would refuse; 0 leaves things as they are."""
        most = self._capabilities.host_vectors
        if count and not most:
            raise SettingsError("the device takes no interrupt message storage in host memory")
        if not 0 <= count <= most:
            raise SettingsError(f"host_vectors is 0 to {most}, not {count}")
        if count and self.count not in (0, count):
            raise SettingsError(
                f"interrupt message storage has {self.count} entries in host memory until the "
                f"device is reset; close it and probe it again to have {count}"
            )

    async def place(self, count: int) -> None:
        """Allocate the table, every entry masked, and tell the device where it lies."""
        blank = self._capabilities.window | (MASK | IGNORE) << 96
        self._buffer = self._transport.allocate(ENTRY_BYTES * count, align=TABLE_ALIGN)
        self._buffer.write(blank.to_bytes(ENTRY_BYTES, "little") * count)
        await self._registers.write_fields("ext_host_ims", page=self._buffer.address // TABLE_ALIGN)
        await self._registers.write_fields("ext_host_count", vectors=count)
        self.count = count

    def free(self) -> None:
        """Give the memory back. The device was reset, and reads it no more."""
        if self._buffer is not None:
            self._buffer.free()
        self._buffer, self.count = None, 0
        self.changed.clear()

    def check(self, message: Message) -> None:
        """Refuse a message that the device would refuse, before anything is written."""
        check_message(self._capabilities, message)

    def set_control(self, index: int, value: int) -> None:
        """Store the control word of an entry. No request."""
        self._store(index, CONTROL_OFFSET, value.to_bytes(CONTROL_BYTES, "little"))

    def rewrite(self, index: int, message: Message, control: int) -> None:
        """Store another message: mask, address, then data and mask in one word. No request."""
        self.set_control(index, control | MASK)
        self._store(index, 0, message.address.to_bytes(8, "little"))
        self._store(index, 8, (message.data | control << 32).to_bytes(8, "little"))

    async def sync(self, index: int) -> bool:
        """Make changes of an entry effective; whether it held an event. 2 requests if quick.

        What it held is sent as the entry now says, after this.
        """
        held = await self._sync(f"entry {index}", index=index)
        self.changed.discard(index)
        return held

    async def sync_all(self) -> None:
        """Have the device read every entry anew, and try again what it could not read."""
        changed = set(self.changed)
        await self._sync("all entries", every=1)
        self.changed -= changed

    async def let_go(self, index: int) -> None:
        """Have a masked entry that ignores completions rid of the event that it holds."""
        self.set_control(index, IGNORE)
        deadline = self._transport.now() + self._timeouts.command
        pause = POLL_CYCLES
        while await self.sync(index):
            if self._transport.now() >= deadline:
                raise VectorError(
                    f"entry {index} keeps an event although it is unmasked: the device cannot "
                    f"read it; see to its memory, or reset the function"
                )
            await self._transport.sleep(pause)
            pause *= 2
        self.set_control(index, MASK | IGNORE)
        await self.sync(index)

    def _store(self, index: int, offset: int, data: bytes) -> None:
        assert self._buffer is not None
        self._buffer.write(data, ENTRY_BYTES * index + offset)
        self.changed.add(index)

    async def _sync(self, what: str, **fields: int) -> bool:
        deadline = self._transport.now() + self._timeouts.command
        await self._registers.write_fields("ext_sync", **fields)
        while True:
            status = _SYNC.unpack(await self._registers.read("ext_sync"))
            if not status["active"]:
                return bool(status["held"])
            if self._transport.now() >= deadline:
                raise CommandTimeout(
                    f"the sync of {what} is still active after {self._timeouts.command} clocks; "
                    f"reset the function"
                )
            await self._transport.sleep(POLL_CYCLES)
