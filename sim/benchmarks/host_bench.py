"""Inside the simulator: figures of message storage in the host's memory.

The store stands alone; its host answers reads of entries in order, :data:`LATENCY_CYCLES` after
they were asked for. Figures of single events are from an idle store.
"""

import random
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import cocotb

from hw.host_ims.records import ENTRY_BYTES, Sync
from hw.interrupts.records import Event, Message
from hw.pcie.records import ReadChunk, ReadCommand, ReadStatus
from hw.regs import Config
from hw.tlp.records import Packet

from ..bench.cocotb_side import bench, cycles, now, parameters, progress
from .dma_bench import HOST_LATENCY_CYCLES
from .pins import Pins, pack, settle

BASE = 0x7_0000_0000
LATENCY_CYCLES = HOST_LATENCY_CYCLES
SINGLES = 64
"""Events of which the slowest counts."""


class Host:
    """Memory with an entry for each vector, which tells it from all others; and who listens.

    Members
    -------
    reads, messages : int
        How many there were.
    rung : list[int]
        When each message came, by vector; -1 if none has.
    """

    def __init__(self, dut: Any, config: Config) -> None:
        self.dut, self.config = dut, config
        self.reads = self.messages = 0
        self.rung = [-1] * config.host_vectors
        self._asks, self._answers = Pins(dut, "o_read"), Pins(dut, "i_read")
        self._message = Pins(dut, "o_message")
        self._packet = Packet(ReadChunk, config.data_width)

    async def open(self) -> None:
        """Start, and wait until the store is ready."""
        dut = self.dut
        dut.base.value, dut.count.value = BASE, self.config.host_vectors
        dut.bus_master.value = 1
        cocotb.start_soon(self._serve())
        await self.rest()

    async def rest(self) -> None:
        """Until the store has nothing to do."""
        await cycles(3)
        while int(self.dut.busy.value) or int(self.dut.o_message__valid.value):
            await cycles(1)

    def _message_of(self, vector: int) -> tuple[int, int]:
        return self.config.message_window + 4 * vector, vector * 0x9E37_79B1 & 0xFFFF_FFFF

    def _beats(self, vector: int) -> Iterator[int]:
        """The chunk of a read of an entry."""
        width, (address, data) = self.config.data_width, self._message_of(vector)
        entry = address | data << 64
        lane, count = 128 * vector % width, max(1, 128 // width)
        header = {"address": BASE + ENTRY_BYTES * vector, "length_bytes": ENTRY_BYTES}
        for beat in range(count):
            word = (entry << lane) >> width * beat & (1 << width) - 1
            yield pack(
                self._packet,
                header=header | {"status": ReadStatus.SUCCESS},
                data=word,
                first=beat == 0,
                last=beat == count - 1,
            )

    async def _serve(self) -> None:
        waiting: deque[tuple[int, int]] = deque()
        beats: deque[int] = deque()
        self._asks.take()
        self._message.take()
        while True:
            self._answers.offer(beats[0] if beats else None)
            await settle()
            if beats and self._answers.moves:
                beats.popleft()
            if self._asks.moves:
                command = ReadCommand.as_shape().from_bits(self._asks.payload)
                waiting.append((now() + LATENCY_CYCLES, (command.address - BASE) // ENTRY_BYTES))
                self.reads += 1
            if waiting and not beats and waiting[0][0] <= now() + 1:
                beats.extend(self._beats(waiting.popleft()[1]))
            if self._message.moves:
                self._hear()
            await cycles(1)

    def _hear(self) -> None:
        message = Message.as_shape().from_bits(self._message.payload)
        vector = (message.address - self.config.message_window) // 4
        assert (message.address, message.data) == self._message_of(vector), "a wrong message"
        self.rung[vector] = now()
        self.messages += 1

    async def ring(self, vector: int) -> int:
        """An event; returns when it was taken."""
        pins = Pins(self.dut, "i_event")
        pins.offer(pack(Event, index=vector, ims=1, completion=1))
        await settle()
        while not pins.moves:
            await cycles(1)
            await settle()
        taken = now()
        await cycles(1)
        pins.offer(None)
        return taken

    async def latency(self, vector: int) -> int:
        """Clocks from an event to its message, from rest."""
        await self.rest()
        taken, count = await self.ring(vector), self.messages
        while self.messages == count:
            await cycles(1)
        return self.rung[vector] - taken

    async def sync(self, vector: int | None = None) -> int:
        """Clocks from a sync to its answer."""
        asks, answers = Pins(self.dut, "i_sync"), Pins(self.dut, "o_synced")
        asks.offer(pack(Sync, index=vector or 0, every=vector is None))
        answers.take()
        await settle()
        while not asks.moves:
            await cycles(1)
            await settle()
        taken = now()
        await cycles(1)
        asks.offer(None)
        await settle()
        while not answers.moves:
            await cycles(1)
            await settle()
        answered = now()
        await cycles(1)
        return answered - taken


@bench()
async def latencies(dut: Any) -> dict[str, Any]:
    """One event at a time, whose entry is cached or not; syncs of what is cached, and of what is
    just being fetched."""
    host = Host(dut, Config(**parameters()["config"]))
    await host.open()
    chosen = random.sample(range(host.config.host_vectors), SINGLES)
    misses, hits, syncs, during = [], [], [], []
    for done, vector in enumerate(chosen):
        misses.append(await host.latency(vector))
        hits.append(await host.latency(vector))
        await host.rest()
        syncs.append(await host.sync(vector))
        await host.rest()
        await host.ring(vector)
        await cycles(20)
        during.append(await host.sync(vector))
        progress(done, SINGLES, "single events")
    await host.rest()
    return {
        "host_miss_cycles": max(misses),
        "host_miss_extra_cycles": max(misses) - LATENCY_CYCLES,
        "host_hit_cycles": max(hits),
        "host_sync_cycles": max(syncs),
        "host_sync_during_fetch_cycles": max(during),
        "host_sync_all_cycles": await host.sync(),
    }


def zipf(vectors: int, count: int) -> list[int]:
    """The k-th of the vectors gets 1/k of what the first gets; which is which, chance decides."""
    order = random.sample(range(vectors), vectors)
    weights = list(accumulate(1 / rank for rank in range(1, vectors + 1)))
    return random.choices(order, cum_weights=weights, k=count)


@bench()
async def traffic(dut: Any) -> dict[str, Any]:
    """Events as fast as they are taken, for as many vectors as there are, and for four times what
    the cache holds."""
    host = Host(dut, Config(**parameters()["config"]))
    events = parameters()["events"]
    await host.open()
    few, many = 4 * host.config.host_cache_entries, host.config.host_vectors
    figures: dict[str, Any] = {}
    for name, chosen in (
        ("uniform", random.choices(range(few), k=2 * events)),
        ("zipf", zipf(many, 2 * events)),
    ):
        # The first half fills the cache.
        for vector in chosen[:events]:
            await host.ring(vector)
        reads, began = host.reads, now()
        for done, vector in enumerate(chosen[events:]):
            await host.ring(vector)
            if done % 256 == 0:
                progress(done, events, f"{name} traffic")
        figures[f"host_hit_rate_{name}"] = 1 - (host.reads - reads) / events
        figures[f"host_event_cycles_{name}"] = (now() - began) / events
        await host.rest()
    return figures
