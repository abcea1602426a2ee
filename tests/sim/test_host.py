"""Host memory, IOMMU and interrupt controller."""

import pytest

from sim.host.iommu import AccessRefused, Reason
from sim.host.platform import Host

from ..targets import REQUESTER, Target


@pytest.fixture
def host():
    return Host()


def test_device_and_processor_see_the_same_bytes(host):
    pasid = host.allocate_pasid()
    buffer = host.allocate(10_000, pasid=pasid)
    data = bytes(range(250)) * 40
    buffer.write(data)
    assert host.dma_read(buffer.address, 10_000, pasid) == data
    host.dma_write(buffer.address + 4090, b"crossing", pasid)
    assert buffer.read(4090, 8) == b"crossing"


def test_every_address_space_starts_at_the_same_address(host):
    spaces = [None, host.allocate_pasid(), host.allocate_pasid()]
    buffers = [host.allocate(64, pasid=pasid) for pasid in spaces]
    assert len({buffer.address for buffer in buffers}) == 1
    for number, buffer in enumerate(buffers):
        buffer.write(bytes([number]) * 64)
    for number, pasid in enumerate(spaces):
        assert host.dma_read(buffers[0].address, 64, pasid) == bytes([number]) * 64


def test_addresses_lie_below_and_above_4_gib(host):
    addresses = [host.allocate(64).address for _ in range(4)]
    assert [address >> 32 > 0 for address in addresses] == [False, True, False, True]


def test_alignment_is_kept(host):
    assert all(host.allocate(64, align=1 << 16).address % (1 << 16) == 0 for _ in range(4))


def refusal(host, function, *arguments):
    with pytest.raises(AccessRefused) as caught:
        function(*arguments)
    assert host.iommu.faults[-1] is caught.value.fault
    return caught.value.fault.reason


def test_unmapped_pages_are_refused_and_logged(host):
    buffer = host.allocate(4096)
    assert refusal(host, host.dma_read, buffer.address + 4096, 1) is Reason.NOT_MAPPED
    assert refusal(host, host.dma_write, buffer.address - 1, b"ab") is Reason.NOT_MAPPED


def test_refused_write_leaves_no_trace(host):
    buffer = host.allocate(4096)
    refusal(host, host.dma_write, buffer.address + 4092, b"12345678")
    assert buffer.read() == bytes(4096)


def test_unknown_and_freed_pasids_are_refused(host):
    pasid = host.allocate_pasid()
    buffer = host.allocate(64, pasid=pasid)
    assert refusal(host, host.dma_read, buffer.address, 64, pasid + 1) is Reason.UNKNOWN_PASID
    buffer.free()
    assert refusal(host, host.dma_read, buffer.address, 64, pasid) is Reason.NOT_MAPPED
    host.free_pasid(pasid)
    assert refusal(host, host.dma_read, buffer.address, 64, pasid) is Reason.UNKNOWN_PASID


def test_read_only_buffers_refuse_writes(host):
    buffer = host.allocate(64, writable=False)
    buffer.write(b"constant")
    assert refusal(host, host.dma_write, buffer.address, b"x") is Reason.READ_ONLY
    assert host.dma_read(buffer.address, 8) == b"constant"


def test_pasid_with_buffers_is_not_freed(host):
    pasid = host.allocate_pasid()
    host.allocate(64, pasid=pasid)
    with pytest.raises(ValueError, match="still has 1 pages"):
        host.free_pasid(pasid)


def test_writes_behind_a_buffer_are_found(host):
    buffer = host.allocate(100)
    host.dma_write(buffer.address, bytes(100))
    assert host.check() == []
    host.dma_write(buffer.address + 104, b"\0")
    assert "byte 104 behind the buffer" in host.check()[0]


def test_writes_behind_a_buffer_are_found_when_it_is_freed(host):
    buffer = host.allocate(100)
    host.dma_write(buffer.address + 100, b"\0")
    buffer.free()
    assert len(host.check()) == 1


def test_freed_buffer_refuses_the_processor_too(host):
    buffer = host.allocate(100)
    buffer.free()
    with pytest.raises(ValueError, match="freed"):
        buffer.read()


def test_pasids_are_distinct_and_use_all_bits(host):
    pasids = [host.allocate_pasid() for _ in range(5000)]
    assert len(set(pasids)) == 5000
    assert all(0 < pasid < 1 << 20 for pasid in pasids)
    assert all(any(pasid >> bit & 1 for pasid in pasids) for bit in range(20))


def test_no_two_targets_share_address_or_data(host):
    messages = [Target(host, lambda: None).message for _ in range(18_000)]
    assert len({message.address for message in messages}) == 18_000
    assert len({message.data for message in messages}) == 18_000
    assert all(m.address >> 20 == 0xFEE and m.address & 0b11011 == 0b11000 for m in messages)
    for bit in (2, *range(5, 20)):
        assert {m.address >> bit & 1 for m in messages} == {0, 1}
    for bit in range(15):
        assert {m.data >> bit & 1 for m in messages} == {0, 1}


def test_message_reaches_its_own_handler_only(host):
    calls = [0, 0]

    def handler(index):
        calls[index] += 1

    first = Target(host, lambda: handler(0))
    Target(host, lambda: handler(1))
    assert host.message(first.message.address, first.message.data, REQUESTER)
    assert calls == [1, 0]
    assert (host.interrupts.delivered, first.delivered) == (1, 1)


def test_mixed_address_and_data_are_misdirected(host):
    first, second = (Target(host, lambda: None) for _ in range(2))
    assert not host.message(first.message.address, second.message.data, REQUESTER)
    assert host.interrupts.misdirected == 1
    assert "is not present" in host.check()[0]


def test_message_of_a_released_target_is_misdirected(host):
    target = Target(host, lambda: None)
    message = target.message
    target.release()
    host.message(message.address, message.data, REQUESTER)
    assert host.interrupts.misdirected == 1
    assert host.interrupts.delivered == 0
    assert "is not present" in host.check()[0]
