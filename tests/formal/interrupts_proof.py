"""What is proven about message storage, for one vector that stands for all.

The store is the product's, with two vectors in each table. Events, accesses, switches, resets of
interrupt message storage and back-pressure are the solver's choice, for ever: the proof is by
induction. Memories are replaced by :class:`~tests.formal.contract_ram.ContractRam`, which does what
:class:`hw.interrupts.ram.Ram` promises, and anything at all where it promises nothing.

The proof keeps books about the chosen vector:

- ``owed``: events that were taken, but for completions while Ignore was set, less messages taken,
  less events that became one with an event that was pending already, less pending events that a
  reset of interrupt message storage forgot;
- ``mask``, ``ignore``, ``address``, ``data``: what the writes that software made have left in the
  entry, by the rules of the specification.

To make the induction close, it also states what is true inside; each such line is proven as well.
"""

from amaranth import *
from amaranth.hdl import Assert, Assume

from hw.interrupts.keeper import Pace
from hw.interrupts.pending import Places
from hw.interrupts.store import MessageStore
from hw.regs.bar0 import bar0
from hw.regs.config import Config

from .contract_ram import contract_rams

CONFIG = Config(ims_vectors=256, msix_vectors=2)
VECTORS = 2
PACE = Pace(burst_log2=1, rest_log2=1)
WINDOW = CONFIG.message_window >> 20
SPACE = bar0(CONFIG)
#: States in which the pipes have to be quiet.
BUSY_STATES = (
    *("Sweep", "Return", "Settle", "Ask", "Fetch", "Take", "Judge"),
    *("Write", "Send", "Gather", "Scan", "Skip"),
)


class StoreProof(Elaboratable):
    """The store, its environment, and what has to hold.

    Parameters
    ----------
    ims, index : int
        The chosen vector.
    start : dict, optional
        Start after the first sweep rather than at reset, with ``mask``, ``ignore`` and ``pending``
        of the chosen vector, and whether the tables were ``allowed`` to send, as given: a state
        that a store gets to, and a short way to what is to be shown of a broken one. Then only
        promises are checked, not what helps to prove them.
    """

    def __init__(self, ims: int, index: int, start: dict | None = None):
        self.ims, self.index, self.start = ims, index, start
        self.store = s = MessageStore(CONFIG, ims_vectors=VECTORS, msix_vectors=VECTORS, pace=PACE)
        self.places = Places(VECTORS, VECTORS)
        self.ports = [
            s.i_event.valid,
            s.i_event.payload,
            s.o_message.ready,
            s.i_check.valid,
            s.i_check.payload,
            s.o_verdict.ready,
            s.csr.access.valid,
            s.csr.access.payload,
            s.csr.result.ready,
            s.enable,
            s.function_mask,
            s.bus_master,
            s.reset_ims,
        ]

    def elaborate(self, platform):
        self._open()
        m = self.module
        if self.start is not None:
            for flag in (self.keeper._reset, self.keeper._wipe):
                flag._init = 0
            self.keeper._allowed_before._init = 0b11 * self.start["allowed"]
        self._environment(m)
        self._contents(m)
        self._pipes(m)
        self._keeper(m)
        self._promises(m)
        self._service(m)
        return m

    # Naming what is inside.

    def _open(self):
        """Elaborate the parts by hand, so that their state has names."""
        with contract_rams():
            self.module = m = self.store.elaborate(None)
            self.store._MustUse__used = True
            self.parts = {}
            for name, (part, location) in list(m._named_submodules.items()):
                inner = part.elaborate(None)
                part._MustUse__used = True
                m._named_submodules[name] = (inner, location)
                self.parts[name] = (part, inner)
            keeper = self.parts["keeper"][1]
            for name, (part, location) in list(keeper._named_submodules.items()):
                inner = part.elaborate(None)
                part._MustUse__used = True
                keeper._named_submodules[name] = (inner, location)
                self.parts[name] = (part, inner)
        states = self.parts["keeper"][0]._states
        self.state = {
            name: states._data["signal"] == number for name, number in states.encoding.items()
        }
        self.pipe, self.keeper = self.parts["pipe"][0], self.parts["keeper"][0]
        self.walker, self.word = self.parts["walker"][0], self.parts["word"][0]
        self.vector = C(self.index | self.ims << 14, 15)
        self.place = C(self.index + (0 if self.ims else self.places.first), self.places.bits)

    def _lemma(self, condition):
        """What only helps the induction; from a given start, only promises are checked."""
        return Assert(condition if self.start is None else 1, src_loc_at=1)

    def _in(self, *names):
        return Cat(self.state[name] for name in names).any()

    def _ram(self, name, part="pipe"):
        return getattr(self.parts[part][1].submodules, name)

    def _is(self, vector):
        return Value.cast(vector)[:15] == self.vector

    def _counts(self, event):
        """Whether Ignore lets an event pass: it silences completions, and nothing else."""
        return ~(self.ignore & event.completion)

    # What may come.

    def _environment(self, m):
        """Streams keep their rules; software keeps to entries that exist."""
        s = self.store
        access, result = s.csr.access, s.csr.result
        for port in (s.i_event, access):
            refused = Signal()
            before = Signal.like(Value.cast(port.payload))
            m.d.sync += [refused.eq(port.valid & ~port.ready), before.eq(port.payload)]
            m.d.comb += [
                Assume(~refused | port.valid),
                Assume(~refused | (Value.cast(port.payload) == before)),
            ]
        self.refused = refused
        self.offered = Signal.like(access.payload)
        m.d.comb += self.offered.eq(before)
        waiting = Signal()
        with m.If(access.valid & access.ready):
            m.d.sync += waiting.eq(1)
        with m.Elif(result.valid & result.ready):
            m.d.sync += waiting.eq(0)
        m.d.comb += Assume(~waiting | ~access.valid)
        self.waiting = waiting

        def exists(address):
            tables = {"msix": 16, "msixperm": 8, "ims": 16, "pba": 8}
            found = []
            for name, stride in tables.items():
                base = SPACE.table(name).offset
                count = 1 if name == "pba" else VECTORS
                found += [address == base + n for n in range(0, stride * count, 8)]
            return Cat(found).any()

        m.d.comb += Assume(~access.valid | exists(access.p.address))
        m.d.comb += self._lemma(~refused | exists(self.offered.address))

    def _contents(self, m):
        """What the writes so far have left in the entry, and what the tables hold."""
        access, keeper = self.store.csr.access.p, self.keeper
        start = self.start or {"mask": 1, "ignore": 0}
        mask, ignore = Signal(init=start["mask"]), Signal(init=start["ignore"])
        address = Signal(64, init=CONFIG.message_window if self.ims else 0)
        data = Signal(32)

        def merge(old):
            return Cat(
                Mux(access.strobe[n], access.data[8 * n : 8 * n + 8], old[8 * n : 8 * n + 8])
                for n in range(len(old) // 8)
            )

        written = self.state["Write"]
        entry = SPACE.table("ims" if self.ims else "msix").entry(self.index)
        merged = Signal(64)
        m.d.comb += merged.eq(merge(address))
        inside = merged[20:] == WINDOW if self.ims else C(1)
        with m.If(written & (access.address == entry) & inside):
            m.d.sync += address.eq(Cat(C(0, 2), merged[2:]))
        with m.If(written & (access.address == entry + 8)):
            m.d.sync += data.eq(merge(data))
            with m.If(access.strobe[4]):
                m.d.sync += mask.eq(access.data[32])
                if self.ims:
                    m.d.sync += ignore.eq(access.data[34])
        if not self.ims:
            permission = SPACE.table("msixperm").entry(self.index)
            with m.If(written & (access.address == permission) & access.strobe[0]):
                m.d.sync += ignore.eq(access.data[2])
        # The first sweep gives all entries their reset values, later ones not those of MSI-X.
        known = Signal(init=self.start is not None)
        here = (keeper.write.index[:1] == self.index) & self.state["Sweep"]
        with m.If(here):
            m.d.sync += [ignore.eq(0), known.eq(1)]
        with m.If(here & (self.ims | keeper._reset)):
            base = CONFIG.message_window if self.ims else 0
            m.d.sync += [mask.eq(1), address.eq(base), data.eq(0)]
        self.mask, self.ignore, self.known = mask, ignore, known
        self.address, self.data = address, data
        if self.ims:
            expected = {
                "ims_address": address[2:20],
                "ims_data": Cat(data, mask, ignore),
            }
            m.d.comb += self._lemma(~known | (address[20:] == WINDOW))
        else:
            expected = {
                "msix_low": address[2:38],
                "msix_high": address[38:],
                "msix_data": Cat(data, mask),
                "msix_ignore": ignore,
            }
        m.d.comb += self._lemma(address[:2] == 0)
        self.expected = expected
        for name, value in expected.items():
            word = self._ram(name).words[self.index]
            if self.start is not None:
                word._init = {
                    "ims_data": (start["mask"] | start["ignore"] << 1) << 32,
                    "msix_data": start["mask"] << 32,
                    "msix_ignore": start["ignore"],
                }.get(name, 0)
            m.d.comb += self._lemma(~known | (word == value))

    # What is true inside.

    def _pipes(self, m):
        """Entries in the pipe are those in the tables."""
        pipe, state = self.pipe, self.state
        (first, first_event, first_send), (second, second_event, second_send) = (
            pipe._first,
            pipe._second,
        )
        may_ims, may_msix = pipe._may
        first_busy = first_event | first_send | state["Fetch"]
        second_busy = second_event | second_send | state["Take"]
        for name, value in self.expected.items():
            ram = self._ram(name)
            m.d.comb += [
                self._lemma(~(self.known & first_busy & self._is(first)) | (ram.fetched == value)),
                self._lemma(
                    ~(self.known & second_busy & self._is(second)) | (ram.read_data == value)
                ),
            ]
        if self.ims:
            high = self._ram("msix_high").read_data
            window = C(WINDOW >> 18, 26)
            m.d.comb += self._lemma(~(second_busy & self._is(second)) | (high == window))
        for busy, vector in (
            (first_event | first_send, first),
            (second_event | second_send, second),
            (pipe.pend_valid, pipe.pend),
        ):
            m.d.comb += self._lemma(~busy | (vector.index < VECTORS))
        stored, ready = pipe._stored_valid, pipe._ready
        check = self.parts["check"][0]
        m.d.comb += [
            self._lemma(stored != 0b10),
            self._lemma(~(stored[1] & ready)),
            self._lemma(~may_ims | (second_event & Value.cast(second)[14])),
            self._lemma(~may_msix | (second_event & ~Value.cast(second)[14])),
            self._lemma(~pipe._silent | (second_event & ~self.store.o_message.valid)),
            self._lemma(~(first_event & first_send)),
            self._lemma(~(second_event & second_send)),
        ]
        # Quiet whenever the keeper is at work; nothing enters before the first sweep.
        quiet = ~(ready | stored.any() | first_event | first_send | second_event | second_send)
        quiet &= ~pipe.pend_valid
        keeper = self.keeper
        m.d.comb += self._lemma(~(self._in(*BUSY_STATES) | keeper._reset) | quiet)
        m.d.comb += self._lemma(~self._in(*BUSY_STATES) | check.quiet)

    def _keeper(self, m):
        keeper, walker, state = self.keeper, self.walker, self.state
        here = walker._here
        is_here = here[: self.places.bits] == self.place
        bit = self._pending_word()
        m.d.comb += [
            self._lemma(keeper._states._data["signal"] < len(keeper._states.encoding)),
            # Reset leads straight to a sweep from end to end.
            self._lemma(~keeper._reset | self._in("Rest", "Drain", "Sweep")),
            self._lemma(~keeper._reset | keeper._sweep_due | (state["Rest"] & keeper._wipe)),
            self._lemma(~keeper._sweep_due | self._in("Rest", "Drain", "Sweep")),
            self._lemma(~state["Sweep"] | keeper._sweep_due),
            self._lemma(~keeper._sweep_due | (walker._bookmark == self.places.first)),
            self._lemma(~(keeper._sweep_due & state["Drain"]) | (here == self.places.first)),
            self._lemma(~state["Sweep"] | (here >= self.places.first)),
            self._lemma(~state["Sweep"] | (here <= self.places.count + self.places.end + 1)),
            self._lemma(~(state["Sweep"] & (here > self.places.first + self.index)) | self.known),
            self._lemma(~(state["Sweep"] & walker.at_end) | (here > self.places.first + 1)),
            self._lemma(keeper._reset | self.known),
            # The vector register follows the walker.
            self._lemma(
                ~self._in(*BUSY_STATES[3:9])
                | (Value.cast(keeper.turn.vector) == self.places.vector(here[: self.places.bits]))
            ),
        ]
        # What is known about the pending bit of the entry that is looked at.
        pending_ram = self.parts["pending"][1].submodules.bits
        m.d.comb += [
            self._lemma(~(state["Fetch"] & is_here) | (pending_ram.fetched == bit)),
            self._lemma(~(state["Take"] & is_here) | (pending_ram.read_data == bit)),
            self._lemma(~(self._in("Judge", "Write") & is_here) | (keeper._was_pending == bit)),
            self._lemma(
                ~(state["Judge"] & is_here & self.known) | (keeper._was_masked == self.mask)
            ),
            self._lemma(~(state["Send"] & is_here) | (bit & ~self.mask)),
        ]
        self._access(m, is_here)

    def _access(self, m, is_here):
        """In a turn for software, the keeper has in mind what is on the bus."""
        keeper, state, offered = self.keeper, self.state, self.offered
        windows = keeper._windows
        at_work = self._in("Drain", "Ask", "Fetch", "Take", "Write", "Gather")
        host = at_work & ~keeper._for_scan & ~keeper._sweep_due
        asked = windows.window(offered.address)
        m.d.comb += [
            self._lemma(~self._in("Return", "Settle", "Judge", "Scan", "Skip") | keeper._for_scan),
            self._lemma(~self._in("Write", "Gather", "Answer") | ~keeper._for_scan),
            self._lemma(~host | self.refused),
            self._lemma(~keeper._accept | self.refused),
            self._lemma(~keeper._accept | self._in("Send", "Answer")),
            self._lemma(~host | (keeper._window_now.as_value() == asked)),
            self._lemma(~host | (keeper._upper == offered.address[3])),
            self._lemma(~host | (keeper._is_write == offered.write)),
            self._lemma(~self.waiting | state["Answer"]),
            self._lemma(~state["Answer"] | self.waiting | keeper._accept),
            self._lemma(~(self.waiting & keeper._accept)),
        ]
        place = windows.place(self.places, asked, offered.address)
        placed = host & self._in("Ask", "Fetch", "Take", "Write")
        m.d.comb += self._lemma(~placed | (self.walker._here == place))

        for bit, byte in enumerate(range(2, 8)):
            low = max(8 * byte, 20)
            base = C(CONFIG.message_window >> low & (1 << 8 * byte + 8 - low) - 1, 8)
            differs = offered.data[low : 8 * byte + 8] != base
            m.d.comb += self._lemma(keeper._outside[bit] == (offered.strobe[byte] & differs))

        # The word that is written is the one that the specification says.
        word = self.word.word
        upper, lower = (
            offered.address == SPACE.table("ims" if self.ims else "msix").entry(self.index) + n
            for n in (8, 0)
        )
        old_upper = Cat(self.data, self.mask, C(0, 31))
        cares = 0x1_FFFF_FFFF
        if self.ims:
            old_upper = Cat(self.data, self.mask, C(0, 1), self.ignore, C(0, 29))
            cares |= 4 << 32
        for wanted, old, care in ((upper, old_upper, cares), (lower, self.address, ~0)):
            for byte in range(8):
                lane = slice(8 * byte, 8 * byte + 8)
                new = Mux(offered.strobe[byte], offered.data[lane], old[lane])
                same = ((word[lane] ^ new) & (care >> 8 * byte & 0xFF)) == 0
                m.d.comb += self._lemma(~(state["Write"] & wanted & self.known) | same)
        if not self.ims:
            at = offered.address == SPACE.table("msixperm").entry(self.index)
            new = Mux(offered.strobe[0], offered.data[2], self.ignore)
            m.d.comb += self._lemma(~(state["Write"] & at & self.known) | (word[2] == new))
        empty = state["Sweep"] | (self._in("Ask", "Fetch", "Take") & ~keeper._for_scan)
        m.d.comb += self._lemma(~empty | (word == 0))

    def _pending_words(self):
        return self.parts["pending"][1].submodules.bits.words

    def _pending_word(self):
        return self._pending_words()[self.place.value]

    # What is promised.

    def _promises(self, m):
        s, pipe, keeper = self.store, self.pipe, self.keeper
        (first, first_event, first_send), (second, second_event, second_send) = (
            pipe._first,
            pipe._second,
        )
        bit = self._pending_word()
        held = bool(self.start and self.start["pending"])
        self._pending_words()[self.place.value]._init = int(held)
        event = s.i_event.payload
        taken = s.i_event.valid & s.i_event.ready & self._is(event) & self._counts(event)
        offered = s.o_message.valid & self._is(second)
        sent = offered & s.o_message.ready
        merged = pipe.pend_valid & self._is(pipe.pend) & bit
        cleared = keeper.clear & (self.walker.place == self.place)
        forgotten = cleared & self.state["Sweep"] & bit
        owed = Signal(4, init=held)
        m.d.sync += owed.eq(owed + taken - sent - merged - forgotten)
        events = [
            busy & self._is(event) & self._counts(event)
            for busy, event in (
                (pipe._stored_valid[0], pipe._stored[0]),
                (pipe._stored_valid[1], pipe._stored[1]),
                (first_event, first),
                (second_event, second),
            )
        ]
        others = [
            first_send & self._is(first),
            second_send & self._is(second),
            pipe.pend_valid & self._is(pipe.pend),
            bit,
        ]
        inside = sum(events, C(0, 1)) + sum(others, C(0, 1))
        m.d.comb += [
            self._lemma(owed == inside),
            # Nothing is lost: what is owed is held once, or inside. Nothing is doubled: nothing is
            # sent that is not owed.
            Assert(s.busy | (owed == bit)),
            Assert((owed + taken) >= sent + merged + forgotten),
            # A message is what its entry holds, and its vector is not masked.
            Assert(~offered | (s.o_message.p.address == self.address)),
            Assert(~offered | (s.o_message.p.data == self.data)),
            Assert(~offered | ~self.mask),
            self._lemma(~(others[0] | others[1]) | ~self.mask),
        ]

    def _service(self, m):
        """What waits and may be sent lies ahead of a rescan: no vector is ever forgotten."""
        keeper, walker, state, pipe = self.keeper, self.walker, self.state, self.pipe
        (second, second_event, _) = pipe._second
        allowed = keeper._allowed_before[0 if self.ims else 1]
        undecided = second_event & self._is(second) & self._counts(second)
        undecided &= ~self.store.o_message.valid
        held = pipe.pend_valid & self._is(pipe.pend)
        waits = (self._pending_word() | undecided | held) & ~self.mask & self.known
        position = self.index + (self.places.count if self.ims else self.places.first)

        def ahead(of):
            return of <= position

        earlier, before = walker._earlier, walker._before
        at_bookmark = (
            self._in("Rest", "Answer", "Write", "Gather", "Return")
            | self._in("Drain", "Ask", "Fetch", "Take", "Send") & ~keeper._for_scan
        )
        at_walker = self._in("Settle", "Judge", "Skip") | (
            self._in("Drain", "Ask", "Fetch", "Take", "Send") & keeper._for_scan
        )
        in_scan = Mux(
            keeper._answered,
            ahead(earlier),
            Mux(keeper._asked, ahead(before), ahead(walker._here)),
        )
        # It is being sent just now.
        sending = state["Send"] & (walker.place == self.place)
        due = (sending | keeper._restart) | (
            keeper._scanning
            & (
                state["Sweep"]
                | keeper._sweep_due
                | (at_bookmark & ahead(walker._bookmark))
                | (at_walker & ahead(walker._here))
                | (state["Scan"] & in_scan)
            )
        )
        m.d.comb += [
            # When nothing is going on, nothing waits that may be sent.
            Assert(self.store.busy | ~(waits & allowed)),
            self._lemma(~(waits & allowed) | due),
            self._lemma(self._in("Scan", "Gather") | ~(keeper._asked | keeper._answered)),
        ]
        # What a rescan reads is the bit of the place where the walker was.
        ram = self.parts["pending"][1].submodules.bits
        bit = self._pending_word()
        for busy, where, value in (
            (keeper._asked, before, ram.fetched),
            (keeper._answered, earlier, ram.read_data),
        ):
            of_chosen = where[: self.places.bits] == self.place
            m.d.comb += self._lemma(~(state["Scan"] & busy & of_chosen) | (value == bit))
