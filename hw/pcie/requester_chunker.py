"""Reads of any length, cut into requests."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..tlp.records import Tenant
from .records import ReadCommand, Settings


class Piece(data.Struct):
    """A part of a read that one request asks for."""

    #: Byte address.
    address: 64
    #: 1 to 4096.
    length_bytes: 13
    tenant: Tenant
    #: The last one of its command.
    final: 1


class ReadChunker(Component):
    """Cut reads at multiples of the largest read, which keeps 4 KiB boundaries too.

    ``stop`` ends the command being cut: a piece that is already offered, or the first one of the
    command if there is none yet, is still given, and then ``cut_short`` says that the last piece
    given was the final one after all. Without a command, ``stop`` does nothing.

    **Timing**: the first piece is valid 2 clocks after the command is accepted, then one every 2
    clocks.

    Parameters
    ----------
    limit_bytes
        Largest piece, besides ``settings.max_read_bytes``; a power of two up to 4096.

    Members
    -------
    i : ``In(stream.Signature(ReadCommand))``
    stop : 1
    settings : ``In(Settings)``
    o : ``Out(stream.Signature(Piece))``
    cut_short : 1
        For one clock, in which ``o`` is not valid.
    """

    i: In(stream.Signature(ReadCommand))
    stop: In(1)
    settings: In(Settings)
    o: Out(stream.Signature(Piece))
    cut_short: Out(1)

    def __init__(self, config: Config):
        self._limit_bytes = config.read_slot_bytes
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        mask = Signal(12)
        address, remaining = self.o.p.address, Signal(32)
        room = Signal(13)
        stopping, begun = Signal(), Signal()
        # The piece ends at the next multiple of the largest read, or with the command.
        m.d.sync += mask.eq((self.settings.max_read_bytes - 1) & (self._limit_bytes - 1))
        m.d.comb += room.eq((mask & ~address[:12]) + 1)

        with m.If(self.stop):
            m.d.sync += stopping.eq(1)
        with m.FSM():
            with m.State("Idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    address.eq(self.i.p.address),
                    remaining.eq(self.i.p.length_bytes),
                    self.o.p.tenant.eq(self.i.p.tenant),
                    stopping.eq(0),
                    begun.eq(0),
                ]
                with m.If(self.i.valid):
                    m.next = "Measure"
            with m.State("Measure"):
                with m.If(begun & (stopping | self.stop)):
                    m.d.comb += self.cut_short.eq(1)
                    m.next = "Idle"
                with m.Else():
                    m.d.sync += [
                        self.o.p.length_bytes.eq(Mux(remaining <= room, remaining, room)),
                        self.o.p.final.eq(remaining <= room),
                        self.o.valid.eq(1),
                    ]
                    m.next = "Offer"
            with m.State("Offer"):
                with m.If(self.o.ready):
                    m.d.sync += [
                        address.eq((address | mask) + 1),
                        remaining.eq(remaining - self.o.p.length_bytes),
                        self.o.valid.eq(0),
                        begun.eq(1),
                    ]
                    m.next = "Measure"
                    with m.If(self.o.p.final):
                        m.next = "Idle"
        return m
