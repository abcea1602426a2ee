"""What passes in and out of the work queues."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature

from ..regs import Config
from ..regs.bar0 import GROUP_CONFIG
from ..tlp.records import Tenant


class Submission(data.Struct):
    """Header of a write to a portal: 64 bytes, or a piece of 8 bytes."""

    #: Work queue whose portal it is.
    queue: 6
    #: Bit 0 limited, bit 1 interrupt message storage (:class:`hw.regs.bar2.Portal`).
    portal: 2
    #: A deferrable memory write (ENQCMD) rather than a posted one (MOVDIR64B).
    deferrable: 1
    #: Eight bytes of a descriptor, for the ``place``-th eight of it.
    piece: 1
    place: 3


class Work(data.Struct):
    """Header of a descriptor on its way to an engine."""

    queue: 6
    #: Whether the interrupt handle indexes interrupt message storage, else the MSI-X table.
    ims: 1
    #: Whose memory the descriptor speaks of: the queue's PASID if dedicated, else the descriptor's.
    tenant: Tenant
    #: The queue's limit on the transfer size, as a power of two in bytes.
    max_transfer_log2: 5
    #: The queue's limit on the descriptors of a batch, as a power of two.
    max_batch_log2: 4
    #: Bit n: the queue's configuration allows the n-th implemented opcode, in rising order.
    operations: 64
    #: The queue is shared, so PASID and privilege came with the descriptor.
    shared: 1
    #: Fetched by a batch, as its ``batch_index``-th descriptor; queues hand out none of these.
    member: 1
    batch_index: 16


class Done(data.Struct):
    """An engine can do nothing more for the oldest descriptor that it holds of those handed out."""

    queue: 6


class QueueEntry(data.Struct):
    """What software has configured of a queue: the writable fields of its WQCFG entry."""

    #: Descriptors that fit.
    size: 16
    #: Descriptors that fit as far as limited portals are concerned.
    threshold: 16
    dedicated: 1
    block_on_fault: 1
    ats_disable: 1
    prs_disable: 1
    priority: 4
    pasid: 20
    pasid_enable: 1
    privileged: 1
    max_transfer_log2: 5
    max_batch_log2: 4
    max_sgl_log2: 4
    #: Occupancy interrupt.
    handle: 16
    ims: 1
    limit: 16
    enable: 1
    #: Bit n: opcode n is allowed. No opcode above 0x26 is defined.
    mask: 39


class ErrorRecord(data.Struct):
    """What goes into the software error register (DSA §9.2.15)."""

    #: Status of an operation, or :class:`hw.regs.commands.SoftwareError`.
    code: 8
    queue_valid: 1
    queue: 6
    #: ``opcode``, ``privileged`` and ``pasid`` are those of the descriptor at fault.
    descriptor_valid: 1
    opcode: 8
    privileged: 1
    pasid: 20
    #: The descriptor came in a batch, as its ``batch_index``-th.
    batch: 1
    batch_index: 16
    info_valid: 1
    #: Invalid flags; or, as an entry of the event log has them (DSA §5.9.1), interrupt handle in
    #: 15:0, 16 set, portal kind in 17, and in 18 whether a completion record was asked for.
    info: 32


def group_shape(config: Config) -> data.StructLayout:
    """What software has configured of a group: bitmaps ``queues`` and ``engines``, and ``flags``.

    The members of ``flags`` are those of the register, at their places (DSA §9.2.23).
    """
    register = next(item for item in GROUP_CONFIG if item.name == "flags")
    fields = {item.name: data.Field(item.width, item.lsb) for item in register.fields}
    flags = data.FlexibleLayout(register.width, fields)
    return data.StructLayout({"queues": config.queues, "engines": config.engines, "flags": flags})


class QueueControl(Signature):
    """How commands act on the queues; seen from the side that gives them.

    ``affected`` says which queues a verb concerns and must be stable while ``discard`` is set and
    until ``settled``.

    Members
    -------
    locked : ``Out(1)``
        The device is not disabled, so sizes and groups are read-only.
    affected : ``Out(config.queues)``
        Bitmap of queues.
    open, close, shut : ``Out(1)``
        Pulses: the affected queues become enabled, busy (no longer accepting), disabled.
    watch : ``Out(1)``
        Pulse, two clocks after ``close`` at the earliest: remember what the affected queues and the
        engines hold now. ``settled`` is meaningful from the next clock on.
    settled : ``In(1)``
        All that was remembered is done: executed to the end, or discarded without a trace.
    discard : ``Out(1)``
        Discard descriptors of the affected queues instead of executing them.
    by_pasid, pasid : ``Out``
        Discard only those with this PASID.
    hold : ``Out(1)``
        Accept nothing and hand out no work.
    query : ``Out(range(config.queues))``
        Queue that ``entry`` shows one clock later, and that ``place`` and ``clear`` act on.
    entry : ``In(QueueEntry)``
    place, base : ``Out``
        Pulse: the slots of the queried queue start at ``base``. Needs ``entry`` to be shown.
    clear : ``Out(1)``
        Pulse: the queried queue's configuration becomes that after reset, but for its size. Needs
        ``entry`` to be shown.
    clear_all : ``Out(1)``
        Pulse: the configuration of all queues and groups becomes that after reset.
    enabled : ``In(config.queues)``
        Queues that accept descriptors.
    groups : ``In(ArrayLayout(group_shape(config), config.groups))``
        What software has configured of each group.
    below : ``In(1)``
        Pulse: vector 0 of the MSI-X table is to ring, since a queue has fallen to its limit.
    ready : ``In(1)``
        No clearing under way.
    """

    def __init__(self, config: Config):
        queues = config.queues
        super().__init__(
            {
                "locked": Out(1),
                "affected": Out(queues),
                "open": Out(1),
                "close": Out(1),
                "shut": Out(1),
                "watch": Out(1),
                "settled": In(1),
                "discard": Out(1),
                "by_pasid": Out(1),
                "pasid": Out(20),
                "hold": Out(1),
                "query": Out(range(max(queues, 2))),
                "entry": In(QueueEntry),
                "place": Out(1),
                "base": Out(range(config.queue_slots)),
                "clear": Out(1),
                "clear_all": Out(1),
                "enabled": In(queues),
                "groups": In(data.ArrayLayout(group_shape(config), config.groups)),
                "below": In(1),
                "ready": In(1),
            }
        )
