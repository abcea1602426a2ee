"""Interrupt message storage in the host's memory."""

from amaranth import *
from amaranth.lib import enum, stream
from amaranth.lib.wiring import Component, In, Out

from ..interrupts.pipe import WINDOW_BITS
from ..interrupts.records import Check, Event, Message
from ..pcie.records import ReadChunk, ReadCommand, ReadStatus
from ..regs import Config
from ..tlp.records import packet_stream
from .cache import EntryCache
from .fetches import Fetches
from .held import PER_WORD, HeldEvents
from .records import (
    ENTRY_BYTES,
    CachedEntry,
    FetchError,
    Geometry,
    Pending,
    Sync,
    decode_entry,
)


class Kind(enum.Enum, shape=3):
    """What is being worked on."""

    EVENT = 0
    CHECK = 1
    SYNC = 2
    FILL = 3
    WALK = 4


class Waiter(enum.Enum, shape=2):
    """What becomes of the check that was taken."""

    NONE = 0
    NEW = 1
    FETCHES = 2


class HostStore(Component):
    """Interrupt message storage whose entries lie in the host's memory, behind a cache.

    An event of an entry that is in the cache is sent, held, or forgotten as by
    :class:`hw.interrupts.store.MessageStore`. Any other event is held, and its entry is fetched;
    when it has come, the event is sent unless the entry is masked. What a vector holds, it holds
    once.

    Software changes an entry in memory and then asks for a sync of it, or of all. When the answer
    is given, the old copy is gone, no fetch that began before will be used, and every message made
    from it has been taken by whoever listens to ``o_message``. If the vector holds an event, its
    entry is fetched anew.

    A fetch that fails is reported, and the event stays held: it is tried again with the next sync.
    Others do not wait for it, but for descriptors that are checked behind one whose entry is being
    fetched, since verdicts are given in order.

    **Timing**: one piece of work at a time. An event at clock *t* whose entry is cached has its
    message valid at *t+5*; the next one is taken at *t+6*. A miss takes as long as the memory, and
    8 clocks. A sync of one entry takes 5 clocks, one of all a clock for each set of the cache and
    then as long as it takes to go through what is held: 3 clocks for each 16 vectors, and for each
    that holds an event. Events, checks and that walk take turns.

    **Errors**: an event for an entry beyond ``count`` is dropped, and a check of one fails, as does
    one whose entry cannot be had. ``o_error`` keeps one report; others that come meanwhile are not
    told.

    Parameters
    ----------
    config : Config
        ``host_vectors``, ``host_cache_entries``, ``host_cache_ways``, ``host_fetches``.
    geometry : Geometry, optional
        Another one than that of ``config``; for proofs, which need small ones.

    Members
    -------
    i_event : ``In(stream.Signature(Event))``
    o_message : ``Out(stream.Signature(Message))``
    i_check : ``In(stream.Signature(Check))``
    o_verdict : ``Out(stream.Signature(1))``
    i_sync : ``In(stream.Signature(Sync))``
    o_synced : ``Out(stream.Signature(Pending))``
        What the entry held when it was synced; one for each sync.
    o_read : ``Out(stream.Signature(ReadCommand))``
    i_read : ``In(packet_stream(ReadChunk, data_width))``
    o_error : ``Out(stream.Signature(FetchError))``
    base : ``In(64)``
        Where the entries lie; a multiple of 4096. Changes only while ``count`` is 0.
    count : ``In(17)``
        How many there are.
    bus_master : ``In(1)``
        Bus Master Enable.
    clear : ``In(1)``
        Pulse: forget all that is held and cached.
    busy : ``Out(1)``
        A message is inside, a fetch is under way, or something waits for its turn.
    """

    def __init__(self, config: Config, geometry: Geometry | None = None):
        self._config = config
        self._geometry = geometry or Geometry(
            config.host_vectors, config.host_cache_entries, config.host_cache_ways
        )
        super().__init__(
            {
                "i_event": In(stream.Signature(Event)),
                "o_message": Out(stream.Signature(Message)),
                "i_check": In(stream.Signature(Check)),
                "o_verdict": Out(stream.Signature(1)),
                "i_sync": In(stream.Signature(Sync)),
                "o_synced": Out(stream.Signature(Pending)),
                "o_read": Out(stream.Signature(ReadCommand)),
                "i_read": In(packet_stream(ReadChunk, config.data_width)),
                "o_error": Out(stream.Signature(FetchError)),
                "base": In(64),
                "count": In(17),
                "bus_master": In(1),
                "clear": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        geometry = self._geometry
        m.submodules.cache = self._cache = cache = EntryCache(geometry)
        m.submodules.held = self._held = held = HeldEvents(geometry.vectors)
        m.submodules.fetches = self._fetches = fetches = Fetches(
            geometry.index_bits, self._config.host_fetches
        )
        self._kind, self._index = kind, index = Signal(Kind), Signal(geometry.index_bits)
        self._completion, self._exists, self._room = Signal(), Signal(), Signal()
        # What the walk through all that is held is at; that it has to begin anew.
        self._walking, self._walk_due = walking, walk_due = Signal(), Signal()
        self._place = Signal(geometry.index_bits)
        # Whether it tries again what has failed; that the next one does.
        self._walk_all, self._walk_all_due = Signal(), Signal()
        # The walk wants to fetch, and there was no room: events leave the next one to it.
        self._walk_waits = Signal()
        self._waiter, self._check = Signal(Waiter), Signal(Check)
        self._clear_due = clear_due = Signal(init=1)
        self._allowed_before = Signal()
        m.d.sync += self._allowed_before.eq(self.bus_master)
        with m.If(self.clear):
            m.d.sync += clear_due.eq(1)

        self._collect(m)
        m.d.comb += [
            cache.index.eq(index),
            held.index.eq(index),
            fetches.index.eq(index),
            self._room.eq(~fetches.full & (~self.o_read.valid | self.o_read.ready)),
            self.i_check.ready.eq((self._waiter == Waiter.NONE) & ~self.o_verdict.valid),
        ]
        with m.If(self.i_check.valid & self.i_check.ready):
            m.d.sync += [self._waiter.eq(Waiter.NEW), self._check.eq(self.i_check.p)]
        for port in (self.o_read, self.o_error, self.o_verdict, self.o_synced):
            with m.If(port.ready):
                m.d.sync += port.valid.eq(0)
        with m.FSM(init="Rest") as self._states:
            with m.State("Rest"):
                self._choose(m)
            with m.State("Wipe"):
                self._wipe(m, clear_due)
            with m.State("Wipe held"):
                self._wipe_held(m)
            with m.State("Look"):
                m.d.comb += [cache.look.eq(1), held.look.eq(1)]
                m.next = "Compare"
            with m.State("Compare"):
                m.next = "Fetch"
                with m.If(kind == Kind.WALK):
                    self._search(m)
            with m.State("Fetch"):
                m.next = "Judge"
            with m.State("Judge"):
                self._judge(m)
            with m.State("Send"):
                m.d.comb += self.o_message.valid.eq(1)
                with m.If(self.o_message.ready):
                    m.next = "Rest"
        # After what the states do, so that no reason to walk is lost.
        with m.If(self.bus_master & ~self._allowed_before):
            m.d.sync += [walk_due.eq(1), self._walk_all_due.eq(1)]
        m.d.comb += self.busy.eq(
            ~self._states.ongoing("Rest")
            | self.i_event.valid
            | clear_due
            | ~fetches.empty
            | walking
            | walk_due
            | (self._waiter != Waiter.NONE)
        )
        return m

    def _collect(self, m):
        """A chunk into a register: status and entry, until it has been looked at."""
        width = self._config.data_width
        self._came, self._raw = came, raw = Signal(), Signal(8 * ENTRY_BYTES)
        self._status = Signal(ReadStatus)
        chunk = self.i_read
        m.d.comb += chunk.ready.eq(~came)
        with m.If(chunk.valid & chunk.ready):
            m.d.sync += [came.eq(chunk.p.last), self._status.eq(chunk.p.header.status)]
            if width < len(raw):
                m.d.sync += raw.eq(Cat(raw[width:], chunk.p.data))
            else:
                lane = chunk.p.header.address[4 : (width // 8).bit_length() - 1]
                m.d.sync += raw.eq(chunk.p.data.word_select(lane, len(raw)))

    def _wipe(self, m, everything):
        """Forget what is cached, a set at a time; and then what is held, a word at a time."""
        geometry, index = self._geometry, self._index
        m.d.comb += self._cache.wipe.eq(1)
        m.d.sync += index.eq(index + 1)
        with m.If(index == geometry.sets - 1):
            m.d.sync += index.eq(0)
            with m.If(self._kind == Kind.SYNC):
                m.d.sync += [self.o_synced.valid.eq(1), self.o_synced.payload.eq(0)]
            with m.If(everything):
                m.next = "Wipe held"
            with m.Else():
                m.d.sync += [self._walk_due.eq(1), self._walk_all_due.eq(1)]
                m.next = "Rest"

    def _wipe_held(self, m):
        index, last = self._index, self._geometry.vectors - PER_WORD
        m.d.comb += self._held.wipe.eq(1)
        m.d.sync += index.eq(index + PER_WORD)
        with m.If(index == last):
            m.d.sync += [self._walking.eq(0), self._walk_waits.eq(0), self._walk_due.eq(0)]
            m.d.sync += [self._walk_all_due.eq(0), self._clear_due.eq(0)]
            m.next = "Rest"

    def _choose(self, m):
        """Take up the next piece of work: what has come, then syncs, then the others in turn."""
        fetches, walking, place = self._fetches, self._walking, self._place
        with m.If(self._walk_due & ~walking):
            m.d.sync += [
                walking.eq(1),
                place.eq(0),
                self._walk_due.eq(0),
                self._walk_all.eq(self._walk_all_due),
                self._walk_all_due.eq(0),
            ]
        turn = Signal(range(3))
        event, check = self.i_event, self._check
        wishes = (
            (Kind.EVENT, event.valid, event.p.index),
            (Kind.CHECK, self._waiter == Waiter.NEW, check.vector.index),
            (Kind.WALK, walking & ~(self._walk_waits & ~self._room), place),
        )

        def work(kind, index):
            m.d.sync += [self._kind.eq(kind), self._index.eq(index)]
            m.d.sync += self._exists.eq(index < self.count)
            m.next = "Look"

        with m.If(self._clear_due):
            m.d.comb += fetches.spoil_all.eq(1)
            # No sync waits for this.
            m.d.sync += [self._kind.eq(Kind.WALK), self._index.eq(0)]
            m.next = "Wipe"
        with m.Elif(self._came):
            work(Kind.FILL, fetches.oldest)
        with m.Elif(self.i_sync.valid & ~self.o_synced.valid):
            m.d.comb += self.i_sync.ready.eq(1)
            work(Kind.SYNC, self.i_sync.p.index)
            with m.If(self.i_sync.p.every):
                m.d.comb += fetches.spoil_all.eq(1)
                m.d.sync += self._index.eq(0)
                m.next = "Wipe"
        with m.Else():
            with m.Switch(turn):
                for first in range(3):
                    with m.Case(first):
                        branch = m.If
                        for number in (first, (first + 1) % 3, (first + 2) % 3):
                            kind, wish, index = wishes[number]
                            with branch(wish):
                                work(kind, index)
                                m.d.sync += turn.eq((number + 1) % 3)
                                if kind is Kind.EVENT:
                                    m.d.comb += event.ready.eq(1)
                            branch = m.Elif
        m.d.sync += self._completion.eq(event.p.completion)

    def _step(self, m, place):
        """Go on with the walk, from ``place``, or end it if that is beyond the last vector."""
        m.d.sync += [self._place.eq(place), self._walk_waits.eq(0)]
        with m.If(place[self._geometry.index_bits]):
            m.d.sync += self._walking.eq(0)

    def _search(self, m):
        """The walk has a word before it: go to the first vector that holds something."""
        held, index, low = self._held, self._index, (PER_WORD - 1).bit_length()
        with m.If(~held.more):
            self._step(m, Cat(C(0, low), index[low:] + 1))
            m.next = "Rest"
        with m.Elif(held.next != index):
            m.d.sync += self._place.eq(held.next)
            m.next = "Rest"

    def _judge(self, m):
        """Everything is known: decide."""
        entry, good = Signal(CachedEntry), Signal()
        fresh, inside = decode_entry(self._raw, self._config.message_window)
        m.d.comb += [
            self._cache.fresh.eq(fresh),
            good.eq((self._status == ReadStatus.SUCCESS) & inside),
            entry.eq(Mux(self._kind == Kind.FILL, fresh, self._cache.entry)),
        ]
        m.next = "Rest"
        with m.Switch(self._kind):
            with m.Case(Kind.EVENT):
                self._judge_event(m, entry)
            with m.Case(Kind.CHECK):
                self._judge_check(m, entry)
            with m.Case(Kind.SYNC):
                self._judge_sync(m)
            with m.Case(Kind.FILL):
                self._judge_fill(m, entry, good)
            with m.Case(Kind.WALK):
                self._judge_walk(m, entry)

    def _judge_event(self, m, entry):
        held, fetches, now = self._held.held, self._fetches, Signal(Pending)
        m.d.comb += [
            now.eq(held),
            now.completion.eq(held.completion | self._completion),
            now.other.eq(held.other | ~self._completion),
        ]
        with m.If(self._exists & self._cache.hit):
            self._let_go(m, entry, now)
        with m.Elif(self._exists):
            self._hold(m, now)
            with m.If(~fetches.found & ~held.failed & self.bus_master):
                with m.If(self._room & ~self._walk_waits):
                    self._fetch(m)
                with m.Else():
                    m.d.sync += self._walk_due.eq(1)

    def _judge_check(self, m, entry):
        fetches = self._fetches
        with m.If(~self._exists):
            self._conclude(m, 0)
        with m.Elif(self._cache.hit):
            self._conclude(m, self._may(entry))
        with m.Elif(fetches.found):
            m.d.sync += self._waiter.eq(Waiter.FETCHES)
        with m.Elif(self._room & ~self._walk_waits):
            self._fetch(m)
            m.d.sync += self._waiter.eq(Waiter.FETCHES)

    def _judge_sync(self, m):
        held, fetches, now = self._held.held, self._fetches, Signal(Pending)
        holds = self._exists & (held.completion | held.other)
        m.d.comb += [
            self._cache.drop.eq(self._cache.hit),
            fetches.spoil.eq(fetches.found),
            now.eq(held),
            now.failed.eq(0),
        ]
        m.d.sync += [self.o_synced.valid.eq(1), self.o_synced.p.eq(held)]
        with m.If(holds):
            self._hold(m, now)
            # If it is under way, it is fetched again when it has come.
            with m.If(~fetches.found):
                with m.If(self._room & ~self._walk_waits & self.bus_master):
                    self._fetch(m)
                with m.Else():
                    m.d.sync += self._walk_due.eq(1)

    def _judge_fill(self, m, entry, good):
        held, fetches, status, failed = (
            self._held.held,
            self._fetches,
            self._status,
            Signal(Pending),
        )
        waits = (self._waiter == Waiter.FETCHES) & (self._check.vector.index == self._index)
        m.d.comb += [fetches.pop.eq(1), failed.eq(held), failed.failed.eq(1)]
        m.d.sync += self._came.eq(0)
        with m.If(fetches.oldest_stale):
            m.d.sync += self._walk_due.eq(1)
            with m.If(waits):
                m.d.sync += self._waiter.eq(Waiter.NEW)
        with m.Elif(good):
            m.d.comb += self._cache.fill.eq(1)
            self._let_go(m, entry, held)
            with m.If(waits):
                self._conclude(m, self._may(entry))
        with m.Else():
            with m.If(waits):
                self._conclude(m, 0)
            with m.If(status == ReadStatus.BUS_MASTER_OFF):
                # Nothing is wrong with the entry; the switch may be on again.
                m.d.sync += self._walk_due.eq(1)
            with m.Else():
                with m.If(held.completion | held.other):
                    self._hold(m, failed)
                with m.If(~self.o_error.valid):
                    m.d.sync += [
                        self.o_error.valid.eq(1),
                        self.o_error.p.index.eq(self._index),
                        self.o_error.p.status.eq(status),
                    ]

    def _judge_walk(self, m, entry):
        """What this vector holds may leave, or its entry is fetched first."""
        following, failed = self._index + 1, self._held.held.failed & ~self._walk_all
        with m.If(self._cache.hit):
            self._let_go(m, entry, self._held.held)
            self._step(m, following)
        with m.Elif(self._fetches.found | failed | ~self.bus_master):
            self._step(m, following)
        with m.Elif(self._room):
            self._fetch(m)
            self._step(m, following)
        with m.Else():
            m.d.sync += self._walk_waits.eq(1)

    def _let_go(self, m, entry, held):
        """Send what is held, if it may be sent; forget it if it was never to be."""
        with m.If(~(held.other | (held.completion & ~entry.ignore))):
            self._hold(m, 0)
        with m.Elif(~entry.mask & self.bus_master):
            self._hold(m, 0)
            self._send(m, entry)
        with m.Else():
            self._hold(m, held)

    def _hold(self, m, held):
        m.d.comb += [self._held.write.eq(1), self._held.value.eq(held)]

    def _send(self, m, entry):
        window = self._config.message_window
        m.d.sync += [
            self.o_message.p.address.eq(Cat(C(0, 2), entry.place, C(window, 64)[WINDOW_BITS:])),
            self.o_message.p.data.eq(entry.data),
        ]
        m.next = "Send"

    def _fetch(self, m):
        """Ask for the entry."""
        command = self.o_read.p
        m.d.comb += self._fetches.push.eq(1)
        m.d.sync += [
            self.o_read.valid.eq(1),
            command.address.eq(self.base + (self._index << 4)),
            command.length_bytes.eq(ENTRY_BYTES),
        ]

    def _may(self, entry):
        """Whether the descriptor may ring the vector (DSA §5.4)."""
        check = self._check
        return (entry.pasid_enable == check.pasid_enable) & (
            ~check.pasid_enable | (entry.pasid == check.pasid)
        )

    def _conclude(self, m, verdict):
        m.d.sync += [
            self._waiter.eq(Waiter.NONE),
            self.o_verdict.valid.eq(1),
            self.o_verdict.payload.eq(verdict),
        ]
