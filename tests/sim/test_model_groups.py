"""Engines and groups of the model: who serves whom, in what order (DSA §3.4, §3.10, §4.1)."""

import random

import pytest

from hw.regs.bar2 import Portal
from hw.regs.commands import Command
from hw.regs.config import Config
from hw.regs.descriptor import Opcode

from .model_bench import Bench, descriptor
from .operation_bench import PASID, RECORD, SOURCE, TARGET, pack, writes

WIDE = Config(
    ims_vectors=256, msix_vectors=8, queue_slots=64, groups=4, engines=4, read_slot_bytes=128
)


def build(groups, sizes=16, priorities=None):
    """A bench whose groups have these bitmaps of queues and engines."""
    bench = Bench(WIDE)
    queues = [i for i in range(8) if any(members >> i & 1 for members, _ in groups)]
    for queue in queues:
        priority = (priorities or {}).get(queue, 1)
        bench.configure(queue, size=sizes, threshold=sizes, priority=priority)
    for number, (members, engines) in enumerate(groups):
        bench.group(members, engines, group=number)
    bench.set("gencfg", user_interrupts=1)
    assert bench.command(Command.ENABLE_DEVICE) == (0, 0)
    for queue in queues:
        assert bench.command(Command.ENABLE_QUEUE, queue) == (0, 0)
    return bench


def test_engines_serve_only_the_queues_of_their_group():
    bench = build([(0b01, 0b0001), (0b10, 0b1100)])
    bench.submit(0, pack(Opcode.NOP))
    assert bench.device.runnable() == ("engine 0",)
    bench.submit(1, pack(Opcode.NOP))
    assert bench.device.runnable() == ("engine 0", "engine 2", "engine 3")


def test_engine_without_a_group_does_nothing():
    bench = build([(0b01, 0b0010)])
    bench.submit(0, pack(Opcode.NOP))
    assert bench.device.runnable() == ("engine 1",)
    assert not bench.device.step("engine 0")
    bench.device.settle()
    assert len(writes(bench)) == 1


def test_engines_of_a_group_work_side_by_side():
    bench = build([(0b01, 0b0011)])
    for index in range(2):
        bench.submit(0, pack(Opcode.MEMORY_MOVE, record=RECORD + 32 * index, size_bytes=512,
                             destination=TARGET + 4096 * index, source=SOURCE))  # fmt: skip
    bench.device.settle()
    pages = [address // 4096 for address, data in writes(bench) if len(data) > 32]
    assert pages != sorted(pages)


@pytest.mark.parametrize("group", [0, 1])
def test_priorities_count_within_a_group_only(group):
    bench = build([(0b0011, 0b01), (0b1100, 0b10)], priorities={0: 3, 1: 1, 2: 15, 3: 5})
    for queue in range(4):
        for _ in range(12):
            bench.submit(queue, descriptor(pasid=1))
    first, turns = 2 * group, (4, 20)[group]
    served = [bench.device.queues.take(group).queue for _ in range(turns - 8 * group)]
    assert set(served) == {first, first + 1}
    if not group:
        assert served.count(0) == 3
    else:
        assert served.count(3) == 5
    assert bench.device.queues.waiting(1 - group)


def test_work_of_one_group_does_not_restart_the_credits_of_another():
    bench = build([(0b0011, 0b01), (0b1100, 0b10)], priorities={0: 3, 1: 1, 2: 1, 3: 1})
    for queue in range(4):
        for _ in range(8):
            bench.submit(queue, descriptor(pasid=1))
    queues = bench.device.queues
    served = []
    for _ in range(4):
        served.append(queues.take(0).queue)
        queues.take(1)
    assert sorted(served) == [0, 0, 0, 1]


def test_drain_descriptor_waits_for_every_engine():
    bench = build([(0b01, 0b1111)])
    for index in range(3):
        bench.submit(0, pack(Opcode.MEMORY_MOVE, record=RECORD + 32 * index, size_bytes=512))
    bench.submit(0, pack(Opcode.DRAIN, record=RECORD + 96))
    for number in range(4):
        bench.device.step(f"engine {number}")
    assert "engine 3" not in bench.device.runnable()
    bench.device.settle()
    assert writes(bench)[-1][0] == RECORD + 96


def test_drain_descriptor_does_not_wait_for_other_queues():
    bench = build([(0b11, 0b0011)])
    bench.submit(0, pack(Opcode.MEMORY_MOVE, record=RECORD, size_bytes=512))
    bench.device.step("engine 0")
    bench.submit(1, pack(Opcode.DRAIN, record=RECORD + 32))
    for _ in range(10):
        bench.device.step("engine 1")
    assert [address for address, _ in writes(bench)] == [RECORD + 32]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_order_each_descriptor_is_done_once(seed):
    rng = random.Random(seed)
    print("seed", seed)
    bench = build([(0b0111, 0b0101), (0b1000, 0b1010)])
    for index in range(40):
        pasid = rng.randrange(4)
        size, target = rng.randrange(1, 600), TARGET + 4096 * index
        bench.memory.store(SOURCE, bytes(range(256)) * 4, pasid)
        data = pack(
            Opcode.MEMORY_MOVE, pasid=pasid, record=RECORD + 32 * index, destination=target,
            size_bytes=size, source=SOURCE,
        )  # fmt: skip
        bench.submit(rng.randrange(4), data)
        for _ in range(rng.randrange(6)):
            bench.device.step(rng.choice(bench.device.runnable() or ("command",)))
    while bench.device.runnable():
        bench.device.step(rng.choice(bench.device.runnable()))
    records = [address for address, data in writes(bench) if RECORD <= address < SOURCE]
    assert sorted(records) == [RECORD + 32 * index for index in range(40)]


@pytest.mark.parametrize("steps", range(0, 24, 2))
@pytest.mark.parametrize(
    ("code", "operand"),
    [(Command.ABORT_QUEUE, 0b01), (Command.RESET_QUEUE, 0b01), (Command.DISABLE_QUEUE, 0b01)],
)
def test_command_for_a_queue_reaches_all_engines_and_no_other_queue(steps, code, operand):
    bench = build([(0b11, 0b1111)])
    for index in range(6):
        bench.submit(index % 2, pack(Opcode.MEMORY_MOVE, record=RECORD + 32 * index,
                                     size_bytes=512))  # fmt: skip
    for _ in range(steps):
        bench.device.step("engine")
    bench.command(code, operand, settle=False)
    while bench.get("cmdstatus", "active"):
        assert bench.device.step()
    before = [address for address, _ in writes(bench)]
    bench.device.settle()
    records = [address for address, _ in writes(bench) if address < SOURCE]
    assert all(RECORD + 32 * index in records for index in (1, 3, 5))
    for index in (0, 2, 4):
        assert (RECORD + 32 * index in records) == (RECORD + 32 * index in before)
    if code is Command.DISABLE_QUEUE:
        assert len(records) == 6


def test_interrupts_of_engines_follow_their_own_records():
    bench = build([(0b01, 0b1111)])
    messages = {bench.ims(index, pasid=PASID): index for index in range(8)}
    for index in range(8):
        bench.submit(0, pack(Opcode.NOP, record=RECORD + 32 * index, handle=index), Portal.IMS)
    rng = random.Random(7)
    while bench.device.runnable():
        bench.device.step(rng.choice(bench.device.runnable()))
    seen = set()
    for entry in bench.memory.log:
        if entry[0] == "write":
            seen.add((entry[2] - RECORD) // 32)
        elif entry[0] == "message":
            assert messages[entry[1:]] in seen
    assert len(bench.memory.messages) == 8
