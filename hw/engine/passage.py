"""Runs of bytes on their way through an engine."""

from amaranth import *
from amaranth.lib import data, enum, stream
from amaranth.lib.wiring import Component, In, Out

from ..pcie.records import WriteCommand
from ..regs import Config
from ..tlp.records import Tenant, packet_stream
from .differ import LaneBeat
from .realign import Realign


class Origin(enum.Enum, shape=2):
    """Where the bytes of a run come from."""

    CHUNK = 0
    PATTERN = 1
    MEMORY = 2


class Run(data.StructLayout):
    """A run of bytes.

    Members
    -------
    origin : Origin
    writes : 1
        It becomes a write command; if not, it is given away in beats.
    keep : 1
        Store the beats too, as they are written.
    source : range(bytes of a beat)
        Where the first byte lies in its beat.
    address : 64
        Where it goes; for beats that are given away, the lane of the first byte.
    length_bytes : 13
        1 to 4096.
    offset : 32
        Of the first byte in what the run is part of.
    place : ``range(depth)``
        Beat of the memory that the run begins with.
    tenant : Tenant
    """

    def __init__(self, config: Config, depth: int):
        super().__init__(
            {
                "origin": Origin,
                "writes": 1,
                "keep": 1,
                "source": range(config.beat_bytes),
                "address": 64,
                "length_bytes": 13,
                "offset": 32,
                "place": range(depth),
                "tenant": Tenant,
            }
        )


class Passage(Component):
    """Take a run of bytes from where it is, realign it, and hand it on.

    A memory of beats stands beside the way: runs are read from it or stored in it, and for beats
    that are given away it is read in step, so that they can be compared with what lies in it.

    **Timing**: one clock, one more if bytes move down, one more out of the memory, and the beats of
    the longer side; a beat comes out a clock after it was realigned. The next run follows at once.

    Parameters
    ----------
    config
        ``data_width``.
    depth
        Beats of the memory.

    Members
    -------
    i : ``In(stream.Signature(Run(config, depth)))``
        Taken with the last beat.
    i_beat : ``In(stream.Signature(data_width))``
        Beats of chunks. May be valid only while ``wants`` says so.
    wants : ``Out(1)``
        Beats of the chunk that the run comes from have not been taken yet.
    pattern : ``In(64)``
        Repeated in every beat.
    store : ``Out(1)``, store_place : ``Out(range(depth))``
        Pulse: store ``o_write.p.data`` as this beat of the memory.
    fetch : ``Out(1)``, place : ``Out(range(depth))``
        Read this beat of the memory.
    fetched : ``In(data_width)``
        What was read, from the next clock on.
    o_write : ``Out(packet_stream(WriteCommand, data_width))``
    o_beat : ``Out(stream.Signature(LaneBeat(data_width)))``
        Beats that are given away; what was read last of the memory belongs to the one on offer.
    offset : ``Out(32)``
        Offset of lane 0 of that beat, modulo 2^32.
    idle : ``Out(1)``
        Every beat of the runs that were taken has been taken.
    """

    def __init__(self, config: Config, depth: int):
        self._width = config.data_width
        super().__init__(
            {
                "i": In(stream.Signature(Run(config, depth))),
                "i_beat": In(stream.Signature(config.data_width)),
                "wants": Out(1),
                "pattern": In(64),
                "store": Out(1),
                "store_place": Out(range(depth)),
                "fetch": Out(1),
                "place": Out(range(depth)),
                "fetched": In(config.data_width),
                "o_write": Out(packet_stream(WriteCommand, config.data_width)),
                "o_beat": Out(stream.Signature(LaneBeat(config.data_width))),
                "offset": Out(32),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.realign = realign = Realign(self._width)
        run, lanes = self.i.p, self._width // 8
        # The clock in which Realign gets to know the run.
        fresh, opened = Signal(init=1), Signal()
        place, offset, give = Signal.like(self.place), Signal(32), Signal()
        m.d.comb += [
            realign.alignment.valid.eq(self.i.valid),
            realign.alignment.p.source.eq(run.source),
            realign.alignment.p.destination.eq(run.address),
            realign.alignment.p.length_bytes.eq(run.length_bytes),
            self.i.ready.eq(realign.alignment.ready),
            give.eq(realign.o.valid & realign.o.ready),
            self.place.eq(Mux(fresh, run.place, place)),
        ]
        with m.If(self.i.valid):
            steps = self.fetch | (give & run.keep)
            m.d.sync += [fresh.eq(self.i.ready), place.eq(self.place + steps)]
        with m.If(give):
            m.d.sync += [opened.eq(~realign.last), offset.eq(offset + lanes)]
        with m.If(fresh):
            m.d.sync += offset.eq(run.offset - run.address[: lanes.bit_length() - 1])
        m.d.sync += [self.store.eq(give & run.keep), self.store_place.eq(self.place)]
        self._take(m, realign, give)
        self._hand_on(m, realign, opened, offset)
        return m

    def _take(self, m, realign, give):
        """Beats from where the run is."""
        run, beat = self.i.p, Signal(self._width)
        loaded, staged, advance = Signal(), Signal(), Signal()
        with m.Switch(run.origin):
            with m.Case(Origin.CHUNK):
                m.d.comb += [
                    realign.i.valid.eq(self.i_beat.valid),
                    realign.i.payload.eq(self.i_beat.payload),
                    self.i_beat.ready.eq(realign.i.ready),
                    self.wants.eq(realign.more),
                    self.fetch.eq(give & ~run.writes),
                ]
            with m.Case(Origin.PATTERN):
                m.d.comb += [
                    realign.i.valid.eq(realign.more),
                    realign.i.payload.eq(self.pattern.replicate(self._width // 64)),
                ]
            with m.Case(Origin.MEMORY):
                m.d.comb += [
                    realign.i.valid.eq(realign.more & staged),
                    realign.i.payload.eq(beat),
                    self.fetch.eq(self.i.valid & (~loaded | advance)),
                ]
        # What comes late out of the memory is registered before it is shifted.
        m.d.comb += advance.eq(loaded & (~staged | realign.i.ready))
        with m.If(advance):
            m.d.sync += [beat.eq(self.fetched), staged.eq(1)]
        m.d.sync += loaded.eq(self.i.valid & (run.origin == Origin.MEMORY))
        with m.If(self.i.ready | ~self.i.valid):
            m.d.sync += [loaded.eq(0), staged.eq(0)]

    def _hand_on(self, m, realign, opened, offset):
        """Beats into a register, and from there to a write, or away with the lanes that count."""
        run, write, beat = self.i.p, self.o_write, self.o_beat
        full, writes, counting = Signal(), Signal(), Signal(self._width // 8)
        kept = Signal.like(write.p, reset_less=True)
        m.d.comb += [
            write.p.eq(kept),
            self.idle.eq(~full),
            write.valid.eq(full & writes),
            beat.valid.eq(full & ~writes),
            beat.p.data.eq(write.p.data),
            beat.p.lanes.eq(counting),
            realign.o.ready.eq(~full | Mux(writes, write.ready, beat.ready)),
        ]
        with m.If(realign.o.ready):
            m.d.sync += [
                full.eq(realign.o.valid),
                writes.eq(run.writes),
                kept.header.address.eq(run.address),
                kept.header.length_bytes.eq(run.length_bytes),
                kept.header.tenant.eq(run.tenant),
                kept.data.eq(realign.o.payload),
                kept.first.eq(~opened),
                kept.last.eq(realign.last),
                self.offset.eq(offset),
                counting.eq(self._lanes(realign, opened)),
            ]

    def _lanes(self, realign, opened):
        """Lanes of a beat that belong to the run."""
        run, lanes = self.i.p, self._width // 8
        bits = lanes.bit_length() - 1
        begin, end = run.address[:bits], (run.address + run.length_bytes)[:bits]
        return Cat(
            (opened | (lane >= begin)) & (~realign.last | (end == 0) | (lane < end))
            for lane in range(lanes)
        )
