"""Portals of the model: every rule of DSA §5.3 and §9.3."""

import pytest

from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, QueueState, SoftwareError
from hw.regs.descriptor import DESCRIPTOR_BYTES, OPERATIONS_IMPLEMENTED
from sim.model.tlp import Kind, Request, Status, memory_read, memory_write

from .model_bench import BAR2, Bench, descriptor

KINDS = [Portal.UNLIMITED, Portal.LIMITED, Portal.IMS, Portal.IMS | Portal.LIMITED]
NOP = descriptor(pasid=1)


def occupancy(bench, queue):
    return bench.queue_field(queue, "status", "occupancy")


@pytest.fixture
def shared():
    bench = Bench()
    bench.enable(0, size=4, threshold=2)
    return bench


@pytest.fixture
def dedicated():
    bench = Bench()
    bench.enable(0, dedicated=1, pasid_enable=0, size=4, threshold=1)
    return bench


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("slot", [0, 1, 63])
def test_shared_queue_accepts_a_deferrable_write_at_any_slot(shared, kind, slot):
    assert shared.submit(0, NOP, kind, slot=slot) is Status.SUCCESS
    assert occupancy(shared, 0) == 1


@pytest.mark.parametrize("kind", [Portal.LIMITED, Portal.LIMITED | Portal.IMS])
def test_limited_portal_retries_at_the_threshold(shared, kind):
    assert [shared.submit(0, NOP, kind) for _ in range(3)] == [
        Status.SUCCESS, Status.SUCCESS, Status.REQUEST_RETRY,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [Portal.UNLIMITED, Portal.IMS])
def test_unlimited_portal_retries_when_the_queue_is_full(shared, kind):
    assert [shared.submit(0, NOP, kind) for _ in range(5)] == [
        *[Status.SUCCESS] * 4, Status.REQUEST_RETRY,
    ]  # fmt: skip


def test_threshold_above_the_size_counts_as_the_size():
    bench = Bench()
    bench.enable(0, size=2, threshold=9)
    answers = [bench.submit(0, NOP, Portal.LIMITED) for _ in range(3)]
    assert answers == [Status.SUCCESS, Status.SUCCESS, Status.REQUEST_RETRY]


def test_threshold_may_change_while_the_queue_is_enabled(shared):
    shared.write(shared.queue_offset(0, "threshold"), 1)
    answers = [shared.submit(0, NOP, Portal.LIMITED) for _ in range(2)]
    assert answers == [Status.SUCCESS, Status.REQUEST_RETRY]


def test_retry_leaves_no_trace(shared):
    for _ in range(4):
        shared.submit(0, NOP)
    before = shared.read(shared.queue_offset(0, "status")), shared.get("swerror")
    assert shared.submit(0, NOP) is Status.REQUEST_RETRY
    assert (shared.read(shared.queue_offset(0, "status")), shared.get("swerror")) == before
    shared.device.settle()
    assert occupancy(shared, 0) == 0


def test_posted_write_to_a_shared_queue_is_ignored(shared):
    shared.submit(0, NOP, posted=True)
    assert occupancy(shared, 0) == 0
    assert shared.get("swerror", "valid") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_dedicated_queue_accepts_posted_writes_up_to_its_size_on_every_portal(dedicated, kind):
    for count in range(4):
        dedicated.submit(0, NOP, kind, posted=True)
        assert occupancy(dedicated, 0) == count + 1
    assert dedicated.get("swerror", "valid") == 0


def test_full_dedicated_queue_drops_and_reports(dedicated):
    for _ in range(5):
        dedicated.submit(0, NOP, posted=True)
    assert occupancy(dedicated, 0) == 4
    assert dedicated.get("swerror", "valid") == 1
    assert dedicated.get("swerror", "code") == SoftwareError.QUEUE_FULL
    assert dedicated.get("swerror", "queue_valid") == 1
    assert dedicated.get("swerror", "queue") == 0
    dedicated.submit(0, NOP, posted=True)
    assert dedicated.get("swerror", "overflow") == 1


def test_deferrable_write_to_a_dedicated_queue_is_retried(dedicated):
    assert dedicated.submit(0, NOP) is Status.REQUEST_RETRY
    assert occupancy(dedicated, 0) == 0


@pytest.mark.parametrize("queue", [1, 7])
def test_disabled_queue_retries_deferrable_and_ignores_posted_writes(shared, queue):
    assert shared.submit(queue, NOP) is Status.REQUEST_RETRY
    shared.submit(queue, NOP, posted=True)
    assert occupancy(shared, queue) == 0
    assert shared.get("swerror", "valid") == 0


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16, 32, 60])
def test_posted_write_of_another_size_is_ignored(dedicated, size):
    assert dedicated.device.handle(memory_write(BAR2, bytes(size))) == []
    assert occupancy(dedicated, 0) == 0
    assert dedicated.get("swerror", "valid") == 0


@pytest.mark.parametrize("offset", [4, 8, 32])
def test_posted_write_that_is_not_aligned_is_ignored(dedicated, offset):
    assert dedicated.device.handle(memory_write(BAR2 + offset, bytes(64))) == []
    assert occupancy(dedicated, 0) == 0


@pytest.mark.parametrize(("first", "last"), [(0xE, 0xF), (0xF, 0x7), (0xF, 0x0)])
def test_write_with_bytes_disabled_is_no_submission(dedicated, first, last):
    request = Request(
        kind=Kind.MEMORY_WRITE, address=BAR2, length_dw=16, first_be=first, last_be=last,
        payload=bytes(64),
    )  # fmt: skip
    assert dedicated.device.handle(request) == []
    assert occupancy(dedicated, 0) == 0


@pytest.mark.parametrize("size", [1, 4, 8, 32, 60])
def test_deferrable_write_of_another_size_is_not_accepted(shared, size):
    (answer,) = shared.device.handle(memory_write(BAR2, bytes(size), deferrable=True))
    assert answer.status not in (Status.SUCCESS, Status.REQUEST_RETRY)
    assert occupancy(shared, 0) == 0


@pytest.mark.parametrize("size", [1, 4, 8, 64])
def test_portals_read_as_ones(shared, size):
    (answer,) = shared.device.handle(memory_read(BAR2 + portal(0, Portal.IMS), size))
    assert answer.status is Status.SUCCESS
    assert set(answer.payload) == {0xFF}


def test_locked_fields_ignore_writes_while_enabled(shared):
    names = ("size", "mode", "limits", "occupancy_handle")
    before = {name: shared.read(shared.queue_offset(0, name)) for name in names}
    for name in names:
        shared.write(shared.queue_offset(0, name), 0xFFFF_FFFF)
    assert {name: shared.read(shared.queue_offset(0, name)) for name in names} == before


def test_size_is_locked_while_the_device_is_enabled_even_for_a_disabled_queue(shared):
    shared.write(shared.queue_offset(1, "size"), 3)
    shared.write(shared.queue_offset(1, "limits"), 7)
    assert shared.read(shared.queue_offset(1, "size")) == 0
    assert shared.read(shared.queue_offset(1, "limits")) == 7


def test_occupancy_limit_is_locked_while_its_interrupt_is_enabled(shared):
    offset = shared.queue_offset(0, "occupancy_limit")
    shared.write(offset, 0x1_0003)
    shared.write(offset, 0x1_0005)
    assert shared.read(offset) == 0x1_0003


def test_operations_start_as_opcap_and_leave_out_undefined_opcodes():
    bench = Bench()
    offset = bench.queue_offset(2, "operations")
    assert bench.read(offset, 8) == bench.get("opcap") == OPERATIONS_IMPLEMENTED
    bench.write(offset, (1 << 64) - 1, 8)
    assert bench.read(offset, 8) & (0x1F << 11 | 1 << 22 | 1 << 31 | 1 << 34) == 0


@pytest.mark.parametrize("priority", [1, 3, 15])
def test_queues_are_served_in_proportion_to_their_priority(priority):
    bench = Bench()
    bench.configure(0, size=16, priority=1)
    bench.configure(1, size=16, priority=priority)
    bench.group(0b11)
    bench.command(Command.ENABLE_DEVICE)
    for queue in (0, 1):
        bench.command(Command.ENABLE_QUEUE, queue)
    for queue in (0, 1):
        for _ in range(16):
            assert bench.submit(queue, NOP) is Status.SUCCESS
    turns = [bench.device.queues.take(0).queue for _ in range(priority + 1)]
    assert (turns.count(0), turns.count(1)) == (1, priority)


def test_descriptors_of_a_queue_keep_their_order(shared):
    for number in range(4):
        shared.submit(0, descriptor(pasid=number + 1))
    taken = [shared.device.queues.take(0).pasid for _ in range(4)]
    assert taken == [1, 2, 3, 4]


def test_queue_state_follows_the_commands(shared):
    assert shared.queue_field(0, "status", "state") == QueueState.ENABLED
    shared.command(Command.DISABLE_QUEUE, 1)
    assert shared.queue_field(0, "status", "state") == QueueState.DISABLED
    assert len(NOP) == DESCRIPTOR_BYTES
