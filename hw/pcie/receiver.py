"""What comes from the wire: checked, counted, buffered, in order."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.packet_fifo import PacketFifo
from ..flow.packet_slice import PacketSlice
from ..regs import Config
from ..tlp.decode import Flow, Verdict
from ..tlp.records import Completion, Credits, Kind, Request, packet_stream, wire_stream
from ..tlp.unpack import Rejected, Unpack
from .records import ErrorKind, ErrorReport, Settings

POSTED_HEADERS, NON_POSTED_HEADERS = 16, 8
"""Requests of each type that can wait."""

POSTED_DATA, NON_POSTED_DATA = 64, 32
"""Their payload, in units of 16 bytes: at least two of the largest payload, and 64 bytes each."""


class CreditGate(Component):
    """Count the credits of one type: what the sender spent, and what it is granted.

    **Timing**: ``allowed`` is combinational from ``data``; grants move 1 clock after their strobe.

    Parameters
    ----------
    header, data
        Credits granted at reset.

    Members
    -------
    need : ``In(9)``
        Data credits that the TLP at hand takes.
    allowed : ``Out(1)``
        Whether credits for it have been granted.
    spend : ``In(1)``
        It has come, and is kept.
    free, free_data : ``In(1)``, ``In(9)``
        A TLP has left the buffer, and the data credits it held.
    forget, forget_data : ``In(1)``, ``In(9)``
        A TLP that was not kept, and the data credits its sender spent.
    granted_header, granted_data : ``Out(8)``, ``Out(12)``
        Running totals.
    """

    need: In(9)
    allowed: Out(1)
    spend: In(1)
    free: In(1)
    free_data: In(9)
    forget: In(1)
    forget_data: In(9)
    granted_header: Out(8)
    granted_data: Out(12)

    def __init__(self, header: int, data: int):
        self._header, self._data = header, data
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        header_room = Signal(range(self._header + 1), init=self._header)
        data_room = Signal(range(self._data + 1), init=self._data)
        header_granted = Signal(8, init=self._header)
        data_granted = Signal(12, init=self._data)
        freed = Mux(self.free, self.free_data, 0)
        forgotten = Mux(self.forget, self.forget_data, 0)
        m.d.comb += [
            self.allowed.eq((header_room != 0) & (data_room >= self.need)),
            self.granted_header.eq(header_granted),
            self.granted_data.eq(data_granted),
        ]
        m.d.sync += [
            header_room.eq(header_room + self.free - self.spend),
            # What is spent is known late.
            data_room.eq(Mux(self.spend, data_room + freed - self.need, data_room + freed)),
            header_granted.eq(header_granted + self.free + self.forget),
            data_granted.eq(data_granted + freed + forgotten),
        ]
        return m


class Precedence(Component):
    """Keep non-posted requests behind the posted ones that came before them.

    Each non-posted request remembers how many posted ones were ahead when it came; every posted one
    that leaves counts all of them down. So posted requests may pass, and nothing ever wraps.

    **Timing**: ``clear`` is a register, valid 1 clock after the events.

    Parameters
    ----------
    posted, non_posted
        Requests of each type that can wait.

    Members
    -------
    posted_in, posted_out, non_posted_in, non_posted_out : ``In(1)``
        A request has been stored, or its last beat has left.
    clear : ``Out(1)``
        The oldest non-posted request has nothing ahead of it.
    """

    posted_in: In(1)
    posted_out: In(1)
    non_posted_in: In(1)
    non_posted_out: In(1)
    clear: Out(1, init=1)

    def __init__(self, posted: int, non_posted: int):
        self._posted, self._non_posted = posted, non_posted
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        waiting = Signal(range(self._posted + 1))
        remaining = Signal.like(waiting)
        ahead = Array(
            Signal(range(self._posted + 1), name=f"ahead_{k}") for k in range(self._non_posted + 1)
        )
        count = Signal(range(self._non_posted + 1))
        place = Signal.like(count)
        m.d.comb += [
            remaining.eq(waiting - self.posted_out),
            place.eq(count - self.non_posted_out),
        ]
        m.d.sync += [waiting.eq(remaining + self.posted_in), count.eq(place + self.non_posted_in)]
        for k in range(self._non_posted):
            old = Mux(self.non_posted_out, ahead[k + 1], ahead[k])
            new = Signal.like(waiting, name=f"new_{k}")
            m.d.comb += new.eq(old - (self.posted_out & (old != 0)))
            with m.If(self.non_posted_in & (place == k)):
                m.d.comb += new.eq(remaining)
            m.d.sync += ahead[k].eq(new)
            if k == 0:
                m.d.sync += self.clear.eq(new == 0)
        return m


class Receiver(Component):
    """Check what comes, keep requests whole until they are served, and grant credits.

    Posted and non-posted requests wait in buffers of their own. A non-posted request is offered
    only after every posted one that came before it has been taken to its last beat; a posted one
    may pass non-posted ones. Completions are kept in the order in which they came.

    **Timing**: a wire beat per clock. A request is offered once all of it has come, about 10 clocks
    after its last wire beat. ``i`` is always ready as long as completions and errors are taken.

    **Errors**: a malformed TLP is reported and leaves no trace; its credits are given back. A TLP
    for which no credits were granted is dropped as a receiver overflow, and its credits are given
    back too, so that the totals of both sides agree again.

    Parameters
    ----------
    config
        Parameters of the device.

    Members
    -------
    i : ``In(wire_stream(data_width))``
    o_posted, o_non_posted : ``Out(packet_stream(Request, data_width))``
    o_completion : ``Out(packet_stream(Completion, data_width))``
    credits : ``Out(Credits)``
        Granted to the sender. Completion credits are infinite.
    settings : ``In(Settings)``
    o_error : ``Out(stream.Signature(ErrorReport))``
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i": In(wire_stream(width)),
                "o_posted": Out(packet_stream(Request, width)),
                "o_non_posted": Out(packet_stream(Request, width)),
                "o_completion": Out(packet_stream(Completion, width)),
                "credits": Out(Credits),
                "settings": In(Settings),
                "o_error": Out(stream.Signature(ErrorReport)),
            }
        )

    def _fifo(self, header, packets: int, data: int) -> PacketFifo:
        """Room for so many packets and units of 16 bytes, and a beat for each empty packet."""
        beats = data * max(1, 4 // self._config.beat_dw) + packets
        return PacketFifo(
            header, self._config.data_width, depth=1 << (beats - 1).bit_length(), packets=packets
        )

    def elaborate(self, platform):
        m = Module()
        self._overflow = stream.Signature(Rejected).create(path=("overflow",))
        m.submodules.unpack = unpack = Unpack(self._config.data_width)
        m.submodules.posted = posted = self._fifo(Request, POSTED_HEADERS, POSTED_DATA)
        m.submodules.non_posted = non_posted = self._fifo(
            Request, NON_POSTED_HEADERS, NON_POSTED_DATA
        )
        m.submodules.completion = completion = self._fifo(Completion, 16, POSTED_DATA)
        m.submodules.gate_p = gate_p = CreditGate(POSTED_HEADERS, POSTED_DATA)
        m.submodules.gate_n = gate_n = CreditGate(NON_POSTED_HEADERS, NON_POSTED_DATA)
        m.submodules.precedence = precedence = Precedence(POSTED_HEADERS, NON_POSTED_HEADERS)
        connect(m, flipped(self.i), unpack.i)
        connect(m, unpack.o_completion, completion.i)
        connect(m, completion.o, flipped(self.o_completion))
        # What is read from the buffers stands in registers before anybody looks at it.
        m.submodules.next_p = next_p = PacketSlice(Request, self._config.data_width)
        m.submodules.next_n = next_n = PacketSlice(Request, self._config.data_width)
        connect(m, posted.o, next_p.i)
        connect(m, non_posted.o, next_n.i)
        connect(m, next_p.o, flipped(self.o_posted))
        m.d.comb += [
            unpack.max_payload_bytes.eq(self.settings.max_payload_bytes),
            completion.discard.eq(unpack.discard),
            self.credits.completion.header_infinite.eq(1),
            self.credits.completion.data_infinite.eq(1),
        ]
        self._sort(m, unpack, {posted: gate_p, non_posted: gate_n})
        self._report(m, unpack, gate_p, gate_n)
        self._release(m, self.o_posted, gate_p, precedence.posted_out)
        self._release(m, self.o_non_posted, gate_n, precedence.non_posted_out)
        # Departures count 1 clock late, so the request behind one that has left waits for that.
        clear = Signal()
        m.d.comb += [
            clear.eq(precedence.clear & ~precedence.non_posted_out),
            self.o_non_posted.valid.eq(next_n.o.valid & clear),
            self.o_non_posted.payload.eq(next_n.o.payload),
            next_n.o.ready.eq(self.o_non_posted.ready & clear),
        ]
        # A request is offered 3 clocks after it was stored, so this is in time.
        m.d.sync += [
            precedence.posted_in.eq(gate_p.spend),
            precedence.non_posted_in.eq(gate_n.spend),
        ]
        for limit, gate in ((self.credits.posted, gate_p), (self.credits.non_posted, gate_n)):
            m.d.comb += [
                limit.header.eq(gate.granted_header),
                limit.data.eq(gate.granted_data),
            ]
        return m

    def _sort(self, m, unpack, buffers):
        """Put requests into the buffer of their type, if there were credits for them.

        The buffers have room for whatever credits were granted for, so they need not be asked. Of a
        packet that came without, they get what beats they can, and forget them with the last.
        """
        request = unpack.o_request
        header = request.p.header
        posted = (header.kind == Kind.MEMORY_WRITE) | (header.kind == Kind.MESSAGE)
        refuse, refusing = Signal(), Signal()
        for choice, (fifo, gate) in zip((posted, ~posted), buffers.items(), strict=True):
            m.d.comb += [gate.need.eq(unpack.units), fifo.i.payload.eq(request.payload)]
            m.d.comb += fifo.discard.eq(unpack.discard | refuse)
            with m.If(choice):
                m.d.comb += [
                    refuse.eq(Mux(request.p.first, ~gate.allowed, refusing)),
                    fifo.i.valid.eq(request.valid & request.ready),
                    gate.spend.eq(fifo.i.valid & request.p.last & ~fifo.discard),
                ]
        overflow = self._overflow
        m.d.comb += request.ready.eq(~overflow.valid)
        with m.If(request.valid & request.ready):
            m.d.sync += refusing.eq(refuse & ~request.p.last)
        with m.If(request.valid & request.ready & refuse & request.p.last & ~unpack.discard):
            m.d.sync += [
                overflow.valid.eq(1),
                overflow.p.verdict.eq(Verdict.OVERFLOW),
                overflow.p.raw.eq(unpack.raw),
                overflow.p.flow.eq(Mux(posted, Flow.POSTED, Flow.NON_POSTED)),
                overflow.p.units.eq(unpack.units),
            ]
        with m.Elif(overflow.ready):
            m.d.sync += overflow.valid.eq(0)

    def _report(self, m, unpack, gate_p, gate_n):
        """Report what was thrown away, and give its credits back."""
        # While one waits that was rejected, none is dropped for want of credits.
        overflow, rejected, out = self._overflow, unpack.o_rejected, self.o_error.p
        source = stream.Signature(Rejected).create(path=("source",))
        m.d.comb += [
            source.valid.eq(overflow.valid | rejected.valid),
            source.payload.eq(Mux(overflow.valid, overflow.payload, rejected.payload)),
            overflow.ready.eq(source.ready),
            rejected.ready.eq(source.ready & ~overflow.valid),
        ]
        kinds = {
            Verdict.MALFORMED: ErrorKind.MALFORMED,
            Verdict.UNSUPPORTED: ErrorKind.UNSUPPORTED,
            Verdict.UNEXPECTED_COMPLETION: ErrorKind.UNEXPECTED_COMPLETION,
            Verdict.OVERFLOW: ErrorKind.RECEIVER_OVERFLOW,
        }
        with m.Switch(source.p.verdict):
            for verdict, kind in kinds.items():
                with m.Case(verdict):
                    m.d.comb += out.kind.eq(kind)
        m.d.comb += [
            self.o_error.valid.eq(source.valid),
            source.ready.eq(self.o_error.ready),
            out.advisory.eq(source.p.verdict == Verdict.UNEXPECTED_COMPLETION),
            out.header_valid.eq(1),
            out.header.eq(source.p.raw.dws),
            out.prefix_valid.eq(source.p.raw.prefix_valid),
            out.prefix.eq(source.p.raw.prefix),
        ]
        with m.If(~source.p.raw.dws[0][29]):
            m.d.comb += out.header[3].eq(0)
        for gate, flow in ((gate_p, Flow.POSTED), (gate_n, Flow.NON_POSTED)):
            m.d.sync += [
                gate.forget.eq(source.valid & source.ready & (source.p.flow == flow)),
                gate.forget_data.eq(source.p.units),
            ]

    def _release(self, m, port, gate, departed):
        """Give credits back when a request has left."""
        m.d.comb += gate.free.eq(departed)
        m.d.sync += [
            departed.eq(port.valid & port.ready & port.p.last),
            gate.free_data.eq(_data_credits(port.p.header)),
        ]


def _data_credits(header):
    """Units of 16 bytes that the payload of a request takes."""
    return Mux(header.fmt_type[6], (header.length_dw + 3) >> 2, 0)
