"""Descriptors taken apart and checked (DSA §5.4, §5.5, §8.1)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..queues.records import Work
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR, DESCRIPTOR_BYTES, Flag, Opcode, Status
from ..tlp.records import packet_stream
from .records import Job

_NOTIFY = Flag.REQUEST_COMPLETION | Flag.REQUEST_INTERRUPT
_COMMON = _NOTIFY | Flag.COMPLETION_ADDRESS_VALID | Flag.COMPLETION_TRAFFIC_CLASS
_SUPPRESS_READBACK = 1 << 18 | 1 << 19

ALLOWED_FLAGS = {
    Opcode.NOP: int(_COMMON),
    Opcode.DRAIN: int(_COMMON) | _SUPPRESS_READBACK,
    Opcode.MEMORY_MOVE: int(
        _COMMON | Flag.STRICT_ORDERING | Flag.ADDRESS_1_TRAFFIC_CLASS | Flag.ADDRESS_2_TRAFFIC_CLASS
    ),
}
"""Flags that may be set (DSA §5.5, table 5-3); cache control, block on fault and readback are
reserved because GENCAP says so, and Fence outside a batch."""

UNUSED_FIELDS = {
    Opcode.NOP: ("source", "destination", "size_bytes"),
    Opcode.DRAIN: ("source", "destination", "size_bytes"),
    Opcode.MEMORY_MOVE: (),
}
"""Fields that have to be 0, besides those reserved for every operation here (table 5-3)."""

_FINDINGS = data.StructLayout(
    {
        **dict.fromkeys(("unknown", "misaligned", "reserved", "privilege", "moves", "too_long"), 1),
        "ahead": 64,
        "behind": 64,
    }
)


def _fields(words):
    """The fields of a descriptor."""
    return {f.name: words[f.lsb : f.msb + 1] for f in DESCRIPTOR.fields}


class Decode(Component):
    """Collect a descriptor and find out what is wrong with it.

    Of several faults the first in this order is reported: completion address alignment, opcode,
    flags, reserved fields, privilege, transfer size, overlap. The interrupt handle is checked
    elsewhere.

    **Timing**: a clock per beat and two more; a job is held until it is taken, and the next
    descriptor is collected only then.

    Parameters
    ----------
    config
        ``data_width`` and the sizes of the interrupt tables.

    Members
    -------
    i : ``In(packet_stream(Work, data_width))``
        64 bytes each.
    o : ``Out(stream.Signature(Job))``
    user_interrupts : ``In(1)``
        Unprivileged descriptors with a PASID may ask for interrupts.
    pasid_privileged : ``In(1)``
        Shared descriptors may be privileged.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(packet_stream(Work, config.data_width)),
                "o": Out(stream.Signature(Job)),
                "user_interrupts": In(1),
                "pasid_privileged": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = Signal(8 * DESCRIPTOR_BYTES)
        header = Signal(Work)
        findings = Signal(_FINDINGS)
        with m.FSM():
            with m.State("COLLECT"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        words.eq(Cat(words[self._config.data_width :], self.i.p.data)),
                        header.eq(self.i.p.header),
                    ]
                    with m.If(self.i.p.last):
                        m.next = "LOOK"
            with m.State("LOOK"):
                self._look(m, header, words, findings)
                m.next = "JUDGE"
            with m.State("JUDGE"):
                self._judge(m, findings, words)
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "COLLECT"
        return m

    def _look(self, m, header, words, findings):
        """Describe the job, and gather what is needed to judge it."""
        fields, job, config = _fields(words), self.o.payload, self._config
        flags, opcode, tenant = fields["flags"], fields["opcode"], header.tenant
        allowed, known, unused, moves = Signal(24), Signal(), Signal(), Signal()
        for index, code in enumerate(sorted(Opcode)):
            with m.If(opcode == code):
                m.d.comb += [
                    known.eq(header.operations[index]),
                    allowed.eq(ALLOWED_FLAGS[code]),
                    unused.eq(Cat(fields[name] for name in UNUSED_FIELDS[code]).any()),
                    moves.eq(code == Opcode.MEMORY_MOVE),
                ]
        valid, asks = flags[2], flags[4]
        mute = tenant.valid & ~tenant.privileged & ~self.user_interrupts
        idle = (opcode == Opcode.DRAIN) & ~(flags & _NOTIFY).any()
        m.d.sync += [
            findings.unknown.eq(~known),
            findings.misaligned.eq(valid & fields["completion_address"][:5].any()),
            findings.reserved.eq(
                unused
                | fields["reserved"].any()
                | fields["specific"].any()
                | (~asks & fields["handle"].any())
                | (~valid & fields["completion_address"].any())
                | (header.shared & words[20:31].any())
            ),
            findings.privilege.eq(header.shared & tenant.privileged & ~self.pasid_privileged),
            findings.moves.eq(moves),
            findings.too_long.eq(fields["size_bytes"] > (1 << header.max_transfer_log2)),
            # Distances are modulo 2^64, as addresses are.
            findings.ahead.eq(fields["destination"] - fields["source"]),
            findings.behind.eq(fields["source"] - fields["destination"]),
            job.queue.eq(header.queue),
            job.ims.eq(header.ims),
            job.tenant.eq(tenant),
            job.opcode.eq(opcode),
            job.record.eq(flags[3]),
            job.record_valid.eq(valid),
            job.interrupt.eq(asks & ~mute),
            job.handle_beyond.eq(
                fields["handle"] >= Mux(header.ims, config.ims_vectors, config.msix_vectors)
            ),
            job.handle.eq(fields["handle"]),
            job.completion_address.eq(fields["completion_address"]),
            job.source.eq(fields["source"]),
            job.destination.eq(fields["destination"]),
            job.size_bytes.eq(fields["size_bytes"]),
            job.invalid_flags.eq(
                (flags & ~allowed)
                | Mux(valid, 0, flags & (Flag.REQUEST_COMPLETION | Flag.COMPLETION_TRAFFIC_CLASS))
                | Mux(mute, flags & Flag.REQUEST_INTERRUPT, 0)
                | Mux(idle, _NOTIFY, 0)
            ),
        ]

    def _judge(self, m, findings, words):
        """Find the first fault."""
        job, size = self.o.payload, _fields(words)["size_bytes"]
        near = (findings.ahead < size) | (findings.behind < size)
        faults = (
            (findings.misaligned, Status.COMPLETION_ALIGNMENT),
            (findings.unknown, Status.BAD_OPCODE),
            (job.invalid_flags.any(), Status.BAD_FLAGS),
            (findings.reserved, Status.RESERVED_NOT_ZERO),
            (findings.privilege, Status.PRIVILEGE),
            (findings.moves & ((size == 0) | findings.too_long), Status.BAD_TRANSFER_SIZE),
            (findings.moves & near, Status.OVERLAP),
        )
        m.d.sync += job.fault.eq(0)
        for fault, status in reversed(faults):
            with m.If(fault):
                m.d.sync += job.fault.eq(status)
