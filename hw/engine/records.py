"""What passes inside an engine."""

from amaranth import *
from amaranth.lib import data, enum

from ..tlp.records import Tenant


class Job(data.Struct):
    """A descriptor that has been taken apart and looked at."""

    queue: 6
    ims: 1
    tenant: Tenant
    opcode: 8
    #: Write a completion record if all goes well.
    record: 1
    #: A completion record can be written.
    record_valid: 1
    #: Ask for the interrupt: the flag is set, and allowed to be.
    interrupt: 1
    #: ``handle`` is beyond its table.
    handle_beyond: 1
    handle: 16
    completion_address: 64
    source: 64
    destination: 64
    #: Transfer size, or the number of descriptors of a batch.
    size_bytes: 32
    #: The descriptor's flags; those of its operation are bits 23:16.
    flags: 24
    #: Bytes 40 to 47: second destination, delta record, seed.
    operand: 64
    #: Bytes 48 to 55: address of the seed, largest delta record.
    operand_2: 64
    #: What Check Result compares with: byte 40, or byte 56 for a delta record.
    expected: 8
    #: Fetched by a batch, as its ``batch_index``-th descriptor.
    member: 1
    batch_index: 16
    #: What is wrong with it (:class:`hw.regs.descriptor.Status`), or 0.
    fault: 8
    invalid_flags: 24
    #: To be passed through without a trace.
    abandoned: 1
    #: The end of a batch: ``fault`` is what became of it, if not success, and ``size_bytes`` the
    #: number of members that are done.
    batch_end: 1


class TokenKind(enum.Enum, shape=2):
    """What comes next of a job's reads."""

    #: A chunk of the first source.
    SOURCE = 0
    #: A chunk of the second source.
    SECOND = 2
    #: The seed: 4 bytes.
    SEED = 3
    #: No more chunks: the job has been read to its end, or as far as it was wanted.
    END = 1


class Token(data.Struct):
    """Says what the next chunk is, in the order in which chunks are asked for.

    Every job, whether it reads or not, has exactly one ``END``, after its chunks.
    """

    kind: TokenKind


class Result(data.Struct):
    """What became of an operation that was executed."""

    #: :class:`hw.regs.descriptor.Status`.
    status: 8
    result: 8
    bytes_completed: 32
    #: CRC, or size of the delta record.
    value: 32


class Record(data.Struct):
    """A completion record to be written."""

    address: 64
    tenant: Tenant
    status: 8
    result: 8
    bytes_completed: 32
    #: CRC, size of a delta record, or invalid flags.
    value: 32


class Ending(data.Struct):
    """A job on its way out."""

    queue: 6
    ims: 1
    tenant: Tenant
    handle: 16
    opcode: 8
    #: Fetched by a batch.
    member: 1
    #: It ended with success.
    good: 1
    #: Ring when its writes have been accepted.
    ring: 1
