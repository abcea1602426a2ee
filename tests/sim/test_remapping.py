"""The remapping unit, by the specification: every fault, both formats, source ids, posting."""

import pytest

from sim.host.platform import Host
from sim.host.remapping import FaultReason

SID = 0x0142
TABLE_LOG2 = 4
REMAPPABLE, SUBHANDLE_VALID = 1 << 4, 1 << 3
PRESENT, POSTED, URGENT = 1, 1 << 15, 1 << 14
FIXED = 0x51


class System:
    """Takes every vector from 0x20 on, and writes down where."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, int]] = []

    def interrupt(self, cpu: int, vector: int) -> bool:
        if vector < 0x20:
            return False
        self.taken.append((cpu, vector))
        return True


class Machine:
    """A host with a table of 16 entries."""

    def __init__(self, *, extended: bool = True, compatibility: bool = False) -> None:
        self.host = Host(cpus=4)
        self.system = self.host.system = System()
        self.table = self.host.allocate_physical(16 << TABLE_LOG2)
        self.host.set_remapping_table(
            self.table.address, TABLE_LOG2, extended=extended, compatibility=compatibility
        )

    def entry(self, index: int, value: int) -> None:
        self.table.write(value.to_bytes(16, "little"), 16 * index)
        self.host.invalidate_interrupt_entries(index)

    def send(self, offset: int, data: int = 0, source: int = SID) -> bool:
        return self.host.message(0xFEE0_0000 + offset, data, source)

    @property
    def faults(self) -> list[int]:
        return list(self.host.interrupts.faults.elements())


def handle(index: int) -> int:
    return (index & 0x7FFF) << 5 | index >> 15 << 2 | REMAPPABLE


def irte(vector: int = FIXED, apic: int = 4, *, svt: int = 1, sid: int = SID, sq: int = 0) -> int:
    return PRESENT | vector << 16 | apic << 32 | sid << 64 | sq << 80 | svt << 82


@pytest.fixture
def machine():
    return Machine()


def blocked(machine: Machine, reason: FaultReason, offset: int, data: int = 0, **more) -> str:
    """The complaint about a message that this fault blocks."""
    assert not machine.send(offset, data, **more)
    assert machine.faults == [reason] and machine.system.taken == []
    assert machine.host.interrupts.misdirected == 1
    (complaint,) = machine.host.check()
    assert f"fault {reason:#x}" in complaint
    return complaint


def test_entry_leads_to_its_processor_and_vector(machine):
    machine.entry(5, irte(0x77, 6))
    assert machine.send(handle(5)) and machine.system.taken == [(3, 0x77)]
    assert machine.host.interrupts.delivered == 1


def test_handle_and_subhandle_add_up(machine):
    machine.entry(9, irte())
    for subhandle in (0, 3, 9):
        assert machine.send(handle(9 - subhandle) | SUBHANDLE_VALID, subhandle)
    assert len(machine.system.taken) == 3


def test_data_without_subhandle_counts_for_nothing(machine):
    machine.entry(9, irte())
    assert machine.send(handle(9), 0xFFFF_FFFF)


@pytest.mark.parametrize("bit", [16, 31])
def test_reserved_data_is_fault_20(machine, bit):
    machine.entry(5, irte())
    blocked(machine, FaultReason.RESERVED_IN_REQUEST, handle(5) | SUBHANDLE_VALID, 1 << bit)


@pytest.mark.parametrize("offset", [handle(16), handle(0x8000)])
def test_index_beyond_the_table_is_fault_21(machine, offset):
    blocked(machine, FaultReason.INDEX_BEYOND_TABLE, offset)


def test_sum_beyond_the_table_is_fault_21(machine):
    offset = handle(15) | SUBHANDLE_VALID
    blocked(machine, FaultReason.INDEX_BEYOND_TABLE, offset, 0xFFFF)


def test_entry_that_is_not_present_is_fault_22(machine):
    machine.entry(5, irte() & ~PRESENT)
    assert "entry 5 is not present" in blocked(machine, FaultReason.NOT_PRESENT, handle(5))


def test_table_that_is_not_there_is_fault_23(machine):
    machine.table.free()
    blocked(machine, FaultReason.TABLE_UNREACHABLE, handle(5))


@pytest.mark.parametrize("bit", [12, 14, 24, 31, 84, 127])
def test_reserved_bit_of_an_entry_is_fault_24(machine, bit):
    machine.entry(5, irte() | 1 << bit)
    blocked(machine, FaultReason.RESERVED_IN_ENTRY, handle(5))


@pytest.mark.parametrize("bit", [2, 7, 12, 13, 24, 31, 32, 37, 84, 95])
def test_reserved_bit_of_a_posted_entry_is_fault_24(machine, bit):
    machine.entry(5, irte(apic=0) | POSTED | 1 << bit)
    blocked(machine, FaultReason.RESERVED_IN_ENTRY, handle(5))


def test_reserved_source_check_is_fault_24(machine):
    machine.entry(5, irte(svt=3))
    blocked(machine, FaultReason.RESERVED_IN_ENTRY, handle(5))


@pytest.mark.parametrize("bit", [32, 39, 48, 63])
def test_wide_destination_is_fault_24_where_identifiers_have_8_bits(bit):
    machine = Machine(extended=False)
    machine.entry(5, irte(apic=4 << 8) | 1 << bit)
    blocked(machine, FaultReason.RESERVED_IN_ENTRY, handle(5))


@pytest.mark.parametrize("extended", [True, False])
def test_plain_message_is_fault_25(extended):
    machine = Machine(extended=extended, compatibility=extended)
    blocked(machine, FaultReason.COMPATIBILITY_BLOCKED, 4 << 12, FIXED)


def test_plain_message_passes_where_it_is_allowed():
    machine = Machine(extended=False, compatibility=True)
    machine.entry(5, irte(apic=2 << 8))
    assert machine.send(4 << 12, FIXED) and machine.send(handle(5))
    assert machine.system.taken == [(2, FIXED), (1, FIXED)]


def test_other_requester_is_fault_26(machine):
    machine.entry(5, irte())
    blocked(machine, FaultReason.SOURCE_ID, handle(5), source=SID ^ 0x100)


@pytest.mark.parametrize(
    ("entry", "good", "bad"),
    [
        ({"svt": 0}, [0, 0xFFFF], []),
        ({"sq": 0}, [0x142], [0x143, 0x146]),
        ({"sq": 1}, [0x142, 0x146], [0x140, 0x143]),
        ({"sq": 2}, [0x140, 0x142, 0x144, 0x146], [0x141, 0x14A]),
        ({"sq": 3}, [0x140, 0x147], [0x148, 0x242]),
        ({"svt": 2, "sid": 0x0204}, [0x200, 0x300, 0x4FF], [0x1FF, 0x500]),
    ],
)
def test_source_is_checked_as_the_entry_says(entry, good, bad):
    for source in good + bad:
        machine = Machine()
        machine.entry(5, irte(**entry))
        assert machine.send(handle(5), source=source) is (source in good), hex(source)


def posted(machine: Machine, control: int = 0xF2 << 16 | 4 << 32, *, urgent: bool = False):
    memory = machine.host.allocate_physical(64)
    memory.write((control << 256).to_bytes(64, "little"))
    address = memory.address
    machine.entry(
        5,
        irte(0x31, 0)
        | POSTED
        | URGENT * urgent
        | (address >> 6 & 0x3FF_FFFF) << 38
        | address >> 32 << 96,
    )
    return memory


def word_of(memory) -> int:
    return int.from_bytes(memory.read(), "little")


def test_posted_interrupt_is_recorded_and_notifies_until_that_is_outstanding(machine):
    memory = posted(machine)
    assert machine.send(handle(5)) and machine.send(handle(5))
    assert machine.system.taken == [(2, 0xF2)] and machine.host.interrupts.delivered == 2
    assert word_of(memory) & (1 << 257) - 1 == 1 << 256 | 1 << 0x31


@pytest.mark.parametrize("urgent", [True, False])
def test_suppressed_notification_is_sent_only_where_it_is_urgent(machine, urgent):
    memory = posted(machine, 2 | 0xF2 << 16 | 4 << 32, urgent=urgent)
    assert machine.send(handle(5))
    assert bool(machine.system.taken) is urgent and word_of(memory) >> 0x31 & 1


def test_notification_goes_to_an_8_bit_identifier_where_that_is_what_there_is():
    machine = Machine(extended=False)
    posted(machine, 0xF2 << 16 | 4 << 40)
    assert machine.send(handle(5)) and machine.system.taken == [(2, 0xF2)]


def test_descriptor_that_is_not_there_is_fault_27(machine):
    posted(machine).free()
    blocked(machine, FaultReason.DESCRIPTOR_UNREACHABLE, handle(5))


@pytest.mark.parametrize("bit", [258, 271, 280, 287, 320, 511])
def test_reserved_bit_of_a_descriptor_is_fault_28(machine, bit):
    memory = posted(machine)
    memory.write((word_of(memory) | 1 << bit).to_bytes(64, "little"))
    blocked(machine, FaultReason.RESERVED_IN_DESCRIPTOR, handle(5))


def test_write_that_is_no_message_is_fault_29(machine):
    machine.host.interrupts.reject("8 bytes")
    assert machine.faults == [FaultReason.BAD_REQUEST]
    assert machine.host.interrupts.malformed == 1


def test_cached_entry_is_used_until_it_is_invalidated(machine):
    machine.entry(5, irte(0x77))
    assert machine.send(handle(5))
    machine.table.write(irte(0x88).to_bytes(16, "little"), 16 * 5)
    assert machine.send(handle(5))
    machine.host.invalidate_interrupt_entries(5)
    assert machine.send(handle(5))
    machine.table.write(irte(0x99).to_bytes(16, "little"), 16 * 5)
    machine.host.invalidate_interrupt_entries()
    assert machine.send(handle(5))
    assert [vector for _, vector in machine.system.taken] == [0x77, 0x77, 0x88, 0x99]


def test_entry_that_is_not_present_is_not_cached(machine):
    assert not machine.send(handle(5))
    machine.table.write(irte().to_bytes(16, "little"), 16 * 5)
    assert machine.send(handle(5))


@pytest.mark.parametrize("value", [irte(apic=5), irte(0x1F), irte(0x0F), irte() | 4, irte() | 0x20])
def test_interrupt_that_no_processor_takes_is_misdirected(machine, value):
    machine.entry(5, value)
    assert not machine.send(handle(5))
    assert machine.host.interrupts.misdirected == 1 and machine.faults == []


def test_without_a_table_only_plain_messages_pass():
    host = Host(cpus=4)
    host.system = system = System()
    assert host.message(0xFEE0_0000 | 6 << 12, 0x33, SID) and system.taken == [(3, 0x33)]
    for offset, data in ((handle(5), 0), (6 << 12 | 4, 0x33), (6 << 12, 0x133), (7 << 12, 0x33)):
        assert not host.message(0xFEE0_0000 | offset, data, SID)
    assert host.interrupts.misdirected == 4 and host.interrupts.live == 0


def test_present_entries_are_counted(machine):
    for index in (0, 7, 15):
        machine.entry(index, irte())
    assert machine.host.interrupts.live == 3


def test_machine_without_a_unit_takes_no_table():
    host = Host(remapping=False)
    with pytest.raises(ValueError, match="cannot remap"):
        host.set_remapping_table(0x1000, 4, extended=True)
    with pytest.raises(ValueError, match="a table of"):
        Host().set_remapping_table(0x1001, 4, extended=True)


def test_interrupt_before_anything_has_booted_is_misdirected():
    host = Host(cpus=4)
    assert not host.message(0xFEE0_0000 | 6 << 12, 0x33, SID)
    assert host.interrupts.misdirected == 1


def test_physical_memory_is_contiguous_and_bounded():
    memory = Host().allocate_physical(3 * 4096 - 100)
    data = bytes(range(256)) * 48
    memory.write(data[: 3 * 4096 - 100])
    assert memory.read() == data[: 3 * 4096 - 100]
    assert memory.read(4090, 12) == data[4090:4102]
    with pytest.raises(ValueError, match="of 12188"):
        memory.write(b"12", 12187)
