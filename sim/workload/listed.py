"""Descriptors from a list, each on memory of its own tenant, to run on two devices alike."""

import hashlib
import random
from typing import Any

from driver import Device, OperationFailed, QueueSettings, Timeouts, Transport
from hw.regs.descriptor import Flag, Opcode

from .trials import Raw

AREA_BYTES = 16_384
TENANTS = 8
PATIENT = Timeouts(operation=20_000_000, drain=20_000_000, submit=10_000_000)

ADDRESSES = frozenset(
    {
        *("source", "source_2", "destination", "destination_2"),
        *("delta_address", "seed_address"),
    }
)
"""Operands that a list gives as places in the memory of the tenant."""

Listed = dict[str, Any]
"""``opcode``, ``flags``, and ``values`` of the operands by name."""


async def execute_listed(transport: Transport, listed: list[Listed]) -> list[list[Any]]:
    """For each descriptor its completion record, and a digest of the tenant's memory after it."""
    device = await Device.probe(transport, PATIENT)
    (queue,) = await device.start([QueueSettings(size=16)])
    outcomes: list[list[Any]] = [[] for _ in listed]

    async def tenant(number: int) -> None:
        adi = await device.create_adi(queue)
        buffer = adi.allocate(AREA_BYTES, align=4096)
        buffer.write(random.Random(number).randbytes(AREA_BYTES // 4) * 4)
        for index in range(number, len(listed), TENANTS):
            item = listed[index]
            values = {
                name: value + (buffer.address if name in ADDRESSES else 0)
                for name, value in item["values"].items()
            }
            raw = Raw(Opcode(item["opcode"]), values, Flag(item["flags"]))
            try:
                record = await (await adi.submit(raw, check=False)).wait()
            except OperationFailed as failure:
                record = failure.completion
            found = (record.status, record.result, record.bytes_completed, record.value)
            digest = hashlib.sha256(buffer.read()).hexdigest()[:16]
            outcomes[index] = [*map(int, found), digest]

    for task in [transport.start(tenant(number)) for number in range(TENANTS)]:
        await task.join()
    await device.close()
    return outcomes
