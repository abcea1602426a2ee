"""Random programs: descriptors of many tenants, right and wrong, to run on two devices alike."""

import hashlib
import random
from dataclasses import astuple, dataclass, replace
from typing import Any

from driver import (
    Adi,
    Completion,
    Device,
    DriverError,
    Mode,
    OperationFailed,
    Queue,
    QueueSettings,
    Timeouts,
    Transport,
)
from driver.transport import Buffer
from hw.regs.descriptor import LAYOUTS, Flag

from .trials import SECTIONS, Area, Raw, Trials

SECTION_BYTES = 4096
PATIENT = Timeouts(operation=20_000_000, drain=20_000_000, submit=10_000_000)

_DELIVERY = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT
_KEPT = {"pasid", "privileged", "completion_address", "handle", "opcode"}
FREE_BITS = [
    *(32 + bit for bit in range(24) if not _DELIVERY >> bit & 1),
    *range(56, 64),
    *range(128, 288),
    *range(304, 512),
]
"""Bits of a descriptor that may be anything: all but PASID, and where and how it is reported."""

Outcome = list[Any]
"""A completion record, and a digest of the tenant's memory after it."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What to run.

    Parameters
    ----------
    seed
        Of everything random.
    tenants
        Each has a PASID, a vector and memory of its own, and one descriptor at a time under way.
    descriptors
        Of each tenant.
    """

    seed: int
    tenants: int = 24
    descriptors: int = 50


class _Tenant:
    """Draws descriptors and runs them."""

    def __init__(self, adi: Adi, buffer: Buffer, seed: str) -> None:
        self._adi, self._buffer = adi, buffer
        self._random = random.Random(seed)
        self._area = Area(buffer.address, SECTION_BYTES)
        self._trials = Trials(self._random, self._area, SECTION_BYTES)

    async def run(self, count: int) -> list[Outcome]:
        return [await self._one() for _ in range(count)]

    async def _one(self) -> Outcome:
        trial = self._trials.draw()
        for start, data in trial.before:
            self._buffer.write(data, start)
        raw = trial.descriptor
        way = self._random.random()
        if way < 0.25:
            raw = self._bent(raw)
        elif way < 0.45:
            raw = self._crossed(raw)
        try:
            completion = await (await self._adi.submit(raw, check=False)).wait()
        except OperationFailed as failure:
            completion = failure.completion
        return [*_plain(completion), hashlib.sha256(self._buffer.read()).hexdigest()[:16]]

    def _bent(self, raw: Raw) -> Raw:
        """Some bits are other than they were."""
        count = self._random.choice((1, 1, 1, 2, 5))
        return replace(raw, flip=sum({1 << bit for bit in self._random.sample(FREE_BITS, count)}))

    def _crossed(self, raw: Raw) -> Raw:
        """Some operands are of another kind, or lie where others do."""
        names = [item.name for item in LAYOUTS[raw.opcode].fields if item.name not in _KEPT]
        values = dict(raw.values)
        for name in self._random.sample(names, min(len(names), self._random.choice((1, 1, 2)))):
            if name == "flags":
                continue
            width = LAYOUTS[raw.opcode][name].width
            values[name] = self._number() % (1 << width)
        return replace(raw, values=values)

    def _number(self) -> int:
        rng = self._random
        match rng.randrange(5):
            case 0:
                return rng.randrange(200)
            case 1:
                return 1 << rng.randrange(64)
            case 2:
                return (1 << 64) - rng.randrange(1, 5000)
            case _:
                return self._area.address + rng.randrange(-64, SECTIONS * SECTION_BYTES + 64)


def _plain(completion: Completion) -> list[int]:
    return [int(value) for value in astuple(completion)]


async def execute(transport: Transport, program: Program) -> list[list[Outcome]]:
    """Run a program on a freshly reset device; the outcomes of each tenant.

    **Errors** :class:`driver.errors.DriverError` if an operation does not end.
    """
    device = await Device.probe(transport, PATIENT)
    queues = await _start(device, program.seed)
    tenants = [await _tenant(device, queues, number, program) for number in range(program.tenants)]
    tasks = [transport.start(tenant.run(program.descriptors)) for tenant in tenants]
    outcomes = [await task.join() for task in tasks]
    if device.errors:
        raise DriverError(f"the device reports {device.errors[0]}")
    await device.close()
    return outcomes


async def _start(device: Device, seed: int) -> list[Queue]:
    """All queues, of random kinds, sizes and priorities."""
    rng, found = random.Random(f"queues {seed}"), device.capabilities
    size = found.queue_slots // found.queues
    return await device.start(
        [
            QueueSettings(
                size=rng.randint(1, size),
                mode=rng.choice((Mode.SHARED, Mode.SHARED, Mode.DEDICATED)) if n else Mode.SHARED,
                priority=rng.randint(1, 15),
                max_transfer_log2=rng.choice((12, 16)),
            )
            for n in range(found.queues)
        ]
    )


async def _tenant(device: Device, queues: list[Queue], number: int, program: Program) -> _Tenant:
    free = [
        queue
        for queue in queues
        if queue.settings is not None
        and (queue.settings.mode is Mode.SHARED or queue.settings.pasid is None)
    ]
    adi = await device.create_adi(free[number % len(free)])
    buffer = adi.allocate(SECTIONS * SECTION_BYTES, align=4096)
    return _Tenant(adi, buffer, f"{program.seed}/{number}")
