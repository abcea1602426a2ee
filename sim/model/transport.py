"""Driver code on the functional model."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

from driver.transport import Buffer, Event, Outcome, Task
from hw.regs.config import Config

from ..host.platform import Host as Platform
from ..host.waiting import ClockEvent, ClockTask
from .clock import Clock
from .device import Device
from .platform import PlatformHost
from .tlp import (
    Completion,
    Request,
    Status,
    config_read,
    config_write,
    memory_read,
    memory_write,
)

Result = TypeVar("Result")

ROUTING_ID = 0x0100
"""Bus 1, device 0, function 0; further devices of a machine are on buses 2, 3, …"""

REQUESTER = 0x0000
BAR0_BASE = 0x40_0000_0000


class ModelTransport:
    """:class:`driver.transport.Transport`, ending in the functional model.

    Use it inside a running event loop, or through :func:`run`. The device works while its driver
    waits, and a little with each request. Time counts the model's steps.

    **Errors**: :class:`~sim.model.clock.Deadlock` from a wait without timeout, when nothing is
    left that could end it. Requests that the device refuses read as all ones, as on a real bus.

    Parameters
    ----------
    config
        Parameters of the device.
    platform
        The host; a new one if not given.
    seed
        Of everything random.
    shuffle
        Let the device do what it could do in random order and at random times; otherwise commands
        go first, and each request and each tick gives the device ``steps_per_request`` steps.
    steps_per_request
        How far the device gets with each request.
    beside
        Another device: this one is in the same machine, and has the same time.

    Members
    -------
    device : Device
    platform : Host
        Memory, IOMMU and interrupt controller.
    """

    def __init__(
        self,
        config: Config | None = None,
        platform: Platform | None = None,
        *,
        seed: int = 0,
        shuffle: bool = False,
        steps_per_request: int = 2,
        beside: "ModelTransport | None" = None,
    ):
        self.config = config or Config()
        if beside is not None:
            platform = beside.platform
        self.platform: Platform = platform or Platform(self.config.message_window)
        self._devices: list[ModelTransport] = beside._devices if beside is not None else []
        self._devices.append(self)
        self._routing_id = ROUTING_ID * len(self._devices)
        self.device = Device(self.config, PlatformHost(self.platform, self._routing_id))
        self._random = random.Random(seed)
        self._shuffle = shuffle
        self._steps = steps_per_request
        self._requests = 0
        self._tag = 0
        self._clock: Clock = beside._clock if beside is not None else Clock(self._advance_all)
        self._bars: dict[int, tuple[int, int]] = {}
        self._enumerate()

    # Enumeration

    def _enumerate(self) -> None:
        """Assign BARs as firmware would; these requests are not counted."""
        base = BAR0_BASE * len(self._devices)
        for bar in (0, 2):
            offset = 0x10 + 4 * bar
            for half in (0, 4):
                self._send(config_write(offset + half, 0xFFFF_FFFF, destination=self._routing_id))
            low, high = (self._config(offset + half) for half in (0, 4))
            size = (~(high << 32 | low & ~0xF) & (1 << 64) - 1) + 1
            base = -(-base // size) * size
            self._send(config_write(offset, base & 0xFFFF_FFFF, destination=self._routing_id))
            self._send(config_write(offset + 4, base >> 32, destination=self._routing_id))
            self._bars[bar] = (base, size)
            base += size
        self._requests = 0

    def _config(self, offset: int) -> int:
        answer = self._send(config_read(offset, destination=self._routing_id))
        assert answer is not None
        return int.from_bytes(answer.payload, "little")

    def _send(self, request: Request) -> Completion | None:
        self._requests += 1
        self._tag = self._tag + 1 & 0xFF
        answers = self.device.handle(request)
        return next((item for item in answers if isinstance(item, Completion)), None)

    # Time

    def _advance(self) -> bool:
        """A few steps of the device."""
        device = self.device
        worked = False
        if not self._shuffle:
            for _ in range(self._steps):
                if not device.step():
                    break
                worked = True
            return worked
        for _ in range(self._random.randint(0, 2 * self._steps)):
            ready = device.runnable()
            if not ready:
                break
            worked = device.step(self._random.choice(ready)) or worked
        return worked or not device.idle

    def _advance_all(self) -> bool:
        """The same for every device of the machine."""
        worked = [each._advance() for each in self._devices]
        return any(worked)

    async def _pass(self) -> None:
        """A request takes time, and lets others act."""
        self._clock.touch()
        self._clock.now += 1
        self._advance()
        await asyncio.sleep(0)

    # Transport

    @property
    def machine(self) -> Platform:
        """The host's processors and what interrupts them."""
        return self.platform

    @property
    def requester_id(self) -> int:
        """With which the function sends its requests."""
        return self._routing_id

    @property
    def requests(self) -> int:
        """Requests sent to the device so far: configuration, memory and deferrable writes."""
        return self._requests

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space; all ones if nobody answers."""
        _aligned(offset, size, (1, 2, 4))
        await self._pass()
        answer = self._send(config_read(offset, size, destination=self._routing_id, tag=self._tag))
        if answer is None or answer.status is not Status.SUCCESS:
            return (1 << 8 * size) - 1
        low = offset & 3
        return int.from_bytes(answer.payload[low : low + size], "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        _aligned(offset, size, (1, 2, 4))
        await self._pass()
        self._send(config_write(offset, value, size, destination=self._routing_id, tag=self._tag))

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR (0 or 2), or 0 if there is none."""
        return self._bars.get(bar, (0, 0))[1]

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read 1 to 64 bytes as one request; all ones if the device refuses."""
        address = self._address(bar, offset, size)
        await self._pass()
        answer = self._send(memory_read(address, size, tag=self._tag, requester=REQUESTER))
        if answer is None or answer.status is not Status.SUCCESS:
            return b"\xff" * size
        low = address & 3
        return answer.payload[low : low + size]

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Send 1 to 64 bytes as one posted write. Returns when it is under way."""
        address = self._address(bar, offset, len(data))
        await self._pass()
        self._send(memory_write(address, data, tag=self._tag, requester=REQUESTER))

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        """Send 64 bytes as one deferrable memory write."""
        address = self._address(bar, offset, len(data))
        await self._pass()
        request = memory_write(address, data, deferrable=True, tag=self._tag, requester=REQUESTER)
        answer = self._send(request)
        if answer is None:
            return Outcome.REJECTED
        outcomes = {Status.SUCCESS: Outcome.ACCEPTED, Status.REQUEST_RETRY: Outcome.RETRY}
        return outcomes.get(answer.status, Outcome.REJECTED)

    def _address(self, bar: int, offset: int, size: int) -> int:
        base, length = self._bars.get(bar, (0, 0))
        if not 1 <= size <= 64:
            raise ValueError(f"a request has 1 to 64 bytes, not {size}")
        if not 0 <= offset <= length - size:
            raise ValueError(f"bytes {offset:#x} to {offset + size:#x} of BAR {bar} ({length:#x})")
        return base + offset

    def allocate_pasid(self) -> int:
        """A PASID with an empty address space of its own."""
        return self.platform.allocate_pasid()

    def free_pasid(self, pasid: int) -> None:
        """Give a PASID and its address space back."""
        self.platform.free_pasid(pasid)

    def allocate(self, size: int, *, pasid: int | None = None, align: int = 64) -> Buffer:
        """Memory in the address space of a PASID, or of the function itself."""
        return self.platform.allocate(size, pasid=pasid, align=align)

    def now(self) -> int:
        """Steps since the transport was opened."""
        return self._clock.now

    async def sleep(self, cycles: int) -> None:
        """Let time pass."""
        await self._clock.wait(self._clock.now + cycles, {})

    def event(self) -> Event:
        """Something that happens, for others to wait for."""
        return ClockEvent(self._clock)

    def start(self, work: Coroutine[Any, Any, Any]) -> Task:
        """Run a coroutine beside the caller."""
        return ClockTask(work)


def _aligned(offset: int, size: int, sizes: tuple[int, ...]) -> None:
    if size not in sizes or offset % size or not 0 <= offset < 4096:
        raise ValueError(f"{size} bytes at {offset:#x} of configuration space")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine that uses a :class:`ModelTransport` to its end, and return its result."""
    return asyncio.run(work)
