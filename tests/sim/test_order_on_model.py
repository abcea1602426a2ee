"""The checker of order, fed with what the model does to memory in random programs."""

import random

import pytest
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from hw.regs.bar2 import Portal, bar2_bytes, portal
from hw.regs.commands import Command
from hw.regs.config import Config
from hw.regs.descriptor import Flag, Opcode
from sim.checkers.order import OrderChecker
from sim.host.credits import Flow
from sim.host.tlp import ExtraType, Tlp
from sim.model.host import HostError

from .model_bench import BAR0, BAR2, Bench, Memory
from .operation_bench import GOOD, PASID, pack, put_list

CONFIG = Config(ims_vectors=256, msix_vectors=8, groups=2, engines=3, read_slot_bytes=128)
MEMBERS = sorted(set(Opcode) - {Opcode.BATCH, Opcode.DRAIN})
RECORDS, TARGETS, LISTS = 0x100_0000, 0x200_0000, 0x300_0000
VECTORS = 16


class Link(Memory):
    """Host memory that shows an observer each access as the TLPs it would be."""

    def __init__(self, checker):
        super().__init__()
        self._checker, self._tag = checker, 0

    def up(self, tlp):
        self._checker.received(tlp.pack(), 0, 0)

    def down(self, tlp):
        self._checker.sent(tlp.pack(), Flow.POSTED, 0)

    def dma_read(self, address, length, pasid):
        self._tag = (self._tag + 1) % 32
        read = Tlp()
        read.fmt_type, read.tag, read.pasid = TlpType.MEM_READ, self._tag, pasid
        read.requester_id = PcieId(1, 0, 0)
        read.set_addr_be(address, length)
        self.up(read)
        answer = Tlp()
        answer.tag, answer.requester_id, answer.completer_id = (
            self._tag, PcieId(1, 0, 0), PcieId(0, 0, 0),
        )  # fmt: skip
        answer.lower_address, answer.byte_count = address & 0x7F, length
        answer.fmt_type, answer.status = TlpType.CPL, CplStatus.UR
        try:
            data = super().dma_read(address, length, pasid)
        except HostError:
            self.down(answer)
            raise
        answer.fmt_type, answer.status = TlpType.CPL_DATA, CplStatus.SC
        lead = address & 3
        answer.set_data(bytes(lead) + data + bytes(-(lead + length) % 4))
        self.down(answer)
        return data

    def dma_write(self, address, data, pasid):
        super().dma_write(address, data, pasid)
        self.up(write(address, data, pasid=pasid))

    def message(self, address, data):
        super().message(address, data)
        self.up(write(address, data.to_bytes(4, "little")))


def write(address, data, *, pasid=None, kind=TlpType.MEM_WRITE):
    tlp = Tlp()
    fmt, type_ = kind.value
    tlp.fmt_type = (fmt | (address >> 32 > 0), type_)
    tlp.pasid = pasid
    tlp.set_addr_be_data(address, data)
    return tlp


class Watched(Bench):
    """A bench whose traffic the checker sees, both ways."""

    def __init__(self):
        self.checker = OrderChecker(CONFIG, BAR0, BAR2, bar2_bytes(CONFIG))
        super().__init__(CONFIG)
        self.device.host = self.memory = Link(self.checker)

    def write(self, offset, value, size=4):
        super().write(offset, value, size)
        self.memory.down(write(BAR0 + offset, value.to_bytes(size, "little")))

    def submit(self, queue, data, kind=Portal.IMS, *, posted=False, slot=0):
        request = write(BAR2 + portal(queue, kind, slot), data, kind=ExtraType.DEFERRABLE_WRITE)
        self.memory.down(request)
        status = super().submit(queue, data, kind, posted=posted, slot=slot)
        answer = Tlp()
        answer.fmt_type, answer.completer_id = TlpType.CPL, PcieId(1, 0, 0)
        answer.status = CplStatus(int(status.value))
        self.memory.up(answer)
        return status


def prepare(bench):
    """Two groups, four shared queues, and vectors for everybody."""
    for queue in range(4):
        bench.configure(queue, size=8, threshold=8, max_transfer_log2=20, max_batch_log2=5)
    bench.group(0b0011, 0b011)
    bench.group(0b1100, 0b100, group=1)
    bench.set("gencfg", user_interrupts=1)
    assert bench.command(Command.ENABLE_DEVICE) == (0, 0)
    for queue in range(4):
        assert bench.command(Command.ENABLE_QUEUE, queue) == (0, 0)
    for index in range(VECTORS):
        bench.ims(index, pasid=PASID)


class Program:
    """Random descriptors, each with a record and a target of its own."""

    def __init__(self, rng):
        self._rng, self._count, self.lists = rng, 0, 0

    def next(self, opcode, *, fence=False):
        """A descriptor, right more often than not."""
        rng = self._rng
        self._count += 1
        own = {
            "destination": TARGETS + 0x4000 * self._count,
            "destination_2": TARGETS + 0x4000 * self._count + 0x2000,
            "delta_address": TARGETS + 0x4000 * self._count + 0x3000,
        }
        names = GOOD[opcode]
        fields = {name: place for name, place in own.items() if name in names}
        if opcode is Opcode.APPLY_DELTA:
            fields["delta_address"] = names["delta_address"]
        if "size_bytes" in names:
            fields["size_bytes"] = 8 * rng.choice([0, 1, 8, 40, 90])
        if rng.random() < 0.5:
            fields["handle"] = rng.randrange(VECTORS + 2)
        flags = Flag.FENCE if fence else 0
        if opcode in (Opcode.COMPARE, Opcode.CREATE_DELTA) and rng.random() < 0.5:
            flags |= Flag.CHECK_RESULT
        return pack(opcode, flags, record=RECORDS + 32 * self._count, **fields)

    def batch(self, bench):
        """A batch, its list written to memory."""
        rng, count = self._rng, self._rng.randrange(1, 7)
        self.lists += 1
        place = LISTS + 4096 * self.lists
        members = [self.next(rng.choice(MEMBERS), fence=rng.random() < 0.2) for _ in range(count)]
        put_list(bench, members, place)
        self._count += 1
        record = RECORDS + 32 * self._count
        return pack(Opcode.BATCH, record=record, list_address=place, count=count)


def play(seed, *, steps=400):
    """A random program on a watched bench."""
    print("seed", seed)
    rng = random.Random(seed)
    bench = Watched()
    prepare(bench)
    program = Program(rng)
    bench.memory.store(0x2_0000, rng.randbytes(0x400), PASID)
    bench.memory.store(0x4_0000, bytes(0x400), PASID)
    bench.memory.store(0xA_0000, bytes(2) + rng.randbytes(8), PASID)
    bench.memory.forbidden.add((PASID, 0x2_0000 + 700))
    for _ in range(steps):
        if rng.random() < 0.1:
            opcode = rng.choice([*MEMBERS, Opcode.DRAIN, Opcode.BATCH, Opcode.BATCH])
            data = program.batch(bench) if opcode is Opcode.BATCH else program.next(opcode)
            bench.submit(rng.randrange(4), data)
        elif rng.random() < 0.01:
            bench.command(Command.ABORT_QUEUE, 1 << rng.randrange(4))
        else:
            bench.device.step(rng.choice(bench.device.runnable() or ("command",)))
    while bench.device.runnable():
        bench.device.step(rng.choice(bench.device.runnable()))
    return bench


@pytest.mark.parametrize("seed", range(40))
def test_nothing_the_model_does_is_called_wrong(seed):
    bench = play(seed)
    assert bench.checker.finish() == []
    assert bench.checker.records > 20


def test_every_kind_of_end_was_seen():
    """The programs above succeed, fail, and stop at fences."""
    seen = set()
    for seed in range(10):
        bench = play(seed)
        for _, address, data in bench.memory.writes:
            if RECORDS <= address < TARGETS:
                seen.add(data[0])
        assert bench.checker.bells > 3
    assert {1, 2, 5, 0x13, 0x19, 0x20} <= seen


class Hasty(Link):
    """A link on which of each two writes the second overtakes the first."""

    def __init__(self, checker):
        super().__init__(checker)
        self._late = []

    def up(self, tlp):
        if tlp.fmt_type not in (TlpType.MEM_WRITE, TlpType.MEM_WRITE_64):
            super().up(tlp)
            return
        self._late.append(tlp)
        if len(self._late) == 2:
            super().up(self._late.pop())
            super().up(self._late.pop())


def test_writes_that_overtake_are_noticed(monkeypatch):
    monkeypatch.setattr("tests.sim.test_order_on_model.Link", Hasty)
    errors = [error for seed in range(4) for error in play(seed).checker.finish()]
    assert any("bytes of data" in error for error in errors)
    assert any("members" in error for error in errors)
    assert any("IMS vector" in error for error in errors)
