"""Batches of the model: members, fences, failures, and turns with other work (DSA §3.8, §3.9)."""

import pytest

from hw.regs.bar2 import Portal
from hw.regs.commands import Command
from hw.regs.descriptor import Flag, Opcode
from hw.regs.descriptor import Status as Code

from .model_bench import Bench
from .operation_bench import (
    LIST,
    PASID,
    RECORD,
    SECOND,
    SOURCE,
    TARGET,
    load,
    pack,
    put_list,
    ready,
    result,
    run,
    store,
    writes,
)

MEMBERS = 0x20_0000


def record_of(index):
    """Where the record of a member goes."""
    return MEMBERS + 32 * index


def nop(index, flags=0, **fields):
    return pack(Opcode.NOP, flags, record=record_of(index), **fields)


def bad(index, flags=0):
    """A member that fails its checks."""
    return pack(Opcode.FILL, flags, record=record_of(index), size_bytes=0)


def batch(bench, members, **fields):
    """Run a batch. Returns its record."""
    put_list(bench, members)
    return run(bench, pack(Opcode.BATCH, count=len(members), **fields))


def statuses(bench, count):
    """Status in the records of the members; 0 if there is none."""
    return [load(bench, record_of(index), 1)[0] for index in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 32])
def test_batch_completes_after_its_members_and_counts_them(count):
    bench = ready()
    record = batch(bench, [nop(index) for index in range(count)])
    assert (record["status"], record["bytes_completed"]) == (Code.SUCCESS, count)
    assert [address for address, _ in writes(bench)] == [
        *(record_of(index) for index in range(count)), RECORD,
    ]  # fmt: skip


def test_members_use_the_identity_of_their_batch():
    bench = ready()
    bench.ims(5, pasid=PASID)
    members = [nop(0, pasid=1, handle=5), nop(1, pasid=0, privileged=1)]
    put_list(bench, members)
    record = run(bench, pack(Opcode.BATCH), Portal.IMS)
    assert (record["status"], record["bytes_completed"]) == (Code.SUCCESS, 2)
    assert {entry[1] for entry in bench.memory.log if entry[0] != "message"} == {PASID}
    assert len(bench.memory.messages) == 1


def test_member_that_fails_is_counted_and_told():
    bench = ready()
    record = batch(bench, [nop(0), bad(1), nop(2)])
    assert (record["status"], record["bytes_completed"]) == (Code.BATCH_FAILED, 3)
    assert statuses(bench, 3) == [Code.SUCCESS, Code.BAD_TRANSFER_SIZE, Code.SUCCESS]


def test_false_predicate_counts_as_failure():
    bench = ready()
    store(bench, SECOND, b"x")
    compare = pack(Opcode.COMPARE, Flag.CHECK_RESULT, record=record_of(0))
    record = batch(bench, [compare, nop(1), nop(2, Flag.FENCE)])
    assert (record["status"], record["bytes_completed"]) == (Code.BATCH_FAILED, 2)
    assert statuses(bench, 3) == [Code.SUCCESS_PREDICATE, Code.SUCCESS, 0]


@pytest.mark.parametrize("fence", range(4))
@pytest.mark.parametrize("failing", range(4))
def test_fence_after_a_failure_ends_the_batch(fence, failing):
    bench = ready()
    members = [
        (bad if index == failing else nop)(index, Flag.FENCE if index == fence else 0)
        for index in range(4)
    ]
    record = batch(bench, members)
    assert record["status"] == Code.BATCH_FAILED
    assert record["bytes_completed"] == (fence if failing < fence else 4)
    done = [bool(status) for status in statuses(bench, 4)]
    assert done == [index < record["bytes_completed"] for index in range(4)]


def test_fence_without_a_failure_changes_nothing():
    bench = ready()
    record = batch(bench, [nop(index, Flag.FENCE) for index in range(3)])
    assert (record["status"], record["bytes_completed"]) == (Code.SUCCESS, 3)


def test_member_behind_a_fence_sees_what_was_written_before():
    bench = ready()
    store(bench, SOURCE, b"first")
    first = pack(Opcode.MEMORY_MOVE, record=record_of(0), destination=SECOND, size_bytes=5)
    second = pack(Opcode.MEMORY_MOVE, Flag.FENCE, record=record_of(1), source=SECOND, size_bytes=5)
    batch(bench, [first, second])
    assert load(bench, TARGET, 5) == b"first"


@pytest.mark.parametrize("opcode", [Opcode.BATCH, Opcode.DRAIN])
def test_member_that_may_not_be_one(opcode):
    bench = ready()
    record = batch(bench, [pack(opcode, record=record_of(0)), nop(1)])
    assert record["status"] == Code.BATCH_FAILED
    assert statuses(bench, 2) == [Code.BAD_OPCODE, Code.SUCCESS]


@pytest.mark.parametrize("place", [0, 64, 130])
def test_list_that_cannot_be_read_ends_the_batch(place):
    bench = ready()
    bench.memory.forbidden.add((PASID, LIST + place))
    record = batch(bench, [nop(0), bad(1), nop(2)])
    assert (record["status"], record["bytes_completed"]) == (Code.HARDWARE, place // 64)


def test_batch_without_a_record_is_silent_about_members_that_fail():
    bench = ready()
    bench.ims(3, pasid=PASID)
    put_list(bench, [bad(0), nop(1)])
    bench.submit(0, pack(Opcode.BATCH, record=None, handle=3), Portal.IMS)
    bench.device.settle()
    assert bench.get("swerror", "valid") == 0
    assert len(bench.memory.messages) == 1


def test_failed_batch_writes_its_record_even_if_not_asked_for_one():
    bench = ready()
    put_list(bench, [bad(0), nop(1)])
    flags = Flag.COMPLETION_ADDRESS_VALID
    record = run(bench, pack(Opcode.BATCH, flags, record=None, completion_address=RECORD))
    assert (record["status"], record["bytes_completed"]) == (Code.BATCH_FAILED, 2)


def test_error_of_a_member_names_its_place_in_the_batch():
    bench = ready()
    batch(bench, [nop(0), nop(1), pack(Opcode.FILL, record=None, size_bytes=0)])
    assert bench.get("swerror", "batch") == 1
    assert bench.get("swerror", "batch_index") == 2
    assert bench.get("swerror", "opcode") == Opcode.FILL
    assert bench.get("swerror", "code") == Code.BAD_TRANSFER_SIZE
    assert bench.get("swerror", "pasid") == PASID


def test_error_of_a_batch_is_not_that_of_a_member():
    bench = ready()
    run(bench, pack(Opcode.BATCH, record=None, count=0))
    assert bench.get("swerror", "code") == Code.BAD_DESCRIPTOR_COUNT
    assert bench.get("swerror", "batch") == 0


def test_limits_of_the_queue_hold_for_members():
    bench = ready(max_transfer_log2=6)
    members = [pack(Opcode.FILL, record=record_of(0)), pack(Opcode.FILL, size_bytes=65)]
    assert batch(bench, members)["status"] == Code.BATCH_FAILED
    assert statuses(bench, 1) == [Code.SUCCESS]


def test_other_work_of_the_queue_takes_turns_with_a_batch():
    bench = ready()
    put_list(bench, [nop(index) for index in range(4)])
    bench.submit(0, pack(Opcode.BATCH, count=4))
    for index in range(2):
        bench.submit(0, pack(Opcode.NOP, record=RECORD + 0x100 + 32 * index))
    bench.device.settle()
    order = [address for address, _ in writes(bench)]
    assert order == [
        record_of(0), RECORD + 0x100, record_of(1), RECORD + 0x120, record_of(2), record_of(3),
        RECORD,
    ]  # fmt: skip


def test_second_batch_of_an_engine_waits_for_the_first():
    bench = ready()
    put_list(bench, [nop(index) for index in range(2)])
    put_list(bench, [nop(index + 2) for index in range(2)], SOURCE)
    bench.submit(0, pack(Opcode.BATCH))
    bench.submit(0, pack(Opcode.BATCH, record=RECORD + 32, list_address=SOURCE))
    bench.submit(0, pack(Opcode.NOP, record=RECORD + 64))
    bench.device.settle()
    order = [address for address, _ in writes(bench)]
    assert order[:3] == [record_of(0), record_of(1), RECORD]
    assert sorted(order[3:]) == sorted([record_of(2), record_of(3), RECORD + 32, RECORD + 64])


def started(steps, **fields):
    """A bench some steps into a batch of four, and into a second behind it."""
    bench = Bench()
    bench.enable(0, **({"size": 8, "threshold": 8, "max_batch_log2": 5} | fields))
    put_list(bench, [nop(index) for index in range(4)])
    for index in range(2):
        bench.submit(0, pack(Opcode.BATCH, count=4, record=RECORD + 32 * index))
    for _ in range(steps):
        bench.device.step("engine 0")
    return bench


@pytest.mark.parametrize("steps", range(16))
@pytest.mark.parametrize(
    ("code", "operand"),
    [(Command.ABORT_ALL, 0), (Command.ABORT_QUEUE, 1), (Command.ABORT_PASID, PASID)],
)
def test_nothing_of_an_aborted_batch_is_written_later(steps, code, operand):
    bench = started(steps)
    bench.command(code, operand, settle=False)
    while bench.get("cmdstatus", "active"):
        assert bench.device.step("command")
    written = writes(bench)
    bench.device.settle()
    assert writes(bench) == written
    put_list(bench, [nop(0), nop(1)])
    assert run(bench, pack(Opcode.BATCH))["bytes_completed"] == 2


@pytest.mark.parametrize("steps", range(0, 16, 3))
@pytest.mark.parametrize(
    ("code", "operand"), [(Command.DRAIN_ALL, 0), (Command.DRAIN_PASID, PASID)]
)
def test_drain_waits_for_the_last_member_and_the_record_of_its_batch(steps, code, operand):
    bench = started(steps)
    bench.command(code, operand, settle=False)
    while bench.get("cmdstatus", "active"):
        assert bench.device.step()
    assert [result(bench, RECORD + 32 * index)["bytes_completed"] for index in (0, 1)] == [4, 4]
    assert bench.device.idle


def test_abort_of_another_pasid_leaves_a_batch_alone():
    bench = started(4)
    bench.command(Command.ABORT_PASID, PASID ^ 1)
    bench.device.settle()
    assert result(bench)["bytes_completed"] == 4
