"""The portals: what becomes of a 64-byte write to BAR2 (DSA §9.3)."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..regs import Config
from ..regs.bar2 import Portal
from ..regs.commands import SoftwareError
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import packet_stream
from .records import ErrorRecord, QueueEntry, Submission


class Portals(Component):
    """Accept descriptors into the slots of their queues, or refuse them (DSA §5.3).

    The queue's room and kind are looked at before the first beat, whether it still accepts at the
    last one. A refused submission has filled no slot that anyone will read, and moved no pointer.

    **Timing**: 2 clocks, a clock per beat, and one for the verdict. The submission is taken with
    its last beat; exactly one verdict follows.

    **Errors**: a posted write to a dedicated queue that is full is refused and reported. Every
    other refusal is silent, or a retry where the write is deferrable.

    Parameters
    ----------
    config
        Counts of queues and slots, ``data_width``.

    Members
    -------
    i : ``In(packet_stream(Submission, data_width))``
        64 bytes each.
    o_verdict : ``Out(stream.Signature(1))``
        1: accepted.
    o_error : ``Out(stream.Signature(ErrorRecord))``
    enabled : ``In(queues)``
        Queues that accept descriptors.
    queue : ``Out``, entry, tail, occupancy : ``In``
        Queue asked about, and what it is one clock later (``occupancy``: the same clock).
    fill : ``Out(1)``
        Pulse: the slot at ``tail`` of ``queue`` holds a descriptor.
    slot_write, slot_address, slot_data : ``Out``
        Write port of the slot memory, in beats.
    slot_ims : ``Out(1)``
        Whether the portal is one for interrupt message storage.
    """

    def __init__(self, config: Config):
        self._beats = DESCRIPTOR_BYTES // config.beat_bytes
        beats = config.queue_slots * self._beats
        super().__init__(
            {
                "i": In(packet_stream(Submission, config.data_width)),
                "o_verdict": Out(stream.Signature(1)),
                "o_error": Out(stream.Signature(ErrorRecord)),
                "enabled": In(config.queues),
                "queue": Out(range(max(config.queues, 2))),
                "entry": In(QueueEntry),
                "tail": In(range(config.queue_slots)),
                "occupancy": In(16),
                "fill": Out(1),
                "slot_write": Out(1),
                "slot_address": Out(range(beats)),
                "slot_data": Out(config.data_width),
                "slot_ims": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        header = self.i.p.header
        room, full, accepted = Signal(), Signal(), Signal()
        beat = Signal(range(max(self._beats, 2)))
        # The header has been there for a clock when this is looked at.
        asked = Signal.like(header.queue)
        m.d.sync += asked.eq(header.queue)
        open = self.enabled.bit_select(asked, 1)
        limited = header.portal[0] & ~self.entry.dedicated
        below = self.occupancy < self.entry.size
        fits = below & (~limited | (self.occupancy < self.entry.threshold))
        suits = header.deferrable ^ self.entry.dedicated

        m.d.comb += [
            self.queue.eq(header.queue),
            self.slot_ims.eq((header.portal & Portal.IMS.value) != 0),
            self.slot_address.eq(Cat(beat[: (self._beats - 1).bit_length()], self.tail)),
            self.slot_data.eq(self.i.p.data),
            self.o_verdict.payload.eq(accepted),
            self.o_error.p.code.eq(SoftwareError.QUEUE_FULL),
            self.o_error.p.queue_valid.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += beat.eq(0)
                with m.If(self.i.valid):
                    m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.d.sync += [
                    room.eq(suits & fits & open),
                    full.eq(suits & self.entry.dedicated & ~below & open),
                ]
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += self.o_error.p.queue.eq(header.queue)
                m.d.comb += self.slot_write.eq(self.i.valid & room)
                with m.If(~open):
                    # What was found out no longer counts, even if the queue is enabled again.
                    m.d.sync += [room.eq(0), full.eq(0)]
                with m.If(self.i.valid):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(self.i.p.last):
                        m.d.sync += accepted.eq(room & open)
                        m.d.comb += self.fill.eq(room & open)
                        m.next = "VERDICT"
                        with m.If(full & open):
                            m.next = "REPORT"
            with m.State("REPORT"):
                m.d.comb += self.o_error.valid.eq(1)
                with m.If(self.o_error.ready):
                    m.next = "VERDICT"
            with m.State("VERDICT"):
                m.d.comb += self.o_verdict.valid.eq(1)
                with m.If(self.o_verdict.ready):
                    m.next = "IDLE"
        return m
