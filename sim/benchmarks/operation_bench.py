"""Inside the simulator: how fast the whole device executes descriptors."""

from typing import Any

from driver import Adi, Device, QueueSettings, Timeouts
from driver.transport import Buffer
from hw.regs.config import Config
from hw.regs.descriptor import Opcode

from ..bench.cocotb_side import bench, now, progress
from ..host.observer import Observer
from ..host.platform import Host
from ..host.root_complex import Behaviour
from ..host.rtl_transport import RtlTransport
from ..host.tlp import MEMORY_WRITES, Tlp
from ..workload.trials import Raw

HOST_LATENCY_CYCLES = 125
"""Of the host's memory: 1 µs at 125 MHz."""

PAYLOAD_256 = 1
"""Exponent of Max_Payload_Size in Device Control."""

SMALL_BYTES, BLOCK_BYTES = 64, 4096
WORKERS = 32
WARM_UP = 300
DELTAS = 8
PATIENT = Timeouts(operation=10_000_000)


class Counter(Observer):
    """Counts the beats of what the device writes into one buffer.

    Members
    -------
    payload, beats
        Beats of data, and of all of the TLPs that carry them.
    first, last
        Clocks in which the first and the last of these TLPs began.
    """

    def __init__(self, beat_bytes: int) -> None:
        self._beat_bytes = beat_bytes
        self.place = range(0)
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self.payload = self.beats = self.first = self.last = 0

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        tlp = Tlp.unpack(packet)
        if tlp.fmt_type not in MEMORY_WRITES or tlp.address not in self.place:
            return
        self.first = self.first or start
        self.last = clock
        self.payload += 4 * tlp.length // self._beat_bytes
        self.beats += -(-len(packet) // self._beat_bytes)


class Clerk(Host):
    """Notes when completion records arrive.

    Members
    -------
    records
        Clocks.
    data
        Where writes are data.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[int] = []
        self.data: list[range] = []

    def dma_write(self, address: int, data: bytes, pasid: int | None = None) -> None:
        """A write by the device."""
        super().dma_write(address, data, pasid)
        if not any(address in place for place in self.data):
            self.records.append(now())


class Yard:
    """A tenant with four buffers on one shared queue of a device at work."""

    def __init__(self, transport: RtlTransport, clerk: Clerk, adi: Adi, buffers: list[Buffer]):
        self.transport, self.clerk, self.adi, self.buffers = transport, clerk, adi, buffers
        self.one, self.two, self.three, self.four = (buffer.address for buffer in buffers)

    async def repeat(self, descriptor: Raw, count: int) -> float:
        """Clocks for one of many equal operations that follow one another closely.

        What is measured is the time between the first and the last completion record.
        """
        self.clerk.records.clear()
        left = count

        async def work() -> None:
            nonlocal left
            while left:
                left -= 1
                await (await self.adi.submit(descriptor, check=False)).wait()

        for task in [self.transport.start(work()) for _ in range(min(count, WORKERS))]:
            await task.join()
        records = self.clerk.records
        assert len(records) == count, f"{len(records)} records of {count} operations"
        return (records[-1] - records[0]) / (count - 1)

    def descriptor(self, opcode: Opcode, size: int) -> Raw:
        """An operation on the buffers; source 1 and 2 are equal but for a few words."""
        one, two, three = {"source": self.one}, {"source_2": self.two}, {"destination": self.three}
        operands: dict[Opcode, dict[str, int]] = {
            Opcode.NOP: {},
            Opcode.MEMORY_MOVE: one | three,
            Opcode.FILL: {"pattern": 0x0102_0304_0506_0708} | three,
            Opcode.COMPARE: one | {"source_2": self.one + BLOCK_BYTES},
            Opcode.COMPARE_PATTERN: {"source": self.four, "pattern": 0},
            Opcode.CREATE_DELTA: one
            | two
            | {"delta_address": self.three, "max_delta_bytes": 10 * max(DELTAS, size // 8)},
            Opcode.APPLY_DELTA: {
                "delta_address": self.four + BLOCK_BYTES,
                "delta_bytes": 10 * DELTAS,
            }
            | three,
            Opcode.DUALCAST: one | three | {"destination_2": self.three + BLOCK_BYTES},
            Opcode.CRC: one,
            Opcode.COPY_CRC: one | three,
            Opcode.CACHE_FLUSH: three,
        }
        values = dict(operands[opcode])
        if opcode is not Opcode.NOP:
            values["size_bytes"] = size
        return Raw(opcode, values)


async def _open(dut: Any, observers: list[Observer]) -> Yard:
    clerk = Clerk()
    transport = await RtlTransport.open(
        dut,
        host=clerk,
        observers=observers,
        behaviour=Behaviour(
            latency_cycles=(HOST_LATENCY_CYCLES, HOST_LATENCY_CYCLES), max_payload=PAYLOAD_256
        ),
    )
    device = await Device.probe(transport, PATIENT)
    (queue,) = await device.start([QueueSettings(size=device.capabilities.queue_slots)])
    adi = await device.create_adi(queue)
    buffers = [adi.allocate(2 * BLOCK_BYTES, align=BLOCK_BYTES) for _ in range(4)]
    clerk.data += [range(b.address, b.address + b.size_bytes) for b in buffers]
    content = bytes(n * 37 & 0xFF for n in range(BLOCK_BYTES))
    buffers[0].write(content + content)
    buffers[1].write(content)
    for n in range(DELTAS):
        buffers[1].write(b"\xee", n * SMALL_BYTES // DELTAS)
    record = b"".join(n.to_bytes(2, "little") + bytes(8) for n in range(DELTAS))
    buffers[3].write(record, BLOCK_BYTES)
    return Yard(transport, clerk, adi, buffers)


@bench(limit_cycles=20_000_000)
async def operations(dut: Any) -> dict[str, Any]:
    """Clocks per operation of each kind, small and large, when many follow one another."""
    yard = await _open(dut, [])
    # After a reset message storage looks for pending vectors for some thousand clocks.
    await yard.repeat(yard.descriptor(Opcode.NOP, 0), WARM_UP)
    cost: dict[str, dict[str, float]] = {}
    kinds = [opcode for opcode in Opcode if opcode not in (Opcode.BATCH, Opcode.DRAIN)]
    for done, opcode in enumerate(kinds):
        name = opcode.name.lower()
        progress(done, len(kinds), name)
        sizes = {str(SMALL_BYTES): (SMALL_BYTES, 300), str(BLOCK_BYTES): (BLOCK_BYTES, 24)}
        cost[name] = {
            label: round(await yard.repeat(yard.descriptor(opcode, size), count), 1)
            for label, (size, count) in sizes.items()
        }
    return {"operation_cycles": cost, "small_move_cycles": cost["memory_move"][str(SMALL_BYTES)]}


@bench(limit_cycles=20_000_000)
async def blocks(dut: Any) -> dict[str, Any]:
    """How much of the wire moves of 4 KiB fill, payloads of 256 bytes, and what headers leave."""
    config = Config()
    counter = Counter(config.beat_bytes)
    yard = await _open(dut, [counter])
    target = yard.buffers[2]
    counter.place = range(target.address, target.address + target.size_bytes)
    progress(0, 1, "moves of 4 KiB")
    await yard.repeat(yard.descriptor(Opcode.MEMORY_MOVE, BLOCK_BYTES), 200)
    busy = counter.last - counter.first + 1
    return {
        "block_move_efficiency": counter.payload / busy,
        "block_move_limit": counter.payload / counter.beats,
    }
