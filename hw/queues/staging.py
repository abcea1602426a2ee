"""Staged submission: descriptors that come in pieces of 8 bytes, an extension of ours."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from ..flow.block_memory import BlockMemory
from ..regs import Config
from ..regs.bar2 import PORTALS_PER_QUEUE
from ..regs.descriptor import DESCRIPTOR_BYTES
from ..tlp.records import packet_stream
from .records import Submission

PIECE_BITS = 64
PIECES = DESCRIPTOR_BYTES * 8 // PIECE_BITS


class Staging(Component):
    """Gather pieces of descriptors, one buffer for each portal page; let whole descriptors pass.

    A piece fills its place of its portal's buffer. The one at the last place empties the buffer,
    and if every other place has been filled since it was last empty, the descriptor goes on as if
    it had come whole. A buffer is empty while its queue accepts nothing and while the extension is
    off. Shared queues refuse what comes out of here, as they refuse every posted write.

    **Timing**: what comes whole passes at once. A piece takes 3 clocks with its verdict; the last
    one of a descriptor 4, a clock per beat, and what the descriptor takes where it goes.

    Parameters
    ----------
    config
        ``queues`` count, ``data_width``.

    Members
    -------
    i, o : ``packet_stream(Submission, data_width)``
        A piece is one beat, its data in bits 63:0; what leaves is whole.
    i_verdict, o_verdict : ``stream.Signature(1)``
        One for each submission. A piece that completes nothing is refused: nobody waits for it.
    enabled : ``In(queues)``
        Queues that accept descriptors.
    staged : ``In(1)``
        The extension is on.
    """

    def __init__(self, config: Config):
        self._config = config
        width = config.data_width
        super().__init__(
            {
                "i": In(packet_stream(Submission, width)),
                "o": Out(packet_stream(Submission, width)),
                "i_verdict": In(stream.Signature(1)),
                "o_verdict": Out(stream.Signature(1)),
                "enabled": In(config.queues),
                "staged": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, portals = self._config.data_width, self._config.queues * PORTALS_PER_QUEUE
        beats = DESCRIPTOR_BYTES * 8 // width
        # Nothing is read of a buffer before it is full.
        m.submodules.words = words = BlockMemory(portals * beats, width, PIECE_BITS)
        m.submodules.places = places = Memory(shape=PIECES, depth=portals, init=[])
        mark, marked = places.write_port(), places.read_port()

        header = self.i.p.header
        portal = Signal(range(portals))
        held, beat, following = Signal(Submission), Signal(range(beats)), Signal(range(beats))
        begun = self._watch(m, portals)
        filled, bit = Signal(PIECES), Signal(PIECES)
        m.d.comb += [
            portal.eq(Cat(header.portal, header.queue)),
            marked.addr.eq(portal),
            bit.eq(1 << header.place),
            filled.eq(bit | Mux(begun.bit_select(portal, 1), marked.data, 0)),
            mark.addr.eq(portal),
            mark.data.eq(filled),
            words.write_address.eq(portal * beats + header.place * PIECE_BITS // width),
            words.write_data.eq(self.i.p.data[:PIECE_BITS].replicate(width // PIECE_BITS)),
            words.read.eq(1),
            words.read_address.eq(Cat(held.portal, held.queue) * beats + following),
        ]
        owed = self._owed(m)
        with m.FSM():
            with m.State("PASS"):
                self._pass(m, header.piece)
                with m.If(self.i.valid & header.piece & ~owed):
                    m.next = "STORE"
            with m.State("STORE"):
                m.d.comb += [self.i.ready.eq(1), mark.en.eq(1)]
                m.d.comb += words.write.eq(1 << header.place % (width // PIECE_BITS))
                m.d.sync += [held.eq(header), held.piece.eq(0), held.place.eq(0), beat.eq(0)]
                accepting = self.staged & self.enabled.bit_select(header.queue, 1)
                last = header.place == PIECES - 1
                m.d.sync += begun.bit_select(portal, 1).eq(accepting & ~last)
                m.next = "REFUSE"
                with m.If(accepting & filled.all()):
                    m.next = "FETCH"
            with m.State("REFUSE"):
                m.d.comb += self.o_verdict.valid.eq(1)
                with m.If(self.o_verdict.ready):
                    m.next = "PASS"
            with m.State("FETCH"):
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.header.eq(held),
                    self.o.p.data.eq(words.read_data),
                    self.o.p.first.eq(beat == 0),
                    self.o.p.last.eq(beat == beats - 1),
                    following.eq(beat + self.o.ready),
                ]
                m.d.sync += beat.eq(following)
                with m.If(self.o.ready & self.o.p.last):
                    m.next = "PASS"
        with m.If(owed):
            m.d.comb += [
                self.o_verdict.valid.eq(self.i_verdict.valid),
                self.o_verdict.payload.eq(self.i_verdict.payload),
                self.i_verdict.ready.eq(self.o_verdict.ready),
            ]
        return m

    def _watch(self, m, portals):
        """Buffers that are not empty; what keeps them so may end at any time."""
        begun = Signal(portals)
        kept = Cat(bit.replicate(PORTALS_PER_QUEUE) for bit in self.enabled)
        m.d.sync += begun.eq(begun & kept & self.staged.replicate(portals))
        return begun

    def _owed(self, m):
        """Whether the verdict on what went on has not come yet."""
        owed = Signal()
        with m.If(self.o.valid & self.o.ready & self.o.p.last):
            m.d.sync += owed.eq(1)
        with m.Elif(self.i_verdict.valid & self.i_verdict.ready):
            m.d.sync += owed.eq(0)
        return owed

    def _pass(self, m, piece):
        """Hand on what comes whole."""
        m.d.comb += [
            self.o.valid.eq(self.i.valid & ~piece),
            self.o.payload.eq(self.i.payload),
            self.i.ready.eq(self.o.ready & ~piece),
        ]
