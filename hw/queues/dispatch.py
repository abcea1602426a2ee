"""Descriptors out of their slots, to the engine or to nowhere."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..regs.descriptor import DESCRIPTOR_BYTES, Opcode
from ..tlp.records import packet_stream
from .records import QueueEntry, Work


class Dispatch(Component):
    """Take the oldest descriptor of the chosen queue and hand it on with what its queue says of it.

    A dedicated queue's descriptors run as its configuration says, a shared queue's as they say
    themselves (DSA §8.1.1). Descriptors that a command discards leave their queue here too. A Drain
    descriptor stays, and those behind it, while an engine holds a descriptor of its queue.

    **Timing**: 7 clocks and one per beat for each descriptor handed out; 4 or 7 for each discarded,
    7 for each found to have to stay.

    Parameters
    ----------
    config
        Counts of queues, slots and engines, ``data_width``.

    Members
    -------
    o : ``Out(packet_stream(Work, data_width))``, target : ``Out(range(engines))``
        64 bytes each, and the engine that they are for.
    filled, running : ``In(queues)``
        Queues that hold descriptors, and those of which an engine does.
    ready : ``Out(queues)``
        Queues that may have a turn.
    chosen, choice_group : ``In``
        The group whose turn it is, if any.
    group : ``Out``, choice : ``In``, engine : ``In``
        The group that was chosen, its queue whose turn it is, and one clock later the engine that
        is to have a descriptor.
    take : ``Out(1)``
        Pulse: ``queue`` has its turn; its descriptor goes to ``target``.
    hold : ``In(1)``
        Hand nothing out.
    affected, discard, by_pasid, pasid : ``In``
        See :class:`hw.queues.records.QueueControl`.
    queue : ``Out``, entry, head : ``In``
        Queue asked about, and what it is one clock later.
    leave : ``Out(1)``, given : ``Out(1)``
        Pulse: the descriptor at ``head`` of ``queue`` has left; with ``given`` to ``target``.
    slot_address : ``Out``, slot_data, slot_ims : ``In``
        Read port of the slot memory; data come one clock later.
    """

    def __init__(self, config: Config):
        self._beats = DESCRIPTOR_BYTES // config.beat_bytes
        index, engine = range(max(config.queues, 2)), range(max(config.engines, 2))
        group = range(max(config.groups, 2))
        super().__init__(
            {
                "o": Out(packet_stream(Work, config.data_width)),
                "target": Out(engine),
                "filled": In(config.queues),
                "running": In(config.queues),
                "ready": Out(config.queues),
                "chosen": In(1),
                "choice": In(index),
                "choice_group": In(group),
                "group": Out(group),
                "engine": In(engine),
                "take": Out(1),
                "hold": In(1),
                "affected": In(config.queues),
                "discard": In(1),
                "by_pasid": In(1),
                "pasid": In(20),
                "queue": Out(index),
                "entry": In(QueueEntry),
                "head": In(range(config.queue_slots)),
                "leave": Out(1),
                "given": Out(1),
                "slot_address": Out(range(config.queue_slots * self._beats)),
                "slot_data": In(config.data_width),
                "slot_ims": In(1),
            }
        )

    def _describe(self, m, header):
        """Fill the header from the queue's configuration and the first beat."""
        entry, trusted = self.entry, self.slot_data
        m.d.sync += [
            header.queue.eq(self.queue),
            header.ims.eq(self.slot_ims),
            header.max_transfer_log2.eq(entry.max_transfer_log2),
            header.max_batch_log2.eq(entry.max_batch_log2),
            header.operations.eq(Cat(entry.mask[opcode] for opcode in sorted(Opcode))),
            header.shared.eq(~entry.dedicated),
            header.tenant.eq(0),
        ]
        with m.If(~entry.dedicated):
            m.d.sync += [
                header.tenant.valid.eq(1),
                header.tenant.pasid.eq(trusted[:20]),
                header.tenant.privileged.eq(trusted[31]),
            ]
        with m.Elif(entry.pasid_enable):
            m.d.sync += [
                header.tenant.valid.eq(1),
                header.tenant.pasid.eq(entry.pasid),
                header.tenant.privileged.eq(entry.privileged),
            ]

    def _choose(self, m, unwanted):
        """Look for something to discard, or else for a group whose turn it is."""
        doomed = Signal.like(self.affected)
        m.d.comb += doomed.eq(Mux(self.discard & ~self.by_pasid, self.filled & self.affected, 0))
        m.d.sync += [unwanted.eq(doomed.any()), self.group.eq(self.choice_group)]
        with m.If(doomed.any()):
            for index in reversed(range(len(doomed))):
                with m.If(doomed[index]):
                    m.d.sync += self.queue.eq(index)
            m.next = "LOOK UP"
        with m.Elif(self.chosen & ~self.hold):
            m.next = "PICK"

    def elaborate(self, platform):
        m = Module()
        beat = Signal(range(max(self._beats, 2)))
        following, last = Signal.like(beat), Signal()
        header = Signal(Work)
        staying, unwanted, drain = Signal.like(self.affected), Signal(), Signal()
        m.d.comb += [
            self.ready.eq(self.filled & ~staying),
            self.slot_address.eq(Cat(following[: (self._beats - 1).bit_length()], self.head)),
            self.o.p.header.eq(header),
            self.o.p.data.eq(self.slot_data),
            self.o.p.first.eq(beat == 0),
            self.o.p.last.eq(last),
        ]
        m.d.sync += [staying.eq(staying & self.running), last.eq(following == self._beats - 1)]
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.sync += beat.eq(0)
                self._choose(m, unwanted)
            with m.State("PICK"):
                m.d.sync += self.queue.eq(self.choice)
                m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += self.target.eq(self.engine)
                m.next = "JUDGE"
                with m.If(unwanted):
                    m.d.comb += self.leave.eq(1)
                    m.next = "SKIP"
            with m.State("SKIP"):
                # What this queue is now reaches the choice one clock later.
                m.next = "CHOOSE"
            with m.State("JUDGE"):
                self._describe(m, header)
                m.d.sync += drain.eq(self.slot_data[56:64] == Opcode.DRAIN)
                m.next = "FILTER"
            with m.State("FILTER"):
                tenant = header.tenant
                m.next = "SKIP"
                with m.If(
                    self.discard & self.by_pasid & tenant.valid & (tenant.pasid == self.pasid)
                ):
                    m.d.comb += self.leave.eq(1)
                with m.Elif(drain & self.running.bit_select(self.queue, 1)):
                    m.d.sync += staying.bit_select(self.queue, 1).eq(1)
                with m.Else():
                    m.d.comb += self.take.eq(1)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.comb += following.eq(beat + 1)
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(self.o.p.last):
                        m.d.comb += [self.leave.eq(1), self.given.eq(1)]
                        m.next = "SKIP"
                with m.Else():
                    m.d.comb += following.eq(beat)
        return m
