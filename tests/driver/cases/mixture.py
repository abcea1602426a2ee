"""Random work of all kinds, by several tenants at once, against memory as it should be."""

import random

from driver import (
    Adi,
    BatchFailed,
    Compare,
    CopyCrc,
    Crc,
    Descriptor,
    Device,
    Dualcast,
    Fill,
    GroupSettings,
    MemoryMove,
    Mode,
    Nop,
    QueueSettings,
    Transport,
)

from .mistakes import NOWHERE
from .operations import crc32c
from .registry import QUICK, balanced, case, pattern

ROOM = 1 << 14
LARGEST = 700
SEED = 20


class Tenant:
    """An ADI, its memory, and a copy of it that is changed as the operations say."""

    def __init__(self, adi: Adi, seed: int) -> None:
        self.adi = adi
        self.random = random.Random(seed)
        self.buffer = adi.allocate(ROOM, align=4096)
        self.memory = bytearray(pattern(ROOM, seed))
        self.buffer.write(bytes(self.memory))

    def operation(self) -> tuple[Descriptor, object]:
        """A random operation, already carried out on the copy, and what it is to find."""
        rng, base, memory = self.random, self.buffer.address, self.memory
        size = rng.choice((1, 7, 8, 64, rng.randint(1, LARGEST)))
        source = rng.randrange(0, 0x1000 - size)
        target = 0x1000 + rng.randrange(0, 0x1000 - size)
        data = bytes(memory[source : source + size])
        match rng.choice(("move", "fill", "compare", "dualcast", "crc", "copy crc", "noop")):
            case "move":
                memory[target : target + size] = data
                return MemoryMove(base + source, base + target, size), None
            case "fill":
                word = rng.randbytes(8)
                memory[target : target + size] = (word * (size // 8 + 1))[:size]
                return Fill(int.from_bytes(word, "little"), base + target, size), None
            case "compare":
                other = bytes(memory[target : target + size])
                pairs = enumerate(zip(data, other, strict=True))
                first = next((at for at, (left, right) in pairs if left != right), None)
                return Compare(base + source, base + target, size), first
            case "dualcast":
                second = target + 0x1000
                for place in (target, second):
                    memory[place : place + size] = data
                return Dualcast(base + source, base + target, base + second, size), None
            case "crc":
                return Crc(base + source, size, size), crc32c(data, size)
            case "copy crc":
                memory[target : target + size] = data
                return CopyCrc(base + source, base + target, size), crc32c(data)
            case _:
                return Nop(), None

    def check(self, descriptor: Descriptor, found: object, expected: object) -> None:
        """What an operation has found is what it should have."""
        if isinstance(descriptor, Compare):
            found = found.first_difference
        assert found == expected, (descriptor, found, expected)

    async def step(self) -> None:
        """One operation, or a batch of some with a fence before each, which may fail at its end."""
        if self.random.random() < 0.5:
            descriptor, expected = self.operation()
            self.check(descriptor, await self.adi.run(descriptor), expected)
        else:
            await self.batch(fails=self.random.random() < 0.3)
        assert self.buffer.read() == bytes(self.memory)

    async def batch(self, *, fails: bool) -> None:
        work = [self.operation() for _ in range(self.random.randint(1, 6))]
        try:
            async with self.adi.batch() as batch:
                members = []
                for descriptor, _ in work:
                    batch.fence()
                    members.append(batch.add(descriptor))
                if fails:
                    batch.crc(NOWHERE, 8)
                    batch.fence()
                    batch.fill(self.buffer, ROOM)
        except BatchFailed as error:
            assert fails and [item.index for item in error.failed] == [len(work)]
            assert [item.index for item in error.abandoned] == [len(work) + 1]
        else:
            assert not fails
        for member, (descriptor, expected) in zip(members, work, strict=True):
            self.check(descriptor, member.result(), expected)


@case
async def random_work_of_all_kinds_is_exact(transport: Transport) -> None:
    device = await Device.probe(transport, QUICK)
    settings = [
        QueueSettings(size=4, priority=3),
        QueueSettings(size=8, priority=9),
        QueueSettings(size=4, mode=Mode.DEDICATED, staged=True),
    ]
    groups = [GroupSettings(queues=[0, 2], engines=[1]), GroupSettings(queues=[1], engines=[0])]
    queues = await device.start(settings, groups=groups)
    places = [queues[0], queues[1], queues[1], queues[2]]
    tenants = [
        Tenant(await device.create_adi(queue), SEED + number) for number, queue in enumerate(places)
    ]

    async def live(tenant: Tenant) -> None:
        for _ in range(12):
            await tenant.step()

    tasks = [transport.start(live(tenant)) for tenant in tenants]
    for task in tasks:
        await task.join()
    for tenant in tenants:
        await balanced(tenant.adi)
    await device.close()
    assert not device.errors and device.strays == 0
