"""The list of cases, the device that they are written for, and what they share."""

from collections.abc import Callable, Coroutine
from typing import Any

from driver import (
    Adi,
    Device,
    Drain,
    MemoryMove,
    Mode,
    Nop,
    Operation,
    Queue,
    QueueSettings,
    Timeouts,
    Transport,
    Vector,
    VectorTable,
)
from driver.queues import PORTAL_BAR
from driver.transport import Outcome
from hw.regs import Config
from hw.regs.bar2 import Portal, portal

Case = Callable[[Transport], Coroutine[Any, Any, None]]

CASES: dict[str, Case] = {}

CONFIG = Config()
"""The default device, which other benches run too, so that it is built once."""

QUICK = Timeouts(command=20_000, drain=200_000, operation=60_000, submit=40_000, reset=200_000)

SHARED = QueueSettings(size=8)
FIRE_TRIES = 400

EMPTY = b"\xee"
"""What memory holds where nothing is to be written."""

DEDICATED = QueueSettings(size=8, mode=Mode.DEDICATED)


def case(function: Case) -> Case:
    """Register a case under its name."""
    assert function.__name__ not in CASES
    CASES[function.__name__] = function
    return function


class Bell:
    """A handler that counts, and that tasks can wait for."""

    def __init__(self, transport: Transport) -> None:
        self.count = 0
        self._transport = transport
        self._event = transport.event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    async def reach(self, count: int, timeout_cycles: int = 20_000) -> None:
        """Wait until it has rung ``count`` times in all."""
        while self.count < count:
            self._event.clear()
            assert await self._event.wait(timeout_cycles), (
                f"{self.count} bells, {count} expected within {timeout_cycles} clocks"
            )


async def settle(transport: Transport, cycles: int = 3000) -> None:
    """Let everything that is under way arrive."""
    await transport.sleep(cycles)


async def started(transport: Transport, *settings: QueueSettings) -> tuple[Device, list[Queue]]:
    """A probed device with its queues enabled; any error that it reports fails the case."""
    device = await Device.probe(transport, QUICK)
    queues = await device.start(settings or (SHARED,))
    return device, queues


async def alone(transport: Transport, *settings: QueueSettings) -> tuple[Device, Adi]:
    """A device with one ADI on its first queue."""
    device, queues = await started(transport, *settings)
    return device, await device.create_adi(queues[0])


async def finish(device: Device, adi: Adi) -> None:
    """Close a device that has reported no error, after every bell of its ADI has rung."""
    await balanced(adi)
    await device.close()
    assert not device.errors


async def fire(transport: Transport, queue: Queue, pasid: int, vector: Vector) -> None:
    """Let the device ring a vector once, by a no-op without a completion record."""
    descriptor = Nop().encode(pasid=pasid, handle=vector.index)
    table = Portal.IMS if vector.table is VectorTable.IMS else Portal.UNLIMITED
    place = portal(queue.index, Portal.LIMITED | table, vector.index % 64)
    for _ in range(FIRE_TRIES):
        outcome = await transport.deferrable_write(PORTAL_BAR, place, descriptor)
        if outcome is Outcome.ACCEPTED:
            return
        assert outcome is Outcome.RETRY
        await transport.sleep(50)
    raise AssertionError(f"queue {queue.index} stayed full")


def pattern(size: int, seed: int) -> bytes:
    """Bytes that differ from place to place and from seed to seed."""
    return bytes((index * 31 + index // 251 + seed * 89) & 0xFF for index in range(size))


async def copy(adi: Adi, size: int, seed: int, *, skew: tuple[int, int] = (0, 0)) -> None:
    """Copy bytes and check every one, and those around the destination."""
    source, destination = adi.allocate(size + 128), adi.allocate(size + 128)
    source.write(pattern(size + 128, seed))
    destination.write(b"\xee" * (size + 128))
    into, out = skew
    move = MemoryMove(source.address + out, destination.address + into, size)
    completion = await (await adi.submit(move)).wait()
    assert completion.succeeded
    expected = b"\xee" * into + pattern(size + 128, seed)[out : out + size]
    assert destination.read() == expected + b"\xee" * (size + 128 - len(expected)), (size, skew)
    adi.free(source)
    adi.free(destination)


async def balanced(adi: Adi) -> None:
    """Every operation of an ADI has completed and rung once.

    The bell of one operation may find the record of another, whose own bell is still on its way.
    """
    await adi.drain()
    assert adi.submitted == adi.completed == adi.bells, (adi.submitted, adi.completed, adi.bells)
    assert adi.outstanding == 0


async def occupy(adi: Adi, moves: int, size: int) -> list[Operation]:
    """Keep the engine busy for a while."""
    source, destination = adi.allocate(size), adi.allocate(size)
    move = MemoryMove(source.address, destination.address, size)
    return [await adi.submit(move) for _ in range(moves)]


async def block(adi: Adi, size: int = 16384) -> list[Operation]:
    """Keep a queue from handing out work: a drain waits in it until a long move is done.

    Engines take descriptors long before they are executed, so moves alone fill no queue.
    """
    return [*await occupy(adi, 1, size), await adi.submit(Drain())]
