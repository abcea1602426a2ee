"""Benches on a mirror: what goes down comes up again, as if a device had sent it."""

import random
import time

from cocotb.triggers import Event
from cocotbext.pcie.core.tlp import CplStatus, TlpAttr, TlpType
from cocotbext.pcie.core.utils import PcieId

from sim.bench.cocotb_side import bench, cycles, now, parameters
from sim.host.credits import Flow
from sim.host.observer import Observer
from sim.host.platform import Host
from sim.host.port import LinkBehaviour, RtlPort
from sim.host.root_complex import Behaviour, TocsinRootComplex
from sim.host.tlp import MEMORY_READS, Tlp
from tests.targets import Target

DEVICE = PcieId(1, 0, 0)


class Collector(Observer):
    """Keeps what comes from the device."""

    def __init__(self):
        self.packets = []
        self.arrival = Event()

    def received(self, packet, start, clock):
        self.packets.append((packet, start, clock))
        self.arrival.set()


def memory(kind, address, *, data=None, size=None, pasid=None, tag=0):
    """A request as the device would make it."""
    tlp = Tlp()
    fmt, type_ = kind.value
    tlp.fmt_type = (fmt | (address >> 32 > 0), type_)
    tlp.requester_id, tlp.tag, tlp.pasid = DEVICE, tag, pasid
    if data is None:
        tlp.set_addr_be(address, size)
    else:
        tlp.set_addr_be_data(address, data)
    return tlp


def host_side(dut, **options):
    link = LinkBehaviour(**parameters().get("link", {}))
    rc = TocsinRootComplex(dut, Host(), Behaviour(**options), link)
    # A mirror cannot be enumerated, so its bus number is given here.
    rc.root_port.sec_bus_num = rc.root_port.sub_bus_num = DEVICE.bus
    collector = Collector()
    rc.port.observe(collector)
    return rc, collector


@bench(limit_cycles=200_000)
async def every_length_passes_unchanged(dut):
    port = RtlPort(dut, LinkBehaviour(**parameters().get("link", {})))
    collector = Collector()
    port.observe(collector)
    port.rx_handler = lambda tlp: cycles(0)
    sent = []
    for length in [*range(3, 30), *range(3, 137), *random.choices(range(3, 137), k=50)]:
        # A completion of that many bytes; its contents do not matter to the link.
        packet = bytes([0x0A, 0, 0, 0]) + random.randbytes(4 * length - 4)
        sent.append(packet)
        port.queue(packet, Flow.COMPLETION)
    while len(collector.packets) < len(sent):
        collector.arrival.clear()
        await collector.arrival.wait()
    assert [packet for packet, _, _ in collector.packets] == sent
    gaps = [
        later[1] - earlier[2]
        for earlier, later in zip(collector.packets, collector.packets[1:], strict=False)
    ]
    return {"largest_gap": max(gaps), "smallest_gap": min(gaps)}


@bench()
async def writes_reach_memory(dut):
    rc, _ = host_side(dut)
    host = rc.host
    pasid = host.allocate_pasid()
    spaces = [(None, host.allocate(4096)), (pasid, host.allocate(4096, pasid=pasid))]
    spaces += [(None, host.allocate(4096)), (pasid, host.allocate(4096, pasid=pasid))]
    images = [bytearray(4096) for _ in spaces]
    for _ in range(200):
        number = random.randrange(len(spaces))
        who, buffer = spaces[number]
        offset, size = random.randrange(4000), random.randint(1, 96)
        data = random.randbytes(size)
        images[number][offset : offset + size] = data
        tlp = memory(TlpType.MEM_WRITE, buffer.address + offset, data=data, pasid=who)
        await rc.port.send(tlp)
    await cycles(10_000)
    assert [buffer.read() for _, buffer in spaces] == images
    assert not rc.errors and not rc.port.malformed and not host.check()
    # Byte enables that leave holes.
    tlp = memory(TlpType.MEM_WRITE, spaces[0][1].address, data=b"\xff" * 8)
    tlp.first_be, tlp.last_be = 0b0101, 0b1001
    before = bytes(images[0])
    await rc.port.send(tlp)
    await cycles(100)
    expected = bytearray(before)
    for index in (0, 2, 4, 7):
        expected[index] = 0xFF
    assert spaces[0][1].read() == expected


@bench()
async def reads_are_completed(dut):
    options = parameters().get("behaviour", {})
    if "latency_cycles" in options:
        options["latency_cycles"] = tuple(options["latency_cycles"])
    rc, collector = host_side(dut, **options)
    boundary = rc.behaviour.read_completion_boundary
    buffer = rc.host.allocate(8192)
    buffer.write(random.randbytes(8192))
    requests = {}
    for tag in range(32):
        offset = random.randrange(4000)
        size = random.randint(1, min(512, 4096 - offset))
        requests[tag] = (offset, size)
        await rc.port.send(memory(TlpType.MEM_READ, buffer.address + offset, size=size, tag=tag))
    await cycles(20_000)
    found, order, pieces = {}, [], 0
    for packet, _, _ in collector.packets:
        tlp = Tlp.unpack(packet)
        if tlp.fmt_type in MEMORY_READS:
            continue
        assert tlp.status == CplStatus.SC
        assert tlp.requester_id == DEVICE
        offset, size = requests[tlp.tag]
        so_far = found.setdefault(tlp.tag, b"")
        assert tlp.byte_count == size - len(so_far)
        place = buffer.address + offset + len(so_far)
        assert tlp.lower_address == place & 0x7F
        if so_far:
            assert place % boundary == 0
        skip = place & 3
        found[tlp.tag] = so_far + bytes(tlp.data[skip : skip + tlp.byte_count])
        order.append(tlp.tag)
        pieces += 1
    for tag, (offset, size) in requests.items():
        assert found[tag] == buffer.read(offset, size), tag
    return {"pieces": pieces, "in_order": order == sorted(order)}


@bench()
async def refused_reads_get_unsupported_request(dut):
    rc, collector = host_side(dut)
    await rc.port.send(memory(TlpType.MEM_READ, 0x5000_0000, size=64, tag=3))
    await rc.port.send(memory(TlpType.MEM_READ, 0x5000_0000, size=64, tag=4, pasid=77))
    await cycles(200)
    refusals = [Tlp.unpack(packet) for packet, _, _ in collector.packets if packet[0] == 0x0A]
    assert [(tlp.status, tlp.tag) for tlp in refusals] == [(CplStatus.UR, 3), (CplStatus.UR, 4)]
    assert [fault.pasid for fault in rc.host.iommu.faults] == [None, 77]


@bench()
async def interrupts_reach_their_targets(dut):
    rc, _ = host_side(dut)
    counts = [0] * 50

    def handler(index):
        counts[index] += 1

    targets = [Target(rc.host, lambda n=n: handler(n)) for n in range(50)]
    for target in targets:
        data = target.message.data.to_bytes(4, "little")
        await rc.port.send(memory(TlpType.MEM_WRITE, target.message.address, data=data))
    await cycles(1000)
    assert counts == [1] * 50
    interrupts = rc.host.interrupts
    assert (interrupts.delivered, interrupts.misdirected, interrupts.malformed) == (50, 0, 0)

    first = targets[0].message
    wrong = memory(
        TlpType.MEM_WRITE, first.address, data=targets[1].message.data.to_bytes(4, "little")
    )
    relaxed = memory(TlpType.MEM_WRITE, first.address, data=first.data.to_bytes(4, "little"))
    relaxed.attr = TlpAttr.RO
    long = memory(TlpType.MEM_WRITE, first.address, data=bytes(8))
    prefixed = memory(TlpType.MEM_WRITE, first.address, data=bytes(4), pasid=1)
    for tlp in (wrong, relaxed, long, prefixed):
        await rc.port.send(tlp)
    await cycles(200)
    assert counts == [1] * 50
    assert (interrupts.delivered, interrupts.misdirected, interrupts.malformed) == (50, 1, 2)
    assert len(rc.host.iommu.faults) == 1


@bench()
async def speed(dut):
    rc, collector = host_side(dut)
    buffer = rc.host.allocate(4096)
    count = parameters()["count"]
    began, began_at = time.monotonic(), now()
    for index in range(count):
        await rc.port.send(
            memory(TlpType.MEM_WRITE, buffer.address + index % 64 * 64, data=bytes(64))
        )
        while rc.port.queued > 4:
            await cycles(8)
    while len(collector.packets) < count:
        collector.arrival.clear()
        await collector.arrival.wait()
    elapsed = time.monotonic() - began
    return {"tlps_per_second": round(2 * count / elapsed), "clocks": now() - began_at}
