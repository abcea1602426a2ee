"""A store of 65,536 vectors in host memory, with host, software and judge in gateware.

All of it runs at the simulator's speed, so that every vector can ring, many times over. Chance
comes from a generator whose seed is a port.

The judge knows nothing of caches. A message has to be made of its entry as it is now, or as it was
before a change whose sync has not been answered; unmasked, in either case; and its vector has to
owe one: from an event on until the next message.
"""

from amaranth import *
from amaranth.lib import data, enum
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from hw.host_ims.host_store import HostStore
from hw.pcie.records import ReadStatus
from hw.regs import Config

WINDOW, BASE = 0xFEE0_0000, 0x7_0000_0000
COVER_STEP = 0x9E37
"""Odd, so that a walk in such steps comes to every vector."""
PENDING_READS = 8


class Entry(data.Struct):
    """An entry in memory, as far as it changes."""

    #: Of its message; 2 bits are in the address, all in the data.
    version: 8
    mask: 1
    #: Reads of it fail.
    fails: 1


class Fault(enum.Flag):
    """What may never happen."""

    NOT_OWED = 1
    """A vector rang without an event."""
    MIXED = 2
    """Address and data of a message are not of one entry."""
    STALE = 4
    """A message is made of an entry that was replaced, or masked, and synced."""
    PASSED = 8
    """A descriptor of another owner passed a check."""
    REFUSED = 16
    """One of the right owner did not, though the entry could be read."""
    STRANGE_READ = 32
    """A read of anything else than an entry."""
    UNREPORTED = 64
    """A read failed, and what was reported instead is another entry, or nothing."""


class Ready(data.Struct):
    """A read on its way."""

    index: 16
    #: As it stood when the request came; or it is read when the answer leaves.
    early: Entry
    late: 1


class HostStoreTop(Component):
    """A store, and what surrounds it.

    Members
    -------
    seed : ``In(64)``
        Of chance; not 0. Read while ``go`` is 0.
    go : ``In(1)``
        Events, checks and changes come.
    finish : ``In(1)``
        Nothing new comes; all entries become readable and unmasked, and are synced.
    done : ``Out(1)``
        That has ended, and the store is at rest.
    faults : ``Out(Fault)``
        Everything that went wrong.
    owed, rung : ``Out``
        Vectors that owe a message; vectors that have rung.
    events, messages, reads, failures, changes, checks, blackouts : ``Out(32)``
        How often.
    """

    COUNTS = ("events", "messages", "reads", "failures", "changes", "checks", "blackouts")

    def __init__(self, config: Config):
        self.config = config
        bits = ceil_log2(config.host_vectors)
        super().__init__(
            {
                "seed": In(64),
                "go": In(1),
                "finish": In(1),
                "done": Out(1),
                "faults": Out(Fault),
                "owed": Out(bits + 1),
                "rung": Out(bits + 1),
                **{name: Out(32) for name in self.COUNTS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._bits = ceil_log2(self.config.host_vectors)
        m.submodules.store = self._store = store = HostStore(self.config)
        self._chance(m)
        self._entry = self._table(m, "entries", Entry, reads=5, writes=1)
        self._owes = self._table(m, "owes", 1, reads=2, writes=2)
        self._has_rung = self._table(m, "has_rung", 1, reads=1, writes=1)
        #: A change that is not synced, and what was before it.
        self._changing, self._place = Signal(), Signal(self._bits)
        self._before = Signal(Entry)
        m.d.comb += [store.base.eq(BASE), store.count.eq(self.config.host_vectors)]
        self._black_out(m)
        self._ring(m)
        self._judge(m)
        self._serve(m)
        self._software(m)
        self._check(m)
        return m

    def _chance(self, m):
        """64 new bits in every clock (xorshift)."""
        self._random, state = Signal(64), Signal(64, init=1)
        first = state ^ (state << 13)[:64]
        second = first ^ (first >> 7)
        m.d.sync += state.eq(Mux(self.go | self.finish, second ^ (second << 17)[:64], self.seed))
        # Neighbouring bits of neighbouring clocks have much in common.
        m.d.comb += self._random.eq(state ^ (state >> 29) ^ (state << 11)[:64])

    def _table(self, m, name, shape, *, reads, writes):
        memory = Memory(shape=shape, depth=self.config.host_vectors, init=[])
        m.submodules[name] = memory
        return (
            [memory.read_port(domain="comb") for _ in range(reads)],
            [memory.write_port() for _ in range(writes)],
        )

    def _fault(self, m, fault, condition):
        with m.If(condition):
            m.d.sync += self.faults.eq(self.faults | fault)

    def _count(self, m, name, condition):
        with m.If(condition):
            m.d.sync += getattr(self, name).eq(getattr(self, name) + 1)

    def _vector(self, bits, cover):
        """Half of the time the next of all; else any, or one of a few."""
        few = Cat(bits[2:5], C(0, 5), bits[5:8])[: self._bits]
        return Mux(bits[0], cover, Mux(bits[1], bits[8 : 8 + self._bits], few))

    def _black_out(self, m):
        """Bus Master Enable falls now and then, for a while."""
        off = Signal(range(200))
        falls = self.go & (off == 0) & (self._random[40:54] == 0)
        with m.If(falls):
            m.d.sync += off.eq(199)
        with m.Elif(off != 0):
            m.d.sync += off.eq(off - 1)
        m.d.comb += self._store.bus_master.eq(off == 0)
        self._count(m, "blackouts", falls)

    def _ring(self, m):
        """Events, some of them in a row, some after a pause; none that Ignore could silence."""
        port, cover, pause = self._store.i_event, Signal(self._bits), Signal(6)
        (owes, _), (sets, _) = self._owes
        m.d.comb += [
            port.p.ims.eq(1),
            owes.addr.eq(port.p.index),
            sets.addr.eq(port.p.index),
            sets.data.eq(1),
            sets.en.eq(port.valid & port.ready),
        ]
        self._count(m, "events", sets.en)
        self._gains = sets.en & ~owes.data
        with m.If(port.valid):
            with m.If(port.ready):
                m.d.sync += port.valid.eq(0)
        with m.Elif(pause != 0):
            m.d.sync += pause.eq(pause - 1)
        with m.Elif(self.go):
            m.d.sync += [
                port.valid.eq(1),
                port.p.index.eq(self._vector(self._random, cover)),
                port.p.completion.eq(self._random[30]),
                cover.eq(cover + COVER_STEP),
                pause.eq(Mux(self._random[31:34] == 0, self._random[34:40], 0)),
            ]

    def _judge(self, m):
        """Is this message one that may leave?"""
        port, bits = self._store.o_message, self._bits
        (_, owes), (_, clears) = self._owes
        (rung,), (rings,) = self._has_rung
        now = self._entry[0][0]
        taken = port.valid & port.ready
        vector, version = port.p.data[16 : 16 + bits], port.p.data[:8]
        m.d.comb += [
            port.ready.eq(self._random[50:52] != 0),
            *(each.addr.eq(vector) for each in (owes, clears, rung, rings, now)),
            clears.en.eq(taken),
            rings.en.eq(taken),
            rings.data.eq(1),
        ]
        self._count(m, "messages", taken)
        with m.If(taken & ~rung.data):
            m.d.sync += self.rung.eq(self.rung + 1)
        m.d.sync += self.owed.eq(self.owed + self._gains - (taken & owes.data))
        before = self._before
        good = (now.data.version == version) & ~now.data.mask
        was_good = (
            self._changing & (self._place == vector) & (before.version == version) & ~before.mask
        )
        expected = WINDOW + (Cat(vector, C(0, 16 - bits), version[:2]) << 2)
        self._fault(m, Fault.NOT_OWED, taken & ~owes.data)
        self._fault(m, Fault.MIXED, taken & (port.p.address != expected))
        self._fault(m, Fault.STALE, taken & ~good & ~was_good)

    def _serve(self, m):
        """Memory, which answers in order after a time that varies."""
        store, bits = self._store, self._bits
        asks, answers, now, then = store.o_read, store.i_read, *self._entry[0][1:3]
        m.submodules.queue = queue = SyncFIFO(width=Ready.as_shape().size, depth=PENDING_READS)
        wait, put = Signal(7), Signal(Ready)
        asked, index = asks.valid & asks.ready, Signal(bits)
        strange = (asks.p.address[4 + bits :] != BASE >> 4 + bits) | (asks.p.length_bytes != 16)
        m.d.comb += [
            asks.ready.eq(queue.w_rdy & (self._random[52:54] != 0)),
            index.eq(asks.p.address[4:]),
            now.addr.eq(index),
            put.index.eq(index),
            put.early.eq(now.data),
            put.late.eq(self._random[54]),
            queue.w_data.eq(put),
            queue.w_en.eq(asked),
        ]
        self._count(m, "reads", asked)
        self._fault(m, Fault.STRANGE_READ, asked & (strange | asks.p.tenant.valid))
        # One read after the other leaves memory, and its chunk is offered.
        first, entry, chosen = Signal(Ready), Signal(Entry), Signal(Entry)
        beat, beats = Signal(), -(-128 // self.config.data_width)
        failed = entry.fails | ~store.bus_master
        status = Mux(store.bus_master, ReadStatus.TIMEOUT, ReadStatus.BUS_MASTER_OFF)
        m.d.comb += [
            first.eq(queue.r_data),
            then.addr.eq(first.index),
            chosen.eq(Mux(first.late, then.data, first.early)),
        ]
        done, header, bad = Signal(), answers.p.header, Signal()
        number = Signal(16)
        raw = Cat(
            C(0, 2), number, entry.version[:2], C(WINDOW >> 20, 44),
            entry.version, C(0, 8), number,
            entry.mask, C(0, 2), C(1, 1), C(0, 8), self._owner(number),
        )  # fmt: skip
        m.d.comb += [
            done.eq(answers.valid & answers.ready & answers.p.last),
            answers.p.data.eq(self._beat(raw, beat, number)),
            answers.p.first.eq(beat == 0),
            answers.p.last.eq((beat == beats - 1) | bad),
        ]
        with m.FSM():
            with m.State("Wait"):
                with m.If(wait != 0):
                    m.d.sync += wait.eq(wait - 1)
                with m.Elif(queue.r_rdy):
                    m.d.comb += queue.r_en.eq(1)
                    m.d.sync += [
                        entry.eq(chosen),
                        number.eq(first.index),
                        wait.eq(Mux(self._random[55:57] == 0, self._random[57:63], 2)),
                    ]
                    m.next = "Decide"
            with m.State("Decide"):
                m.d.sync += [
                    header.status.eq(Mux(failed, status, ReadStatus.SUCCESS)),
                    header.address.eq(BASE + (number << 4)),
                    header.length_bytes.eq(16),
                    bad.eq(failed),
                    answers.valid.eq(1),
                    beat.eq(0),
                ]
                m.next = "Answer"
            with m.State("Answer"):
                with m.If(answers.ready):
                    m.d.sync += beat.eq(beat + 1)
                with m.If(done):
                    m.d.sync += answers.valid.eq(0)
                    m.next = "Wait"
        self._hear_errors(m, done & bad & (header.status == ReadStatus.TIMEOUT), number)

    def _beat(self, raw, beat, number):
        """An entry where it lies in the beats of the bus; there is nothing beside it."""
        width = self.config.data_width
        if width < len(raw):
            return raw.word_select(beat, width)
        lanes = width // len(raw)
        return Cat(
            Mux(number[: ceil_log2(lanes)] == lane, raw, 0) if lanes > 1 else raw
            for lane in range(lanes)
        )

    def _hear_errors(self, m, lost, number):
        """Each failed read is reported before the next answer comes, or it was stale."""
        port, known = self._store.o_error, Signal(self._bits)
        with m.If(lost):
            m.d.sync += known.eq(number)
        m.d.comb += port.ready.eq(1)
        self._count(m, "failures", port.valid)
        wrong = (port.p.index != known) | (port.p.status != ReadStatus.TIMEOUT)
        self._fault(m, Fault.UNREPORTED, port.valid & wrong)

    def _owner(self, index):
        """PASID of a vector."""
        return Cat(index ^ 0x5A5A, C(0, 20))[:20]

    def _software(self, m):
        """Entries change, and are synced; at the end all of them are made good."""
        store, place = self._store, self._place
        old, (write,) = self._entry[0][3], self._entry[1]
        pause, every, sweep = Signal(8), Signal(), Signal(self._bits + 1)
        m.d.comb += [
            old.addr.eq(place),
            write.addr.eq(place),
            store.o_synced.ready.eq(1),
            store.i_sync.p.index.eq(place),
            store.i_sync.p.every.eq(every),
        ]
        random, entry = self._random, write.data
        with m.FSM():
            with m.State("Rest"):
                m.d.sync += pause.eq(pause - 1)
                with m.If(self.finish):
                    m.d.sync += [place.eq(0), sweep.eq(0)]
                    m.next = "Sweep"
                with m.Elif(self.go & (pause == 0)):
                    m.d.sync += place.eq(Mux(random[0], store.i_event.p.index, random[8:24]))
                    m.next = "Change"
            with m.State("Change"):
                m.d.comb += [
                    entry.version.eq(old.data.version + 1),
                    entry.mask.eq(random[0:2] == 0),
                    entry.fails.eq(random[2:5] == 0),
                    write.en.eq(1),
                ]
                m.d.sync += [self._before.eq(old.data), self._changing.eq(1)]
                m.d.sync += [every.eq(random[5:15] == 0), pause.eq(random[15:20])]
                m.next = "Pause"
            with m.State("Pause"):
                m.d.sync += pause.eq(pause - 1)
                with m.If(pause == 0):
                    m.next = "Sync"
            with m.State("Sync"):
                m.d.comb += store.i_sync.valid.eq(1)
                with m.If(store.i_sync.ready):
                    m.next = "Await"
            with m.State("Await"):
                with m.If(store.o_synced.valid):
                    m.d.sync += [self._changing.eq(0), pause.eq(random[20:28])]
                    m.next = "Rest"
                    with m.If(sweep[self._bits]):
                        m.next = "Settle"
            with m.State("Sweep"):
                m.d.comb += [entry.version.eq(old.data.version), write.en.eq(1)]
                m.d.sync += [place.eq(place + 1), sweep.eq(sweep + 1), every.eq(1)]
                with m.If(place.all()):
                    m.next = "Sync"
            with m.State("Settle"):
                m.d.comb += self.done.eq(~store.busy & ~store.o_message.valid)
        self._count(m, "changes", write.en & ~self.finish)

    def _check(self, m):
        """Descriptors of the owner, and of others."""
        store, entry = self._store, self._entry[0][4]
        ask, answer, right, waiting = store.i_check, store.o_verdict, Signal(), Signal()
        excused = Signal()
        random, vector = self._random, Signal(self._bits)
        before_fails = self._changing & (self._place == vector) & self._before.fails
        m.d.comb += [
            entry.addr.eq(vector),
            ask.p.vector.ims.eq(1),
            ask.p.vector.index.eq(vector),
            ask.p.pasid_enable.eq(1),
            ask.p.pasid.eq(self._owner(vector) ^ Mux(right, 0, 0x40)),
            answer.ready.eq(1),
        ]
        m.d.sync += excused.eq(
            waiting & (excused | entry.data.fails | before_fails | ~store.bus_master)
        )
        with m.If(waiting):
            with m.If(ask.ready):
                m.d.sync += ask.valid.eq(0)
            with m.If(answer.valid):
                m.d.sync += waiting.eq(0)
        with m.Elif(self.go & (random[3:7] == 0)):
            m.d.sync += [
                waiting.eq(1),
                ask.valid.eq(1),
                vector.eq(self._vector(random[7:], random[36:52])),
                right.eq(random[60:62] != 0),
            ]
        self._count(m, "checks", answer.valid)
        self._fault(m, Fault.PASSED, answer.valid & answer.payload & ~right)
        self._fault(m, Fault.REFUSED, answer.valid & ~answer.payload & right & ~excused)
