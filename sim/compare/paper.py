"""A device on paper: registers and tables that are memory, and bells rung by hand."""

from hw.regs import Config, Register
from hw.regs.bar0 import IMS_ENTRY, MSIX_PERMISSION, bar0
from hw.regs.bar2 import bar2_bytes
from hw.regs.capabilities import constants
from hw.regs.configspace import config_space

from ..host.platform import Host

REQUESTER = 0x0100
_, _, CONTROL = IMS_ENTRY
(PERMISSION,) = MSIX_PERMISSION


class Paper:
    """The part of a :class:`driver.transport.Transport` that the driver's tables need.

    One task at a time uses it: nothing here waits, so there is no time and there are no events.
    It does with an event of an ADI what the device does, by the entry that the driver wrote.

    Members
    -------
    machine
        The host that gets the messages.
    requests
        Reads and writes so far.
    """

    def __init__(self, config: Config, machine: Host) -> None:
        self.machine = machine
        self.requests = 0
        self._space = space = bar0(config)
        self._memory = bytearray(space.size_bytes)
        self._config = bytearray(4096)
        self._sizes = {0: space.size_bytes, 2: bar2_bytes(config)}
        for register in config_space(config).registers:
            _place(self._config, register, register.reset)
        for name, value in constants(config).items():
            _place(self._memory, space.register(name), value)
        for table in space.tables:
            entry = bytearray(table.stride)
            for register in table.registers:
                _place(entry, register, register.reset)
            end = table.offset + len(entry) * table.count
            self._memory[table.offset : end] = entry * table.count

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR, or 0 if there is none."""
        return self._sizes.get(bar, 0)

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 bytes of configuration space."""
        self.requests += 1
        return int.from_bytes(self._config[offset : offset + size], "little")

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read bytes of BAR0 as one request."""
        self.requests += 1
        return bytes(self._memory[offset : offset + size])

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Write bytes of BAR0 as one request."""
        self.requests += 1
        self._memory[offset : offset + len(data)] = data

    def ring(self, table: str, index: int, pasid: int) -> None:
        """An event of an ADI: a message, if the entry is unmasked and is this ADI's."""
        entry = self._space.table(table).entry(index)
        word = self._word(entry + 12, 4)
        if word & CONTROL["mask"].mask:
            return
        owner = CONTROL.unpack(word)
        if table == "msix":
            owner = PERMISSION.unpack(self._word(self._space.table("msixperm").entry(index), 4))
        if owner["pasid_enable"] and owner["pasid"] == pasid and not owner["ignore"]:
            self.machine.message(self._word(entry, 8), self._word(entry + 8, 4), REQUESTER)

    @property
    def unmasked(self) -> int:
        """Entries of both tables that would send a message."""
        found = 0
        for name in ("ims", "msix"):
            table = self._space.table(name)
            for index in range(table.count):
                found += not self._word(table.entry(index) + 12, 4) & CONTROL["mask"].mask
        return found

    def _word(self, offset: int, size: int) -> int:
        return int.from_bytes(self._memory[offset : offset + size], "little")


def _place(where: bytearray, register: Register, value: int) -> None:
    start = register.offset
    where[start : start + register.size_bytes] = value.to_bytes(register.size_bytes, "little")
