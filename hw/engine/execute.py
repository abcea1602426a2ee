"""Operations on memory, one job after another (DSA §8.3)."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..flow.block_memory import BlockMemory
from ..flow.packet_slice import PacketSlice
from ..pcie.records import ReadChunk, WriteCommand
from ..regs import Config
from ..regs.descriptor import Flag, Opcode, Status
from ..tlp.records import packet_stream
from ..tlp.slice import Slice
from .apply import Apply
from .crc import Crc
from .delta import WORD
from .differ import Differ, LaneBeat
from .gather import Gather
from .passage import Passage
from .records import Job, Result, Token
from .steps import Steps


class Execute(Component):
    """Do what jobs say, with the chunks that were read for them.

    Every chunk that arrives is whole, so what becomes of it is one write command, or two. A job
    with a fault is passed through. Nothing is written outside the destinations of a job.

    **Timing**: a job takes 3 clocks, and each of its chunks its beats and 2 to 4 clocks more: 64
    bytes are moved in 13 to 15 clocks. Fill writes a beat per clock and pauses for 3 every 4 KiB.
    Comparisons take the beats of both sources, Dualcast those of both destinations. A delta is
    applied in two clocks; four are created in five, besides the beats in which they are written.
    A CRC takes up to 15 clocks more for lanes outside the data.

    **Errors**: a chunk that failed ends the job with status 0x20 (DSA §5.8.1) unless a difference
    has been found before it. ``bytes_completed`` then says how far the operation has come, as it
    does with a delta that does not fit or must not be applied.

    Parameters
    ----------
    config
        ``data_width`` and ``read_slot_bytes``.

    Members
    -------
    i : ``In(stream.Signature(Job))``
        Taken when the one before is over.
    job : ``Out(Job)``
        The job that was taken last, whose result comes on ``o``.
    i_token : ``In(stream.Signature(Token))``
    i_read : ``In(packet_stream(ReadChunk, data_width))``
    o_write : ``Out(packet_stream(WriteCommand, data_width))``
    o : ``Out(stream.Signature(Result))``
        One for each job, when its last token was taken and all its writes have been handed over,
        but for the last beat of the last one, perhaps.
    lags : ``Out(1)``
        That beat is still on ``o_write``, though its job has been taken from ``o``.
    stop : ``In(1)``
        Abandon the job: write nothing more of it. It may come at any time and lasts until the job
        is over; a write that has begun is finished, and chunks are dropped to the end.
    cancel : ``Out(1)``
        No more chunks of the job are wanted.
    """

    def __init__(self, config: Config):
        self._config = config
        # A quarter takes a chunk, a half one that was realigned, the other half its deltas.
        self._depth = 4 * config.read_slot_bytes // config.beat_bytes
        self._lanes_log2 = config.beat_bytes.bit_length() - 1
        super().__init__(
            {
                "i": In(stream.Signature(Job)),
                "job": Out(Job),
                "i_token": In(stream.Signature(Token)),
                "i_read": In(packet_stream(ReadChunk, config.data_width)),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "o": Out(stream.Signature(Result)),
                "lags": Out(1),
                "stop": In(1),
                "cancel": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width, depth, job = self._config.data_width, self._depth, self.job
        creates = Signal()
        m.submodules.steps = steps = Steps(self._config, depth)
        m.submodules.passage = passage = Passage(self._config, depth)
        m.submodules.differ = differ = Differ(width)
        # The upper half of the memory takes the entries of a block.
        m.submodules.gather = gather = Gather(depth // 2 * width // WORD)
        m.submodules.apply = apply = Apply(self._config)
        m.submodules.crc = crc = Crc(width)
        m.submodules.out = self._out = out = PacketSlice(WriteCommand, width)
        connect(m, out.o, flipped(self.o_write))
        # A beat that is given away, with what it is compared with.
        beat = data.StructLayout({"beat": LaneBeat(width), "offset": 32, "other": width})
        m.submodules.given = self._given = given = Slice(beat)
        idle = passage.idle & (~out.o.valid | out.o.p.last) & ~given.o.valid
        connect(m, flipped(self.i), steps.i)
        taken = Signal(Job, reset_less=True)
        m.d.comb += [self.job.eq(taken), steps.job.eq(taken)]
        # The first clock in which the job is there: what is told of it is told again.
        fresh = Signal()
        m.d.sync += fresh.eq(steps.begin)
        with m.If(steps.begin):
            m.d.sync += taken.eq(self.i.p)
        connect(m, flipped(self.i_token), steps.i_token)
        connect(m, steps.o_run, passage.i)
        connect(m, differ.o, gather.i)
        m.d.comb += [
            steps.stop.eq(self.stop),
            self.cancel.eq(steps.cancel),
            steps.chunk.eq(self.i_read.p.header),
            steps.chunk_valid.eq(self.i_read.valid),
            steps.chunk_ends.eq(self.i_read.valid & self.i_read.ready & self.i_read.p.last),
            steps.ended.eq(gather.exceeded | (apply.fault != 0)),
            steps.settled.eq(~passage.o_beat.valid & ~given.o.valid & differ.idle & apply.idle),
            steps.folds.eq(Mux(fresh, crc.start.p.lane == 0, crc.i.ready)),
            steps.summed.eq(crc.known),
            steps.block_bytes.eq(gather.block_bytes),
            passage.pattern.eq(job.source),
            # Without any room, the first difference is found.
            creates.eq(job.opcode == Opcode.CREATE_DELTA),
            gather.limit_bytes.eq(Mux(creates, job.operand_2[:32], 0)),
            gather.clear.eq(steps.begin | fresh),
            gather.flush.eq(steps.flush),
            gather.recorded.eq(steps.recorded),
            gather.recorded_bytes.eq(steps.o_run.p.length_bytes),
            apply.destination.eq(job.destination),
            apply.size_bytes.eq(job.size_bytes),
            apply.tenant.eq(job.tenant),
            apply.clear.eq(steps.begin),
            apply.drop.eq(steps.stopped),
            self.o.valid.eq(steps.o_over.valid & idle),
            steps.o_over.ready.eq(self.o.ready & idle),
        ]
        self._move_beats(m, steps, passage, differ, apply)
        self._remember(m, steps, passage, gather)
        self._sum(m, steps, fresh, crc)
        result = self._conclude(m, steps, gather, apply, crc)
        with m.If(~self.o.valid):
            m.d.sync += self.o.payload.eq(result)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.lags.eq(out.o.valid & ~out.o.ready)
        with m.Elif(out.o.ready):
            m.d.sync += self.lags.eq(0)
        return m

    def _move_beats(self, m, steps, passage, differ, apply):
        """Beats of chunks to where they are wanted; writes from where they are made."""
        beats, given, applies = passage.o_beat, self._given, steps.kinds.applies
        m.d.comb += [
            passage.i_beat.payload.eq(self.i_read.p.data),
            passage.i_beat.valid.eq(self.i_read.valid & passage.wants),
            self.i_read.ready.eq(passage.i_beat.ready | steps.take),
            given.i.valid.eq(beats.valid),
            beats.ready.eq(given.i.ready),
            given.i.p.beat.eq(beats.payload),
            given.i.p.offset.eq(passage.offset),
            differ.i.payload.eq(given.o.p.beat),
            differ.offset.eq(given.o.p.offset),
            differ.other.eq(given.o.p.other),
            differ.i.valid.eq(given.o.valid & ~applies),
            apply.i.payload.eq(given.o.p.beat),
            apply.i.valid.eq(given.o.valid & applies),
            given.o.ready.eq(Mux(applies, apply.i.ready, differ.i.ready)),
        ]
        # Only one of them writes in a job, so both may know whether a beat is taken.
        sources, out = (passage.o_write, apply.o), self._out.i
        m.d.comb += [source.ready.eq(out.ready) for source in sources]
        with m.Switch(applies):
            for index, source in enumerate(sources):
                with m.Case(index):
                    m.d.comb += [out.valid.eq(source.valid), out.payload.eq(source.payload)]

    def _remember(self, m, steps, passage, gather):
        """The memory: a chunk as it lies or as it was written, and entries of a delta record."""
        width, words, run = self._config.data_width, self._config.data_width // WORD, steps.o_run.p
        m.submodules.memory = memory = BlockMemory(self._depth, width, WORD)
        stores, place = Signal(), Signal.like(run.place)
        m.d.comb += [
            stores.eq(steps.take & steps.store & self.i_read.valid),
            memory.read_address.eq(passage.place),
            memory.read.eq(passage.fetch),
            passage.fetched.eq(memory.read_data),
            self._given.i.p.other.eq(memory.read_data),
            memory.write_address.eq(passage.store_place),
            memory.write_data.eq(passage.o_write.p.data),
            memory.write.eq((passage.store | stores).replicate(words)),
        ]
        with m.If(steps.kinds.patterns):
            m.d.comb += self._given.i.p.other.eq(self.job.destination.replicate(words))
        with m.If(steps.store):
            m.d.comb += [
                memory.write_address.eq(place),
                memory.write_data.eq(self.i_read.p.data),
            ]
        with m.Elif(steps.kinds.creates):
            m.d.comb += [
                memory.write_address.eq(self._depth // 2 + gather.o.p.place // words),
                memory.write_data.eq(gather.o.p.data.replicate(words)),
                memory.write.eq(gather.o.valid << gather.o.p.place % words),
            ]
        with m.If(steps.take):
            m.d.sync += place.eq(place + stores)
        with m.Else():
            m.d.sync += place.eq(steps.place)

    def _sum(self, m, steps, fresh, crc):
        """Beats of the source into the CRC, after its seed."""
        job, chunk = self.job, self.i_read
        loads, lane = Signal(), chunk.p.header.address[2 : self._lanes_log2]
        m.d.comb += [
            loads.eq(steps.take & steps.load & chunk.valid),
            crc.start.valid.eq(fresh | loads),
            crc.start.p.seed.eq(job.operand),
            crc.start.p.raw.eq((job.flags & Flag.BYPASS_INVERSION) != 0),
            crc.start.p.high_first.eq((job.flags & Flag.BYPASS_REFLECTION) != 0),
            crc.start.p.lane.eq(job.source),
            crc.start.p.size_bytes.eq(job.size_bytes),
            crc.i.valid.eq(steps.fold & chunk.valid & chunk.ready),
            crc.i.p.data.eq(chunk.p.data),
            crc.i.p.last.eq(chunk.p.last & steps.final),
        ]
        with m.If(loads):
            m.d.comb += crc.start.p.seed.eq(chunk.p.data.word_select(lane, 32))

    def _conclude(self, m, steps, gather, apply, crc):
        """What is to be reported once the job is over."""
        job, result = self.job, Signal(Result)
        kinds = steps.kinds
        checks, met = (job.flags & Flag.CHECK_RESULT) != 0, Signal()
        m.d.comb += [
            result.status.eq(Status.SUCCESS),
            met.eq(
                Mux(
                    kinds.creates,
                    job.expected.bit_select(result.result, 1),
                    job.expected[0] == result.result[0],
                )
            ),
        ]
        with m.If(kinds.faulty):
            m.d.comb += result.status.eq(job.fault)
        with m.Elif(apply.fault != 0):
            m.d.comb += result.status.eq(apply.fault)
            m.d.comb += result.bytes_completed.eq(apply.applied_bytes)
        with m.Elif(steps.failed & ~gather.exceeded):
            m.d.comb += result.status.eq(Status.HARDWARE)
            m.d.comb += result.bytes_completed.eq(
                Mux(kinds.applies, apply.applied_bytes, steps.done_bytes)
            )
        with m.Elif(kinds.compares | kinds.creates):
            with m.If(gather.exceeded):
                m.d.comb += result.result.eq(Mux(kinds.creates, 2, 1))
                m.d.comb += result.bytes_completed.eq(
                    Cat(Mux(kinds.creates, 0, gather.offset[:3]), gather.offset[3:])
                )
            with m.Else():
                m.d.comb += result.result.eq(gather.total_bytes != 0)
            with m.If(checks & ~met):
                m.d.comb += result.status.eq(Status.SUCCESS_PREDICATE)
            m.d.comb += result.value.eq(gather.total_bytes)
        with m.Elif(kinds.sums):
            m.d.comb += result.value.eq(crc.value)
        return result
