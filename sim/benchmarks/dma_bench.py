"""Inside the simulator: how much of the wire DMA uses for payload.

A figure is payload beats over busy beats: over all clocks from the first to the last beat of the
TLPs that carry the payload, their headers and any gaps included. Its limit is what headers alone
would leave.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from hw.pcie.records import ReadChunk, ReadCommand, ReadStatus, WriteCommand
from hw.regs import Config
from hw.tlp.records import Packet, Tenant, Wire

from ..bench.cocotb_side import bench, cycles, now, parameters, progress
from ..host.tlp import Tlp
from .pins import Pins, pack, settle

ADDRESS = 0x12_3456_7000
PASID = 0x5A5A5
WRITE_BYTES = 4096
HOST_LATENCY_CYCLES = 125
"""Of the host's memory: 1 µs at 125 MHz."""

TENANT = Tenant.const({"valid": 1, "pasid": PASID})


class Tap:
    """Counts the beats of one direction of the wire, and puts TLPs together."""

    def __init__(self, pins: Pins, config: Config) -> None:
        self.pins, self.layout, self.bytes = pins, Wire(config.data_width), config.beat_bytes
        self.first = self.last = 0
        self.beats = self.payload = 0
        self._packet = b""

    def look(self) -> Tlp | None:
        """To be called in each clock when all has settled; a TLP that has just ended."""
        if not self.pins.moves:
            return None
        beat = self.layout.from_bits(self.pins.payload)
        self._packet += int(beat.data).to_bytes(self.bytes, "little")[: 4 * int(beat.count)]
        self.beats += 1
        self.first = self.first or now()
        if not beat.last:
            return None
        tlp, self._packet = Tlp.unpack(self._packet), b""
        self.last = now()
        return tlp

    def figures(self, payload_bytes: int) -> dict[str, float]:
        """Efficiency, and its limit."""
        payload = payload_bytes / self.bytes
        clocks = self.last - self.first + 1
        return {"efficiency": payload / clocks, "limit": payload / self.beats}


def beats_of(tlp: Tlp, config: Config) -> Iterator[int]:
    """A TLP as it goes over the wire."""
    packet, size = tlp.pack(), config.beat_bytes
    for start in range(0, len(packet), size):
        part = packet[start : start + size]
        yield pack(
            Wire(config.data_width),
            data=int.from_bytes(part, "little"),
            count=len(part) // 4,
            first=start == 0,
            last=start + size >= len(packet),
        )


@bench()
async def writes(dut: Any) -> dict[str, Any]:
    """A source that always has data to write."""
    config = Config(**parameters()["config"])
    found = {}
    dut.max_read_bytes.value = config.read_slot_bytes
    for count, size in enumerate(parameters()["payloads"]):
        progress(count, len(parameters()["payloads"]), f"writes, payload {size}")
        dut.max_payload_bytes.value = size
        found[str(size)] = await _write(dut, config, parameters()["bytes"])
    return found


async def _write(dut: Any, config: Config, total: int) -> dict[str, float]:
    data = random.randbytes(total)
    source, tap = Pins(dut, "i_write"), Tap(Pins(dut, "o"), config)
    dut.o__ready.value = dut.o_written__ready.value = 1
    beats = deque(_commands(data, config))
    memory: dict[int, bytes] = {}
    limit = now() + 20 * len(beats)
    while sum(map(len, memory.values())) < total:
        source.offer(beats[0] if beats else None)
        await settle()
        if source.moves:
            beats.popleft()
        if (tlp := tap.look()) is not None:
            assert tlp.pasid == PASID and tlp.fmt_type is TlpType.MEM_WRITE_64
            memory[tlp.address] = bytes(tlp.data)
        await cycles(1)
        assert now() < limit, "the writes do not end"
    await cycles(64)
    assert b"".join(memory[address] for address in sorted(memory)) == data, "wrong data"
    return tap.figures(total)


def _commands(data: bytes, config: Config) -> Iterator[int]:
    layout, size = Packet(WriteCommand, config.data_width), config.beat_bytes
    for start in range(0, len(data), WRITE_BYTES):
        header = WriteCommand.const(
            {"address": ADDRESS + start, "length_bytes": WRITE_BYTES, "tenant": TENANT}
        )
        for place in range(start, start + WRITE_BYTES, size):
            yield pack(
                layout,
                header=header,
                data=int.from_bytes(data[place : place + size], "little"),
                first=place == start,
                last=place + size == start + WRITE_BYTES,
            )


@bench()
async def reads(dut: Any) -> dict[str, Any]:
    """Reads without end, of a host that answers in full payloads after a while."""
    config = Config(**parameters()["config"])
    found = {}
    dut.max_read_bytes.value = config.read_slot_bytes
    for count, size in enumerate(parameters()["payloads"]):
        progress(count, len(parameters()["payloads"]), f"reads, payload {size}")
        dut.max_payload_bytes.value = size
        found[str(size)] = await _read(dut, config, size, parameters()["bytes"])
    return found


async def _read(dut: Any, config: Config, payload: int, total: int) -> dict[str, float]:
    memory = random.randbytes(total)
    command, wire, chunks = (Pins(dut, name) for name in ("i_read", "i", "o_read"))
    requests, tap = Tap(Pins(dut, "o"), config), Tap(wire, config)
    dut.o__ready.value = dut.o_read__ready.value = 1
    size = config.read_slot_bytes
    asked = deque(
        pack(ReadCommand, address=ADDRESS + start, length_bytes=size, tenant=TENANT)
        for start in range(0, total, size)
    )
    answers: deque[tuple[int, int]] = deque()
    arrived, chunk = b"", Packet(ReadChunk, config.data_width)
    limit = now() + 20 * total // config.beat_bytes
    while len(arrived) < total:
        command.offer(asked[0] if asked else None)
        wire.offer(answers[0][1] if answers and answers[0][0] <= now() else None)
        await settle()
        if command.moves:
            asked.popleft()
        if wire.moves:
            answers.popleft()
        tap.look()
        if (tlp := requests.look()) is not None:
            assert tlp.pasid == PASID and tlp.fmt_type is TlpType.MEM_READ_64
            due = now() + HOST_LATENCY_CYCLES
            for completion in _answer(tlp, memory, payload):
                answers.extend((due, beat) for beat in beats_of(completion, config))
        if chunks.moves:
            beat = chunk.from_bits(chunks.payload)
            assert ReadStatus(beat.header.status) is ReadStatus.SUCCESS
            arrived += int(beat.data).to_bytes(config.beat_bytes, "little")
        await cycles(1)
        assert now() < limit, f"the read does not end: {len(arrived)} of {total} bytes"
    await cycles(64)
    assert arrived == memory, "wrong data"
    return tap.figures(total)


def _answer(request: Tlp, memory: bytes, payload: int) -> Iterator[Tlp]:
    start, left = request.address - ADDRESS, request.length * 4
    while left:
        size = min(left, payload)
        tlp = Tlp()
        tlp.fmt_type = TlpType.CPL_DATA
        tlp.completer_id, tlp.requester_id = PcieId(0, 0, 0), request.requester_id
        tlp.status, tlp.tag, tlp.tc = CplStatus.SC, request.tag, request.tc
        tlp.byte_count, tlp.lower_address = left, start + ADDRESS & 0x7F
        tlp.set_data(memory[start : start + size])
        yield tlp
        start, left = start + size, left - size
