"""What passes inside an engine."""

from amaranth import *
from amaranth.lib import data

from ..pcie.records import ReadStatus
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
    size_bytes: 32
    #: What is wrong with it (:class:`hw.regs.descriptor.Status`), or 0.
    fault: 8
    invalid_flags: 24


class Transfer(data.Struct):
    """Memory to move."""

    source: 64
    destination: 64
    #: 1 or more.
    size_bytes: 32
    tenant: Tenant


class Outcome(data.Struct):
    """What became of a transfer."""

    status: ReadStatus
    #: Bytes handed to the requester for writing.
    bytes_completed: 32


class Record(data.Struct):
    """A completion record to be written."""

    address: 64
    tenant: Tenant
    status: 8
    bytes_completed: 32
    invalid_flags: 24
