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

    **Timing**: the first flag is valid 1 clock after the first DW; a byte per clock, and a clock
    between DWs. A DW is taken before its bytes leave. Frames follow each other with two flags in
    between.

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
        # What is left of a DW, or of the CRC.
        word, place = Signal(32), Signal(2)
        last, closing = Signal(), Signal()
        byte, escaped, special = word[:8], Signal(), Signal()
        free = ~self.o.valid | self.o.ready
        m.d.comb += [
            special.eq(((byte == FLAG) | (byte == ESCAPE)) & ~escaped),
            crc.data.eq(byte),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)

        def take():
            m.d.comb += self.i.ready.eq(1)
            m.d.sync += [word.eq(self.i.p.data), last.eq(self.i.p.last)]
            m.next = "BYTES"

        def put(value):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(value)]

        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += closing.eq(0)
                with m.If(free & self.i.valid):
                    put(FLAG)
                    take()
            with m.State("BYTES"):
                with m.If(free):
                    put(Mux(special, ESCAPE, byte ^ Mux(escaped, INVERT, 0)))
                    m.d.sync += escaped.eq(special)
                with m.If(free & ~special):
                    m.d.comb += crc.valid.eq(~closing)
                    m.d.sync += [word.eq(word[8:]), place.eq(place + 1)]
                    with m.If(place == 3):
                        m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(closing):
                    with m.If(free):
                        put(FLAG)
                        m.next = "OPEN"
                with m.Elif(last):
                    m.d.sync += [word.eq(crc.crc), closing.eq(1)]
                    m.next = "BYTES"
                with m.Elif(self.i.valid):
                    take()
        return m
