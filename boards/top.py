"""What a bitstream holds: the device, its tether, and lights."""

from amaranth import *
from amaranth.lib import io
from amaranth.lib.wiring import Component, In, Out, connect

from hw.device import Device
from hw.regs import Config
from hw.regs.tether import Identity
from hw.tether.tether import Tether

from .board import Board, Place
from .clocking import Clocking

MEMORY_WRITES = (0x40, 0x60)
"""First bytes of memory writes without a prefix, for either length of address."""

FLASH_HZ, BLINK_HZ = 10, 1


class Stretch(Component):
    """Make a strobe long enough to be seen.

    **Timing**: ``o`` is high from the clock after the strobe on, for ``cycles`` clocks after the
    last one.

    Parameters
    ----------
    cycles
        How long.

    Members
    -------
    i : ``In(1)``, o : ``Out(1)``
    """

    i: In(1)
    o: Out(1)

    def __init__(self, cycles: int):
        self._cycles = cycles
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        left = Signal(range(self._cycles + 1))
        m.d.comb += self.o.eq(left != 0)
        with m.If(self.i):
            m.d.sync += left.eq(self._cycles)
        with m.Elif(self.o):
            m.d.sync += left.eq(left - 1)
        return m


def rings(beat, valid, ready):
    """Whether an interrupt message begins with this beat of the wire: a write of one DW that has no
    PASID. The device makes no other such writes."""
    first_byte = beat.data[:8]
    one_dw = (beat.data[24:32] == 1) & (beat.data[16:18] == 0)
    writes = Cat(first_byte == code for code in MEMORY_WRITES).any()
    return valid & ready & beat.first & writes & one_dw


class Tethered(Component):
    """The device on a serial line: everything on a board but pins and clock.

    Parameters
    ----------
    config
        Parameters of the device.
    identity
        What the board says of itself; ``clock_hz`` and ``baud`` are those of the line.

    Members
    -------
    rx : ``In(1)``, tx : ``Out(1)``
        The line, seen from the board. High while nothing is sent.
    reset : ``In(1)``
        Starts everything anew, as if it had just been loaded.
    perst : ``In(1)``
        Resets the device; its pin may change at any time.
    link, bell, error : ``Out(1)``
        See :class:`boards.board.Lights`.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    reset: In(1)
    perst: In(1)
    link: Out(1)
    bell: Out(1)
    error: Out(1)

    def __init__(self, config: Config, identity: Identity):
        self.config, self.identity = config, identity
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        clock_hz = self.identity.clock_hz
        tether = Tether(self.config, self.identity)
        m.submodules.tether = ResetInserter(self.reset)(tether)
        # Much hangs on this one, so it is a register without logic, wherever it is best placed.
        perst, asked, held = Signal(2), Signal(init=1), Signal(init=1)
        m.d.sync += [
            perst.eq(Cat(self.perst, perst)),
            asked.eq(self.reset | tether.reset | perst[1]),
            held.eq(asked),
        ]
        m.submodules.device = device = Device(self.config)
        m.d.comb += device.reset.eq(held)
        connect(m, tether.o, device.i)
        connect(m, device.o, tether.i)
        m.submodules.bell = bell = Stretch(clock_hz // FLASH_HZ)
        m.submodules.error = error = Stretch(clock_hz // FLASH_HZ)
        blink = Signal(range(clock_hz // BLINK_HZ))
        top = clock_hz // BLINK_HZ - 1
        m.d.sync += [
            blink.eq(Mux(blink == top, 0, blink + 1)),
            self.link.eq(tether.linked | (blink < clock_hz // BLINK_HZ // 8)),
            bell.i.eq(rings(device.o.p, device.o.valid, device.o.ready)),
        ]
        m.d.comb += [
            tether.rx.eq(self.rx),
            self.tx.eq(tether.tx),
            tether.granted.eq(device.granted),
            device.credits.eq(tether.credits),
            error.i.eq(tether.error),
            self.bell.eq(bell.o),
            self.error.eq(error.o),
        ]
        return m


class Top(Elaboratable):
    """A :class:`Tethered` device, on the pins of a board and at its clock."""

    def __init__(self, board: Board):
        self._board = board

    def elaborate(self, platform):
        m = Module()
        board = self._board
        m.submodules.clocking = clocking = Clocking(board.clock_hz)
        m.submodules.tethered = tethered = Tethered(board.config, board.identity)
        m.d.comb += tethered.reset.eq(clocking.reset)
        rx, tx = (*board.uart, "rx"), (*board.uart, "tx")
        self._input(m, platform, rx, tethered.rx)
        self._output(m, platform, tx, tethered.tx)
        if board.perst is not None:
            self._input(m, platform, board.perst, tethered.perst)
        for place in board.high:
            self._output(m, platform, place, Const(1))
        for name in ("link", "bell", "error"):
            self._output(m, platform, getattr(board.lights, name), getattr(tethered, name))
        return m

    def _port(self, platform, place: Place):
        """The pin at a place; a resource with several is requested once."""
        name, number, *inside = place
        requested = self.__dict__.setdefault("_requested", {})
        if (name, number) not in requested:
            requested[name, number] = platform.request(name, number, dir="-")
        port = requested[name, number]
        return getattr(port, inside[0]) if inside else port

    def _input(self, m, platform, place: Place, signal):
        m.submodules += (buffer := io.Buffer("i", self._port(platform, place)))
        m.d.comb += signal.eq(buffer.i)

    def _output(self, m, platform, place: Place, signal):
        m.submodules += (buffer := io.Buffer("o", self._port(platform, place)))
        m.d.comb += buffer.o.eq(signal)
