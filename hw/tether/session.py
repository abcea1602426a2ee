"""Sessions: TLPs and credits, over a line of bytes."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..regs import Config
from ..regs.tether import Identity
from ..tlp.records import Credits, wire_stream
from .framing import Deframer, Framer
from .parser import Parser
from .receiver import TlpReceiver
from .sender import Sender

RESET_CYCLES = 16
"""Clocks that a HELLO resets the device for: less than a byte takes on the line."""


class Session(Component):
    """The board's end of the tether, but for the line itself (:mod:`hw.regs.tether`).

    Until the first HELLO nothing is taken but a HELLO, and nothing is said.

    **Timing**: the first beat of a TLP is valid at ``o`` 8 clocks after the flag that ends its
    frame at 64 bits, 12 at 128, if the buffer was empty. The flag that opens a frame is valid 4
    clocks after the last beat of a TLP was taken at ``i``, if nothing else is being said.

    **Errors**: ``error`` strobes for a frame that is not good, or not one that a host sends.

    Parameters
    ----------
    config
        Of the device; its data width.
    identity
        What WELCOME says.
    linked_cycles
        How long ``linked`` stays after a good frame.

    Members
    -------
    byte : ``In(8)``, valid : ``In(1)``, broken : ``In(1)``
        As from :class:`hw.tether.uart.SerialReceiver`; at most a byte each :data:`RESET_CYCLES`
        clocks after a HELLO.
    o_byte : ``Out(stream.Signature(8))``
    o : ``Out(wire_stream(data_width))``, i : ``In(wire_stream(data_width))``
        TLPs to and from the device.
    granted : ``In(Credits)``
        Granted to the host.
    credits : ``Out(Credits)``
        Granted by the host; nothing until its first STATUS.
    reset : ``Out(1)``
        Holds the device in reset until the first HELLO, and for :data:`RESET_CYCLES` at each.
    linked : ``Out(1)``
        The host was there a short time ago.
    error : ``Out(1)``
    """

    def __init__(self, config: Config, identity: Identity, *, linked_cycles: int):
        self._width = config.data_width
        self._identity = identity
        self._linked_cycles = linked_cycles
        super().__init__(
            {
                "byte": In(8),
                "valid": In(1),
                "broken": In(1),
                "o_byte": Out(stream.Signature(8)),
                "o": Out(wire_stream(config.data_width)),
                "i": In(wire_stream(config.data_width)),
                "granted": In(Credits),
                "credits": Out(Credits),
                "reset": Out(1, init=1),
                "linked": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.deframer = deframer = Deframer()
        m.submodules.parser = parser = Parser()
        anew = ResetInserter(self.reset)
        m.submodules.receiver = anew(receiver := TlpReceiver(self._width))
        m.submodules.sender = anew(sender := Sender(self._width, self._identity))
        m.submodules.framer = anew(framer := Framer())
        connect(m, receiver.o, flipped(self.o))
        connect(m, flipped(self.i), sender.i)
        connect(m, sender.o, framer.i)
        connect(m, framer.o, flipped(self.o_byte))

        clock = Signal(32)
        m.d.sync += clock.eq(clock + 1)
        m.d.comb += [
            deframer.byte.eq(self.byte),
            deframer.valid.eq(self.valid),
            deframer.broken.eq(self.broken),
            parser.data.eq(deframer.data),
            parser.word.eq(deframer.word),
            parser.end.eq(deframer.end),
            parser.good.eq(deframer.good),
            receiver.number.eq(parser.number),
            receiver.data.eq(parser.tlp_data),
            receiver.word.eq(parser.tlp_word),
            receiver.first.eq(parser.tlp_first),
            receiver.last.eq(parser.tlp_last),
            receiver.tlp.eq(parser.tlp),
            receiver.reported.eq(sender.reported),
            sender.clock.eq(clock),
            sender.granted.eq(self.granted),
            sender.expected.eq(receiver.expected),
            sender.reject.eq(receiver.reject),
            sender.acknowledgement.eq(parser.acknowledgement),
            sender.acknowledge.eq(parser.status | parser.tlp),
            sender.rejected.eq(parser.status & parser.reject),
            self.error.eq(parser.error),
        ]
        self._open(m, parser, sender)
        return m

    def _open(self, m, parser, sender):
        opened, left = Signal(), Signal(range(RESET_CYCLES))
        with m.If(parser.hello):
            m.d.sync += [opened.eq(1), self.reset.eq(1), left.eq(RESET_CYCLES - 1)]
            m.d.sync += sender.nonce.eq(parser.nonce)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Elif(opened):
            m.d.sync += self.reset.eq(0)
        with m.If(self.reset):
            m.d.sync += self.credits.eq(0)
        with m.Elif(parser.status):
            m.d.sync += self.credits.eq(parser.credits)

        silence = Signal(range(self._linked_cycles + 1))
        m.d.comb += self.linked.eq(silence != 0)
        with m.If(parser.hello | (opened & (parser.status | parser.tlp))):
            m.d.sync += silence.eq(self._linked_cycles)
        with m.Elif(self.linked):
            m.d.sync += silence.eq(silence - 1)
