"""Completions, checked and put where they belong."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..tlp.records import Completion, Packet, Status, packet_stream
from .records import ErrorKind, ReadStatus


class Expected(data.StructLayout):
    """What a tag waits for: at first, or after some completions.

    Members
    -------
    position : ``range(slot_bytes)``
        Where the next byte goes in the slot.
    missing_dw : 11
        DWs to come, parts of DWs at either end included.
    excess : 2
        Bytes of the last DW that were not asked for.
    poisoned : 1
        Some of the data so far is.
    """

    def __init__(self, slot_bytes: int):
        super().__init__(
            {"position": range(slot_bytes), "missing_dw": 11, "excess": 2, "poisoned": 1}
        )


def _missing_bytes(expected):
    """Byte Count of the completion that is expected next (PCIe Base 6.x §2.3.1.1)."""
    return (expected.missing_dw << 2) - (expected.position[:2] + expected.excess)


class Reassembly(Component):
    """Check completions against their requests and write their data into the tags' slots.

    Any split of a request is accepted, at any DW, in address order; requests complete in any order.
    A completion belongs to a request if its tag waits, it carries our requester ID, and, with
    status Successful, its byte count, lower address and length agree with what is still missing
    (PCIe Base 6.x §2.3.2). Any other is unexpected: dropped, and the tag waits on.

    The slot of a tag holds the aligned block of ``read_slot_bytes`` around the chunk, so data lies
    at its own address modulo the slot.

    **Timing**: a beat per clock. A completion waits for one clock if the last beat of another with
    the same tag, or the only beat of one, is just ahead. ``finish`` comes 2 clocks after the last
    beat is accepted, and the data is in memory one clock later.

    **Errors**: a failed or reserved status ends the request at once. Poisoned data is taken like
    any other, but the request ends with ``POISONED`` after its last completion. ``error`` tells of
    unexpected and poisoned completions, and of Request Retry Status, which is malformed in a
    completion of a memory read.

    Members
    -------
    i : ``In(packet_stream(Completion, data_width))``
    routing_id : 16
    look_tag : ``range(tags)``
        The tag of the completion to come, to which the following belong:
    waiting, orphan, fresh : 1
        State of the tag. An orphan's completions are not held to the requester ID.
    expected : Expected
        What its request asked for.
    tag : ``range(tags)``
        The tag of the completion at hand, to which the following belong:
    busy : 1
        What follows may come true in this clock; known earlier in the clock.
    advance : 1
        A completion of it is accepted.
    finish : 1
        It has all its data, or has failed, with ``status``.
    status : ReadStatus
    write_address : ``range(tags * read_slot_bytes // 4)``
        DW to write to.
    write_data : ``data_width``
    write_enable : ``data_width // 32``
    failed : 1
        The request ends, for one clock, with the status in ``header``, which is not success.
    error : ErrorKind
        About the completion in ``header``; ``NONE`` but for the one clock.
    header : Completion
    """

    def __init__(self, config: Config):
        self._config = config
        tags, slot_bytes = config.tags, config.read_slot_bytes
        self._expected = Expected(slot_bytes)
        super().__init__(
            {
                "i": In(packet_stream(Completion, config.data_width)),
                "routing_id": In(16),
                "look_tag": Out(range(tags)),
                "waiting": In(1),
                "orphan": In(1),
                "fresh": In(1),
                "expected": In(self._expected),
                "tag": Out(range(tags)),
                "busy": Out(1),
                "advance": Out(1),
                "finish": Out(1),
                "status": Out(ReadStatus),
                "write_address": Out(range(tags * slot_bytes // 4)),
                "write_data": Out(config.data_width),
                "write_enable": Out(config.beat_dw),
                "failed": Out(1),
                "error": Out(ErrorKind),
                "header": Out(Completion),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.progress = progress = Memory(shape=self._expected, depth=config.tags, init=[])
        stored, store = progress.read_port(domain="comb"), progress.write_port()

        # A beat as it came, then beside it what its tag expects.
        came, came_valid = Signal(Packet(Completion, config.data_width)), Signal()
        beat, valid = Signal.like(came), Signal()
        now, missing_bytes, ours, orphan = Signal(self._expected), Signal(13), Signal(), Signal()
        found, wait = Signal(self._expected), Signal()
        # By its own header: DWs to come, this completion included; it is one of them, or the last.
        span_dw, fits, ending = Signal(11), Signal(), Signal()
        length_dw, byte_count = came.header.length_dw, self.i.p.header.byte_count
        edges = Signal(range(10))
        m.d.comb += [
            edges.eq(byte_count[:2] + self.i.p.header.lower_address[:2] + 3),
            self.look_tag.eq(came.header.tag),
            stored.addr.eq(self.look_tag),
            found.eq(Mux(self.fresh, self.expected, stored.data)),
            # What this completion expects is what the one before it leaves.
            wait.eq(
                came_valid
                & came.first
                & valid
                & (beat.first | beat.last)
                & (came.header.tag == beat.header.tag)
            ),
            self.i.ready.eq(~wait),
        ]
        with m.If(~wait):
            m.d.sync += [
                came.eq(self.i.p),
                came_valid.eq(self.i.valid),
                span_dw.eq(byte_count[2:] + edges[2:]),
            ]
        m.d.sync += [
            beat.eq(came),
            valid.eq(came_valid & ~wait),
            now.eq(found),
            # Whether it is fresh is known late.
            missing_bytes.eq(
                Mux(self.fresh, _missing_bytes(self.expected), _missing_bytes(stored.data))
            ),
            fits.eq((length_dw != 0) & (length_dw <= span_dw)),
            ending.eq(length_dw == span_dw),
            orphan.eq(self.orphan),
            ours.eq(
                self.waiting
                & (came.header.tag < config.tags)
                & (self.orphan | (came.header.requester == self.routing_id))
            ),
        ]

        header = beat.header
        agrees, success, begin = Signal(), Signal(), Signal()
        m.d.comb += [
            self.tag.eq(header.tag),
            self.header.eq(header),
            self.busy.eq(valid & (beat.first | beat.last)),
            success.eq(header.status == Status.SUCCESS),
            begin.eq(valid & beat.first),
            agrees.eq(
                (header.byte_count == missing_bytes)
                & (header.lower_address == now.position[:7])
                & fits
            ),
            self.advance.eq(begin & ours & success & agrees),
            store.addr.eq(self.tag),
            store.en.eq(self.advance),
            store.data.position.eq(Cat(C(0, 2), now.position[2:] + header.length_dw)),
            store.data.missing_dw.eq(now.missing_dw - header.length_dw),
            store.data.excess.eq(now.excess),
            store.data.poisoned.eq(now.poisoned | header.poisoned),
        ]
        self._write(m, beat, valid, now, ending)
        m.d.comb += self.failed.eq(begin & ours & ~success)
        self._judge(m, header, begin & ~(ours & (~success | agrees)), orphan)
        return m

    def _write(self, m, beat, valid, now, ending_first):
        """Write the beats of a completion, from the place where its header says they begin."""
        lanes = self._config.beat_dw
        place, place_next = Signal.like(self.write_address), Signal.like(self.write_address)
        left, left_next = Signal(11), Signal(11)
        accepted, accepted_next = Signal(), Signal()
        ending, ending_next = Signal(), Signal()
        poisoned, poisoned_next = Signal(), Signal()
        m.d.comb += [
            place_next.eq(place),
            left_next.eq(left),
            accepted_next.eq(accepted),
            ending_next.eq(ending),
            poisoned_next.eq(poisoned),
        ]
        with m.If(beat.first):
            m.d.comb += [
                place_next.eq(Cat(now.position[2:], self.tag)),
                left_next.eq(beat.header.length_dw),
                accepted_next.eq(self.advance),
                ending_next.eq(ending_first),
                poisoned_next.eq(now.poisoned | beat.header.poisoned),
            ]
        with m.If(valid):
            m.d.sync += [
                place.eq(place_next + lanes),
                left.eq(left_next - lanes),
                accepted.eq(accepted_next),
                ending.eq(ending_next),
                poisoned.eq(poisoned_next),
            ]
        m.d.sync += [
            self.write_address.eq(place_next),
            self.write_data.eq(beat.data),
            self.write_enable.eq(
                Cat(valid & accepted_next & (left_next > lane) for lane in range(lanes))
            ),
        ]
        with m.If(valid & beat.last & accepted_next & ending_next):
            m.d.comb += self.finish.eq(1)
            with m.If(poisoned_next):
                m.d.comb += self.status.eq(ReadStatus.POISONED)

    def _judge(self, m, header, unexpected, orphan):
        """End requests that fail, and report what is not in order."""
        with m.If(self.failed):
            m.d.comb += self.finish.eq(1)
            with m.Switch(header.status):
                with m.Case(Status.COMPLETER_ABORT):
                    m.d.comb += self.status.eq(ReadStatus.COMPLETER_ABORT)
                with m.Default():
                    m.d.comb += self.status.eq(ReadStatus.UNSUPPORTED_REQUEST)
        with m.If(unexpected):
            m.d.comb += self.error.eq(ErrorKind.UNEXPECTED_COMPLETION)
        with m.Elif(orphan):
            pass
        with m.Elif(self.failed & (header.status == Status.REQUEST_RETRY)):
            m.d.comb += self.error.eq(ErrorKind.MALFORMED)
        with m.Elif(self.advance & header.poisoned):
            m.d.comb += self.error.eq(ErrorKind.POISONED)
