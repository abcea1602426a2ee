"""What passes in and out of the work queues."""

from amaranth import *
from amaranth.lib import data

from ..tlp.records import Tenant


class Submission(data.Struct):
    """Header of a 64-byte write to a portal."""

    #: Work queue whose portal it is.
    queue: 6
    #: Bit 0 limited, bit 1 interrupt message storage (:class:`hw.regs.bar2.Portal`).
    portal: 2
    #: A deferrable memory write (ENQCMD) rather than a posted one (MOVDIR64B).
    deferrable: 1


class Work(data.Struct):
    """Header of a descriptor on its way to an engine."""

    queue: 6
    #: Whether the interrupt handle indexes interrupt message storage, else the MSI-X table.
    ims: 1
    #: Whose memory the descriptor speaks of: the queue's PASID if dedicated, else the descriptor's.
    tenant: Tenant
    #: The queue's limit on the transfer size, as a power of two in bytes.
    max_transfer_log2: 5
    #: Bit n: the queue's configuration allows the n-th implemented opcode, in rising order.
    operations: 64
