"""The event log: errors appended to a ring in host memory."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import WriteCommand
from ..queues.records import ErrorRecord
from ..regs import Config
from ..regs.bar0 import REGISTERS
from ..regs.commands import SoftwareError
from ..regs.event_log import EVENT, EVENT_BYTES
from ..tlp.records import packet_stream

EVLCFG = next(register for register in REGISTERS if register.name == "evlcfg")


class EventLog(Component):
    """Append errors to the event log in host memory (DSA §5.9).

    An entry goes where the tail points; the tail moves on once the entry has been accepted for
    transmission, so whoever reads the new tail finds the entry. Then the log interrupts, unless
    software has not yet acknowledged the interrupt before.

    **Timing**: one entry at a time: 3 clocks, its beats, and what the requester takes.

    **Errors**: an entry that does not fit, as the log is full, or that is dropped, as the device
    may not write, is lost; ``o_error`` tells.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i : ``In(stream.Signature(ErrorRecord))``
    o_write : ``Out(packet_stream(WriteCommand, data_width))``
    i_written : ``In(stream.Signature(1))``
        One for each entry; 1: it was dropped.
    o_error : ``Out(stream.Signature(ErrorRecord))``
    evlcfg : ``In(128)``
        As the register. Stable while ``busy``.
    start : ``In(1)``
        Pulse: the log is empty, its tail 0 and its interrupt acknowledged.
    head : ``In(16)``
        The entry that software reads next.
    tail : ``Out(16)``
        The entry to be written next.
    allow : ``In(1)``
        Entries interrupt.
    acknowledge : ``In(1)``
        Pulse: software clears ``pending``.
    pending : ``Out(1)``
        The log has interrupted, and software has not acknowledged it.
    raised : ``Out(1)``
        Pulse: the log interrupts.
    busy : ``Out(1)``
        An entry has been taken and not yet been accepted for transmission.
    """

    def __init__(self, config: Config):
        self._width = config.data_width
        self._beats = EVENT_BYTES // config.beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(ErrorRecord)),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "i_written": In(stream.Signature(1)),
                "o_error": Out(stream.Signature(ErrorRecord)),
                "evlcfg": In(128),
                "start": In(1),
                "head": In(16),
                "tail": Out(16),
                "allow": In(1),
                "acknowledge": In(1),
                "pending": Out(1),
                "raised": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        record, after = Signal(ErrorRecord), Signal(16)
        beat = Signal(range(self._beats))
        appended = Signal()
        m.d.comb += self.o_error.p.code.eq(SoftwareError.EVENT_LOG_APPEND)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += record.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += after.eq(Mux(self.tail + 1 == self._field("size"), 0, self.tail + 1))
                m.next = "FIT"
            with m.State("FIT"):
                m.next = "WRITE"
                with m.If(after == self.head):
                    m.next = "LOSE"
            with m.State("WRITE"):
                m.d.comb += self.o_write.valid.eq(1)
                with m.If(self.o_write.ready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(self.o_write.p.last):
                        m.d.sync += beat.eq(0)
                        m.next = "AWAIT"
            with m.State("AWAIT"):
                m.d.comb += self.i_written.ready.eq(1)
                with m.If(self.i_written.valid):
                    m.next = "LOSE"
                    with m.If(~self.i_written.payload):
                        m.d.comb += appended.eq(1)
                        m.d.sync += self.tail.eq(after)
                        m.next = "IDLE"
            with m.State("LOSE"):
                m.d.comb += self.o_error.valid.eq(1)
                with m.If(self.o_error.ready):
                    m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        self._write(m, record, beat)

        m.d.comb += self.raised.eq(appended & self.allow & ~self.pending)
        with m.If(self.raised):
            m.d.sync += self.pending.eq(1)
        with m.Elif(self.acknowledge):
            m.d.sync += self.pending.eq(0)
        with m.If(self.start):
            m.d.sync += [self.tail.eq(0), self.pending.eq(0)]
        return m

    def _field(self, name):
        field = EVLCFG[name]
        return self.evlcfg[field.lsb : field.msb + 1]

    def _write(self, m, record, beat):
        """The entry as a write (DSA §5.9.1)."""
        entry, write = Signal(8 * EVENT_BYTES), self.o_write.p
        for name in ErrorRecord.as_shape().members:
            field = EVENT[name]
            m.d.comb += entry[field.lsb : field.msb + 1].eq(record[name])
        base = EVLCFG["base"]
        tenant = write.header.tenant
        m.d.comb += [
            write.header.address.eq(
                (self._field("base") << base.lsb) + (self.tail << EVENT_BYTES.bit_length() - 1)
            ),
            write.header.length_bytes.eq(EVENT_BYTES),
            tenant.valid.eq(self._field("pasid_enable")),
            tenant.pasid.eq(self._field("pasid")),
            tenant.privileged.eq(self._field("privileged")),
            write.data.eq(entry.word_select(beat, self._width)),
            write.first.eq(beat == 0),
            write.last.eq(beat == self._beats - 1),
        ]
