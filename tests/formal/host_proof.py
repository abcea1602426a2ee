"""What is proven about message storage in host memory, for one vector that stands for all.

The store is the product's, with 16 vectors, a cache of two sets of two entries, and two fetches at
a time. Events, checks, syncs, clears, Bus Master Enable, back-pressure, the entries of all vectors
and the answers of memory are the solver's choice, for ever: the proof is by induction. Memories are
replaced by :class:`ContractMemory`, which does what
:class:`hw.flow.block_memory.BlockMemory` promises, and anything at all where it promises nothing.

The proof keeps books about the chosen vector:

- ``owed``: what kinds of events were taken since its last message;
- ``live``, of a version of its entry that the solver has chosen: it is what memory holds, or it was
  so until a change whose sync has not been answered. Any other version may not be used;
- ``parked``: its entry said masked when it was looked at last, and no sync has come since.

To make the induction close, it also states what is true inside; each such line is proven as well.
"""

from contextlib import contextmanager
from unittest import mock

from amaranth import *
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume
from amaranth.lib import data

from hw.flow.block_memory import BlockMemory
from hw.host_ims import cache as cache_module
from hw.host_ims import held as held_module
from hw.host_ims.host_store import HostStore, Kind, Waiter
from hw.host_ims.records import CachedEntry, Geometry, Pending, decode_entry
from hw.interrupts.pipe import WINDOW_BITS
from hw.pcie.records import ReadStatus
from hw.regs.config import Config

VECTORS = 16
CONFIG = Config(host_vectors=VECTORS, host_fetches=2, data_width=128)
GEOMETRY = Geometry(VECTORS, entries=4, ways=2)
BASE = 0x7_0000_0000
#: States of a piece of work that is about one entry.
WORK = ("Look", "Compare", "Fetch", "Judge")


class ContractMemory(BlockMemory):
    """Words in registers; whatever is read while it is written is anything."""

    def __init__(self, depth, width):
        super().__init__(depth, width)
        self.words = [Signal(width, name=f"word{n}") for n in range(depth)]

    def elaborate(self, platform):
        m = Module()
        collides = self.write & (self.write_address == self.read_address)
        word = Array(self.words)[self.read_address]
        with m.If(self.write):
            m.d.sync += Array(self.words)[self.write_address].eq(self.write_data)
        fetched = Signal(len(self.read_data))
        with m.If(self.read):
            m.d.sync += fetched.eq(Mux(collides, AnySeq(len(word)), word))
        m.d.comb += self.read_data.eq(fetched)
        return m


@contextmanager
def contract_memories():
    """Make the store of :class:`ContractMemory` within the context."""
    with (
        mock.patch.object(cache_module, "BlockMemory", ContractMemory),
        mock.patch.object(held_module, "BlockMemory", ContractMemory),
    ):
        yield


class HostProof(Elaboratable):
    """The store, its environment, and what has to hold.

    Parameters
    ----------
    index : int
        The chosen vector.
    lemmas : bool
        Whether to state what is true inside as well, which only the induction needs.
    """

    def __init__(self, index: int, *, lemmas: bool = True):
        self.index, self._lemmas = index, lemmas
        self.store = s = HostStore(CONFIG, GEOMETRY)
        self.ports = [
            s.i_event.valid,
            s.i_event.payload,
            s.o_message.ready,
            s.i_check.valid,
            s.i_check.payload,
            s.o_verdict.ready,
            s.i_sync.valid,
            s.i_sync.payload,
            s.o_synced.ready,
            s.o_read.ready,
            s.i_read.valid,
            s.i_read.payload,
            s.o_error.ready,
            s.bus_master,
            s.clear,
        ]

    def elaborate(self, platform):
        self._open()
        m = self.module
        s = self.store
        m.d.comb += [s.base.eq(BASE), s.count.eq(VECTORS)]
        self._memory(m)
        self._version(m)
        self._owed(m)
        self._promises(m)
        self._look_ups(m)
        self._queue(m)
        self._service(m)
        return m

    def _open(self):
        """Elaborate the parts by hand, so that their state has names."""

        def inside(parts):
            for name, (part, location) in list(parts._named_submodules.items()):
                inner = part.elaborate(None)
                part._MustUse__used = True
                parts._named_submodules[name] = (inner, location)
                self.parts[name] = part
                inside(inner)

        with contract_memories():
            self.module = m = self.store.elaborate(None)
            self.store._MustUse__used = True
            self.parts = {}
            inside(m)
        s, states = self.store, self.store._states
        self.state = {
            name: states._data["signal"] == number for name, number in states.encoding.items()
        }
        self.cache, self.held, self.fetches = s._cache, s._held, s._fetches
        self.lemma(states._data["signal"] < len(states.encoding))
        self.kind = {kind: s._kind == kind for kind in Kind}
        self.works = Cat(self.state[name] for name in WORK).any()
        self.here = s._index == self.index
        #: Work about an event, a check or a sync of the vector, or of an entry that was fetched.
        self.mine = {
            kind: self.works & self.kind[kind] & self.here & self._of_mine(kind) for kind in Kind
        }

    def _of_mine(self, kind):
        """Numbers of events, checks and syncs may lie beyond the last vector."""
        return self.store._exists if kind in (Kind.EVENT, Kind.CHECK) else C(1)

    def promise(self, condition):
        """What users rely on."""
        self.module.d.comb += Assert(condition, src_loc_at=1)

    def lemma(self, condition):
        """What only helps the induction."""
        if self._lemmas:
            self.module.d.comb += Assert(condition, src_loc_at=1)

    # What surrounds the store.

    def _memory(self, m):
        """Memory answers each read once, in order, with a version of the entry that it has held
        since it was asked; other entries are anything."""
        s, f = self.store, self.fetches
        self.version = version = Signal(CachedEntry)
        m.d.comb += version.eq(AnyConst(CachedEntry.as_shape().size))
        self.is_version = now = Signal()
        m.d.comb += now.eq(AnySeq(1))
        self.due = due = Signal(range(4))
        answers, asked = s.i_read, s.o_read.valid & s.o_read.ready
        answered = answers.valid & answers.ready
        m.d.sync += due.eq(due + asked - answered)
        #: Whether memory has held the version since this fetch began.
        self.may = [Signal(name=f"may_{k}") for k in range(2)]
        for k, may in enumerate(self.may):
            m.d.sync += may.eq(may | now)
            with m.If(f.push & (f._tail == k)):
                m.d.sync += may.eq(now)
        oldest_mine = f.oldest == self.index
        entry, inside = decode_entry(answers.p.data, CONFIG.message_window)
        found = (
            (answers.p.header.status == ReadStatus.SUCCESS) & inside & (entry == version.as_value())
        )
        m.d.comb += [
            Assume(~answers.valid | (due != 0)),
            Assume(answers.p.first & answers.p.last),
            Assume(answers.p.header.status.as_value() <= ReadStatus.BUS_MASTER_OFF.value),
            Assume(~(answers.valid & oldest_mine & found) | Array(self.may)[f._head] | now),
        ]

    def _version(self, m):
        """Whether the chosen version may be used."""
        s, now = self.store, self.is_version
        self.live, self.clean = live, clean = Signal(), Signal()
        #: A sync that is not answered, whether it is about the vector, and whether memory has not
        #: held the version since it began.
        self.open, self.about = Signal(), Signal()
        sync, synced = s.i_sync, s.o_synced.valid & s.o_synced.ready
        self.taken = taken = sync.valid & sync.ready
        self.mine_too = sync.p.every | (sync.p.index == self.index)
        m.d.sync += clean.eq(clean & ~now)
        with m.If(taken):
            m.d.sync += [self.open.eq(1), self.about.eq(self.mine_too), clean.eq(~now)]
        with m.Elif(synced):
            m.d.sync += self.open.eq(0)
        m.d.sync += live.eq(now | (live & ~(synced & self.about & clean)))
        self.promise(~taken | ~self.open)
        self.promise(~s.o_synced.valid | self.open)

    # The books.

    def _owed(self, m):
        """Events that were taken since the last message."""
        s, state = self.store, self.state
        self.owed_completion, self.owed_other = completion, other = Signal(), Signal()
        event, value = s.i_event, self.held.value
        judged = state["Judge"] & self.here
        self.entry = entry = Signal(CachedEntry)
        m.d.comb += entry.eq(Mux(self.kind[Kind.FILL], self.cache.fresh, self.cache.entry))
        #: What was written of the vector in the clock before, and by which entry.
        self.zeroed, self.used = zeroed, used = Signal(), Signal(CachedEntry)
        m.d.sync += zeroed.eq(judged & self.held.write & ~value.completion & ~value.other)
        with m.If(state["Judge"]):
            m.d.sync += used.eq(entry)
        self.sends = state["Send"] & self.here
        self.forgets = forgets = zeroed & ~self.sends
        wiped = state["Wipe held"]
        taken = event.valid & event.ready & (event.p.index == self.index)
        ends = (self.sends & s.o_message.ready) | forgets | wiped
        m.d.sync += [
            completion.eq((completion & ~ends) | (taken & event.p.completion)),
            other.eq((other & ~ends) | (taken & ~event.p.completion)),
        ]
        held = data.View(data.ArrayLayout(Pending, VECTORS), self.parts["words"].words[0])
        self.holds = holds = held[self.index]
        comes = self.mine[Kind.EVENT]
        self.lemma(~(self.sends | forgets) | ~(holds.completion | holds.other))
        self.lemma(~self.sends | completion | other)
        self.lemma(
            self.sends
            | forgets
            | (
                (completion == (holds.completion | (comes & s._completion)))
                & (other == (holds.other | (comes & ~s._completion)))
            )
        )

    def _promises(self, m):
        version, message = self.version, self.store.o_message
        used = self.used
        # Messages: owed, whole, unmasked, and of a version that may be used.
        window = C(CONFIG.message_window, 64)[WINDOW_BITS:]
        self.promise(message.valid == self.state["Send"])
        self.promise(~self.sends | self.owed_completion | self.owed_other)
        self.promise(
            ~self.sends
            | (
                (message.p.address == Cat(C(0, 2), used.place, window))
                & (message.p.data == used.data)
                & ~used.mask
            )
        )
        self.promise(~(self.sends & (used.as_value() == version.as_value())) | self.live)
        # Events that are forgotten: completions only, which such a version ignores.
        self.promise(~self.forgets | ~self.owed_other)
        forgotten = self.forgets & self.owed_completion
        self.promise(~forgotten | used.ignore)
        self.promise(~(forgotten & (used.as_value() == version.as_value())) | self.live)
        self._verdicts(m)

    def _verdicts(self, m):
        """Who is let through: the owner in a version that may be used."""
        s, check = self.store, self.store._check
        good = (s._status == ReadStatus.SUCCESS) & decode_entry(s._raw, CONFIG.message_window)[1]
        fills = self.kind[Kind.FILL] & ~self.fetches.oldest_stale & good
        waits = (s._waiter == Waiter.FETCHES) & (check.vector.index == s._index)
        judged, before = Signal(), Signal()
        m.d.sync += [
            judged.eq(
                self.state["Judge"]
                & self.here
                & ((self.mine[Kind.CHECK] & self.cache.hit) | (fills & waits))
            ),
            before.eq(s.o_verdict.valid),
        ]
        used, new = self.used, s.o_verdict.valid & ~before
        may = (used.pasid_enable == check.pasid_enable) & (
            ~check.pasid_enable | (used.pasid == check.pasid)
        )
        ours = check.vector.index == self.index
        self.promise(~(new & s.o_verdict.payload & ours) | (judged & may))
        self.promise(~(judged & (used.as_value() == self.version.as_value())) | self.live)
        # A check that waits for an entry waits for one that is on its way.
        coming = Cat(
            self.fetches._live[k] & (self.fetches._indices[k] == check.vector.index)
            for k in range(2)
        ).any()
        self.promise(~(s._waiter == Waiter.FETCHES) | coming)
        checks = self.works & self.kind[Kind.CHECK]
        self.lemma(~checks | (s._waiter == Waiter.NEW))
        self.lemma(~checks | (check.vector.index[:4] == s._index))
        self.lemma(~(checks & s._exists) | (check.vector.index < VECTORS))
        self.lemma((s._waiter == Waiter.NONE) | ~s.o_verdict.valid)
        self.lemma(s._waiter.as_value() <= 2)

    # What is true inside.

    def _look_ups(self, m):
        """What was looked up is what memories hold; which of it is of the chosen version."""
        s, state, cache = self.store, self.state, self.cache
        tags, entries, words = (self.parts[name] for name in ("tags", "entries", "words"))
        place, late = GEOMETRY.set_of(s._index), Cat(state[n] for n in WORK[1:]).any()
        mark = data.StructLayout({"valid": 1, "tag": GEOMETRY.tag_bits})
        marks = data.ArrayLayout(mark, GEOMETRY.ways)
        row = data.View(marks, Array(tags.words)[place])
        self.lemma(~late | (tags.read_data == row.as_value()))
        self.lemma(~late | (words.read_data == words.words[0]))
        matches = Cat(each.valid & (each.tag == GEOMETRY.tag_of(s._index)) for each in row)
        known = state["Fetch"] | state["Judge"]
        self.lemma(~known | (cache._hits == matches))
        way = Mux(cache._hits[1], 1, 0)
        found = Array(entries.words)[Cat(way[:1], place)]
        self.lemma(~(state["Judge"] & cache.hit) | (entries.read_data == found))
        self.lemma(cache._looked == state["Compare"])
        self.lemma(~state["Fetch"] | cache._compared)
        self.lemma(~self.works | (s._kind.as_value() <= Kind.WALK.value))
        self.lemma(~state["Wipe"] | (s._index < GEOMETRY.sets))
        self.lemma(~state["Wipe held"] | (s._index == 0))
        self._uses(m, tags, entries, marks)

    def _uses(self, m, tags, entries, marks):
        """Where the chosen version of the vector's entry is: it is live, there."""
        s, state, f, version = self.store, self.state, self.fetches, self.version.as_value()
        mine, ways = self.index % GEOMETRY.sets, GEOMETRY.ways
        row = data.View(marks, tags.words[mine])
        cached = Cat(
            row[k].valid
            & (row[k].tag == self.index // GEOMETRY.sets)
            & (entries.words[ways * mine + k] == version)
            for k in range(ways)
        ).any()
        self.slots = Cat(f._live[k] & (f._indices[k] == self.index) for k in range(2))
        coming = (self.slots & f._fresh & Cat(self.may)).any()
        sent = (self.sends | self.zeroed) & (self.used.as_value() == version)
        used = Signal()
        m.d.comb += used.eq(cached | coming | sent)
        self.lemma(~used | self.live)
        self.lemma(~(s.o_synced.valid & self.about & self.clean) | ~used)
        # A sync of all on its way through the sets, or a clear.
        self.lemma(~state["Wipe"] | ~(f._live & f._fresh).any())
        cleaned = Cat(row[k].valid for k in range(ways)).any()
        self.lemma(~(state["Wipe"] & (s._index > mine)) | ~cleaned)
        syncs = self.kind[Kind.SYNC] & (self.works | state["Wipe"])
        self.promise(self.open == (syncs | s.o_synced.valid))
        self.lemma(~syncs | ~s.o_synced.valid)
        one = self.works & self.kind[Kind.SYNC] & self.about
        self.lemma(~one | self.here)
        # Memory answered with the version because it held it.
        entry, inside = decode_entry(s._raw, CONFIG.message_window)
        good = s._came & (s._status == ReadStatus.SUCCESS) & inside & (entry == version)
        self.lemma(~(good & (f.oldest == self.index)) | Array(self.may)[f._head])

    def _queue(self, m):
        """Fetches: as many as there are reads without an answer that was looked at."""
        s, f = self.store, self.fetches
        live, head, tail = f._live, f._head, f._tail
        count = live[0] + live[1]
        self.lemma(count == s.o_read.valid + self.due + s._came)
        self.lemma(
            Mux(
                live[0] ^ live[1],
                live.bit_select(head, 1) & (tail != head),
                head == tail,
            )
        )
        newest = f._indices[(tail - 1)[:1]]
        self.promise(~s.o_read.valid | (s.o_read.p.address == BASE + (newest << 4)))
        fills = self.works & self.kind[Kind.FILL]
        self.lemma(~fills | (s._came & (s._index == f.oldest)))

    def _service(self, m):
        """Whoever owes a message has a reason to come to it, or to wait."""
        s, state = self.store, self.state
        parked = Signal()
        with m.If(state["Judge"] & self.here):
            looked = Cat(self.mine[kind] for kind in (Kind.EVENT, Kind.WALK)).any() & self.cache.hit
            filled = self.kind[Kind.FILL] & self.cache.fill
            with m.If(looked | filled):
                m.d.sync += parked.eq(self.entry.mask)
        with m.If((self.taken & self.mine_too) | state["Wipe held"]):
            m.d.sync += parked.eq(0)
        walk = self.works & self.kind[Kind.WALK]
        self.lemma(~walk | (s._walking & (s._index == s._place)))
        owed = self.owed_completion | self.owed_other
        turn = self.mine[Kind.EVENT] | self.mine[Kind.SYNC] | self.sends | self.forgets
        coming = s._walk_due | (s._walking & (s._place <= self.index)) | self.slots.any()
        waits = parked | self.holds.failed | ~s.bus_master | ~s._allowed_before
        wipes = state["Wipe"] | state["Wipe held"] | s._clear_due
        self.promise(~owed | turn | coming | waits | wipes)
