"""What happens when an error is reported: status, log and message (PCIe Base 6.x §6.2)."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..regs.configspace import UNCORRECTABLE
from ..tlp.pack import PME_TO_ACK
from ..tlp.records import Kind, Request, packet_stream
from .records import ErrorKind, ErrorReport

ERR_COR, ERR_NONFATAL, ERR_FATAL = 0x30, 0x31, 0x33
"""Codes of the error messages (PCIe Base 6.x §2.2.8.3)."""

BIT = {getattr(ErrorKind, name.upper()): bit for name, bit in UNCORRECTABLE.items()}
"""The bit of each kind of error in the AER registers."""


class ErrorLog(Component):
    """Decide what an error report sets, logs and sends.

    The registers themselves live in configuration space; this component reads the ones that
    control it and sets bits in the others. The header log, the prefix log and the first error
    pointer are its own, and no reset but power-on clears them.

    **Timing**: takes a report every 3 clocks and never waits for a message to leave: a message of
    a kind that already waits is merged with it.

    Parameters
    ----------
    data_width
        Bits of a beat of ``o_message_request``.

    Members
    -------
    i : ``In(stream.Signature(ErrorReport))``
    routing_id : ``In(16)``
        Requester ID of the messages.
    correctable_enable, non_fatal_enable, fatal_enable, unsupported_enable, serr_enable : ``In(1)``
        Device Control's reporting enables, and SERR# Enable of the Command register.
    uncorrectable, mask, severity : ``In(32)``
        AER Uncorrectable Error Status, Mask and Severity.
    advisory_mask : ``In(1)``
        Advisory Non-Fatal Error Mask.
    uncorrectable_set : ``Out(32)``
        Bits to set in Uncorrectable Error Status; one clock.
    advisory_set, correctable_set, non_fatal_set, fatal_set, unsupported_set : ``Out(1)``
        Advisory Non-Fatal Error Status, and the Device Status bits to set; one clock.
    signaled_error_set, signaled_abort_set, parity_error_set, master_parity_set : ``Out(1)``
        Status register bits to set; one clock.
    first_error : ``Out(5)``
        First Error Pointer; 0 while nothing is logged.
    header : ``Out(32).array(4)``
    prefix : ``Out(32)``
    prefix_present : ``Out(1)``
    turn_off : ``In(1)``
        PME_Turn_Off has come; one clock. It is acknowledged on the same port, after any errors.
    o_message_request : ``Out(packet_stream(Request, data_width))``
    """

    def __init__(self, data_width: int):
        super().__init__(
            {
                "i": In(stream.Signature(ErrorReport)),
                "routing_id": In(16),
                "turn_off": In(1),
                "correctable_enable": In(1),
                "non_fatal_enable": In(1),
                "fatal_enable": In(1),
                "unsupported_enable": In(1),
                "serr_enable": In(1),
                "uncorrectable": In(32),
                "mask": In(32),
                "severity": In(32),
                "advisory_mask": In(1),
                "uncorrectable_set": Out(32),
                "advisory_set": Out(1),
                "correctable_set": Out(1),
                "non_fatal_set": Out(1),
                "fatal_set": Out(1),
                "unsupported_set": Out(1),
                "signaled_error_set": Out(1),
                "signaled_abort_set": Out(1),
                "parity_error_set": Out(1),
                "master_parity_set": Out(1),
                "first_error": Out(5),
                "header": Out(32).array(4),
                "prefix": Out(32),
                "prefix_present": Out(1),
                "o_message_request": Out(packet_stream(Request, data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        report = Signal(ErrorReport, reset_less=True)
        bit = Signal(5)
        looks, act = Signal(), Signal()
        m.d.comb += self.i.ready.eq(~looks & ~act)
        m.d.sync += [looks.eq(self.i.valid & self.i.ready), act.eq(looks)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += report.eq(self.i.payload)
            with m.Switch(self.i.p.kind):
                for kind, place in BIT.items():
                    with m.Case(kind):
                        m.d.sync += bit.eq(place)

        known = Signal()
        unsupported, fatal, masked, advisory = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            known.eq(looks & (report.kind != ErrorKind.NONE)),
            unsupported.eq(report.kind == ErrorKind.UNSUPPORTED),
            fatal.eq(self.severity.bit_select(bit, 1)),
            masked.eq(self.mask.bit_select(bit, 1)),
            advisory.eq(report.advisory & ~self.severity.bit_select(bit, 1)),
        ]
        recorded = Signal()
        m.d.comb += [
            recorded.eq(known & ~(advisory & self.advisory_mask)),
            self.uncorrectable_set.eq(Mux(recorded, 1 << bit, 0)),
            self.unsupported_set.eq(known & unsupported),
            self.advisory_set.eq(known & advisory),
            self.correctable_set.eq(known & advisory),
            self.fatal_set.eq(known & fatal),
            self.non_fatal_set.eq(known & ~fatal & ~advisory),
            self.signaled_abort_set.eq(known & (report.kind == ErrorKind.COMPLETER_ABORT)),
            self.parity_error_set.eq(known & (report.kind == ErrorKind.POISONED)),
            # Only a completion answers what this function asked for as a requester.
            self.master_parity_set.eq(
                self.parity_error_set & report.header_valid & (report.header[0][24:32] == 0x4A)
            ),
        ]
        # The log is free again once software has cleared the bit that the pointer points to; the
        # pointer then names a bit that is never set.
        logged, cleared = Signal(), Signal()
        m.d.comb += cleared.eq(logged & ~self.uncorrectable.bit_select(self.first_error, 1))
        with m.If(cleared):
            m.d.sync += [logged.eq(0), self.first_error.eq(0)]
        with m.If(recorded & ~masked & (~logged | cleared)):
            m.d.sync += [
                logged.eq(1),
                self.first_error.eq(bit),
                self.prefix_present.eq(report.prefix_valid),
                self.prefix.eq(Mux(report.prefix_valid, report.prefix, 0)),
            ]
            for place, dw in zip(self.header, report.header, strict=True):
                m.d.sync += place.eq(Mux(report.header_valid, dw, 0))

        reportable = Signal()
        send_cor, send_nonfatal, send_fatal = Signal(), Signal(), Signal()
        m.d.comb += [
            reportable.eq(~unsupported | self.unsupported_enable),
            send_cor.eq(recorded & ~masked & advisory & reportable & self.correctable_enable),
            send_fatal.eq(
                recorded & ~masked & fatal & (self.serr_enable | (self.fatal_enable & reportable))
            ),
            send_nonfatal.eq(
                recorded
                & ~masked
                & ~fatal
                & ~advisory
                & (self.serr_enable | (self.non_fatal_enable & reportable))
            ),
            self.signaled_error_set.eq((send_fatal | send_nonfatal) & self.serr_enable),
        ]
        self._messages(
            m,
            {
                ERR_FATAL: send_fatal,
                ERR_NONFATAL: send_nonfatal,
                ERR_COR: send_cor,
                PME_TO_ACK: self.turn_off,
            },
        )
        return m

    def _messages(self, m, sends):
        """Keep what has to be said until it is taken, the gravest first."""
        out = self.o_message_request
        waiting = Signal(len(sends))
        taken = Signal(len(sends))
        m.d.comb += [out.p.first.eq(1), out.p.last.eq(1)]
        m.d.sync += waiting.eq((waiting & ~taken) | Cat(sends.values()))
        with m.If(~out.valid | out.ready):
            m.d.sync += out.valid.eq(waiting.any())
            for index, code in reversed(list(enumerate(sends))):
                with m.If(waiting[index]):
                    m.d.comb += taken.eq(1 << index)
                    m.d.sync += [
                        out.p.header.kind.eq(Kind.MESSAGE),
                        out.p.header.requester.eq(self.routing_id),
                        Cat(out.p.header.first_be, out.p.header.last_be).eq(code),
                    ]
