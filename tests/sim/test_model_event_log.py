"""The model's event log: entries, wrap, overflow, interrupt (DSA §5.9, §9.2.16, §9.2.17)."""

import pytest

from hw.regs.bar2 import Portal
from hw.regs.commands import Command, SoftwareError
from hw.regs.descriptor import Flag, Opcode
from hw.regs.descriptor import Status as Code
from hw.regs.event_log import EVENT, EVENT_BYTES

from .model_bench import Bench
from .operation_bench import LIST, PASID, RECORD, SOURCE, pack, put_list, run, writes

LOG, ENTRIES = 0x70_0000, 64
BAD = pack(Opcode.DRAIN, record=None)


def logging(*, enable=True, size=ENTRIES, interrupt=True, **evlcfg):
    """A bench with an event log and MSI-X vector 0 unmasked."""
    bench = Bench()
    bench.message = bench.msix(0)
    bench.configure(0, size=16, threshold=16, max_transfer_log2=20)
    bench.group(1)
    bench.set("evlcfg", base=LOG >> 12, size=size, **evlcfg)
    bench.set("gencfg", event_log=int(enable), user_interrupts=1)
    bench.set("genctrl", event_log_interrupt=int(interrupt), error_interrupt=1)
    assert bench.command(Command.ENABLE_DEVICE) == (0, 0)
    assert bench.command(Command.ENABLE_QUEUE, 0) == (0, 0)
    return bench


def event(bench, index, pasid=None):
    """Fields of an entry that are not 0."""
    data = bench.memory.load(LOG + EVENT_BYTES * index, EVENT_BYTES, pasid)
    fields = EVENT.unpack(int.from_bytes(data, "little"))
    return {name: value for name, value in fields.items() if value}


def test_error_without_a_record_goes_to_the_log_and_not_to_swerror():
    bench = logging()
    assert run(bench, BAD) is None
    assert event(bench, 0) == {
        "descriptor_valid": 1, "queue_valid": 1, "info_valid": 1, "code": Code.BAD_FLAGS,
        "opcode": Opcode.DRAIN, "pasid": PASID,
        "info": Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT,
    }  # fmt: skip
    assert bench.get("swerror", "valid") == 0
    assert (bench.get("evlstatus", "head"), bench.get("evlstatus", "tail")) == (0, 1)


def test_error_with_a_record_does_not_go_to_the_log():
    bench = logging()
    assert run(bench, pack(Opcode.FILL, size_bytes=0))["status"] == Code.BAD_TRANSFER_SIZE
    assert run(bench, pack(Opcode.NOP, handle=3))["status"] == Code.BAD_HANDLE
    assert bench.get("evlstatus") == 0


def test_log_that_is_off_leaves_errors_to_swerror():
    bench = logging(enable=False)
    run(bench, BAD)
    assert bench.get("evlstatus") == 0
    assert bench.get("swerror", "code") == Code.BAD_FLAGS
    assert bench.get("intcause") == 1


@pytest.mark.parametrize(("kind", "portal"), [(Portal.UNLIMITED, 0), (Portal.IMS, 1)])
def test_bad_handle_says_what_was_asked_for(kind, portal):
    bench = logging()
    run(bench, pack(Opcode.NOP, record=None, handle=5), kind)
    assert event(bench, 0)["info"] == 5 | 1 << 16 | portal << 17
    assert event(bench, 0)["code"] == Code.BAD_HANDLE


def test_member_of_a_batch_is_named_by_its_place():
    bench = logging()
    put_list(bench, [pack(Opcode.NOP, record=None), pack(Opcode.FILL, record=None, size_bytes=0)])
    run(bench, pack(Opcode.BATCH))
    fields = event(bench, 0)
    assert (fields["batch"], fields["batch_index"]) == (1, 1)
    assert (fields["code"], fields["opcode"]) == (Code.BAD_TRANSFER_SIZE, Opcode.FILL)


def test_read_that_fails_is_logged():
    bench = logging()
    bench.memory.forbidden.add((PASID, SOURCE))
    run(bench, pack(Opcode.MEMORY_MOVE, record=None))
    assert event(bench, 0)["code"] == Code.HARDWARE
    bench.memory.forbidden.add((PASID, LIST))
    run(bench, pack(Opcode.BATCH, record=None))
    assert (event(bench, 1)["code"], event(bench, 1)["opcode"]) == (Code.HARDWARE, Opcode.BATCH)


def test_drain_completes_in_its_record():
    bench = logging()
    assert run(bench, pack(Opcode.DRAIN))["status"] == Code.SUCCESS
    assert bench.get("evlstatus") == 0


def test_interrupt_comes_after_the_entry_and_only_once_until_it_is_taken():
    bench = logging()
    run(bench, BAD)
    run(bench, BAD)
    kinds = [entry for entry in bench.memory.log if entry[0] == "message" or entry[2] >= LOG]
    assert [entry[0] for entry in kinds] == ["write", "message", "write"]
    assert bench.memory.messages == [bench.message]
    assert bench.get("intcause") == 0x20
    assert bench.get("evlstatus", "interrupt_pending") == 1
    bench.set("intcause", event_log=1)
    bench.write(0xF4, 1 << 30)
    assert bench.get("evlstatus", "interrupt_pending") == 0
    run(bench, BAD)
    assert bench.memory.messages == [bench.message] * 2


def test_interrupt_that_is_off_leaves_nothing_pending():
    bench = logging(interrupt=False)
    run(bench, BAD)
    assert bench.memory.messages == []
    assert (bench.get("intcause"), bench.get("evlstatus", "interrupt_pending")) == (0, 0)


def test_log_wraps_behind_the_head():
    bench = logging(interrupt=False)
    for index in range(ENTRIES + 2):
        run(bench, BAD)
        bench.write(0xF0, (index + 1) % ENTRIES)
    assert bench.get("evlstatus", "tail") == 2
    logged = [address for address, _ in writes(bench) if address >= LOG]
    assert logged == [LOG + EVENT_BYTES * (i % ENTRIES) for i in range(ENTRIES + 2)]
    assert bench.get("swerror", "valid") == 0


def test_log_that_is_full_drops_events_and_says_so():
    bench = logging(interrupt=False)
    for _ in range(ENTRIES + 1):
        run(bench, BAD)
    assert bench.get("evlstatus", "tail") == ENTRIES - 1
    assert sum(address >= LOG for address, _ in writes(bench)) == ENTRIES - 1
    assert bench.get("swerror", "code") == SoftwareError.EVENT_LOG_APPEND
    assert (bench.get("swerror", "valid"), bench.get("swerror", "overflow")) == (1, 1)
    assert bench.get("intcause") == 1
    bench.write(0xF0, 1)
    run(bench, BAD)
    assert bench.get("evlstatus", "tail") == 0


def test_entries_carry_the_pasid_of_the_log():
    bench = logging(pasid_enable=1, pasid=0x77)
    run(bench, BAD)
    assert event(bench, 0, 0x77)["code"] == Code.BAD_FLAGS
    assert event(bench, 0) == {}


def test_command_while_one_is_active_is_logged():
    bench = logging()
    bench.command(Command.DRAIN_ALL, settle=False)
    bench.command(Command.DRAIN_ALL, settle=False)
    assert event(bench, 0) == {"code": SoftwareError.COMMAND_WHILE_ACTIVE}
    assert bench.get("swerror", "valid") == 0


def test_full_queue_and_changes_while_enabled_are_only_in_swerror():
    bench = logging()
    bench.command(Command.DISABLE_QUEUE, 1)
    bench.configure(0, size=16, dedicated=1, pasid_enable=0)
    bench.command(Command.ENABLE_QUEUE, 0)
    for _ in range(17):
        bench.submit(0, pack(Opcode.NOP), posted=True)
    assert bench.get("swerror", "code") == SoftwareError.QUEUE_FULL
    bench.set("swerror", valid=1)
    bench.config_write(0x04, 0x2, 2)
    assert bench.get("swerror", "code") == SoftwareError.ENABLE_CHANGED
    assert bench.get("evlstatus") == 0


def test_configuration_is_locked_while_the_device_is_enabled():
    bench = logging()
    before = bench.get("evlcfg"), bench.get("gencfg")
    bench.set("evlcfg", base=1, size=99)
    bench.set("gencfg")
    assert (bench.get("evlcfg"), bench.get("gencfg")) == before


def test_status_starts_anew_when_the_device_is_enabled():
    bench = logging()
    run(bench, BAD)
    bench.command(Command.DISABLE_DEVICE)
    assert bench.get("evlstatus", "tail") == 1
    bench.command(Command.ENABLE_DEVICE)
    assert bench.get("evlstatus") == 0


def test_reset_device_turns_the_log_off_and_spares_its_status():
    bench = logging()
    run(bench, BAD)
    bench.command(Command.RESET_DEVICE)
    assert (bench.get("evlcfg"), bench.get("gencfg")) == (0, 0)
    assert bench.get("evlstatus", "tail") == 1


def test_record_is_not_written_when_the_log_has_the_error():
    bench = logging()
    run(bench, pack(Opcode.NOP, record=RECORD + 8))
    assert event(bench, 0)["code"] == Code.COMPLETION_ALIGNMENT
    assert RECORD + 8 not in [address for address, _ in writes(bench)]
