"""The last act: three tenants with different operations and priorities on one engine."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from driver import Adi, Device, GroupSettings, Mode, QueueSettings
from driver.transport import Buffer, Transport

from ..workload.trials import crc32c
from .result import Sharer
from .witness import Witness

BLOCK_BYTES = 2048
OUTSTANDING = 28
"""Operations that each tenant keeps under way: more than an engine holds, so that no queue ever
runs dry and arbitration has to choose."""

QUEUE_SLOTS = 32

TOLERANCE = 0.15
"""By how much a share of the turns may miss what the priorities promise, relative to that."""


@dataclass(frozen=True)
class Part:
    """What a tenant does all the time, and how important that is."""

    name: str
    priority: int
    act: Callable[["Tenant"], Awaitable[bool]]
    """Does it once; returns whether the outcome is right."""


@dataclass(eq=False)
class Tenant:
    """An ADI with three buffers: two that are equal, and one to write to."""

    part: Part
    adi: Adi
    one: Buffer
    two: Buffer
    three: Buffer
    checksum: int


async def _copy(tenant: Tenant) -> bool:
    await tenant.adi.copy(tenant.one, tenant.three, BLOCK_BYTES)
    return tenant.three.read() == tenant.one.read()


async def _compare(tenant: Tenant) -> bool:
    return (await tenant.adi.compare(tenant.one, tenant.two, BLOCK_BYTES)).equal


async def _crc(tenant: Tenant) -> bool:
    return await tenant.adi.crc(tenant.one, BLOCK_BYTES) == tenant.checksum


PARTS = (
    Part("Copies", 9, _copy),
    Part("Checksums", 6, _crc),
    Part("Comparisons", 3, _compare),
)


class Sharing:
    """Lets the tenants work against one another, and notes who had the engine when.

    Each has a dedicated queue: deferrable writes are answered one after another, whosever they
    are, which would share the engine before its arbiter can. One engine executes descriptors in
    order. So it has worked for a tenant from the completion
    record before until the one of that tenant's.

    Parameters
    ----------
    transport, witness
        The device and the host.
    operations
        About how many to do in all.
    step
        Called after each.
    """

    def __init__(
        self,
        transport: Transport,
        witness: Witness,
        operations: int,
        step: Callable[[int], None],
    ) -> None:
        self._transport, self._witness = transport, witness
        self._operations, self._step = operations, step
        self._begun = 0
        self.wrong: list[str] = []
        self.turns: list[tuple[int, int, int]] = []
        self.sharers: list[Sharer] = []
        self.done = 0

    async def run(self) -> None:
        """Play it on a device that is closed."""
        device = await Device.probe(self._transport)
        device.on_error = lambda report: self.wrong.append(f"the device reports {report}")
        await device.start(
            [
                QueueSettings(size=QUEUE_SLOTS, mode=Mode.DEDICATED, priority=part.priority)
                for part in PARTS
            ],
            groups=[GroupSettings(queues=range(len(PARTS)), engines=[0])],
        )
        tenants = [await self._arrive(device, number, part) for number, part in enumerate(PARTS)]
        begin = len(self._witness.records)
        work = [self._work(tenant) for tenant in tenants for _ in range(OUTSTANDING)]
        for task in [self._transport.start(item) for item in work]:
            await task.join()
        self._account(tenants, begin)
        self.wrong += [f"{device.strays} stray messages"] if device.strays else []
        await device.close()

    async def _arrive(self, device: Device, number: int, part: Part) -> Tenant:
        adi = await device.create_adi(device.queues[number])
        one, two, three = (adi.allocate(BLOCK_BYTES) for _ in range(3))
        content = bytes((n * 29 + number) & 0xFF for n in range(BLOCK_BYTES))
        one.write(content)
        two.write(content)
        place = range(three.address, three.address + BLOCK_BYTES)
        self._witness.expect_data(adi.pasid, place)
        return Tenant(part, adi, one, two, three, crc32c(content))

    async def _work(self, tenant: Tenant) -> None:
        while self._begun < self._operations:
            self._begun += 1
            if not await tenant.part.act(tenant):
                self.wrong.append(f"{tenant.part.name}: the outcome is wrong")
            self._step(1)

    def _account(self, tenants: list[Tenant], begin: int) -> None:
        """Who had the engine while all three had work, which is all but begin and end."""
        records = self._witness.records[begin:]
        self.done = len(records)
        numbers = {tenant.adi.pasid: number for number, tenant in enumerate(tenants)}
        under_way = OUTSTANDING * len(tenants)
        steady = records[under_way // 2 : -2 * under_way]
        for (before, _), (clock, pasid) in pairwise(steady):
            self.turns.append((before, clock, numbers[pasid]))
        whole = sum(part.priority for part in PARTS)
        clocks = max(1, sum(end - start for start, end, _ in self.turns))
        for number, part in enumerate(PARTS):
            own = [end - start for start, end, who in self.turns if who == number]
            sharer = Sharer(
                name=part.name,
                priority=part.priority,
                promised=part.priority / whole,
                turns=len(own) / max(1, len(self.turns)),
                time=sum(own) / clocks,
            )
            self.sharers.append(sharer)
            if abs(sharer.turns - sharer.promised) > TOLERANCE * sharer.promised:
                self.wrong.append(
                    f"{part.name} had {sharer.turns:.1%} of the turns, and the priorities promise "
                    f"{sharer.promised:.1%}"
                )
