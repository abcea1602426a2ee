"""Delta records applied to memory (DSA §8.3.9)."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..pcie.records import WriteCommand
from ..regs import Config
from ..regs.descriptor import DELTA_BYTES, Status
from ..tlp.records import Tenant, packet_stream
from .delta import WORD, Delta, DeltaUnpack
from .differ import WORD_BYTES, LaneBeat


class Apply(Component):
    """Write the words that the entries of a delta record hold.

    After an entry that is out of order or out of range, the rest of the record has no effect.

    **Timing**: an entry in two clocks; a write is valid 3 clocks after the last byte of its
    entry.

    **Errors**: ``fault`` says what was wrong with the entry after ``applied_bytes``.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i : ``In(stream.Signature(LaneBeat(data_width)))``
        The record, as :class:`.delta.DeltaUnpack` takes it.
    destination : ``In(64)``
        A multiple of 8.
    size_bytes : ``In(32)``
        Of the destination; a multiple of 8.
    tenant : ``In(Tenant)``
    clear : ``In(1)``
        Begin a record; only while idle.
    drop : ``In(1)``
        Entries have no effect any more.
    o : ``Out(packet_stream(WriteCommand, data_width))``
        One for each entry.
    fault : ``Out(8)``
        :class:`hw.regs.descriptor.Status`, or 0.
    applied_bytes : ``Out(32)``
        Bytes of the record whose entries have been handed over.
    idle : ``Out(1)``
        Nothing is on its way.
    """

    def __init__(self, config: Config):
        self._width = config.data_width
        super().__init__(
            {
                "i": In(stream.Signature(LaneBeat(config.data_width))),
                "destination": In(64),
                "size_bytes": In(32),
                "tenant": In(Tenant),
                "clear": In(1),
                "drop": In(1),
                "o": Out(packet_stream(WriteCommand, config.data_width)),
                "fault": Out(8),
                "applied_bytes": Out(32),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.unpack = unpack = DeltaUnpack(self._width)
        connect(m, flipped(self.i), unpack.i)
        # An entry goes from one register to the next: as it came, then as a write.
        held, entry, on = Signal(), Signal(Delta, reset_less=True), Signal()
        address, word = Signal(64, reset_less=True), Signal(WORD, reset_less=True)
        write = self.o.p
        # The offset has to be more than that of the entry before, if there is one.
        least, disordered, beyond = Signal(17), Signal(), Signal()
        m.d.comb += [
            on.eq(~self.o.valid | self.o.ready),
            unpack.clear.eq(self.clear),
            unpack.o.ready.eq(~held),
            self.idle.eq(unpack.idle & ~held & ~self.o.valid),
            write.header.address.eq(address),
            write.header.length_bytes.eq(WORD_BYTES),
            write.header.tenant.eq(self.tenant),
            write.data.eq(word.replicate(self._width // WORD)),
            write.first.eq(1),
            write.last.eq(1),
        ]
        with m.If(disordered):
            m.d.comb += self.fault.eq(Status.DELTA_ORDER)
        with m.Elif(beyond):
            m.d.comb += self.fault.eq(Status.DELTA_OFFSET)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.applied_bytes.eq(self.applied_bytes + DELTA_BYTES)
        with m.If(~held):
            m.d.sync += [held.eq(unpack.o.valid), entry.eq(unpack.o.p)]
        with m.If(on):
            m.d.sync += [
                address.eq(self.destination + (entry.offset << 3)),
                word.eq(entry.data),
                self.o.valid.eq(0),
            ]
            with m.If(held):
                m.d.sync += [held.eq(0), least.eq(entry.offset + 1)]
                with m.If(~disordered & ~beyond & ~self.drop):
                    with m.If(entry.offset < least):
                        m.d.sync += disordered.eq(1)
                    with m.Elif(entry.offset >= self.size_bytes[3:]):
                        m.d.sync += beyond.eq(1)
                    with m.Else():
                        m.d.sync += self.o.valid.eq(1)
        with m.If(self.clear):
            m.d.sync += [
                disordered.eq(0),
                beyond.eq(0),
                self.applied_bytes.eq(0),
                least.eq(0),
            ]
        return m
