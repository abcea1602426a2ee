"""Inside the simulator: random TLPs at the device, and whether it still works afterwards."""

import random
from typing import Any

from hw.regs.configspace import PASID, PCIE
from sim.bench.cocotb_side import bench, cycles, parameters, progress
from sim.host.credits import data_credits
from sim.host.rtl_transport import RtlTransport
from tests.driver.cases import CASES, CONFIG

from .fuzz import Fuzz, parses

MEMORY_SPACE, BUS_MASTER = 2, 4
DEVICE_CONTROL, FLR = PCIE + 0x08, 1 << 15
WORK = ("adi_lives_works_and_leaves", "tenants_share_queues_without_touching_one_another")
"""Cases of the driver that show a device that works: moves, completion records, IMS bells."""


async def reset(transport: RtlTransport) -> None:
    """Function Level Reset; what enumeration had written is written again."""
    saved = {place: await transport.config_read(place, 4) for place in (0x10, 0x14, 0x18, 0x1C)}
    control = await transport.config_read(DEVICE_CONTROL, 2)
    await transport.config_write(DEVICE_CONTROL, control | FLR, 2)
    await cycles(CONFIG.ims_vectors + 1000)
    for place, value in saved.items():
        await transport.config_write(place, value, 4)
    await transport.config_write(0x04, MEMORY_SPACE, 2)


@bench(limit_cycles=1_000_000_000)
async def fuzz(dut: Any) -> dict[str, Any]:
    """Send them, look at registers and memory, and let the device work.

    The driver begins with Reset Device. After a Function Level Reset it begins once more.
    """
    count = parameters()["count"]
    transport = await RtlTransport.open(dut, config=CONFIG)
    port = transport.root_complex.port
    await transport.config_write(0x04, MEMORY_SPACE | BUS_MASTER, 2)
    await transport.config_write(PASID + 6, 1, 2)
    pasid = transport.allocate_pasid()
    buffers = [transport.allocate(4096, pasid=who) for who in (None, pasid) for _ in range(4)]
    contents = [random.randbytes(4096) for _ in buffers]
    for buffer, content in zip(buffers, contents, strict=True):
        buffer.write(content)
    bars = []
    for bar in (0, 2):
        low = await transport.config_read(0x10 + 4 * bar, 4)
        high = await transport.config_read(0x14 + 4 * bar, 4)
        bars.append((high << 32 | low & ~0xF, transport.bar_bytes(bar)))
    malformed = 0
    most = port.credits_left()
    for number, (packet, flow) in enumerate(
        Fuzz(random.Random(random.random()), bars).packets(count)
    ):
        if data_credits(packet) > most[flow.name.lower()][1]:
            # No sender could ever have the credits for a length field like this.
            continue
        malformed += not parses(packet)
        port.queue(packet, flow)
        waited = 0
        while port.queued > 8:
            await cycles(16)
            waited += 16
            assert waited < 100_000, (
                f"TLP {number}: the device takes nothing more, credits {port.credits_left()}"
            )
        progress(number + 1, count, "TLPs")
    await cycles(5000)
    version = await transport.read(0, 0, 8)
    identity = await transport.config_read(0, 4)
    for work in WORK:
        await CASES[work](transport)
        await reset(transport)
    return {
        "malformed": malformed,
        "answers": len(transport.root_complex.foreign),
        "version": version.hex(),
        "identity": identity,
        "untouched": [
            buffer.read() == content for buffer, content in zip(buffers, contents, strict=True)
        ],
        "errors": await transport.finish(),
    }
