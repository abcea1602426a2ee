"""What a request to this function deserves."""

from amaranth import *
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE, SUBMISSION_BYTES, bar2_bytes
from ..tlp.header import prefix_dw, request_dws
from ..tlp.records import Kind, Request, Status
from .records import ErrorKind

MOST_BYTES = 64
"""The longest access to registers or a portal."""

MOST_DW = MOST_BYTES // 4 + 1
"""DWs that it touches if it is not aligned."""

SUBMISSION_DW = SUBMISSION_BYTES // 4

PIECE_DW = 2
"""DWs of a piece of a descriptor, in staged submission."""

MESSAGES_TAKEN = (0x00, 0x14, 0x40, 0x41, 0x43, 0x44, 0x45, 0x47, 0x48, 0x50, 0x7F)
"""Messages that an endpoint takes in silence: unlock, power management, slot power, the ignored
ones, and vendor-defined of type 1 (PCIe Base 6.x §2.2.8)."""

PME_TURN_OFF = 0x19
"""The message that an endpoint acknowledges (PCIe Base 6.x §5.3.3.2.1)."""


class Action(enum.Enum, shape=3):
    """What is to be done with a request."""

    NOTHING = 0
    """Take it, and answer it with the status given if it is non-posted."""
    SUBMIT = 1
    WRITE = 2
    READ = 3
    ONES = 4
    """Answer a read with all ones."""
    CONFIG = 5
    ACKNOWLEDGE = 6
    """Take a message, and answer with PME_TO_Ack."""


class Ruling(data.Struct):
    """The decision on a request."""

    action: Action
    #: Of the completion; of a submission, what it is if the queue accepts.
    status: Status
    error: ErrorKind


class Hits(data.Struct):
    """Where a request goes."""

    #: Its address lies in BAR0, or in BAR2.
    bar0: 1
    bar2: 1


class Rules(Component):
    """Decide on a request (PCIe Base 6.x §2.3.1, §2.7.2, §6.32; DSA §9.3). Combinational.

    Members
    -------
    request : ``In(Request)``
    hits : ``In(Hits)``
    memory_space, pasid_enable : ``In(1)``
    ruling : ``Out(Ruling)``
    """

    request: In(Request)
    hits: In(Hits)
    memory_space: In(1)
    pasid_enable: In(1)
    ruling: Out(Ruling)

    def __init__(self, config: Config):
        self._queues = config.queues
        self._portal_bits = bar2_bytes(config).bit_length() - 1
        self._short = Signal()
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        request, ruling = self.request, self.ruling
        edges = sum(request.first_be) + sum(request.last_be)
        m.d.comb += self._short.eq(
            (request.length_dw < MOST_DW) | ((request.length_dw == MOST_DW) & (edges <= 4))
        )
        unwanted = request.foreign | (request.tenant.valid & ~self.pasid_enable)
        code = Cat(request.first_be, request.last_be)
        with m.Switch(request.kind):
            with m.Case(Kind.MEMORY_READ, Kind.MEMORY_WRITE, Kind.DEFERRABLE_WRITE):
                with m.If(unwanted | ~self.memory_space | ~(self.hits.bar0 | self.hits.bar2)):
                    self._refuse(m, Status.UNSUPPORTED_REQUEST, ErrorKind.UNSUPPORTED)
                with m.Elif(request.poisoned):
                    self._refuse(m, Status.UNSUPPORTED_REQUEST, ErrorKind.POISONED)
                with m.Elif(self.hits.bar2):
                    self._portal(m)
                with m.Else():
                    self._register(m)
            with m.Case(Kind.CONFIG_READ, Kind.CONFIG_WRITE):
                prefixed = request.foreign | request.tenant.valid
                with m.If(request.address[16:19].any() | prefixed):
                    self._refuse(m, Status.UNSUPPORTED_REQUEST, ErrorKind.UNSUPPORTED)
                with m.Elif(request.poisoned):
                    self._refuse(m, Status.UNSUPPORTED_REQUEST, ErrorKind.POISONED)
                with m.Else():
                    m.d.comb += ruling.action.eq(Action.CONFIG)
            with m.Case(Kind.MESSAGE):
                with m.If(~code.matches(*MESSAGES_TAKEN, PME_TURN_OFF)):
                    m.d.comb += ruling.error.eq(ErrorKind.UNSUPPORTED)
                with m.Elif(request.poisoned):
                    m.d.comb += ruling.error.eq(ErrorKind.POISONED)
                with m.Elif(code == PME_TURN_OFF):
                    m.d.comb += ruling.action.eq(Action.ACKNOWLEDGE)
            with m.Default():
                self._refuse(m, Status.UNSUPPORTED_REQUEST, ErrorKind.UNSUPPORTED)
        return m

    def _refuse(self, m, status, error):
        m.d.comb += [self.ruling.status.eq(status), self.ruling.error.eq(error)]

    def _portal(self, m):
        request, ruling = self.request, self.ruling
        whole, piece, there = Signal(), Signal(), Signal()
        low = (PAGE_BYTES * PORTALS_PER_QUEUE - 1).bit_length()
        queue = request.address[low : self._portal_bits]
        complete = request.first_be.all() & request.last_be.all()
        m.d.comb += [
            there.eq(queue < self._queues),
            whole.eq(
                (request.length_dw == SUBMISSION_DW)
                & ~request.address[: (SUBMISSION_BYTES - 1).bit_length()].any()
                & complete
            ),
            piece.eq(
                (request.kind == Kind.MEMORY_WRITE)
                & (request.length_dw == PIECE_DW)
                & ~request.address[2]
                & complete
            ),
        ]
        with m.If(request.kind == Kind.MEMORY_READ):
            with m.If(self._short):
                m.d.comb += ruling.action.eq(Action.ONES)
            with m.Else():
                self._refuse(m, Status.COMPLETER_ABORT, ErrorKind.COMPLETER_ABORT)
        with m.Elif((whole | piece) & there):
            m.d.comb += ruling.action.eq(Action.SUBMIT)
        with m.Elif(request.kind == Kind.DEFERRABLE_WRITE):
            with m.If(whole):
                # Like the portal of a queue that is not enabled.
                m.d.comb += ruling.status.eq(Status.REQUEST_RETRY)
            with m.Else():
                self._refuse(m, Status.COMPLETER_ABORT, ErrorKind.COMPLETER_ABORT)

    def _register(self, m):
        request, ruling = self.request, self.ruling
        with m.If(~self._short | (request.kind == Kind.DEFERRABLE_WRITE)):
            self._refuse(m, Status.COMPLETER_ABORT, ErrorKind.COMPLETER_ABORT)
        with m.Elif(request.kind == Kind.MEMORY_READ):
            m.d.comb += ruling.action.eq(Action.READ)
        with m.Else():
            m.d.comb += ruling.action.eq(Action.WRITE)


def raw_header(request) -> list:
    """Header DWs of a request, for the log; whether it had a digest is forgotten by now."""
    four = request.fmt_type[5]
    low, high = request.address[:32], request.address[32:]
    first, second = request_dws(request, request.length_dw, request.fmt_type)
    return [first, second, Mux(four, high, low), Mux(four, low, 0)]


def report(request, kind, posted) -> list:
    """Fields of an :class:`.records.ErrorReport` on a request, and their values."""
    prefix = prefix_dw(request.tenant, request.prefix_rest)
    prefixed = request.tenant.valid | request.foreign
    return [
        ("kind", kind),
        # Poison in what would have changed something is never a mere advisory (§2.7.2.1).
        ("advisory", ~posted & (kind != ErrorKind.POISONED)),
        ("header_valid", 1),
        ("header", Cat(raw_header(request))),
        ("prefix_valid", prefixed),
        ("prefix", Mux(prefixed, prefix, 0)),
    ]


class ReadExtent(Component):
    """Byte Count and Lower Address of the completion of a read (PCIe Base 6.x §2.3.1.1).

    **Timing**: valid 1 clock after ``request``.

    Members
    -------
    request : ``In(Request)``
        Anything but a memory read counts as four bytes at address 0.
    byte_count : ``Out(13)``
    lower_address : ``Out(7)``
    """

    request: In(Request)
    byte_count: Out(13)
    lower_address: Out(7)

    def elaborate(self, platform):
        m = Module()
        request = self.request
        single = request.length_dw == 1
        low, gap = Signal(2), Signal(2)
        final = Signal(4)
        m.d.comb += final.eq(Mux(single, request.first_be, request.last_be))
        for lane in reversed(range(4)):
            with m.If(request.first_be[lane]):
                m.d.comb += low.eq(lane)
        for lane in range(4):
            with m.If(final[lane]):
                m.d.comb += gap.eq(3 - lane)
        with m.If(request.kind != Kind.MEMORY_READ):
            m.d.sync += [self.byte_count.eq(4), self.lower_address.eq(0)]
        with m.Elif(single & (request.first_be == 0)):
            m.d.sync += [
                self.byte_count.eq(1),
                self.lower_address.eq(Cat(C(0, 2), request.address[2:7])),
            ]
        with m.Else():
            m.d.sync += [
                self.byte_count.eq((request.length_dw << 2) - low - gap),
                self.lower_address.eq(Cat(low, request.address[2:7])),
            ]
        return m
