"""The completer: requests to this function, one after another."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.bus import CsrSignature
from ..flow.packet_fifo import PacketFifo
from ..flow.packet_slice import PacketSlice
from ..flow.width import Narrow, Widen
from ..queues.records import Submission
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.bar2 import bar2_bytes
from ..tlp.records import Completion, Kind, Request, Status, packet_stream
from .completer_buffer import PLACES, WIDTH, Buffer
from .completer_rules import PIECE_DW, Action, Hits, ReadExtent, Rules, Ruling, report
from .config_space import ConfigSignature
from .records import ErrorKind, ErrorReport, Settings

CALM_CYCLES = 8
"""Clocks from a change of Bus Master Enable, or a reset, until it has taken effect everywhere."""


class Completer(Component):
    """Serve requests to this function: registers, portals, configuration space.

    Non-posted requests are answered exactly once. Posted and non-posted requests are taken in turn;
    that a non-posted one does not pass an earlier posted one is the receiver's business. A
    non-posted request is over, with its completion accepted for transmission, before the next one
    is looked at. Posted requests do not wait for that, as nothing posted may depend on what this
    port sends; only while a configuration write is being answered they do, as it may reset the
    function. For the same reason its answer waits, if Bus Master Enable is off by then, until
    ``busy`` has been low for a while: what the function still sends is ahead of the answer.

    **Timing**: a 64-byte write to a portal passes in 10 clocks plus the queue's verdict. A register
    read takes 8 clocks, and 3 for each further 8 bytes, plus what the register bus takes.

    **Errors**: as :class:`hw.pcie.completer_rules.Rules` has them, each reported once.

    Parameters
    ----------
    config
        Parameters of the device.

    Members
    -------
    i_posted, i_non_posted : ``In(packet_stream(Request, data_width))``
    csr : ``Out(CsrSignature())``
        BAR0.
    config : ``Out(ConfigSignature())``
    o_submission : ``Out(packet_stream(Submission, data_width))``
        64-byte writes to portals, of either kind, and posted writes of 8 bytes.
    i_verdict : ``In(stream.Signature(1))``
        One for every submission: 1 if the queue accepted.
    o_completion : ``Out(packet_stream(Completion, data_width))``
    o_error : ``Out(stream.Signature(ErrorReport))``
    settings : ``In(Settings)``
    bar0, bar2 : ``In(64)``
        Base addresses.
    busy : ``In(1)``
        The function offers a request, or a message, that has not been accepted for transmission.
        Low in the end once Bus Master Enable is off.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i_posted": In(packet_stream(Request, width)),
                "i_non_posted": In(packet_stream(Request, width)),
                "csr": Out(CsrSignature()),
                "config": Out(ConfigSignature()),
                "o_submission": Out(packet_stream(Submission, width)),
                "i_verdict": In(stream.Signature(1)),
                "o_completion": Out(packet_stream(Completion, width)),
                "o_error": Out(stream.Signature(ErrorReport)),
                "settings": In(Settings),
                "bar0": In(64),
                "bar2": In(64),
                "busy": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self._config.data_width
        m.submodules.rules = rules = Rules(self._config)
        m.submodules.extent = extent = ReadExtent()
        m.submodules.buffer = buffer = Buffer()
        m.submodules.narrow = narrow = Narrow(Request, width, WIDTH)
        m.submodules.submit = submit = Widen(Submission, WIDTH, width)
        m.submodules.replies = replies = PacketFifo(Completion, WIDTH, depth=PLACES, packets=2)
        m.submodules.reply = reply = Widen(Completion, WIDTH, width)
        connect(m, submit.o, flipped(self.o_submission))
        m.submodules.slice = slice_ = PacketSlice(Completion, WIDTH)
        connect(m, replies.o, slice_.i)
        connect(m, slice_.o, reply.i)

        request, hits = Signal(Request, reset_less=True), Signal(Hits)
        ruling = Signal(Ruling)
        posted, taking, index = Signal(), Signal(), Signal(4)
        # The DW, counted from word 0, that is the last one of the request.
        stop = Signal(5)
        done, memory = Signal(), Signal()
        # Where the register bus is, in words; and whether the ruling is still to be reported.
        word, fresh = Signal(bar0(self._config).size_bytes.bit_length() - 4), Signal()
        m.d.comb += [
            rules.request.eq(request),
            rules.hits.eq(hits),
            rules.memory_space.eq(self.settings.memory_space),
            rules.pasid_enable.eq(self.settings.pasid_enable),
            extent.request.eq(request),
            done.eq(index == stop[1:]),
            memory.eq((ruling.action == Action.READ) | (ruling.action == Action.WRITE)),
            buffer.index.eq(index),
            buffer.odd.eq(request.address[2] & memory),
        ]
        self._complain(m, request, ruling, posted, fresh)
        self._connect_narrow(m, narrow, posted, taking)
        self._connect_access(m, request, buffer, index, word, stop, ruling)
        self._connect_submission(m, request, posted, narrow, submit)
        self._connect_reply(m, request, ruling, extent, buffer, index, replies)
        waiting, resetting = self._watch(m, request, ruling, replies, reply.o)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += index.eq(0)
                may_post = self.i_posted.valid & ~resetting & ~fresh
                may_ask = self.i_non_posted.valid & ~resetting & ~waiting & ~fresh
                with m.If(may_post | may_ask):
                    # After a posted request a non-posted one has its turn, and the other way round.
                    self._choose(m, request, hits, posted, may_post & ~(may_ask & posted))
                    m.next = "RULE"
            with m.State("RULE"):
                m.d.sync += [
                    ruling.eq(rules.ruling),
                    fresh.eq(1),
                    word.eq(request.address[3:]),
                    stop.eq(request.length_dw - 1 + request.address[2]),
                ]
                with m.If(rules.ruling.action == Action.SUBMIT):
                    m.next = "SUBMIT"
                with m.Else():
                    m.next = "LOAD"
            with m.State("SUBMIT"):
                m.d.comb += taking.eq(1)
                m.d.comb += [submit.i.valid.eq(narrow.o.valid), narrow.o.ready.eq(submit.i.ready)]
                with m.If(narrow.o.valid & narrow.o.ready & narrow.o.p.last):
                    m.next = "VERDICT"
            with m.State("VERDICT"):
                m.d.comb += self.i_verdict.ready.eq(1)
                with m.If(self.i_verdict.valid):
                    with m.If(~self.i_verdict.payload):
                        m.d.sync += ruling.status.eq(Status.REQUEST_RETRY)
                    self._conclude(m, posted)
            with m.State("LOAD"):
                m.d.comb += [
                    taking.eq(1),
                    narrow.o.ready.eq(1),
                    buffer.write.eq(narrow.o.valid),
                    buffer.data_in.eq(narrow.o.p.data),
                ]
                with m.If(narrow.o.valid):
                    # What is too long is not served: only its end counts.
                    m.d.sync += index.eq(Mux(index == PLACES - 1, index, index + 1))
                    with m.If(narrow.o.p.last):
                        m.d.sync += index.eq(0)
                        self._start(m, ruling, memory, posted)
            self._access_states(m, ruling, buffer, index, word, done, posted)
            with m.State("ANSWER"):
                m.d.comb += replies.i.valid.eq(1)
                with m.If(replies.i.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(replies.i.p.last):
                        m.next = "IDLE"
        return m

    def _access_states(self, m, ruling, buffer, index, word, done, posted):
        """Reach registers, a word after the other, or configuration space."""
        with m.State("ACCESS"):
            m.d.comb += [self.csr.access.valid.eq(1), buffer.words.eq(1)]
            with m.If(self.csr.access.ready):
                m.next = "RESULT"
        with m.State("RESULT"):
            m.d.comb += [
                self.csr.result.ready.eq(1),
                buffer.words.eq(1),
                buffer.write.eq(self.csr.result.valid & (ruling.action == Action.READ)),
                buffer.data_in.eq(self.csr.result.payload),
            ]
            with m.If(self.csr.result.valid):
                m.d.sync += [index.eq(Mux(done, 0, index + 1)), word.eq(word + 1)]
                with m.If(done):
                    self._conclude(m, posted)
                with m.Else():
                    m.next = "ACCESS"
        with m.State("CONFIG"):
            m.d.comb += self.config.access.valid.eq(1)
            with m.If(self.config.access.ready):
                m.next = "CONFIG RESULT"
        with m.State("CONFIG RESULT"):
            m.d.comb += [
                self.config.result.ready.eq(1),
                buffer.write.eq(self.config.result.valid),
                buffer.data_in.eq(self.config.result.payload),
            ]
            with m.If(self.config.result.valid):
                m.next = "ANSWER"

    def _watch(self, m, request, ruling, replies, answer):
        """Whether a completion waits to be accepted, and whether what it answers may reset us."""
        waiting, writing, config = Signal(), Signal(), Signal()
        # Shifts up while nothing is about to leave before the answer, and down after the answer.
        calm = Signal(CALM_CYCLES)
        output = self.o_completion
        done = output.valid & output.ready & output.p.last
        m.d.comb += [
            output.valid.eq(answer.valid & (~writing | calm[-1])),
            output.payload.eq(answer.payload),
            answer.ready.eq(output.ready & (~writing | calm[-1])),
            self.config.answered.eq(done & config),
        ]
        with m.If(~writing):
            m.d.sync += calm.eq(calm >> 1)
        with m.Elif(answer.valid & ~calm[-1]):
            # While the function may send, it may do so without end.
            m.d.sync += calm.eq(Mux(self.busy & ~self.settings.bus_master, 0, Cat(1, calm)))
        with m.If(done):
            m.d.sync += [waiting.eq(0), writing.eq(0)]
        with m.If(replies.i.valid):
            m.d.sync += [
                waiting.eq(1),
                config.eq(ruling.action == Action.CONFIG),
                writing.eq(request.kind == Kind.CONFIG_WRITE),
            ]
        return waiting, writing | calm.any()

    def _choose(self, m, request, hits, posted, first):
        """Take the header of the request whose turn it is, and see where it goes."""
        with m.If(first):
            m.d.sync += request.eq(self.i_posted.p.header)
        with m.Else():
            m.d.sync += request.eq(self.i_non_posted.p.header)
        m.d.sync += posted.eq(first)
        for hit, base, size in (
            (hits.bar0, self.bar0, bar0(self._config).size_bytes),
            (hits.bar2, self.bar2, bar2_bytes(self._config)),
        ):
            low = size.bit_length() - 1
            # Whose turn it is, is known late.
            matches = [
                source.p.header.address[low:] == base[low:]
                for source in (self.i_posted, self.i_non_posted)
            ]
            m.d.sync += hit.eq(Mux(first, *matches))

    def _complain(self, m, request, ruling, posted, fresh):
        """Report what a ruling says, a clock after it; the request stays until then."""
        m.d.comb += self.config.turn_off.eq(fresh & (ruling.action == Action.ACKNOWLEDGE))
        with m.If(~self.o_error.valid):
            m.d.sync += self.o_error.valid.eq(fresh & (ruling.error != ErrorKind.NONE))
            for name, value in report(request, ruling.error, posted):
                m.d.sync += self.o_error.p[name].eq(value)
        with m.Elif(self.o_error.ready):
            m.d.sync += self.o_error.valid.eq(0)
        with m.If(~self.o_error.valid | (ruling.error == ErrorKind.NONE)):
            m.d.sync += fresh.eq(0)

    def _start(self, m, ruling, memory, posted):
        """All of the request is here: do what it deserves."""
        with m.If(memory):
            m.next = "ACCESS"
        with m.Elif(ruling.action == Action.CONFIG):
            m.next = "CONFIG"
        with m.Else():
            self._conclude(m, posted)

    def _conclude(self, m, posted):
        with m.If(posted):
            m.next = "IDLE"
        with m.Else():
            m.next = "ANSWER"

    def _connect_narrow(self, m, narrow, posted, taking):
        """Let the beats of the chosen request in, once it has been chosen."""
        for source, chosen in ((self.i_posted, posted), (self.i_non_posted, ~posted)):
            with m.If(taking & chosen):
                m.d.comb += [
                    narrow.i.valid.eq(source.valid),
                    narrow.i.payload.eq(source.payload),
                    source.ready.eq(narrow.i.ready),
                ]

    def _connect_access(self, m, request, buffer, index, word, stop, ruling):
        access, config = self.csr.access.p, self.config.access.p
        start = request.address[2]
        m.d.comb += [
            access.address.eq(Cat(C(0, 3), word)),
            access.write.eq(ruling.action == Action.WRITE),
            access.data.eq(buffer.data_out),
            config.address.eq(request.address[:12]),
            config.write.eq(request.kind == Kind.CONFIG_WRITE),
            config.strobe.eq(request.first_be),
            config.data.eq(buffer.data_out),
            config.destination.eq(request.address[16:]),
        ]
        for lane in range(2):
            place = Cat(C(lane, 1), index)
            strobe = access.strobe.word_select(lane, 4)
            with m.If((place < start) | (place > stop)):
                m.d.comb += strobe.eq(0)
            with m.Elif(place == start):
                m.d.comb += strobe.eq(request.first_be)
            with m.Elif(place == stop):
                m.d.comb += strobe.eq(request.last_be)
            with m.Else():
                m.d.comb += strobe.eq(0b1111)

    def _connect_submission(self, m, request, posted, narrow, submit):
        header = submit.i.p.header
        m.d.comb += [
            header.portal.eq(request.address[12:14]),
            # Only these bits are within the BAR; those above are its base.
            header.queue.eq(request.address[14 : bar2_bytes(self._config).bit_length() - 1]),
            header.deferrable.eq(~posted),
            header.piece.eq(request.length_dw == PIECE_DW),
            header.place.eq(request.address[3:6]),
            submit.i.p.data.eq(narrow.o.p.data),
            submit.i.p.first.eq(narrow.o.p.first),
            submit.i.p.last.eq(narrow.o.p.last),
        ]

    def _connect_reply(self, m, request, ruling, extent, buffer, index, replies):
        header = replies.i.p.header
        with_data = Signal()
        with m.Switch(ruling.action):
            with m.Case(Action.READ, Action.ONES):
                m.d.comb += with_data.eq(1)
            with m.Case(Action.CONFIG):
                m.d.comb += with_data.eq(request.kind == Kind.CONFIG_READ)
        m.d.comb += [
            header.status.eq(ruling.status),
            header.length_dw.eq(Mux(with_data, request.length_dw, 0)),
            header.byte_count.eq(extent.byte_count),
            header.lower_address.eq(extent.lower_address),
            header.completer.eq(self.settings.routing_id),
            header.requester.eq(request.requester),
            header.tag.eq(request.tag),
            header.tc.eq(request.tc),
            header.attr.eq(request.attr[:2]),
            replies.i.p.data.eq(Mux(ruling.action == Action.ONES, ~C(0, WIDTH), buffer.data_out)),
            replies.i.p.first.eq(index == 0),
            replies.i.p.last.eq(~with_data | (index == (request.length_dw - 1) >> 1)),
        ]
