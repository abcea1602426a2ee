"""From a read command to a tag and a request."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..tlp.records import Kind, Request, packet_stream
from .byte_enables import ByteEnables
from .records import ReadCommand, ReadStatus, Settings


class ReadRecord(data.Struct):
    """What is remembered of a chunk until it is delivered."""

    address: 64
    length_bytes: 13
    #: Why no request was sent, or ``SUCCESS``.
    refusal: ReadStatus
    #: The tag was not free and has been passed over; there is no chunk.
    void: 1


class TagRing(Component):
    """Tags in a ring, handed out and delivered in order.

    An entry is pushed with tag ``tail``, popped at ``head`` when its delivery begins, and released
    when its buffer has been read. Only 32 tags are used unless ``extended``; a change of that takes
    effect when the ring is empty.

    **Timing**: events show in the next clock; one of each per clock.

    Parameters
    ----------
    tags
        A power of two.

    Members
    -------
    push, pop, release, flush : 1
    extended : 1
    tail, head, second : ``range(tags)``
        ``second`` is the head after a pop.
    settled : 1
        ``tail`` was the same in the clock before.
    at : ``tags``
        The bit of ``tail``, once that has settled.
    full : 1
        No push, please. Follows a clock late, once ``tail`` has settled.
    some, more : 1
        An entry is to be popped; or two at least.
    popped : 1
        No entry waits for its release but those that are to be popped.
    """

    def __init__(self, tags: int):
        self._tags = tags
        super().__init__(
            {name: In(1) for name in ("push", "pop", "release", "flush", "extended")}
            | {name: Out(1) for name in ("settled", "full", "some", "more", "popped")}
            | {name: Out(range(tags)) for name in ("tail", "head", "second")}
            | {"at": Out(tags)}
        )

    def elaborate(self, platform):
        m = Module()
        few = min(self._tags, 32)
        used, queued = Signal(range(self._tags + 1)), Signal(range(self._tags + 1))
        # With more than five bits of tag: the bits beyond the fifth that count.
        mask = Signal(range(self._tags), init=few - 1)
        m.d.sync += [
            used.eq(used + self.push - self.release),
            queued.eq(queued + self.push - self.pop),
            self.full.eq(used > mask),
            self.settled.eq(~self.push),
            self.at.eq(1 << self.tail),
        ]
        m.d.comb += [
            self.some.eq(queued != 0),
            self.more.eq(queued > 1),
            self.second.eq((self.head + 1) & mask),
            self.popped.eq(queued == used),
        ]
        with m.If(self.push):
            m.d.sync += self.tail.eq((self.tail + 1) & mask)
        with m.If(self.pop):
            m.d.sync += self.head.eq(self.second)
        with m.If(self.flush):
            m.d.sync += [used.eq(0), queued.eq(0), self.head.eq(self.tail)]
        if self._tags > few:
            wanted = Mux(self.extended, self._tags - 1, few - 1)
            with m.If((used == 0) & ~self.push & (mask != wanted)):
                m.d.sync += [mask.eq(wanted), self.tail.eq(0), self.head.eq(0), self.settled.eq(0)]
        return m


class ReadIssue(Component):
    """Give each read a tag, and ask for it.

    A read that may not be asked for takes a tag all the same, to be answered in its turn: Bus
    Master Enable is off, or it is a tenant's while PASIDs are not enabled. A tag that is still busy
    from an earlier use is passed over.

    A request that has been offered stays offered, whatever ``flush`` says.

    **Timing**: a request is valid one clock after its command is accepted; one per 2 clocks, and as
    many for a tag that is passed over or an answer without a request.

    Members
    -------
    i : ``In(stream.Signature(ReadCommand))``
    settings : ``In(Settings)``
    flush : 1
        Accept nothing.
    tag : ``range(tags)``
        The next tag.
    settled : 1
        It was the same in the clock before.
    full : 1
        There is none.
    busy : ``tags``
        Tags that cannot be used.
    push : 1
        ``tag`` is taken or passed over in this clock.
    issue : 1
        It is taken; ``sent`` says whether a request goes out.
    record : ``ReadRecord``
        To be kept for ``tag``.
    o : ``Out(packet_stream(Request, data_width))``
        One beat each; the requester ID is not filled in.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "i": In(stream.Signature(ReadCommand)),
                "settings": In(Settings),
                "flush": In(1),
                "tag": In(range(config.tags)),
                "settled": In(1),
                "full": In(1),
                "busy": In(config.tags),
                "push": Out(1),
                "issue": Out(1),
                "sent": Out(1),
                "record": Out(ReadRecord),
                "o": Out(packet_stream(Request, config.data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.enables = enables = ByteEnables()
        command, tenant = self.i.p, self.i.p.tenant
        # Whether the tag is busy is looked up a clock ahead: it does not become so by itself.
        busy, open_ = Signal(), Signal()
        m.d.sync += busy.eq(self.busy.bit_select(self.tag, 1))
        m.d.comb += [
            enables.start.eq(command.address[:2]),
            enables.length_bytes.eq(command.length_bytes),
            self.record.address.eq(command.address),
            self.record.length_bytes.eq(command.length_bytes),
            self.record.void.eq(busy),
            open_.eq(self.settled & ~self.full & ~self.flush),
            self.sent.eq(self.record.refusal == ReadStatus.SUCCESS),
            self.i.ready.eq(open_ & ~busy & ~self.o.valid),
            self.issue.eq(self.i.valid & self.i.ready),
            self.push.eq(self.issue | (self.i.valid & open_ & busy)),
        ]
        with m.If(~self.settings.bus_master):
            m.d.comb += self.record.refusal.eq(ReadStatus.BUS_MASTER_OFF)
        with m.Elif(tenant.valid & ~self.settings.pasid_enable):
            m.d.comb += self.record.refusal.eq(ReadStatus.UNSUPPORTED_REQUEST)

        request = self.o.p.header
        m.d.comb += [self.o.p.first.eq(1), self.o.p.last.eq(1)]
        with m.If(self.issue & self.sent):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        # Wide, so it does not wait to know whether there is a request.
        with m.If(~self.o.valid):
            m.d.sync += [
                request.kind.eq(Kind.MEMORY_READ),
                request.address.eq(Cat(C(0, 2), command.address[2:])),
                request.length_dw.eq(enables.o.length_dw),
                request.first_be.eq(enables.o.first_be),
                request.last_be.eq(enables.o.last_be),
                request.tag.eq(self.tag),
                request.tenant.valid.eq(tenant.valid),
                request.tenant.pasid.eq(tenant.pasid),
                request.tenant.privileged.eq(tenant.privileged & self.settings.pasid_privileged),
            ]
        return m
