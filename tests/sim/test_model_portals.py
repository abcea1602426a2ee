"""Staged submission and occupancy interrupts of the model (DSA §9.2.24 and our extension page)."""

import pytest

from hw.regs.bar0 import EXTENSION, bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command, SoftwareError
from hw.regs.descriptor import Opcode
from sim.model.tlp import Status, memory_write

from .model_bench import BAR2, SMALL, Bench, descriptor
from .operation_bench import pack

CONTROL = next(item for item in EXTENSION if item.name == "ext_control").offset
NOP = descriptor(completion_address=0x1_0000)
WORDS = range(0, 64, 8)


# Staged submission


def staging(**fields):
    """A bench with a dedicated queue 0 and the extension on."""
    bench = Bench()
    bench.enable(0, **({"dedicated": 1, "pasid_enable": 0, "size": 2} | fields))
    bench.write(CONTROL, 1)
    return bench


def stage(bench, data=NOP, places=WORDS, *, queue=0, kind=Portal.UNLIMITED, slot=0):
    """Write words of a descriptor, in this order."""
    for place in places:
        address = BAR2 + portal(queue, kind, slot) + place
        assert bench.device.handle(memory_write(address, data[place : place + 8])) == []


def occupancy(bench, queue=0):
    return bench.queue_field(queue, "status", "occupancy")


def test_extension_is_off_at_reset():
    bench = Bench()
    assert bench.read(CONTROL) == 0
    bench.enable(0, dedicated=1, pasid_enable=0)
    stage(bench)
    assert occupancy(bench) == 0


@pytest.mark.parametrize("slot", [0, 63])
@pytest.mark.parametrize("kind", [Portal.UNLIMITED, Portal.LIMITED, Portal.IMS])
def test_eight_words_are_a_descriptor(kind, slot):
    bench = staging()
    stage(bench, kind=kind, slot=slot)
    assert occupancy(bench) == 1
    assert bench.device.queues.queues[0].entries[0].data == NOP
    assert bench.device.queues.queues[0].entries[0].ims == bool(kind & Portal.IMS)


def test_words_may_come_in_any_order_but_the_last():
    bench = staging()
    stage(bench, places=[48, 0, 16, 8, 40, 24, 32, 56])
    assert occupancy(bench) == 1


def test_slots_of_a_portal_share_one_buffer():
    bench = staging()
    for slot, place in enumerate(WORDS):
        stage(bench, places=[place], slot=slot)
    assert occupancy(bench) == 1


@pytest.mark.parametrize("missing", WORDS[:-1])
def test_missing_word_submits_nothing_and_empties_the_buffer(missing):
    bench = staging()
    stage(bench, places=[place for place in WORDS if place != missing])
    assert occupancy(bench) == 0
    stage(bench, places=[missing, 56])
    assert occupancy(bench) == 0
    stage(bench)
    assert occupancy(bench) == 1


def test_word_that_is_written_twice_has_its_later_value():
    bench = staging()
    stage(bench, data=bytes(64), places=[8])
    stage(bench)
    assert bench.device.queues.queues[0].entries[0].data == NOP


def test_portals_do_not_share_their_buffers():
    bench = staging()
    stage(bench, places=WORDS[:4])
    stage(bench, places=WORDS[4:], kind=Portal.LIMITED)
    assert occupancy(bench) == 0
    stage(bench, places=WORDS[4:])
    assert occupancy(bench) == 1


def test_whole_descriptor_leaves_what_is_staged_alone():
    bench = staging()
    stage(bench, places=WORDS[:4])
    bench.submit(0, NOP, posted=True)
    assert occupancy(bench) == 1
    stage(bench, places=WORDS[4:])
    assert occupancy(bench) == 2


@pytest.mark.parametrize("size", [1, 2, 4, 16, 32])
def test_only_words_of_eight_bytes_count(size):
    bench = staging()
    stage(bench, places=WORDS[:7])
    bench.device.handle(memory_write(BAR2 + 64 - size, NOP[-size:]))
    assert occupancy(bench) == 0
    stage(bench, places=[56])
    assert occupancy(bench) == 1


def test_word_that_is_not_aligned_does_not_count():
    bench = staging()
    stage(bench, places=WORDS[:7])
    bench.device.handle(memory_write(BAR2 + 0x34, NOP[0x34:0x3C]))
    assert occupancy(bench) == 0


def test_shared_queue_takes_no_words():
    bench = staging(dedicated=0, pasid_enable=1)
    stage(bench)
    assert occupancy(bench) == 0


def test_deferrable_words_are_refused():
    bench = staging()
    (answer, *_) = bench.device.handle(memory_write(BAR2, NOP[:8], deferrable=True))
    assert answer.status is Status.COMPLETER_ABORT
    stage(bench, places=WORDS[1:])
    assert occupancy(bench) == 0


def test_full_queue_is_reported_as_for_a_whole_descriptor():
    bench = staging()
    for _ in range(3):
        stage(bench)
    assert occupancy(bench) == 2
    assert bench.get("swerror", "code") == SoftwareError.QUEUE_FULL
    bench.device.settle()
    stage(bench, places=[56])
    assert occupancy(bench) == 0


def toggle(bench):
    bench.write(CONTROL, 0)
    bench.write(CONTROL, 1)


def disable(bench):
    bench.command(Command.DISABLE_QUEUE, 1)
    bench.command(Command.ENABLE_QUEUE, 0)


def reset_queue(bench):
    bench.command(Command.RESET_QUEUE, 1)
    bench.configure(0, dedicated=1, pasid_enable=0)
    bench.command(Command.ENABLE_QUEUE, 0)


def disable_device(bench):
    bench.command(Command.DISABLE_DEVICE)
    bench.command(Command.ENABLE_DEVICE)
    bench.command(Command.ENABLE_QUEUE, 0)


def reset_device(bench):
    bench.command(Command.RESET_DEVICE)
    assert bench.read(CONTROL) == 0
    bench.enable(0, dedicated=1, pasid_enable=0)
    bench.write(CONTROL, 1)


@pytest.mark.parametrize("event", [toggle, disable, reset_queue, disable_device, reset_device])
def test_what_empties_a_buffer(event):
    bench = staging()
    stage(bench, places=WORDS[:7])
    event(bench)
    stage(bench, places=[56])
    assert occupancy(bench) == 0
    stage(bench)
    assert occupancy(bench) == 1


def test_buffer_of_another_queue_stays():
    bench = Bench()
    bench.enable(0, 1, dedicated=1, pasid_enable=0)
    bench.write(CONTROL, 1)
    stage(bench, places=WORDS[:7], queue=1)
    disable(bench)
    stage(bench, places=[56], queue=1)
    assert occupancy(bench, 1) == 1


@pytest.mark.parametrize("queue", [1, 7])
def test_queue_that_is_not_enabled_takes_no_words(queue):
    bench = staging()
    stage(bench, queue=queue)
    bench.command(Command.DISABLE_DEVICE)
    stage(bench)
    assert occupancy(bench) == occupancy(bench, queue) == 0


# Occupancy interrupts


def watching(limit, *, handle=4, ims=1, held=4):
    """A bench with a queue of four that holds ``held`` descriptors and watches its occupancy."""
    bench = Bench()
    bench.configure(0, handle=handle, ims=ims)
    bench.enable(0, handle=handle, ims=ims)
    message = bench.ims(handle) if ims else bench.msix(handle)
    for _ in range(held):
        bench.submit(0, pack(Opcode.NOP, record=None))
    bench.write(bench.queue_offset(0, "occupancy_limit"), limit | 1 << 16)
    return bench, message


def generated(bench):
    return bench.queue_field(0, "status", "occupancy_interrupt")


def acknowledge(bench):
    bench.write(bench.queue_offset(0, "status"), 1 << 16)


def take(bench, count=1):
    """Let descriptors leave the queue."""
    for _ in range(count):
        bench.device.queues.finished(bench.device.queues.take(0))


@pytest.mark.parametrize("ims", [0, 1])
@pytest.mark.parametrize("limit", range(4))
def test_interrupt_comes_when_the_queue_has_emptied_to_its_limit(limit, ims):
    bench, message = watching(limit, ims=ims)
    for left in (3, 2, 1, 0):
        take(bench)
        assert generated(bench) == (left <= limit)
    assert bench.memory.messages == [message]


@pytest.mark.parametrize("limit", [4, 5, 0xFFFF])
def test_interrupt_comes_at_once_if_the_queue_holds_no_more(limit):
    bench, message = watching(limit)
    assert bench.memory.messages == [message]


def test_interrupt_comes_again_only_after_it_was_acknowledged():
    bench, message = watching(2)
    take(bench, 3)
    assert bench.memory.messages == [message]
    for _ in range(3):
        bench.submit(0, pack(Opcode.NOP, record=None))
    acknowledge(bench)
    assert generated(bench) == 0
    take(bench, 2)
    assert bench.memory.messages == [message] * 2


def test_acknowledged_interrupt_comes_again_while_the_queue_is_below_its_limit():
    bench, message = watching(2)
    take(bench, 4)
    acknowledge(bench)
    assert bench.memory.messages == [message] * 2
    assert generated(bench) == 1


def test_turned_off_it_is_silent():
    bench, _ = watching(2)
    bench.write(bench.queue_offset(0, "occupancy_limit"), 0)
    take(bench, 4)
    assert bench.memory.messages == []


def test_turned_on_while_disabled_it_comes_when_the_queue_is_enabled():
    bench = Bench()
    message = bench.ims(4)
    bench.configure(0, handle=4, ims=1, limit=0, enable=1)
    bench.group(1)
    bench.command(Command.ENABLE_DEVICE)
    assert bench.memory.messages == []
    assert bench.command(Command.ENABLE_QUEUE, 0) == (0, 0)
    assert bench.memory.messages == [message]


def test_aborted_descriptors_leave_the_queue_too():
    bench, message = watching(0)
    bench.command(Command.ABORT_QUEUE, 1)
    assert bench.memory.messages == [message]


def test_permission_and_ignore_of_the_vector_do_not_matter():
    bench = Bench()
    bench.enable(0, handle=4, ims=1)
    message = bench.ims(4, pasid=77, control=4)
    bench.write(bench.queue_offset(0, "occupancy_limit"), 1 << 16)
    assert bench.memory.messages == [message]


def test_masked_vector_holds_it_as_pending():
    bench = Bench()
    bench.enable(0, handle=4, ims=1)
    message = bench.ims(4, control=1)
    bench.write(bench.queue_offset(0, "occupancy_limit"), 1 << 16)
    assert bench.memory.messages == []
    bench.ims(4)
    assert bench.memory.messages == [message]


def test_vector_0_says_why_it_rang():
    bench, message = watching(0, handle=0, ims=0)
    take(bench, 4)
    assert bench.memory.messages == [message]
    assert bench.get("intcause") == 1 << 2


def test_queue_without_the_interrupt_never_rings():
    bench = Bench()
    bench.enable(0)
    bench.submit(0, pack(Opcode.NOP, record=None))
    bench.device.settle()
    assert bench.memory.messages == []
    assert bar0(SMALL).table("wqcfg")["status"].get(0, "occupancy_interrupt") == generated(bench)
