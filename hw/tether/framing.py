"""Frames on a line of bytes: flags, escapes and a CRC, as :mod:`hw.regs.tether` has them."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import Component, In, Out

from ..regs.tether import ESCAPE, FLAG, INVERT


class Words(data.Struct):
    """A DW of a frame, without its CRC."""

    data: 32
    first: 1
    last: 1


class Deframer(Component):
    """Find frames in a line of bytes.

    Everything between two flags is taken for a frame, and the flag after it tells what it was.

    **Timing**: ``valid`` comes 1 clock after the last byte of a DW, ``end`` 1 clock after the flag.
    A byte per clock.

    **Errors**: a frame is not good if its CRC is wrong, if it is not at least two whole DWs with
    its CRC, if an escape is right before the flag, or if the line broke in it. The next one is
    looked at anew.

    Members
    -------
    byte : ``In(8)``, valid : ``In(1)``
        A byte has come.
    broken : ``In(1)``
        Something that is no byte has come.
    data : ``Out(32)``, word : ``Out(1)``
        A DW has come, of a frame or of a CRC.
    end : ``Out(1)``
        A flag has come after anything but a flag.
    good : ``Out(1)``
        With ``end``: it was a frame; the last DW was its CRC.
    """

    byte: In(8)
    valid: In(1)
    broken: In(1)
    data: Out(32)
    word: Out(1)
    end: Out(1)
    good: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        place, words = Signal(2), Signal(range(3))
        begun, escaped, spoiled = Signal(), Signal(), Signal()
        m.d.comb += crc.data.eq(self.byte ^ Mux(escaped, INVERT, 0))
        m.d.sync += [self.word.eq(0), self.end.eq(0)]
        with m.If(self.valid & (self.byte == FLAG)):
            whole = (place == 0) & ~escaped & (words == 2)
            m.d.comb += crc.start.eq(1)
            m.d.sync += [
                self.end.eq(begun),
                self.good.eq(crc.match_detected & whole & ~spoiled),
                Cat(place, words, begun, escaped, spoiled).eq(0),
            ]
        with m.Elif(self.valid & (self.byte == ESCAPE) & ~escaped):
            m.d.sync += [begun.eq(1), escaped.eq(1)]
        with m.Elif(self.valid):
            m.d.comb += crc.valid.eq(1)
            m.d.sync += [
                self.data.eq(Cat(self.data[8:], crc.data)),
                self.word.eq(place == 3),
                place.eq(place + 1),
                begun.eq(1),
                escaped.eq(0),
            ]
            with m.If((place == 3) & (words != 2)):
                m.d.sync += words.eq(words + 1)
        with m.If(self.broken):
            m.d.sync += [begun.eq(1), spoiled.eq(1)]
        return m


class Framer(Component):
    """Make frames of DWs.

    **Timing**: the first flag is valid 1 clock after the first DW; a byte per clock. A DW is taken
    with its last byte. Frames follow each other with two flags in between.

    Members
    -------
    i : ``In(stream.Signature(Words))``
    o : ``Out(stream.Signature(8))``
    """

    i: In(stream.Signature(Words))
    o: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        place, escaped = Signal(2), Signal()
        word, byte = Signal(32), Signal(8)
        fill, special, final = Signal(), Signal(), Signal()
        m.d.comb += [
            byte.eq(word.word_select(place, 8)),
            crc.data.eq(byte),
            special.eq(((byte == FLAG) | (byte == ESCAPE)) & ~escaped),
            final.eq(fill & ~special & (place == 3)),
        ]
        free = ~self.o.valid | self.o.ready
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(fill):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.eq(Mux(special, ESCAPE, byte ^ Mux(escaped, INVERT, 0))),
                escaped.eq(special),
                place.eq(place + (special == 0)),
            ]
        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += crc.start.eq(1)
                with m.If(free & self.i.valid):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [
                    word.eq(self.i.p.data),
                    fill.eq(free & self.i.valid),
                    crc.valid.eq(fill & ~special),
                    self.i.ready.eq(final),
                ]
                with m.If(final & self.i.p.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [word.eq(crc.crc), fill.eq(free)]
                with m.If(final):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If(free):
                    m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                    m.next = "OPEN"
        return m
