"""Completions, checked and put where they belong."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from ..regs import Config
from ..tlp.records import Completion, Packet, Status, packet_stream
from .records import ErrorKind, ReadStatus


class Reassembly(Component):
    """Check completions against their requests and write their data into the tags' slots.

    Any split of a request is accepted, at any DW, in address order; requests complete in any order.
    A completion belongs to a request if its tag waits, it carries our requester ID, and, with
    status Successful, its byte count, lower address and length agree with what is still missing
    (PCIe Base 6.x §2.3.2). Any other is unexpected: dropped, and the tag waits on.

    The slot of a tag holds the aligned block of ``read_slot_bytes`` around the chunk, so data lies
    at its own address modulo the slot.

    **Timing**: never stalls; ``finish`` comes one clock after the last beat is accepted, and the
    data is in memory one clock after that.

    **Errors**: a failed or reserved status ends the request at once. Poisoned data is kept out of
    nothing, but the request ends with ``POISONED`` after its last completion. ``error`` tells of
    unexpected and poisoned completions, and of Request Retry Status, which is malformed in a
    completion of a memory read.

    Members
    -------
    i : ``In(packet_stream(Completion, data_width))``
    routing_id : 16
    tag : ``range(tags)``
        The tag of the completion at hand, to which the following belong:
    waiting, orphan, fresh : 1
        State of the tag. An orphan's completions are not held to the requester ID.
    start : ``range(read_slot_bytes)``
        Its chunk's place in the slot.
    length_bytes : 13
        Its chunk's length.
    advance : 1
        A completion of it is accepted.
    finish : 1
        It has all its data, or has failed, with ``status``.
    status : ReadStatus
    write_address : ``range(tags * read_slot_bytes // 4)``
        DW to write to.
    write_data : ``data_width``
    write_enable : ``data_width // 32``
    error : ErrorKind
        About the completion in ``header``; ``NONE`` but for the one clock.
    header : Completion
    """

    def __init__(self, config: Config):
        self._config = config
        tags, slot_bytes = config.tags, config.read_slot_bytes
        super().__init__(
            {
                "i": In(packet_stream(Completion, config.data_width)),
                "routing_id": In(16),
                "tag": Out(range(tags)),
                "waiting": In(1),
                "orphan": In(1),
                "fresh": In(1),
                "start": In(range(slot_bytes)),
                "length_bytes": In(13),
                "advance": Out(1),
                "finish": Out(1),
                "status": Out(ReadStatus),
                "write_address": Out(range(tags * slot_bytes // 4)),
                "write_data": Out(config.data_width),
                "write_enable": Out(config.beat_dw),
                "error": Out(ErrorKind),
                "header": Out(Completion),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        position_bits = exact_log2(config.read_slot_bytes)
        progress_shape = data.StructLayout(
            {"position": position_bits, "missing": 13, "poisoned": 1}
        )
        m.submodules.progress = progress = Memory(shape=progress_shape, depth=config.tags, init=[])
        stored, store = progress.read_port(domain="comb"), progress.write_port()

        beat, valid = Signal(Packet(Completion, config.data_width)), Signal()
        header = beat.header
        m.d.comb += [
            self.i.ready.eq(1),
            self.tag.eq(header.tag),
            self.header.eq(header),
            stored.addr.eq(self.tag),
        ]
        m.d.sync += [beat.eq(self.i.p), valid.eq(self.i.valid)]

        now = Signal(progress_shape)
        missing_dw = Signal(11)
        good, ours, begin = Signal(), Signal(), Signal()
        m.d.comb += [
            now.eq(stored.data),
            missing_dw.eq((now.missing + now.position[:2] + 3) >> 2),
            good.eq(header.status == Status.SUCCESS),
            ours.eq(
                self.waiting
                & (header.tag < config.tags)
                & (self.orphan | (header.requester == self.routing_id))
            ),
            begin.eq(valid & beat.first),
        ]
        with m.If(self.fresh):
            m.d.comb += [
                now.position.eq(self.start),
                now.missing.eq(self.length_bytes),
                now.poisoned.eq(0),
            ]
        agrees = Signal()
        m.d.comb += [
            agrees.eq(
                (header.byte_count == now.missing)
                & (header.lower_address == now.position[:7])
                & (header.length_dw != 0)
                & (header.length_dw <= missing_dw)
            ),
            self.advance.eq(begin & ours & good & agrees),
            store.addr.eq(self.tag),
            store.en.eq(self.advance),
            store.data.position.eq(Cat(C(0, 2), now.position[2:] + header.length_dw)),
            store.data.missing.eq(now.missing + now.position[:2] - (header.length_dw << 2)),
            store.data.poisoned.eq(now.poisoned | header.poisoned),
        ]
        self._write(m, beat, valid, now, header.length_dw == missing_dw)
        self._judge(m, header, begin & ours & ~good, begin & ~(ours & (~good | agrees)))
        return m

    def _write(self, m, beat, valid, now, completes):
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
                ending_next.eq(completes),
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

    def _judge(self, m, header, failed, unexpected):
        """End requests that fail, and report what is not in order."""
        with m.If(failed):
            m.d.comb += self.finish.eq(1)
            with m.Switch(header.status):
                with m.Case(Status.COMPLETER_ABORT):
                    m.d.comb += self.status.eq(ReadStatus.COMPLETER_ABORT)
                with m.Default():
                    m.d.comb += self.status.eq(ReadStatus.UNSUPPORTED_REQUEST)
        with m.If(unexpected):
            m.d.comb += self.error.eq(ErrorKind.UNEXPECTED_COMPLETION)
        with m.Elif(self.orphan):
            pass
        with m.Elif(failed & (header.status == Status.REQUEST_RETRY)):
            m.d.comb += self.error.eq(ErrorKind.MALFORMED)
        with m.Elif(self.advance & header.poisoned):
            m.d.comb += self.error.eq(ErrorKind.POISONED)
