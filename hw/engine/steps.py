"""What a job does, step by step."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import ReadChunk, ReadStatus
from ..regs import Config
from ..regs.descriptor import Opcode
from .kinds import KINDS, classify
from .passage import Origin, Run
from .records import Job, Token, TokenKind

FILL_BYTES = 4096
"""Writes of a fill end at multiples of this."""

RECORD_BYTES = 4000
"""Largest write of a delta record: whole beats, and no more than a write command can be."""


class Steps(Component):
    """Decide about each chunk of a job when it comes, and about what follows from it.

    A chunk becomes a run, or is taken as it lies: stored, folded into a CRC, or dropped. A run of
    its own goes to the second destination of a Dualcast, and to a delta record when all of a block
    has been compared.

    **Timing**: one clock between runs, one more where the run is not a chunk's, and one clock each
    for the beginning of a job and its end.

    Parameters
    ----------
    config
        ``data_width``.
    depth
        Beats of the memory: a quarter of it takes a chunk, the upper half the deltas of one.

    Members
    -------
    i : ``In(stream.Signature(Job))``
        Taken when it begins.
    job : ``In(Job)``
        The one that was taken last.
    i_token : ``In(stream.Signature(Token))``
    o_over : ``Out(stream.Signature(0))``
        One for each job, when it is over.
    stop : ``In(1)``
    cancel : ``Out(1)``
        As in :class:`.execute.Execute`.
    stopped : ``Out(1)``
        The job is abandoned.
    chunk : ``In(ReadChunk)``, chunk_valid : ``In(1)``
        The chunk whose first beat is next.
    chunk_ends : ``In(1)``
        Its last beat is taken.
    o_run : ``Out(stream.Signature(Run(config, depth)))``
    take : ``Out(1)``
        Take beats of the chunk as they lie.
    store, fold, load : ``Out(1)``
        The chunk that is taken is to be stored, belongs to the CRC, or is the seed of the CRC.
    place : ``Out(range(depth))``
        Where its first beat is stored, in the clock before it is taken.
    final : ``Out(1)``
        The chunk is the last one of the source.
    kinds : ``Out(KINDS)``
        Of the job, from the clock after its beginning on.
    begin : ``Out(1)``
        No job is under way: what is left of the one before is to be forgotten.
    flush : ``Out(1)``
        All entries of the block are there.
    recorded : ``Out(1)``
        Pulse: as many of them as the run has bytes are being written.
    block_bytes : ``In(13)``
        Of entries of the block that nobody has begun to write.
    ended : ``In(1)``
        The operation has found out that it is over.
    settled : ``In(1)``
        Nothing that was given away is under way any more.
    folds, summed : ``In(1)``
        The CRC takes beats, or is known.
    done_bytes : ``Out(32)``
        Of the source, or of the destination of a fill: what chunks and runs have covered.
    failed : ``Out(1)``
        A chunk has failed.
    """

    def __init__(self, config: Config, depth: int):
        self._lanes_log2 = config.beat_bytes.bit_length() - 1
        self._depth = depth
        # A chunk has as many beats as this counts, at most.
        self._place_bits = (depth // 4).bit_length() - 1
        super().__init__(
            {
                "i": In(stream.Signature(Job)),
                "job": In(Job),
                "i_token": In(stream.Signature(Token)),
                "o_over": Out(stream.Signature(0)),
                "stop": In(1),
                "cancel": Out(1),
                "stopped": Out(1),
                "chunk": In(ReadChunk),
                "chunk_valid": In(1),
                "chunk_ends": In(1),
                "o_run": Out(stream.Signature(Run(config, depth))),
                "take": Out(1),
                **dict.fromkeys(("store", "fold", "load", "final"), Out(1)),
                "place": Out(range(depth)),
                "begin": Out(1),
                "kinds": Out(KINDS),
                "flush": Out(1),
                "recorded": Out(1),
                "block_bytes": In(13),
                "ended": In(1),
                "settled": In(1),
                **dict.fromkeys(("folds", "summed"), In(1)),
                "done_bytes": Out(32),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        job, run = self.job, self.o_run.p
        again = self.kinds.doubles & (run.origin == Origin.CHUNK)
        records = self.kinds.creates & run.writes
        running, over, held = Signal(), Signal(), Signal()
        # The next run is not one of the chunk: AGAIN or RECORD.
        elsewhere = Signal()
        left, done = Signal(32), Signal(32)
        m.d.comb += [
            self.stopped.eq(self.stop | held),
            over.eq(self.failed | self.ended | self.stopped),
            self.cancel.eq(running & over),
            self.final.eq(left == run.length_bytes),
            done.eq(self.done_bytes + run.length_bytes),
            run.tenant.eq(job.tenant),
            run.offset.eq(self.done_bytes),
        ]
        with m.If(running & self.stop):
            m.d.sync += held.eq(1)
        with m.FSM() as fsm:
            m.d.comb += running.eq(~fsm.ongoing("IDLE") & ~fsm.ongoing("OVER"))
            with m.State("IDLE"):
                m.d.comb += [self.begin.eq(1), self.i.ready.eq(1)]
                m.d.sync += [self.done_bytes.eq(0), self.failed.eq(0), held.eq(0)]
                m.d.sync += classify(self.i.p, self.kinds)
                with m.If(self.i.valid):
                    m.next = "NEXT"
                    sound = (self.i.p.fault == 0) & ~self.i.p.abandoned
                    with m.If((self.i.p.opcode == Opcode.FILL) & sound):
                        m.next = "PLACE"
            with m.State("NEXT"):
                self._describe_chunk(m)
                self._next(m, over, elsewhere)
            with m.State("TAKE"):
                m.d.comb += self.take.eq(1)
                with m.If(self.chunk_ends):
                    m.next = "NEXT"
                    with m.If(self.fold):
                        m.d.sync += self.done_bytes.eq(done)
            with m.State("PLACE"):
                # Where the pattern stands at this place.
                m.d.sync += [run.origin.eq(Origin.PATTERN), run.source.eq(self.done_bytes[:3])]
                m.d.sync += [run.writes.eq(1), run.keep.eq(0)]
                m.next = "MEASURE"
            with m.State("MEASURE"):
                room = FILL_BYTES - run.address[:12]
                m.d.sync += run.length_bytes.eq(Mux(left > room, room, left))
                m.next = "RUN"
                with m.If(over):
                    m.next = "NEXT"
            with m.State("AGAIN"):
                m.d.sync += elsewhere.eq(0)
                m.d.sync += [run.origin.eq(Origin.MEMORY), run.source.eq(run.address)]
                m.d.sync += run.keep.eq(0)
                m.next = "RUN"
                with m.If(over):
                    m.next = "NEXT"
            with m.State("RECORD"):
                m.d.comb += self.flush.eq(1)
                m.d.sync += elsewhere.eq(0)
                m.next = "RUN"
                with m.If(self.stopped):
                    m.next = "NEXT"
            with m.State("RUN"):
                m.d.comb += self.o_run.valid.eq(1)
                with m.If(self.o_run.ready):
                    m.next = "NEXT"
                    with m.If(again):
                        m.d.sync += elsewhere.eq(1)
                        m.next = "AGAIN"
                    with m.Elif(~records):
                        m.d.sync += self.done_bytes.eq(done)
                    with m.If(self.kinds.fills & ~self.final):
                        m.next = "PLACE"
            with m.State("OVER"):
                m.d.comb += self.o_over.valid.eq(1)
                with m.If(self.o_over.ready):
                    m.next = "IDLE"
        with m.If(fsm.ongoing("NEXT") | fsm.ongoing("PLACE")):
            m.d.sync += left.eq(job.size_bytes - self.done_bytes)
        self._address(m, fsm, elsewhere)
        return m

    def _address(self, m, fsm, elsewhere):
        """Where the next run goes, and what is written of a delta record."""
        job, run = self.job, self.o_run.p
        kinds = self.kinds
        records = elsewhere & kinds.creates
        base, address = Signal(64), Signal(64)
        recorded, drained, rest = Signal(32), Signal(13), Signal(13)
        m.d.sync += self.recorded.eq(records & ~self.stopped)
        m.d.comb += [
            self.place.eq(address[self._lanes_log2 :][: self._place_bits]),
            base.eq(Mux(kinds.counts, 0, Mux(kinds.pairs, job.source, job.destination))),
            address.eq(Mux(elsewhere, job.operand, base) + Mux(records, recorded, self.done_bytes)),
            rest.eq(self.block_bytes),
        ]
        with m.If(fsm.ongoing("NEXT") | fsm.ongoing("PLACE") | elsewhere):
            m.d.sync += [
                run.address.eq(address),
                run.place.eq(self.place),
            ]
        with m.If(records):
            m.d.sync += [
                run.origin.eq(Origin.MEMORY),
                run.writes.eq(1),
                run.source.eq(0),
                run.length_bytes.eq(Mux(rest > RECORD_BYTES, RECORD_BYTES, rest)),
                run.place.eq(self._depth // 2 + (drained >> self._lanes_log2)),
            ]
        with m.If(self.recorded):
            m.d.sync += [
                recorded.eq(recorded + run.length_bytes),
                drained.eq(Mux(run.length_bytes == rest, 0, drained + run.length_bytes)),
            ]
        with m.If(self.begin):
            m.d.sync += [recorded.eq(0), drained.eq(0)]

    def _next(self, m, over, elsewhere):
        """Look at the next token, and begin what it asks for."""
        kinds, kind = self.kinds, self.i_token.p.kind
        idle, sums, pairs = Signal(), kinds.sums, kinds.pairs
        first, ends = kind == TokenKind.SOURCE, kind == TokenKind.END
        unrecorded, waits = Signal(), Signal()
        m.d.comb += [
            idle.eq(over | kinds.faulty),
            # A block is recorded before the next one comes into its place.
            waits.eq((ends | (first & pairs)) & ~self.settled),
            unrecorded.eq((self.block_bytes != 0) & ~self.stopped & (ends | (first & ~idle))),
        ]
        m.d.sync += [self.store.eq(0), self.fold.eq(0), self.load.eq(0)]
        with m.If(self.i_token.valid & ~waits):
            with m.If(unrecorded):
                m.d.sync += elsewhere.eq(1)
                m.next = "RECORD"
            with m.Elif(ends):
                with m.If(idle | ~sums | self.summed):
                    m.d.comb += self.i_token.ready.eq(1)
                    m.next = "OVER"
            with m.Elif(self.chunk_valid & (idle | ~sums | ~first | self.folds)):
                m.d.comb += self.i_token.ready.eq(1)
                m.next = "TAKE"
                with m.If(~idle):
                    with m.If(self.chunk.status != ReadStatus.SUCCESS):
                        m.d.sync += self.failed.eq(1)
                    with m.Elif(kind == TokenKind.SEED):
                        m.d.sync += self.load.eq(1)
                    with m.Elif(pairs & first):
                        m.d.sync += self.store.eq(1)
                    with m.Else():
                        m.d.sync += self.fold.eq(sums)
                        with m.If(~kinds.only_sums):
                            m.next = "RUN"

    def _describe_chunk(self, m):
        """The run that a chunk becomes."""
        run = self.o_run.p
        m.d.sync += [
            run.origin.eq(Origin.CHUNK),
            run.writes.eq(self.kinds.copies),
            run.keep.eq(self.kinds.doubles),
            run.source.eq(self.chunk.address),
            run.length_bytes.eq(self.chunk.length_bytes),
        ]
