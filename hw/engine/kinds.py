"""Operations, by what they have in common."""

from amaranth import *
from amaranth.lib import data

from ..regs.descriptor import Opcode

_KINDS = {
    "fills": (Opcode.FILL,),
    "doubles": (Opcode.DUALCAST,),
    "creates": (Opcode.CREATE_DELTA,),
    "applies": (Opcode.APPLY_DELTA,),
    "sums": (Opcode.CRC, Opcode.COPY_CRC),
    "only_sums": (Opcode.CRC,),
    "patterns": (Opcode.COMPARE_PATTERN,),
    "compares": (Opcode.COMPARE, Opcode.COMPARE_PATTERN),
    "pairs": (Opcode.COMPARE, Opcode.CREATE_DELTA),
    # What counts is the place in the source: it meets a pattern, or is taken apart.
    "counts": (Opcode.COMPARE_PATTERN, Opcode.APPLY_DELTA),
    "copies": (Opcode.MEMORY_MOVE, Opcode.DUALCAST, Opcode.COPY_CRC),
}

KINDS = data.StructLayout(dict.fromkeys((*_KINDS, "faulty"), 1))
"""What an operation is: one bit for each kind, and whether the job is at fault or abandoned."""


def classify(job, kinds):
    """Statements that set the kinds of a job."""
    found = [
        kinds[name].eq(Cat(job.opcode == opcode for opcode in opcodes).any())
        for name, opcodes in _KINDS.items()
    ]
    return [*found, kinds.faulty.eq((job.fault != 0) | job.abandoned)]
