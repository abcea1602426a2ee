"""What a job reads, cut into reads."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import ReadCommand, Settings, largest_read
from ..regs import Config
from ..regs.descriptor import Flag, Opcode
from .records import Job, Token, TokenKind

READS_SOURCE = (
    Opcode.MEMORY_MOVE,
    Opcode.COMPARE,
    Opcode.COMPARE_PATTERN,
    Opcode.CREATE_DELTA,
    Opcode.DUALCAST,
    Opcode.CRC,
    Opcode.COPY_CRC,
)
"""Operations that read as many bytes as they work on."""

READS_SECOND = (Opcode.COMPARE, Opcode.CREATE_DELTA)
"""Operations that read as many bytes again from a second source."""

READS_SEED = (Opcode.CRC, Opcode.COPY_CRC)
"""Operations that read four bytes first, if their flags say so."""

SEED_BYTES = 4


class Cutter(Component):
    """Ask for all that a job reads, and say in tokens what was asked for.

    Reads end at multiples of the largest read, which keeps 4 KiB boundaries too. Of two sources a
    block of the first is followed by the same bytes of the second, in one read or two. The seed of
    a CRC comes first. A job that is not to be executed reads nothing.

    **Timing**: the first read is valid 3 clocks after the job is taken, then one every 3 clocks. A
    token is told before its read is asked for. ``END`` follows the last read after a clock, and the
    next job is taken after another.

    Parameters
    ----------
    config
        ``read_slot_bytes``.

    Members
    -------
    i : ``In(stream.Signature(Job))``
    o_read : ``Out(stream.Signature(ReadCommand))``
    o_token : ``Out(stream.Signature(Token))``
    cancel : ``In(1)``
        No further reads of the job are wanted: a read on offer is the last one.
    settings : ``In(Settings)``
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(Job)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "o_token": Out(stream.Signature(Token)),
                "cancel": In(1),
                "settings": In(Settings),
            }
        )

    def elaborate(self, platform):
        m = Module()
        read, kind = self.o_read.p, self.o_token.p.kind
        # Where the next read of each source starts, and how far reads go: of the first to its end,
        # of the second to the end of the block.
        source, second = Signal(64, reset_less=True), Signal(64, reset_less=True)
        left, block = Signal(32), Signal(13)
        pair, final = Signal(), Signal()
        place, want, beyond = Signal(64), Signal(32), Signal(12)
        mask, spare = Signal(12), Signal(13)
        # One bit of the kind, since nothing is read for END.
        of_source = (kind != TokenKind.SECOND) & (kind != TokenKind.SEED)
        m.d.sync += mask.eq(largest_read(self._config, self.settings))
        m.d.comb += [
            place.eq(Mux(of_source, source, second)),
            want.eq(Mux(of_source, left, block)),
            # Bytes behind the next one, as far as the read may go; what is left of them.
            beyond.eq(mask & ~place[:12]),
            spare.eq(beyond - want[:12]),
        ]

        def end():
            m.d.sync += kind.eq(TokenKind.END)
            m.next = "END"

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                self._plan(m, source, second, left, block, pair)
                with m.If(self.i.valid):
                    m.next = "MEASURE"
                    with m.If(~self._reads(m)):
                        end()
            with m.State("MEASURE"):
                m.d.sync += [
                    read.address.eq(place),
                    read.length_bytes.eq(Mux(spare[12] | want[12:].any(), beyond + 1, want)),
                ]
                m.next = "TELL"
                with m.If(self.cancel):
                    end()
            with m.State("TELL"):
                m.d.comb += self.o_token.valid.eq(1)
                m.d.sync += final.eq(read.length_bytes == want)
                with m.If(self.o_token.ready):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.o_read.valid.eq(1)
                with m.If(self.o_read.ready):
                    m.next = "MEASURE"
                    with m.If(of_source):
                        m.d.sync += [
                            source.eq((source | mask) + 1),
                            left.eq(left - read.length_bytes),
                            block.eq(read.length_bytes),
                        ]
                        with m.If(pair):
                            m.d.sync += kind.eq(TokenKind.SECOND)
                        with m.Elif(final):
                            end()
                    with m.Else():
                        m.d.sync += [
                            second.eq(second + read.length_bytes),
                            block.eq(block - read.length_bytes),
                        ]
                        with m.If(final):
                            m.d.sync += kind.eq(TokenKind.SOURCE)
                            with m.If(left == 0):
                                end()
            with m.State("END"):
                m.d.comb += self.o_token.valid.eq(1)
                with m.If(self.o_token.ready):
                    m.next = "IDLE"
        return m

    def _is(self, opcodes):
        """Whether the job is one of these operations."""
        return Cat(self.i.p.opcode == opcode for opcode in opcodes).any()

    def _reads(self, m):
        """Whether the job reads anything."""
        job, reads = self.i.p, Signal()
        with m.If((job.fault == 0) & ~job.abandoned & ~job.batch_end):
            delta = self._is((Opcode.APPLY_DELTA,)) & job.operand[:32].any()
            m.d.comb += reads.eq(self._is(READS_SOURCE) | delta)
        return reads

    def _plan(self, m, source, second, left, block, pair):
        """Take over what is to be read."""
        job, kind = self.i.p, self.o_token.p.kind
        seed = self._is(READS_SEED) & ((job.flags & Flag.READ_SEED) != 0)
        m.d.sync += [
            self.o_read.p.tenant.eq(job.tenant),
            source.eq(job.source),
            second.eq(Mux(seed, job.operand_2, job.destination)),
            left.eq(Mux(self._is((Opcode.APPLY_DELTA,)), job.operand[:32], job.size_bytes)),
            block.eq(SEED_BYTES),
            pair.eq(self._is(READS_SECOND)),
            kind.eq(Mux(seed, TokenKind.SEED, TokenKind.SOURCE)),
        ]
