"""The reading half of the requester."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.dw_banks import DwBanks
from ..regs import Config
from ..tlp.records import Completion, Request, packet_stream
from .records import ErrorKind, ReadChunk, ReadCommand, ReadStatus, Settings
from .requester_delivery import ReadDelivery
from .requester_issue import ReadIssue, ReadRecord, TagRing
from .requester_outstanding import Outstanding
from .requester_reassembly import Expected, Reassembly
from .requester_timer import TagTimer


class Reads(Component):
    """Read host memory: many requests in flight, chunks delivered in order.

    The contract is that of :class:`.requester.Requester`.

    Members
    -------
    i : ``In(stream.Signature(ReadCommand))``
    flush : 1
    i_completion : ``In(packet_stream(Completion, data_width))``
    settings : ``In(Settings)``
    o : ``Out(packet_stream(ReadChunk, data_width))``
    o_non_posted : ``Out(packet_stream(Request, data_width))``
    pending : 1
        Completions are to come.
    failed : 1
        For one clock: a request was answered with the status in ``error_header``, not success.
    error : ErrorKind
        For one clock, about the completion ``error_header`` unless it is a timeout.
    error_header : Completion
    timeout : 1
        For one clock: a request has been given up.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(ReadCommand)),
                "flush": In(1),
                "i_completion": In(packet_stream(Completion, config.data_width)),
                "settings": In(Settings),
                "o": Out(packet_stream(ReadChunk, config.data_width)),
                "o_non_posted": Out(packet_stream(Request, config.data_width)),
                "pending": Out(1),
                "failed": Out(1),
                "error": Out(ErrorKind),
                "error_header": Out(Completion),
                "timeout": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        delivery = ReadDelivery(config)
        m.submodules.delivery = ResetInserter(self.flush)(delivery)
        m.submodules.issue = issue = ReadIssue(config)
        m.submodules.ring = ring = TagRing(config.tags)
        m.submodules.tags = tags = Outstanding(config.tags)
        m.submodules.timer = timer = TagTimer(config)
        m.submodules.reassembly = reassembly = Reassembly(config)
        m.submodules.slots = slots = DwBanks(
            config.data_width, config.tags * config.read_slot_bytes // config.beat_bytes
        )
        connect(m, flipped(self.i), issue.i)
        connect(m, issue.o, flipped(self.o_non_posted))
        connect(m, flipped(self.i_completion), reassembly.i)
        connect(m, delivery.o, flipped(self.o))
        m.d.comb += [
            issue.settings.eq(self.settings),
            issue.flush.eq(self.flush),
            slots.write_address.eq(reassembly.write_address),
            slots.write_data.eq(reassembly.write_data),
            slots.write_enable.eq(reassembly.write_enable),
            slots.read_address.eq(delivery.read_address),
            slots.read_enable.eq(delivery.read_enable),
            delivery.read_data.eq(slots.read_data),
        ]
        m.d.comb += self.pending.eq((tags.waiting != 0) | self.o_non_posted.valid)
        self._take_tags(m, issue, ring, tags, timer)
        self._watch(m, tags, timer, reassembly)
        self._complete(m, issue, tags, reassembly)
        self._deliver(m, issue, ring, tags, reassembly, delivery)
        return m

    def _take_tags(self, m, issue, ring, tags, timer):
        """Hand out tags."""
        m.d.comb += [
            ring.push.eq(issue.push),
            ring.flush.eq(self.flush),
            ring.extended.eq(self.settings.extended_tag),
            issue.tag.eq(ring.tail),
            issue.settled.eq(ring.settled),
            issue.full.eq(ring.full),
            issue.busy.eq(tags.waiting | tags.quarantine),
            tags.issue.eq(issue.issue),
            tags.issue_at.eq(ring.at),
            tags.issue_sent.eq(issue.sent),
            tags.flush.eq(self.flush),
            timer.start.eq(issue.issue & issue.sent),
            timer.start_at.eq(ring.at),
        ]

    def _watch(self, m, tags, timer, reassembly):
        """Let tags expire, and report what goes wrong."""
        m.d.comb += [
            timer.waiting.eq(tags.waiting),
            timer.quarantine.eq(tags.quarantine),
            timer.disable.eq(self.settings.timeout_disable),
            timer.busy.eq(reassembly.busy),
            timer.busy_tag.eq(reassembly.tag),
            tags.expire.eq(timer.expire),
            tags.recover.eq(timer.recover),
            tags.watched_at.eq(timer.at),
            self.timeout.eq(timer.expire & ~(tags.orphan & timer.at).any()),
            self.failed.eq(reassembly.failed),
            self.error.eq(reassembly.error),
            self.error_header.eq(reassembly.header),
        ]

    def _complete(self, m, issue, tags, reassembly):
        """Tell the completions what their tags are waiting for."""
        shape = Expected(self._config.read_slot_bytes)
        m.submodules.expected = expected = Memory(shape=shape, depth=self._config.tags, init=[])
        store, look = expected.write_port(), expected.read_port(domain="comb")
        record = issue.record
        m.d.comb += [
            store.addr.eq(issue.tag),
            store.en.eq(issue.issue),
            store.data.position.eq(record.address),
            store.data.missing_bytes.eq(record.length_bytes),
            look.addr.eq(reassembly.look_tag),
            reassembly.expected.eq(look.data),
            reassembly.routing_id.eq(self.settings.routing_id),
            reassembly.waiting.eq(tags.waiting.bit_select(reassembly.look_tag, 1)),
            reassembly.orphan.eq(tags.orphan.bit_select(reassembly.look_tag, 1)),
            reassembly.fresh.eq(tags.fresh.bit_select(reassembly.look_tag, 1)),
            tags.advance.eq(reassembly.advance),
            tags.finish.eq(reassembly.finish),
            tags.answered_at.eq(reassembly.at),
        ]

    def _deliver(self, m, issue, ring, tags, reassembly, delivery):
        """Deliver the oldest chunk once it is complete."""
        tag_count = self._config.tags
        m.submodules.records = records = Memory(shape=ReadRecord, depth=tag_count, init=[])
        m.submodules.results = results = Memory(shape=ReadStatus, depth=tag_count, init=[])
        keep, recall = records.write_port(), records.read_port(domain="comb")
        judge, verdict = results.write_port(), results.read_port(domain="comb")
        record, chunk = recall.data, delivery.i.p.chunk
        # There is an oldest entry, and it waits for nothing, by what was known a clock ago.
        there, complete, void = Signal(), Signal(), Signal()
        m.d.sync += [
            there.eq(Mux(ring.pop, ring.more, ring.some) & ~self.flush),
            complete.eq(
                ~Mux(
                    ring.pop,
                    tags.waiting.bit_select(ring.second, 1),
                    tags.waiting.bit_select(ring.head, 1),
                )
            ),
        ]
        m.d.comb += [
            keep.addr.eq(issue.tag),
            keep.en.eq(issue.push),
            keep.data.eq(issue.record),
            judge.addr.eq(reassembly.tag),
            judge.en.eq(reassembly.finish),
            judge.data.eq(reassembly.status),
            recall.addr.eq(ring.head),
            verdict.addr.eq(ring.head),
            void.eq(there & record.void),
            chunk.address.eq(record.address),
            chunk.length_bytes.eq(record.length_bytes),
            delivery.i.p.tag.eq(ring.head),
            delivery.i.valid.eq(there & complete & ~record.void),
            ring.pop.eq((delivery.i.valid & delivery.i.ready) | (void & ring.popped)),
            ring.release.eq(delivery.release | (void & ring.popped)),
        ]
        with m.If(record.refusal != ReadStatus.SUCCESS):
            m.d.comb += chunk.status.eq(record.refusal)
        with m.Elif(tags.expired.bit_select(ring.head, 1)):
            m.d.comb += chunk.status.eq(ReadStatus.TIMEOUT)
        with m.Else():
            m.d.comb += chunk.status.eq(verdict.data)
