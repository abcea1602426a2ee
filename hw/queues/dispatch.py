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
    themselves (DSA §8.1.1). Descriptors that a command discards leave their queue here too.

    **Timing**: 5 clocks and one per beat for each descriptor handed out; 3 or 4 for each discarded.

    Parameters
    ----------
    config
        Counts of queues and slots, ``data_width``.

    Members
    -------
    o : ``Out(packet_stream(Work, data_width))``
        64 bytes each.
    filled : ``In(queues)``
        Queues that hold descriptors.
    chosen, choice : ``In``, take : ``Out(1)``
        The queue whose turn it is, if any; ``take`` pulses when it gets its turn.
    hold : ``In(1)``
        Hand nothing out.
    affected, discard, by_pasid, pasid : ``In``
        See :class:`hw.queues.records.QueueControl`.
    queue : ``Out``, entry, head : ``In``
        Queue asked about, and what it is one clock later.
    leave : ``Out(1)``, given : ``Out(1)``
        Pulse: the descriptor at ``head`` of ``queue`` has left; with ``given`` to the engine.
    slot_address : ``Out``, slot_data, slot_ims : ``In``
        Read port of the slot memory; data come one clock later.
    """

    def __init__(self, config: Config):
        self._beats = DESCRIPTOR_BYTES // config.beat_bytes
        index = range(max(config.queues, 2))
        super().__init__(
            {
                "o": Out(packet_stream(Work, config.data_width)),
                "filled": In(config.queues),
                "chosen": In(1),
                "choice": In(index),
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

    def elaborate(self, platform):
        m = Module()
        queue = Signal.like(self.queue)
        beat = Signal(range(max(self._beats, 2)))
        following = Signal.like(beat)
        header = Signal(Work)
        doomed = Signal.like(self.affected)
        unwanted = Signal()
        m.d.comb += [
            self.queue.eq(queue),
            doomed.eq(Mux(self.discard & ~self.by_pasid, self.filled & self.affected, 0)),
            self.slot_address.eq(Cat(following[: (self._beats - 1).bit_length()], self.head)),
            self.o.p.header.eq(header),
            self.o.p.data.eq(self.slot_data),
            self.o.p.first.eq(beat == 0),
            self.o.p.last.eq(beat == self._beats - 1),
        ]
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.sync += [beat.eq(0), unwanted.eq(doomed.any())]
                with m.If(doomed.any()):
                    for index in reversed(range(len(doomed))):
                        with m.If(doomed[index]):
                            m.d.comb += self.queue.eq(index)
                    m.next = "LOOK UP"
                with m.Elif(self.chosen & ~self.hold):
                    m.d.comb += [self.queue.eq(self.choice), self.take.eq(1)]
                    m.next = "LOOK UP"
                m.d.sync += queue.eq(self.queue)
            with m.State("LOOK UP"):
                m.next = "JUDGE"
                with m.If(unwanted):
                    m.d.comb += self.leave.eq(1)
                    m.next = "SKIP"
            with m.State("SKIP"):
                # The counts of the queue follow one clock later.
                m.next = "CHOOSE"
            with m.State("JUDGE"):
                self._describe(m, header)
                m.next = "FILTER"
            with m.State("FILTER"):
                tenant = header.tenant
                with m.If(
                    self.discard & self.by_pasid & tenant.valid & (tenant.pasid == self.pasid)
                ):
                    m.d.comb += self.leave.eq(1)
                    m.next = "SKIP"
                with m.Else():
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
