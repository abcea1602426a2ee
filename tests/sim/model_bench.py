"""A device model with a host that is nothing but memory, and short words for what tests do."""

from collections import defaultdict

from hw.regs.bar0 import QUEUE_CONFIG, REGISTERS, bar0
from hw.regs.bar2 import Portal, portal
from hw.regs.commands import Command
from hw.regs.config import Config
from hw.regs.descriptor import COMPLETION, DESCRIPTOR, Flag, Opcode
from hw.regs.schema import Register
from sim.model.device import Device
from sim.model.host import HostError
from sim.model.tlp import (
    Completion,
    Status,
    config_read,
    config_write,
    memory_read,
    memory_write,
)

RID = 0x0300
BAR0, BAR2 = 0x80_0000_0000, 0x80_1000_0000
SMALL = Config(ims_vectors=256, msix_vectors=8, queue_slots=32)

REGISTER = {item.name: item for item in REGISTERS}
QUEUE = {item.name: item for item in QUEUE_CONFIG}


class Memory:
    """Host memory: whatever is in it can be read; ``forbidden`` addresses fail.

    Members
    -------
    log : list
        Everything the device did, in order: ("write", pasid, address, data) and
        ("message", address, data), and ("read", pasid, address, length).
    """

    def __init__(self):
        self.bytes = defaultdict(int)
        self.log = []
        self.forbidden = set()

    def dma_read(self, address, length, pasid):
        self.log.append(("read", pasid, address, length))
        for at in range(address, address + length):
            if (pasid, at) in self.forbidden:
                raise HostError()
        return bytes(self.bytes[pasid, at] for at in range(address, address + length))

    def dma_write(self, address, data, pasid):
        self.log.append(("write", pasid, address, data))
        self.store(address, data, pasid)

    def message(self, address, data):
        self.log.append(("message", address, data))

    def store(self, address, data, pasid=None):
        """As the CPU."""
        for at, byte in enumerate(data, address):
            self.bytes[pasid, at] = byte

    def load(self, address, length, pasid=None):
        """As the CPU."""
        return bytes(self.bytes[pasid, at] for at in range(address, address + length))

    @property
    def messages(self):
        """Address and data of each message so far."""
        return [entry[1:] for entry in self.log if entry[0] == "message"]

    @property
    def writes(self):
        """PASID, address and data of each write so far."""
        return [entry[1:] for entry in self.log if entry[0] == "write"]


class Bench:
    """A device, enumerated, with Memory Space and Bus Master enabled and PASIDs on."""

    def __init__(self, config=SMALL, *, pasid=True, privileged=False, **options):
        self.config = config
        self.memory = Memory()
        self.device = Device(config, self.memory, **options)
        self.space = bar0(config)
        for offset, base in ((0x10, BAR0), (0x18, BAR2)):
            self.config_write(offset, base & 0xFFFF_FFFF)
            self.config_write(offset + 4, base >> 32)
        self.config_write(0x04, 0x6, 2)
        if pasid:
            self.config_write(0x186, 1 | privileged << 2, 2)

    # Requests

    def config_read(self, offset, size=4):
        (answer,) = self.device.handle(config_read(offset, size, destination=RID))
        assert answer.status is Status.SUCCESS
        low = offset & 3
        return int.from_bytes(answer.payload[low : low + size], "little")

    def config_write(self, offset, value, size=4):
        (answer,) = self.device.handle(config_write(offset, value, size, destination=RID))
        assert answer.status is Status.SUCCESS

    def read(self, offset, size=4):
        (answer,) = self.device.handle(memory_read(BAR0 + offset, size))
        assert isinstance(answer, Completion) and answer.status is Status.SUCCESS
        low = offset & 3
        return int.from_bytes(answer.payload[low : low + size], "little")

    def write(self, offset, value, size=4):
        assert self.device.handle(memory_write(BAR0 + offset, value.to_bytes(size, "little"))) == []

    # Registers

    def get(self, register, field=None):
        """A control register, or one field of it."""
        item = REGISTER[register]
        value = self.read(item.offset, item.size_bytes)
        return value if field is None else item.get(value, field)

    def set(self, register, **fields):
        """Write a control register."""
        item: Register = REGISTER[register]
        self.write(item.offset, item.pack(**fields), item.size_bytes)

    def queue_offset(self, queue, name):
        return self.space.table("wqcfg").entry(queue, name)

    def configure(self, queue, **fields):
        """Write the configuration of a queue: shared, 4 descriptors, unless said otherwise."""
        values = {
            "size": 4, "threshold": 4, "dedicated": 0, "priority": 1,
            "pasid_enable": 1, "max_transfer_log2": 12, "max_batch_log2": 1,
        } | fields  # fmt: skip
        for name, item in QUEUE.items():
            mine = {f.name: values.pop(f.name) for f in item.fields if f.name in values}
            if mine and name != "operations":
                self.write(self.queue_offset(queue, name), item.pack(**mine))
        assert not values

    def queue_field(self, queue, register, field):
        return QUEUE[register].get(self.read(self.queue_offset(queue, register)), field)

    def group(self, queues, engines=1, flags=0, group=0):
        base = self.space.table("grpcfg").entry(group)
        self.write(base, queues, 8)
        self.write(base + 32, engines, 8)
        self.write(base + 40, flags, 8)

    def command(self, code, operand=0, *, interrupt=False, settle=True):
        """Run a command to its end. Returns error and result."""
        self.set("cmd", code=code, operand=operand, interrupt=int(interrupt))
        if settle:
            self.device.settle()
            assert not self.get("cmdstatus", "active"), "the command never completed"
        return self.get("cmdstatus", "error"), self.get("cmdstatus", "result")

    def enable(self, *queues, user_interrupts=True, **fields):
        """Configure queues alike, enable the device and them."""
        for queue in queues:
            self.configure(queue, **fields)
        self.group(sum(1 << queue for queue in queues))
        self.set("gencfg", user_interrupts=int(user_interrupts))
        assert self.command(Command.ENABLE_DEVICE) == (0, 0)
        for queue in queues:
            assert self.command(Command.ENABLE_QUEUE, queue) == (0, 0)

    # Interrupts

    def ims(self, index, *, data=None, control=0, pasid=None):
        """Program an IMS entry and return its message; unmasked unless ``control`` says so."""
        base = self.space.table("ims").entry(index)
        message = (self.config.message_window + 4 * index + 0x100, index if data is None else data)
        self.write(base, message[0], 8)
        owner = 0 if pasid is None else 8 | pasid << 12
        self.write(base + 8, message[1] | (control | owner) << 32, 8)
        return message

    def ims_control(self, index):
        return self.read(self.space.table("ims").entry(index, "control"))

    def msix(self, index, *, mask=0, pasid=None, ignore=0):
        """Program an MSI-X entry and its permission; turn MSI-X on."""
        base = self.space.table("msix").entry(index)
        message = (0xFEE1_0000 + 4 * index, 0x8000 + index)
        self.write(base, message[0], 8)
        self.write(base + 8, message[1] | mask << 32, 8)
        owner = 0 if pasid is None else 8 | pasid << 12
        self.write(self.space.table("msixperm").entry(index), owner | ignore << 2)
        self.config_write(0x92, 0x8000, 2)
        return message

    def pending(self, index):
        """MSI-X pending bit."""
        word = self.read(self.space.table("pba").entry(index // 64), 8)
        return word >> index % 64 & 1

    # Portals

    def submit(self, queue, data, kind=Portal.UNLIMITED, *, posted=False, slot=0):
        """Write 64 bytes to a portal. Returns the status of a deferrable write, else None."""
        address = BAR2 + portal(queue, kind, slot)
        answers = self.device.handle(memory_write(address, data, deferrable=not posted))
        if posted:
            assert answers == []
            return None
        return answers[0].status


def descriptor(opcode=Opcode.NOP, flags=0, **fields):
    """A descriptor; a completion address and a handle bring their flags."""
    flags = int(flags)
    if fields.get("completion_address"):
        flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
    if "handle" in fields:
        flags |= Flag.REQUEST_INTERRUPT
    word = DESCRIPTOR.pack(opcode=opcode, flags=flags, **fields)
    return word.to_bytes(64, "little")


def record(data):
    """Fields of a completion record."""
    return COMPLETION.unpack(int.from_bytes(data, "little"))
