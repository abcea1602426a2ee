"""Descriptors taken apart and checked (DSA §5.4, §5.5, §8.1)."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..queues.records import Work
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR, DESCRIPTOR_BYTES, Flag, Opcode
from ..tlp.records import packet_stream
from .checks import CHECK_CLOCKS, Checks
from .records import Job
from .rules import where

_OPERAND, _OPERAND_2 = slice(320, 384), slice(384, 448)


class Decode(Component):
    """Collect a descriptor, say what is in it, and find out what is wrong with it.

    Which fault is reported if there are several, see :class:`hw.engine.checks.Checks`. The
    interrupt handle is checked elsewhere.

    **Timing**: a clock per beat and five more; a job is held until it is taken, and the next
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
        ``invalid_flags`` means something only if ``fault`` is BAD_FLAGS.
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
        m.submodules.checks = checks = Checks()
        words = Signal(8 * DESCRIPTOR_BYTES, reset_less=True)
        header = Signal(Work, reset_less=True)
        user_interrupts, pasid_privileged = Signal(), Signal()
        clocks = Signal(range(CHECK_CLOCKS))
        m.d.comb += [
            checks.words.eq(words),
            checks.header.eq(header),
            checks.user_interrupts.eq(user_interrupts),
            checks.pasid_privileged.eq(pasid_privileged),
        ]
        with m.FSM():
            with m.State("COLLECT"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += clocks.eq(0)
                with m.If(self.i.valid):
                    # Settings are those of the last beat, so that a job does not change.
                    m.d.sync += [
                        words.eq(Cat(words[self._config.data_width :], self.i.p.data)),
                        header.eq(self.i.p.header),
                        user_interrupts.eq(self.user_interrupts),
                        pasid_privileged.eq(self.pasid_privileged),
                    ]
                    with m.If(self.i.p.last):
                        m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += checks.begin.eq(clocks == 0)
                m.d.sync += clocks.eq(clocks + 1)
                with m.If(clocks == CHECK_CLOCKS - 1):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "COLLECT"
        self._describe(m, words, header, checks)
        return m

    def _describe(self, m, words, header, checks):
        """Fill the job; what is registered here has settled long before it is offered."""
        job, config = self.o.payload, self._config
        fields = {f.name: words[f.lsb : f.msb + 1] for f in DESCRIPTOR.fields}
        flags = fields["flags"]
        table = Mux(header.ims, config.ims_vectors, config.msix_vectors)
        beyond, expected = Signal(), Signal(8)
        m.d.sync += [
            beyond.eq(fields["handle"] >= table),
            expected.eq(words[where(Opcode.COMPARE, "expected")]),
        ]
        with m.If(fields["opcode"] == Opcode.CREATE_DELTA):
            m.d.sync += expected.eq(words[where(Opcode.CREATE_DELTA, "expected")])
        m.d.comb += [
            job.queue.eq(header.queue),
            job.ims.eq(header.ims),
            job.tenant.eq(header.tenant),
            job.opcode.eq(fields["opcode"]),
            job.record.eq((flags & Flag.REQUEST_COMPLETION).any()),
            job.record_valid.eq((flags & Flag.COMPLETION_ADDRESS_VALID).any()),
            job.interrupt.eq((flags & Flag.REQUEST_INTERRUPT).any() & ~checks.mute),
            job.handle_beyond.eq(beyond),
            job.handle.eq(fields["handle"]),
            job.completion_address.eq(fields["completion_address"]),
            job.source.eq(fields["source"]),
            job.destination.eq(fields["destination"]),
            job.size_bytes.eq(fields["size_bytes"]),
            job.flags.eq(flags),
            job.operand.eq(words[_OPERAND]),
            job.operand_2.eq(words[_OPERAND_2]),
            job.expected.eq(expected),
            job.member.eq(header.member),
            job.batch_index.eq(header.batch_index),
            job.fault.eq(checks.fault),
            job.invalid_flags.eq(checks.invalid_flags),
        ]
