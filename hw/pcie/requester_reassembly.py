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
    missing_bytes : 13
        Bytes to come: Byte Count of the next completion (PCIe Base 6.x §2.3.1.1).
    poisoned : 1
        Some of the data so far is.
    """

    def __init__(self, slot_bytes: int):
        super().__init__({"position": range(slot_bytes), "missing_bytes": 13, "poisoned": 1})


class Reassembly(Component):
    """Check completions against their requests and write their data into the tags' slots.

    Any split of a request is accepted, at any DW, in address order; requests complete in any order.
    A completion belongs to a request if its tag waits, it carries our requester ID, and, with
    status Successful, its byte count, lower address and length agree with what is still missing
    (PCIe Base 6.x §2.3.2). Any other is unexpected: dropped, and the tag waits on.

    The slot of a tag holds the aligned block of ``read_slot_bytes`` around the chunk, so data lies
    at its own address modulo the slot.

    **Timing**: a beat per clock. A completion waits for one clock if the last beat of another with
    the same tag, or the only beat of one, is just ahead. ``finish`` comes 3 clocks after the last
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
    tag : ``range(tags)``, at : ``tags``
        The tag of the completion at hand, and its bit; the following belong to it:
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
                "at": Out(tags),
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

        # A beat as it came; then beside what was looked up for it; then with what it deserves.
        layout = Packet(Completion, config.data_width)
        came, looked, beat = (
            Signal(layout, name=name, reset_less=True) for name in ("came", "looked", "beat")
        )
        came_valid, looked_valid, valid = Signal(), Signal(), Signal()
        # By its own header: DWs to come, this completion included; it is one of them, or the last.
        span_dw, fits, ending = Signal(11), Signal(), Signal()
        byte_count, edges = self.i.p.header.byte_count, Signal(range(10))
        # Another one with its tag is just ahead of a completion; or is being judged.
        wait, behind = Signal(), Signal()
        m.d.comb += [
            edges.eq(byte_count[:2] + self.i.p.header.lower_address[:2] + 3),
            self.i.ready.eq(~wait),
        ]

        def same(packet, packet_valid):
            same_tag = packet.header.tag == self.i.p.header.tag
            starts = self.i.valid & self.i.p.first
            return starts & packet_valid & (packet.first | packet.last) & same_tag

        with m.If(~wait):
            m.d.sync += [
                came.eq(self.i.p),
                came_valid.eq(self.i.valid),
                span_dw.eq(byte_count[2:] + edges[2:]),
                wait.eq(same(came, came_valid)),
                behind.eq(same(looked, looked_valid)),
            ]
        with m.Else():
            m.d.sync += [wait.eq(0), behind.eq(1)]

        fresh, asked, left = Signal(), Signal(self._expected), Signal(self._expected)
        known, mine, orphan = Signal(), Signal(), Signal()
        m.d.comb += [self.look_tag.eq(came.header.tag), stored.addr.eq(self.look_tag)]
        m.d.sync += [
            looked.eq(came),
            looked_valid.eq(came_valid & ~wait),
            # What this completion expects is what the one before it leaves.
            fresh.eq(self.fresh & ~(behind & self.advance)),
            asked.eq(self.expected),
            left.eq(Mux(behind & self.advance, store.data, stored.data)),
            fits.eq((came.header.length_dw != 0) & (came.header.length_dw <= span_dw)),
            ending.eq(came.header.length_dw == span_dw),
            orphan.eq(self.orphan),
            known.eq(self.waiting & (came.header.tag < config.tags) & ~(behind & self.finish)),
            mine.eq(came.header.requester == self.routing_id),
        ]

        now, ours, agrees = Signal(self._expected), Signal(), Signal()
        found, ends, reports = Signal(self._expected), Signal(), Signal()
        m.d.comb += found.eq(Mux(fresh, asked, left))
        m.d.sync += [
            beat.eq(looked),
            self.at.eq(1 << looked.header.tag),
            valid.eq(looked_valid),
            now.eq(found),
            ends.eq(ending),
            reports.eq(~orphan),
            ours.eq(known & (orphan | mine)),
            agrees.eq(
                (looked.header.byte_count == found.missing_bytes)
                & (looked.header.lower_address == found.position[:7])
                & fits
            ),
        ]

        header = beat.header
        success, begin = Signal(), Signal()
        m.d.comb += [
            self.tag.eq(header.tag),
            self.header.eq(header),
            self.busy.eq(valid & (beat.first | beat.last)),
            success.eq(header.status == Status.SUCCESS),
            begin.eq(valid & beat.first),
            self.advance.eq(begin & ours & success & agrees),
            store.addr.eq(self.tag),
            store.en.eq(self.advance),
            store.data.position.eq(Cat(C(0, 2), now.position[2:] + header.length_dw)),
            store.data.missing_bytes.eq(
                now.missing_bytes + now.position[:2] - (header.length_dw << 2)
            ),
            store.data.poisoned.eq(now.poisoned | header.poisoned),
        ]
        self._write(m, beat, valid, now, ends)
        m.d.comb += self.failed.eq(begin & ours & ~success)
        self._judge(m, header, begin & ~(ours & (~success | agrees)), reports)
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

    def _judge(self, m, header, unexpected, reports):
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
        with m.Elif(~reports):
            pass
        with m.Elif(self.failed & (header.status == Status.REQUEST_RETRY)):
            m.d.comb += self.error.eq(ErrorKind.MALFORMED)
        with m.Elif(self.advance & header.poisoned):
            m.d.comb += self.error.eq(ErrorKind.POISONED)
