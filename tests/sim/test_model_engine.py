"""The model's engine: what descriptors do, and every way in which they fail (DSA §5.4, §8)."""

import pytest

from hw.regs.bar2 import Portal
from hw.regs.commands import SoftwareError
from hw.regs.descriptor import Flag, Opcode
from hw.regs.descriptor import Status as Code
from sim.model.tlp import Status

from .model_bench import Bench, descriptor, record

PASID, RECORD, SOURCE, TARGET = 0x4_2001, 0x1_0000, 0x2_0000, 0x3_0000
DATA = bytes(range(256)) * 4


def ready(**fields):
    bench = Bench()
    bench.enable(0, **({"size": 16, "threshold": 16} | fields))
    bench.memory.store(SOURCE, DATA, PASID)
    return bench


def execute(bench, data, kind=Portal.UNLIMITED):
    """Run one descriptor of the shared queue. Returns its completion record, if it wrote one."""
    bench.memory.store(RECORD, bytes(32), PASID)
    assert bench.submit(0, data, kind) is Status.SUCCESS
    bench.device.settle()
    fields = record(bench.memory.load(RECORD, 32, PASID))
    return fields if fields["status"] else None


def move(size=64, **fields):
    values = {
        "pasid": PASID, "source": SOURCE, "destination": TARGET, "size_bytes": size,
        "completion_address": RECORD,
    } | fields  # fmt: skip
    return descriptor(Opcode.MEMORY_MOVE, values.pop("flags", 0), **values)


def nop(flags=0, **fields):
    values = {"pasid": PASID, "completion_address": RECORD} | fields
    return descriptor(values.pop("opcode", Opcode.NOP), flags, **values)


# Success


def test_nop_writes_its_record_and_nothing_else():
    bench = ready()
    assert execute(bench, nop())["status"] == Code.SUCCESS
    assert bench.memory.writes == [(PASID, RECORD, b"\x01" + bytes(31))]


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 511, 512, 513, 1000])
@pytest.mark.parametrize("offset", [0, 1, 7])
def test_move_copies_exactly_what_it_should(size, offset):
    bench = ready()
    result = execute(bench, move(size, source=SOURCE + offset, destination=TARGET + 3))
    assert (result["status"], result["bytes_completed"]) == (Code.SUCCESS, 0)
    assert bench.memory.load(TARGET, size + 6, PASID) == (
        bytes(3) + DATA[offset : offset + size] + bytes(3)
    )


def test_reads_keep_to_the_read_size_and_to_4_kib():
    bench = ready()
    execute(bench, move(4096, source=SOURCE + 100, destination=TARGET + 0x8000))
    reads = [entry[2:] for entry in bench.memory.log if entry[0] == "read"]
    assert sum(length for _, length in reads) == 4096
    for address, length in reads:
        assert length <= 512
        assert address // 4096 == (address + length - 1) // 4096


def test_everything_carries_the_pasid_of_the_descriptor():
    bench = ready()
    execute(bench, move())
    assert {entry[1] for entry in bench.memory.log} == {PASID}


def test_data_then_record_then_interrupt():
    bench = ready()
    message = bench.ims(9, pasid=PASID)
    execute(bench, move(1024, handle=9), Portal.IMS)
    kinds = [entry[0] if entry[2] != RECORD else "record" for entry in bench.memory.log]
    assert kinds == ["read", "write"] * 2 + ["record", "message"]
    assert bench.memory.messages == [message]


def test_msix_portal_rings_the_msix_table():
    bench = ready()
    message = bench.msix(3, pasid=PASID)
    bench.ims(3, pasid=PASID)
    execute(bench, nop(handle=3))
    assert bench.memory.messages == [message]


def test_no_record_on_success_unless_asked_for():
    bench = ready()
    data = descriptor(
        Opcode.MEMORY_MOVE, Flag.COMPLETION_ADDRESS_VALID, pasid=PASID, source=SOURCE,
        destination=TARGET, size_bytes=64,
    )  # fmt: skip
    bench.submit(0, data)
    bench.device.settle()
    assert [write[1] for write in bench.memory.writes] == [TARGET]


@pytest.mark.parametrize("flags", [Flag.REQUEST_COMPLETION, Flag.REQUEST_INTERRUPT])
def test_drain_completes_after_what_came_before(flags):
    bench = ready()
    bench.ims(0, pasid=PASID)
    bench.submit(0, move(1024))
    address = RECORD + 0x20 if flags is Flag.REQUEST_COMPLETION else 0
    extra = {"completion_address": address} if address else {}
    data = descriptor(Opcode.DRAIN, flags, pasid=PASID, **extra)
    bench.submit(0, data, Portal.IMS)
    bench.device.settle()
    last = bench.memory.log[-1]
    assert last[0] == "message" or last[2] == RECORD + 0x20


@pytest.mark.parametrize("suppress", [1 << 18, 1 << 19, 3 << 18])
def test_drain_may_suppress_read_backs(suppress):
    assert execute(ready(), nop(suppress, opcode=Opcode.DRAIN))["status"] == Code.SUCCESS


@pytest.mark.parametrize(
    "flag",
    [
        Flag.STRICT_ORDERING,
        Flag.ADDRESS_1_TRAFFIC_CLASS,
        Flag.ADDRESS_2_TRAFFIC_CLASS,
        Flag.COMPLETION_TRAFFIC_CLASS,
    ],
)
def test_flags_that_a_move_may_have(flag):
    assert execute(ready(), move(flags=flag))["status"] == Code.SUCCESS


def test_dedicated_queue_uses_its_own_pasid_not_the_descriptors():
    bench = Bench(privileged=True)
    bench.enable(0, dedicated=1, pasid=77)
    bench.submit(0, nop(pasid=1), posted=True)
    bench.device.settle()
    assert bench.memory.writes[0][0] == 77


def test_dedicated_queue_without_pasid_uses_none():
    bench = Bench()
    bench.enable(0, dedicated=1, pasid_enable=0)
    bench.submit(0, nop(), posted=True)
    bench.device.settle()
    assert bench.memory.writes[0][0] is None


# Failed checks


def failed(bench, data, code, *, kind=Portal.UNLIMITED):
    """The descriptor fails with this status in its record, and moves nothing."""
    result = execute(bench, data, kind)
    assert result is not None and result["status"] == code
    assert result["bytes_completed"] == 0
    assert [write[1] for write in bench.memory.writes] == [RECORD]
    assert not any(entry[0] == "read" for entry in bench.memory.log)
    return result


@pytest.mark.parametrize("opcode", sorted(set(range(256)) - set(Opcode)))
def test_opcode_that_is_not_implemented(opcode):
    failed(ready(), nop(opcode=opcode), Code.BAD_OPCODE)


def test_opcode_that_the_queue_does_not_allow():
    bench = Bench()
    bench.configure(0)
    bench.write(bench.queue_offset(0, "operations"), 0b0101, 8)
    bench.enable(0)
    failed(bench, move(), Code.BAD_OPCODE)


@pytest.mark.parametrize("bit", [0, 1, 5, 6, 7, 8, 14, 15, *range(16, 24)])
def test_flag_that_is_reserved_for_a_move(bit):
    result = failed(ready(), move(flags=1 << bit), Code.BAD_FLAGS)
    assert result["invalid_flags"] == 1 << bit


@pytest.mark.parametrize("bit", [0, 1, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, *range(16, 24)])
def test_flag_that_is_reserved_for_a_nop(bit):
    assert failed(ready(), nop(1 << bit), Code.BAD_FLAGS)["invalid_flags"] == 1 << bit


@pytest.mark.parametrize("bit", [9, 10, 16, 17])
def test_drain_reads_nothing_back(bit):
    failed(ready(), nop(1 << bit, opcode=Opcode.DRAIN), Code.BAD_FLAGS)


def software_error(bench, data, code):
    """The descriptor's error goes to SWERROR, and nothing is written."""
    assert execute(bench, data) is None
    assert bench.memory.log == []
    assert bench.get("swerror", "valid") == 1
    assert bench.get("swerror", "code") == code
    assert bench.get("swerror", "descriptor_valid") == bench.get("swerror", "queue_valid") == 1
    assert bench.get("swerror", "pasid") == PASID
    return bench.get("swerror")


def test_drain_has_to_ask_for_something():
    data = descriptor(Opcode.DRAIN, pasid=PASID)
    bench = ready()
    software_error(bench, data, Code.BAD_FLAGS)
    assert bench.get("swerror", "opcode") == Opcode.DRAIN
    assert bench.get("swerror", "info_valid") == 1
    assert bench.get("swerror", "info") & (Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT)


@pytest.mark.parametrize("flag", [Flag.REQUEST_COMPLETION, Flag.COMPLETION_TRAFFIC_CLASS])
def test_record_flags_need_an_address(flag):
    bench = ready()
    software_error(bench, descriptor(Opcode.NOP, flag, pasid=PASID), Code.BAD_FLAGS)
    assert bench.get("swerror", "info") == flag


def test_address_without_its_flag_is_reserved():
    data = bytearray(nop())
    data[4] &= ~(Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION) & 0xFF
    software_error(ready(), bytes(data), Code.RESERVED_NOT_ZERO)


def test_handle_without_its_flag_is_reserved():
    data = bytearray(nop())
    data[36] = 1
    failed(ready(), bytes(data), Code.RESERVED_NOT_ZERO)


@pytest.mark.parametrize("byte", [*range(16, 36), *range(38, 64)])
@pytest.mark.parametrize("opcode", [Opcode.NOP, Opcode.DRAIN])
def test_reserved_byte(opcode, byte):
    data = bytearray(nop(opcode=opcode))
    data[byte] = 0x10
    failed(ready(), bytes(data), Code.RESERVED_NOT_ZERO)


@pytest.mark.parametrize("byte", range(38, 64))
def test_reserved_byte_of_a_move(byte):
    data = bytearray(move())
    data[byte] = 0x80
    failed(ready(), bytes(data), Code.RESERVED_NOT_ZERO)


@pytest.mark.parametrize("size", [0, 4097, 1 << 31, 0xFFFF_FFFF])
def test_transfer_size_out_of_range(size):
    failed(ready(), move(size), Code.BAD_TRANSFER_SIZE)


@pytest.mark.parametrize("distance", [0, 1, 63, -1, -63])
def test_buffers_that_overlap(distance):
    failed(ready(), move(destination=SOURCE + distance), Code.OVERLAP)


@pytest.mark.parametrize("distance", [64, -64])
def test_buffers_that_touch_do_not_overlap(distance):
    assert execute(ready(), move(destination=SOURCE + distance))["status"] == Code.SUCCESS


@pytest.mark.parametrize("offset", [1, 8, 16, 31])
def test_record_that_is_not_aligned(offset):
    data = nop(completion_address=RECORD + offset, handle=0)
    bench = ready()
    bench.msix(0, pasid=PASID)
    software_error(bench, data, Code.COMPLETION_ALIGNMENT)


@pytest.mark.parametrize(
    ("handle", "kind"),
    [(8, Portal.UNLIMITED), (0xFFFF, Portal.UNLIMITED), (256, Portal.IMS), (0xFFFF, Portal.IMS)],
)
def test_handle_out_of_range(handle, kind):
    failed(ready(), move(handle=handle), Code.BAD_HANDLE, kind=kind)


@pytest.mark.parametrize("owner", [None, PASID ^ 1, PASID ^ 0x8_0000])
@pytest.mark.parametrize("kind", [Portal.UNLIMITED, Portal.IMS])
def test_handle_of_another(owner, kind):
    bench = ready()
    bench.ims(4, pasid=owner)
    bench.msix(4, pasid=owner)
    failed(bench, move(handle=4), Code.BAD_HANDLE, kind=kind)
    assert bench.memory.messages == []


def test_handle_with_a_pasid_for_a_queue_without():
    bench = Bench()
    bench.enable(0, dedicated=1, pasid_enable=0)
    bench.ims(4, pasid=0)
    bench.submit(0, nop(handle=4), Portal.IMS, posted=True)
    bench.device.settle()
    assert record(bench.memory.load(RECORD, 32))["status"] == Code.BAD_HANDLE


def test_bad_handle_without_a_record_goes_to_swerror():
    bench = ready()
    data = descriptor(Opcode.NOP, pasid=PASID, handle=5)
    software_error(bench, data, Code.BAD_HANDLE)
    assert bench.get("swerror", "info") == 5


def test_handle_that_was_not_requested_when_they_have_to_be():
    bench = Bench(strict_handles=True)
    bench.enable(0)
    message = bench.ims(4, pasid=PASID)
    assert execute(bench, nop(handle=4), Portal.IMS)["status"] == Code.BAD_HANDLE
    assert bench.command(13, 1 << 16 | 4) == (0, 4)
    assert execute(bench, nop(handle=4), Portal.IMS)["status"] == Code.SUCCESS
    assert bench.memory.messages == [message]


def test_failed_check_still_interrupts():
    bench = ready()
    message = bench.ims(2, pasid=PASID)
    failed(bench, move(0, handle=2), Code.BAD_TRANSFER_SIZE, kind=Portal.IMS)
    assert bench.memory.messages == [message]


def test_privileged_descriptor_while_privileged_mode_is_off():
    bench = ready()
    software_error(bench, nop(privileged=1), Code.PRIVILEGE)
    assert bench.get("swerror", "privileged") == 1


def test_privileged_descriptor_while_privileged_mode_is_on():
    bench = Bench(privileged=True)
    bench.enable(0)
    assert execute(bench, nop(privileged=1))["status"] == Code.SUCCESS


def test_user_may_not_interrupt_unless_users_may():
    bench = Bench(privileged=True)
    bench.enable(0, user_interrupts=False)
    message = bench.ims(2, pasid=PASID)
    result = failed(bench, nop(handle=2), Code.BAD_FLAGS, kind=Portal.IMS)
    assert result["invalid_flags"] == Flag.REQUEST_INTERRUPT
    assert bench.memory.messages == []
    assert execute(bench, nop(handle=2, privileged=1), Portal.IMS)["status"] == Code.SUCCESS
    assert bench.memory.messages == [message]


def test_queue_without_pasid_may_always_interrupt():
    bench = Bench()
    bench.enable(0, dedicated=1, pasid_enable=0, user_interrupts=False)
    message = bench.ims(2)
    bench.submit(0, nop(handle=2), Portal.IMS, posted=True)
    bench.device.settle()
    assert bench.memory.messages == [message]


# Failed reads


def test_read_that_fails_is_a_hardware_error():
    bench = ready()
    message = bench.ims(2, pasid=PASID)
    bench.memory.forbidden.add((PASID, SOURCE + 700))
    result = execute(bench, move(1024, handle=2), Portal.IMS)
    assert result["status"] == Code.HARDWARE
    assert bench.memory.load(TARGET + 512, 512, PASID) == bytes(512)
    assert bench.memory.messages == [message]


def test_read_that_fails_without_a_record_goes_to_swerror():
    bench = ready()
    bench.memory.forbidden.add((PASID, SOURCE))
    data = descriptor(
        Opcode.MEMORY_MOVE, pasid=PASID, source=SOURCE, destination=TARGET, size_bytes=8
    )
    bench.submit(0, data)
    bench.device.settle()
    assert bench.get("swerror", "code") == Code.HARDWARE
    assert bench.memory.writes == []


# SWERROR


def test_first_software_error_is_kept_and_interrupts_once():
    bench = ready()
    message = bench.msix(0)
    bench.set("genctrl", error_interrupt=1)
    data = descriptor(Opcode.DRAIN, pasid=PASID)
    for _ in range(3):
        bench.submit(0, data)
    bench.device.settle()
    assert bench.memory.messages == [message]
    assert bench.get("swerror", "overflow") == 1
    assert bench.get("intcause") == 1
    bench.set("swerror", valid=1, overflow=1)
    assert bench.get("swerror") & 3 == 0
    bench.submit(0, data)
    bench.device.settle()
    assert bench.memory.messages == [message] * 2
    assert bench.get("swerror", "code") == Code.BAD_FLAGS != SoftwareError.QUEUE_FULL
