"""What stands ready for an engine."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.packet_fifo import PacketFifo
from ..regs import Config
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import packet_stream
from .records import Work

PLACES = 2
"""Descriptors that stand ready: one leaves while the next comes in."""


class Outlet(Component):
    """Hold descriptors for an engine, so that who hands them out never waits for the engine.

    **Timing**: a descriptor is offered 2 clocks after its last beat came in; a beat per clock. All
    of a descriptor that ``reserve`` announced is taken at once.

    Parameters
    ----------
    config
        ``data_width``.

    Members
    -------
    i, o : ``packet_stream(Work, data_width)``
        64 bytes each.
    reserve : ``In(1)``
        Pulse, while ``room``: a descriptor will come.
    room : ``Out(1)``
        There is room for one more than are here or will come.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(packet_stream(Work, config.data_width)),
                "o": Out(packet_stream(Work, config.data_width)),
                "reserve": In(1),
                "room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beats = DESCRIPTOR_BYTES // self._config.beat_bytes
        m.submodules.fifo = fifo = PacketFifo(
            Work, self._config.data_width, depth=PLACES * beats, packets=PLACES
        )
        connect(m, flipped(self.i), fifo.i)
        connect(m, fifo.o, flipped(self.o))
        held = Signal(range(PLACES + 1))
        leaving = self.o.valid & self.o.ready & self.o.p.last
        m.d.sync += held.eq(held + self.reserve - leaving)
        m.d.comb += self.room.eq(held != PLACES)
        return m
