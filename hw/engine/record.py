"""Completion records."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import WriteCommand
from ..regs import Config
from ..regs.descriptor import COMPLETION_BYTES, RESULTS
from ..tlp.records import packet_stream
from .records import Record


class RecordWriter(Component):
    """Write completion records (DSA §8.2).

    **Timing**: the first beat is valid at once; one beat per clock.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i : ``In(stream.Signature(Record))``
        Taken with the last beat. The address is a multiple of 32.
    o : ``Out(packet_stream(WriteCommand, data_width))``
    """

    def __init__(self, config: Config):
        self._width = config.data_width
        self._beats = COMPLETION_BYTES // config.beat_bytes
        super().__init__(
            {
                "i": In(stream.Signature(Record)),
                "o": Out(packet_stream(WriteCommand, config.data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        record, write = self.i.p, self.o.p
        content = Signal(8 * COMPLETION_BYTES)
        beat, first = Signal(range(max(self._beats, 2))), Signal(init=1)
        for name in ("status", "result", "bytes_completed", "value"):
            field = RESULTS[name]
            m.d.comb += content[field.lsb : field.msb + 1].eq(record[name])
        m.d.comb += [
            write.header.address.eq(record.address),
            write.header.length_bytes.eq(COMPLETION_BYTES),
            write.header.tenant.eq(record.tenant),
            write.data.eq(content.word_select(beat, self._width)),
            write.first.eq(first),
            write.last.eq(beat == self._beats - 1),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & write.last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [beat.eq(Mux(write.last, 0, beat + 1)), first.eq(write.last)]
        return m
