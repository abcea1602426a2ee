"""Inside the simulator: figures of the interrupt path."""

import random
from typing import Any

from hw.csr.bus import Access
from hw.interrupts.records import Check, Event
from hw.regs import Config
from hw.regs.bar0 import IMS_ENTRY, bar0

from ..bench.cocotb_side import bench, cycles, now, parameters, progress
from .pins import Pins, pack, receive, send, settle

PASID_STEP = 0x9E37B
WINDOW_DWS = 1 << 18


class Storage:
    """Every vector of the store, with an address, data and a PASID of its own."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.vectors = [(1, n) for n in range(config.ims_vectors)]
        self.vectors += [(0, n) for n in range(config.msix_vectors)]

    def message(self, ims: int, index: int) -> tuple[int, int]:
        """Address and data of a vector."""
        number = index + ims * self.config.msix_vectors
        place = (number * 0x2_4C3D + 0x1_5A5B) % WINDOW_DWS
        return self.config.message_window + 4 * place, (number * 0x9E37_79B1) & 0xFFFF_FFFF

    def pasid(self, index: int) -> int:
        """PASID of a vector in interrupt message storage."""
        return (index + 1) * PASID_STEP % (1 << 20)

    def writes(self) -> list[int]:
        """The accesses that fill the tables and unmask everything."""
        space = bar0(self.config)
        control = {r.name: r for r in IMS_ENTRY}["control"]
        words = []
        for ims, index in self.vectors:
            entry = space.table("ims" if ims else "msix").entry(index)
            address, data = self.message(ims, index)
            rights = control.pack(pasid_enable=1, pasid=self.pasid(index)) if ims else 0
            words += [(entry, address), (entry + 8, rights << 32 | data)]
        return [
            pack(Access, address=address, write=1, strobe=0xFF, data=data)
            for address, data in words
        ]


def event(ims: int, index: int) -> int:
    """The completion of a descriptor, which rings a vector."""
    return pack(Event, ims=ims, index=index, completion=1)


async def prepare(dut: Any, storage: Storage) -> None:
    """Wait for the store to be ready, and give every vector its message."""
    access, result = Pins(dut, "csr__access"), Pins(dut, "csr__result")
    while int(dut.busy.value):
        await cycles(1)
    words = storage.writes()
    for count, word in enumerate(words):
        await send(access, [word])
        await receive(result)
        if count % 256 == 0:
            progress(count, len(words), "programming vectors")


def seen(dut: Any) -> tuple[int, int]:
    """The message that is offered."""
    return int(dut.message_address.value), int(dut.message_data.value)


@bench()
async def latency(dut: Any) -> dict[str, Any]:
    """One event at a time, at random vectors, on an idle path: clocks to message and to wire."""
    storage = Storage(Config(**parameters()["config"]))
    events = parameters()["events"]
    await prepare(dut, storage)
    dut.o__ready.value = 1
    pins = Pins(dut, "i_event")
    to_message, to_wire = 0, 0
    for count in range(events):
        chosen = random.choice(storage.vectors)
        pins.offer(event(*chosen))
        await settle()
        while not pins.moves:
            await cycles(1)
            await settle()
        accepted = now()
        message = wire = None
        while wire is None:
            await cycles(1)
            pins.offer(None)
            await settle()
            if message is None and int(dut.message.value):
                message = now()
                assert seen(dut) == storage.message(*chosen), f"a wrong message for {chosen}"
            if int(dut.o__valid.value):
                wire = now()
            assert now() - accepted < 100, f"no message for {chosen}"
        assert message is not None
        to_message = max(to_message, message - accepted)
        to_wire = max(to_wire, wire - accepted)
        # Let the path become idle again, after a pause of any length.
        await cycles(8 + random.randrange(4))
        if count % 256 == 0:
            progress(count, events, "one event at a time")
    return {"event_to_message_cycles": to_message, "event_to_wire_cycles": to_wire}


async def flood(dut: Any, storage: Storage, chosen: list[tuple[int, int]]) -> float:
    """Offer an event in every clock; messages per clock from the first to the last."""
    pins = Pins(dut, "i_event")
    offered = 0
    messages: list[int] = []
    pins.offer(event(*chosen[0]))
    limit = now() + 20 * len(chosen) + 1000
    while len(messages) < len(chosen):
        await settle()
        if pins.moves:
            offered += 1
        if int(dut.message.value):
            assert seen(dut) == storage.message(*chosen[len(messages)]), "a wrong message"
            messages.append(now())
        await cycles(1)
        pins.offer(event(*chosen[offered]) if offered < len(chosen) else None)
        assert now() < limit, f"{len(messages)} messages for {len(chosen)} events"
    return len(chosen) / (messages[-1] - messages[0] + 1)


@bench()
async def rates(dut: Any) -> dict[str, Any]:
    """Events in every clock, for distinct and for identical vectors; then checks in every clock."""
    storage = Storage(Config(**parameters()["config"]))
    events = parameters()["events"]
    await prepare(dut, storage)
    dut.alone.value = 1
    order = random.sample(storage.vectors, len(storage.vectors))
    distinct = (order * (events // len(order) + 1))[:events]
    progress(0, 3, "distinct vectors")
    result = {"messages_per_cycle_distinct": await flood(dut, storage, distinct)}
    progress(1, 3, "identical vectors")
    one = [random.choice(storage.vectors)] * events
    result["messages_per_cycle_identical"] = await flood(dut, storage, one)
    progress(2, 3, "checks")
    result["checks_per_cycle"] = await checks(dut, storage, events)
    return result


async def checks(dut: Any, storage: Storage, count: int) -> float:
    """Offer a check in every clock, half of them to be refused; verdicts per clock."""
    asked, answers = Pins(dut, "i_check"), Pins(dut, "o_verdict")
    questions, expected = [], []
    for _ in range(count):
        index, good = random.randrange(storage.config.ims_vectors), random.random() < 0.5
        pasid = storage.pasid(index) ^ (0 if good else 1 << random.randrange(20))
        target = {"ims": 1, "index": index}
        questions.append(pack(Check, vector=target, pasid=pasid, pasid_enable=1))
        expected.append(int(good))
    offered = 0
    times: list[int] = []
    answers.take()
    asked.offer(questions[0])
    limit = now() + 20 * count + 1000
    while len(times) < count:
        await settle()
        if asked.moves:
            offered += 1
        if answers.moves:
            assert answers.payload == expected[len(times)], "a wrong verdict"
            times.append(now())
        await cycles(1)
        asked.offer(questions[offered] if offered < count else None)
        assert now() < limit, f"{len(times)} verdicts for {count} checks"
    return count / (times[-1] - times[0] + 1)
