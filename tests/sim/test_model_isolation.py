"""A descriptor reaches only its own tenant's vectors, memory and queue."""

import random

import pytest

from hw.regs.bar2 import Portal
from hw.regs.commands import Command
from hw.regs.descriptor import Opcode
from hw.regs.descriptor import Status as Code
from sim.model.tlp import Status

from .model_bench import SMALL, Bench, descriptor, record

TENANTS = {100 + number: number for number in range(24)}
"""PASID to the IMS entry that it owns."""


def crowd(**options):
    bench = Bench(**options)
    bench.enable(0, 1, 2, size=8, threshold=8)
    messages = {
        pasid: bench.ims(entry, pasid=pasid, data=pasid) for pasid, entry in TENANTS.items()
    }
    for pasid in TENANTS:
        bench.memory.store(0x1000, bytes([pasid]) * 64, pasid)
    return bench, messages


@pytest.mark.parametrize("seed", range(5))
def test_random_tenants_never_reach_one_another(seed):
    """Right and wrong handles, random order of steps: each log entry has one owner."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    bench, messages = crowd()
    rung = dict.fromkeys(TENANTS, 0)
    expected = dict.fromkeys(TENANTS, 0)
    wrong = accepted = 0
    for number in range(600):
        pasid = rng.choice(list(TENANTS))
        target = pasid if rng.random() < 0.7 else rng.choice(list(TENANTS))
        data = descriptor(
            Opcode.MEMORY_MOVE, pasid=pasid, handle=TENANTS[target], source=0x1000,
            destination=0x2000, size_bytes=64, completion_address=0x4000 + 32 * number,
        )  # fmt: skip
        kind = Portal.IMS | rng.choice((Portal.LIMITED, Portal.UNLIMITED))
        if bench.submit(rng.randrange(3), data, kind) is Status.SUCCESS:
            accepted += 1
            wrong += target != pasid
            expected[pasid] += target == pasid
        for _ in range(rng.randrange(8)):
            bench.device.step()
    bench.device.settle()
    for entry in bench.memory.log:
        if entry[0] == "message":
            pasid = next(p for p, message in messages.items() if message == entry[1:])
            rung[pasid] += 1
        elif entry[0] == "write" and entry[2] == 0x2000:
            assert entry[3] == bytes([entry[1]]) * 64
    statuses = [write[2][0] for write in bench.memory.writes if write[1] >= 0x4000]
    assert rung == expected
    assert len(statuses) == accepted
    assert statuses.count(Code.BAD_HANDLE) == wrong
    assert statuses.count(Code.SUCCESS) == accepted - wrong


def test_check_comes_before_any_access():
    bench, _ = crowd()
    bench.submit(0, descriptor(
        Opcode.MEMORY_MOVE, pasid=100, handle=TENANTS[101], source=0x1000, destination=0x2000,
        size_bytes=64, completion_address=0x4000,
    ), Portal.IMS)  # fmt: skip
    bench.device.settle()
    assert [entry[0] for entry in bench.memory.log] == ["write"]
    assert record(bench.memory.load(0x4000, 32, 100))["status"] == Code.BAD_HANDLE


def test_full_queue_of_one_does_not_disturb_another():
    bench, messages = crowd()
    data = descriptor(pasid=100)
    while bench.submit(0, data) is Status.SUCCESS:
        pass
    assert bench.submit(1, descriptor(pasid=101, handle=TENANTS[101]), Portal.IMS) is Status.SUCCESS
    bench.device.settle()
    assert bench.memory.messages == [messages[101]]


@pytest.mark.parametrize("code", [Command.ABORT_PASID, Command.DRAIN_PASID])
def test_stopping_one_tenant_leaves_the_others_whole(code):
    bench, messages = crowd()
    for pasid in (100, 101, 102, 100, 101, 102):
        data = descriptor(pasid=pasid, handle=TENANTS[pasid])
        assert bench.submit(0, data, Portal.IMS) is Status.SUCCESS
    assert bench.command(code, 100) == (0, 0)
    bench.device.settle()
    for pasid in (101, 102):
        assert bench.memory.messages.count(messages[pasid]) == 2


def test_entry_given_to_another_refuses_its_former_owner():
    bench, _ = crowd()
    entry = TENANTS[100]
    message = bench.ims(entry, pasid=999)
    data = descriptor(pasid=100, handle=entry, completion_address=0x4000)
    bench.submit(0, data, Portal.IMS)
    bench.device.settle()
    assert record(bench.memory.load(0x4000, 32, 100))["status"] == Code.BAD_HANDLE
    data = descriptor(pasid=999, handle=entry, completion_address=0x4000)
    bench.submit(0, data, Portal.IMS)
    bench.device.settle()
    assert bench.memory.messages == [message]


def test_ims_handle_does_not_open_the_msix_table():
    bench, _ = crowd()
    bench.msix(3, pasid=100)
    data = descriptor(pasid=100, handle=TENANTS[100], completion_address=0x4000)
    assert TENANTS[100] != 3 < SMALL.msix_vectors
    bench.submit(0, data, Portal.UNLIMITED)
    bench.device.settle()
    assert record(bench.memory.load(0x4000, 32, 100))["status"] == Code.BAD_HANDLE
