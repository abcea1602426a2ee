"""A device on paper: the register map of a healthy device, for tests to spoil.

It holds what configuration space and BAR0 read after reset and takes writes to fields that are
writable, but does nothing. Its transport never waits: whoever waits for an event is told at once
that the time is up.
"""

from collections.abc import Coroutine
from typing import Any

from driver.irq import boot
from driver.transport import Buffer, Event, Outcome, Task
from hw.regs import Access, Config, Register
from hw.regs.bar0 import bar0
from hw.regs.bar2 import bar2_bytes
from hw.regs.capabilities import constants
from hw.regs.configspace import config_space
from sim.host.platform import Host

CONFIG = Config(ims_vectors=256, msix_vectors=8, queues=2, queue_slots=16)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine over a :class:`PaperTransport`, which never suspends."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a paper transport does not suspend its callers")


class PaperEvent:
    def __init__(self, transport: "PaperTransport") -> None:
        self._transport = transport
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    async def wait(self, timeout_cycles: int | None = None) -> bool:
        assert self._set or timeout_cycles is not None, "would wait for ever"
        if not self._set:
            self._transport.time += timeout_cycles or 0
        return self._set


class PaperTransport:
    """See the module; ``config`` and ``memory`` are the bytes that reads return."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.space = bar0(config)
        self.config = bytearray(4096)
        self.config_writable = bytearray(4096)
        self.memory = bytearray(self.space.size_bytes)
        self.bars = {0: self.space.size_bytes, 2: bar2_bytes(config)}
        self.machine = Host(cpus=8)
        self.requester_id = 0x0100
        self.pasids: set[int] = set()
        self.requests = 0
        self.time = 0
        self.answers = True
        self.memory_answers = True
        self.frozen: dict[int, bytes] = {}
        for register in config_space(config).registers:
            self._place(self.config, register.offset, register.reset, register)
            writable = register.mask(Access.RW)
            self._place(self.config_writable, register.offset, writable, register)
        for name, value in constants(config).items():
            self.put(name, value)
        for table in self.space.tables:
            for index in range(table.count):
                for register in table.registers:
                    offset = table.entry(index) + register.offset
                    self._place(self.memory, offset, register.reset, register)

    @staticmethod
    def _place(where: bytearray, offset: int, value: int, register: Register) -> None:
        size = register.size_bytes
        where[offset : offset + size] = value.to_bytes(size, "little")

    def put(self, name: str, value: int) -> None:
        """Set a register of BAR0."""
        register = self.space.register(name)
        self._place(self.memory, register.offset, value, register)

    def set(self, name: str, **fields: int) -> None:
        """Set fields of a register of BAR0."""
        register = self.space.register(name)
        word = self.memory[register.offset : register.offset + register.size_bytes]
        self.put(name, register.set(int.from_bytes(word, "little"), **fields))

    def put_config(self, offset: int, value: int, size: int = 4) -> None:
        """Set bytes of configuration space, writable or not."""
        self.config[offset : offset + size] = value.to_bytes(size, "little")

    def freeze(self, offset: int, data: bytes) -> None:
        """Let bytes of BAR0 read as given, whatever is written."""
        self.frozen[offset] = data

    async def config_read(self, offset: int, size: int) -> int:
        self.requests += 1
        if not self.answers:
            return (1 << 8 * size) - 1
        return int.from_bytes(self.config[offset : offset + size], "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        self.requests += 1
        for place, byte in enumerate(value.to_bytes(size, "little"), offset):
            keep = ~self.config_writable[place] & 0xFF
            self.config[place] = self.config[place] & keep | byte & ~keep

    def bar_bytes(self, bar: int) -> int:
        return self.bars.get(bar, 0)

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        self.requests += 1
        enabled = self.config[4] & 2
        if bar or not (self.answers and self.memory_answers and enabled):
            return b"\xff" * size
        shown = bytearray(self.memory)
        for place, data in self.frozen.items():
            shown[place : place + len(data)] = data
        return bytes(shown[offset : offset + size])

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        self.requests += 1
        if bar == 0:
            self.memory[offset : offset + len(data)] = data

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        self.requests += 1
        return Outcome.RETRY

    def allocate_pasid(self) -> int:
        pasid = max(self.pasids, default=0) + 1
        self.pasids.add(pasid)
        return pasid

    def free_pasid(self, pasid: int) -> None:
        self.pasids.remove(pasid)

    def allocate(self, size: int, *, pasid: int | None = None, align: int = 64) -> Buffer:
        raise MemoryError("there is no memory on paper")

    def interrupts(self) -> dict[str, int]:
        """How much of everything the interrupt subsystem has in use."""
        return boot(self.machine).counts()

    def now(self) -> int:
        return self.time

    async def sleep(self, cycles: int) -> None:
        self.time += cycles

    def event(self) -> Event:
        return PaperEvent(self)

    def start(self, work: Coroutine[Any, Any, Any]) -> Task:
        raise NotImplementedError("there are no tasks on paper")
