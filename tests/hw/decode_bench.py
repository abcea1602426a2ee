"""A bench around Decode alone: descriptors in, jobs out."""

from dataclasses import replace

from hw.engine.decode import Decode
from hw.queues.records import Work
from hw.regs import Config
from hw.regs.descriptor import LAYOUTS, Flag, Opcode, Status
from hw.tlp.records import Packet

from .decode_reference import OPERATIONS, Around
from .streams import simulate

CONFIG = Config(ims_vectors=256, msix_vectors=4)
RECORD = Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION

OPERANDS = {
    Opcode.NOP: {},
    Opcode.BATCH: {"list_address": 0x4_0040, "count": 3},
    Opcode.DRAIN: {},
    Opcode.MEMORY_MOVE: {"source": 0x1_0001, "destination": 0x2_0003, "size_bytes": 77},
    Opcode.FILL: {"pattern": 0x0123_4567_89AB_CDEF, "destination": 0x2_0003, "size_bytes": 77},
    Opcode.COMPARE: {"source": 0x1_0001, "source_2": 0x1_0002, "size_bytes": 77, "expected": 0xA1},
    Opcode.COMPARE_PATTERN: {
        "source": 0x1_0001,
        "pattern": 0xFEDC_BA98_7654_3210,
        "size_bytes": 77,
        "expected": 0xA0,
    },
    Opcode.CREATE_DELTA: {
        "source": 0x1_0000,
        "source_2": 0x1_0008,
        "size_bytes": 800,
        "delta_address": 0x3_0001,
        "max_delta_bytes": 80,
        "expected": 0xA3,
    },
    Opcode.APPLY_DELTA: {
        "delta_address": 0x3_0001,
        "destination": 0x2_0008,
        "size_bytes": 800,
        "delta_bytes": 90,
    },
    Opcode.DUALCAST: {
        "source": 0x1_0001,
        "destination": 0x2_0003,
        "destination_2": 0x3_0003,
        "size_bytes": 77,
    },
    Opcode.CRC: {"source": 0x1_0001, "size_bytes": 77, "seed": 0x8765_4321},
    Opcode.COPY_CRC: {
        "source": 0x1_0001,
        "destination": 0x2_0003,
        "size_bytes": 77,
        "seed": 0x8765_4321,
    },
    Opcode.CACHE_FLUSH: {"destination": 0x2_0003, "size_bytes": 77},
}
"""Operands of a descriptor of each operation that has no fault."""


def descriptor(opcode: Opcode, *, flags: int = RECORD, **fields: int) -> int:
    """A descriptor without a fault, unless ``flags`` and ``fields`` make one."""
    values = OPERANDS[opcode] | fields
    if flags & Flag.READ_SEED and "seed" in OPERANDS[opcode] and "seed" not in fields:
        values = values | {"seed": 0}
    valid = flags & Flag.COMPLETION_ADDRESS_VALID
    values.setdefault("completion_address", 0x1020 if valid else 0)
    return LAYOUTS[opcode].pack(opcode=int(opcode), flags=int(flags), **values)


def work(around: Around, number: int = 0) -> dict:
    """The header of a descriptor."""
    return {
        "queue": number % 64,
        "ims": number >> 1 & 1,
        "tenant": {
            "valid": around.pasid_valid,
            "pasid": (0x81234 + number) % (1 << 20) if around.pasid_valid else 0,
            "privileged": around.privileged,
            "execute": 0,
        },
        "max_transfer_log2": around.max_transfer_log2,
        "max_batch_log2": around.max_batch_log2,
        "operations": sum(1 << k for k, c in enumerate(OPERATIONS) if c in around.operations),
        "shared": around.shared,
        "member": around.member,
        "batch_index": (0x8001 + number) % (1 << 16),
    }


def beats(word: int, header: dict, data_width: int) -> list[int]:
    """A descriptor as a packet, beat by beat, as numbers."""
    layout, count = Packet(Work, data_width), 512 // data_width
    head = Work.const(header).as_value().value
    places = {name: layout[name].offset for name in ("data", "first", "last")}
    return [
        head
        | (word >> data_width * k & (1 << data_width) - 1) << places["data"]
        | (k == 0) << places["first"]
        | (k == count - 1) << places["last"]
        for k in range(count)
    ]


def decode(cases, *, data_width: int = 64) -> list:
    """Jobs of (descriptor, around) pairs, and the clock in which each is taken."""
    dut, jobs, clocks = Decode(replace(CONFIG, data_width=data_width)), [], [0]

    async def run(ctx):
        ctx.set(dut.o.ready, 1)
        for number, (word, around) in enumerate(cases):
            ctx.set(dut.user_interrupts, around.user_interrupts)
            ctx.set(dut.pasid_privileged, around.pasid_privileged)
            ctx.set(dut.i.valid, 1)
            for beat in beats(word, work(around, number), data_width):
                ctx.set(dut.i.payload.as_value(), beat)
                assert ctx.get(dut.i.ready)
                await ctx.tick()
                clocks[-1] += 1
            ctx.set(dut.i.valid, 0)
            while not ctx.get(dut.o.valid):
                assert clocks[-1] < 100
                await ctx.tick()
                clocks[-1] += 1
            jobs.append(ctx.get(dut.o.payload))
            await ctx.tick()
            clocks[-1] += 1
            clocks.append(0)

    simulate(dut, run)
    return list(zip(jobs, clocks, strict=False))


def faults(cases, **options) -> list[tuple[Status, int]]:
    """Status of each, and invalid flags if that is what is wrong."""
    return [
        (Status(job.fault), job.invalid_flags if job.fault == Status.BAD_FLAGS else 0)
        for job, _ in decode(cases, **options)
    ]


def fault(opcode: Opcode, around: Around | None = None, **fields: int) -> Status:
    """Status of one descriptor, made by :func:`descriptor`."""
    ((status, _),) = faults([(descriptor(opcode, **fields), around or Around())])
    return status
