"""Operations on the model's shared queue: descriptors by operand name, and their records."""

from hw.regs.bar2 import Portal
from hw.regs.descriptor import LAYOUTS, RESULTS, Flag, Opcode
from sim.model.tlp import Status

from .model_bench import Bench

PASID, RECORD = 0x4_2001, 0x1_0000
SOURCE, SECOND, TARGET, OTHER = 0x2_0000, 0x4_0000, 0x6_0000, 0x8_0000
DELTA, LIST, SEED = 0xA_0000, 0xC_0000, 0xE_0000

#: Operands with which each operation succeeds.
GOOD = {
    Opcode.NOP: {},
    Opcode.BATCH: {"list_address": LIST, "count": 2},
    Opcode.DRAIN: {},
    Opcode.MEMORY_MOVE: {"source": SOURCE, "destination": TARGET, "size_bytes": 64},
    Opcode.FILL: {"pattern": 0x1122_3344_5566_7788, "destination": TARGET, "size_bytes": 64},
    Opcode.COMPARE: {"source": SOURCE, "source_2": SECOND, "size_bytes": 64},
    Opcode.COMPARE_PATTERN: {"source": SOURCE, "pattern": 7, "size_bytes": 64},
    Opcode.CREATE_DELTA: {
        "source": SOURCE, "source_2": SECOND, "size_bytes": 64, "delta_address": DELTA,
        "max_delta_bytes": 80,
    },
    Opcode.APPLY_DELTA: {
        "delta_address": DELTA, "destination": TARGET, "size_bytes": 64, "delta_bytes": 10,
    },
    Opcode.DUALCAST: {
        "source": SOURCE, "destination": TARGET, "destination_2": OTHER, "size_bytes": 64,
    },
    Opcode.CRC: {"source": SOURCE, "size_bytes": 64},
    Opcode.COPY_CRC: {"source": SOURCE, "destination": TARGET, "size_bytes": 64},
    Opcode.CACHE_FLUSH: {"destination": TARGET, "size_bytes": 64},
}  # fmt: skip


def pack(opcode, flags=0, *, record=RECORD, **fields):
    """64 bytes: good operands of the operation, but for those given; a record unless None."""
    values = {"pasid": PASID} | GOOD[opcode] | fields
    flags = int(flags)
    if record is not None:
        flags |= Flag.COMPLETION_ADDRESS_VALID | Flag.REQUEST_COMPLETION
        values["completion_address"] = record
    if "handle" in values:
        flags |= Flag.REQUEST_INTERRUPT
    word = LAYOUTS[opcode].pack(opcode=opcode, flags=flags, **values)
    return word.to_bytes(64, "little")


def ready(config=None, **fields):
    """A bench whose queue 0 is shared, with room and generous limits."""
    bench = Bench(config) if config else Bench()
    values = {"size": 16, "threshold": 16, "max_transfer_log2": 20, "max_batch_log2": 5}
    bench.enable(0, **(values | fields))
    return bench


def store(bench, address, data):
    bench.memory.store(address, data, PASID)


def load(bench, address, size):
    return bench.memory.load(address, size, PASID)


def result(bench, address=RECORD):
    """Fields of a completion record, or None if it was not written."""
    fields = RESULTS.unpack(int.from_bytes(load(bench, address, 32), "little"))
    return fields if fields["status"] else None


def run(bench, data, kind=Portal.UNLIMITED):
    """Execute one descriptor. Returns its completion record, if it wrote one."""
    store(bench, RECORD, bytes(32))
    assert bench.submit(0, data, kind) is Status.SUCCESS
    bench.device.settle()
    return result(bench)


def execute(bench, opcode, flags=0, **fields):
    """Execute an operation with these operands."""
    return run(bench, pack(opcode, flags, **fields))


def put_list(bench, members, address=LIST):
    """Write the members of a batch to memory."""
    for index, data in enumerate(members):
        store(bench, address + 64 * index, data)


def writes(bench):
    """Address and data of each write so far."""
    return [(address, data) for _, address, data in bench.memory.writes]
