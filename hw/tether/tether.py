"""The device on a serial line, in place of a PCI Express link."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..regs import Config
from ..regs.tether import Identity
from ..tlp.records import Credits, wire_stream
from .session import Session
from .uart import SerialReceiver, SerialTransmitter, clocks_per_bits


class Tether(Component):
    """The board's end of the tether (:mod:`hw.regs.tether`), between a UART and a device.

    ``o``, ``i``, ``granted``, ``credits`` and ``reset`` are the device's; whoever joins them puts
    the device under ``ResetInserter(tether.reset)``.

    **Timing**: as the line has it, see :class:`hw.tether.uart.SerialReceiver` and
    :class:`hw.tether.session.Session`. ``reset`` and ``credits`` are registers.

    **Errors**: ``error`` strobes for a bad frame, see :class:`hw.tether.session.Session`.
    ``ValueError`` for a rate too high for the clock, see
    :func:`hw.tether.uart.clocks_per_bits`.

    Parameters
    ----------
    config
        Of the device.
    identity
        What the board says of itself; its ``clock_hz`` and ``baud`` are those of the line.
    linked_cycles
        How long ``linked`` stays after a good frame; by default a second.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        The line, from and to pins; 1 when idle.
    o : ``Out(wire_stream(data_width))``, i : ``In(wire_stream(data_width))``
        TLPs to and from the device.
    granted : ``In(Credits)``, credits : ``Out(Credits)``
        What the device grants the host, and the host the device.
    reset : ``Out(1)``
        Holds the device in reset.
    linked : ``Out(1)``
        A session is open, and the host was there a short time ago.
    error : ``Out(1)``
        Strobe.
    """

    def __init__(self, config: Config, identity: Identity, *, linked_cycles: int | None = None):
        clocks_per_bits(identity.clock_hz, identity.baud)
        self._config, self._identity = config, identity
        self._linked_cycles = identity.clock_hz if linked_cycles is None else linked_cycles
        super().__init__(
            {
                "rx": In(1, init=1),
                "tx": Out(1, init=1),
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
        line = (self._identity.clock_hz, self._identity.baud)
        m.submodules.receiver = receiver = SerialReceiver(*line)
        m.submodules.transmitter = transmitter = SerialTransmitter(*line)
        m.submodules.session = session = Session(
            self._config, self._identity, linked_cycles=self._linked_cycles
        )
        connect(m, session.o_byte, transmitter.i)
        connect(m, session.o, flipped(self.o))
        connect(m, flipped(self.i), session.i)
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            session.byte.eq(receiver.byte),
            session.valid.eq(receiver.valid),
            session.broken.eq(receiver.broken),
            session.granted.eq(self.granted),
            self.credits.eq(session.credits),
            self.reset.eq(session.reset),
            self.linked.eq(session.linked),
            self.error.eq(session.error),
        ]
        return m
