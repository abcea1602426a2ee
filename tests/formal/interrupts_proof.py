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
from amaranth.hdl import Assert

from hw.interrupts.windows import Window

from .interrupts_books import CONFIG, SPACE, VECTORS, WINDOW, StoreBooks

#: States of a turn that is about one entry, from the look-up on.
ENTRY_STATES = ("Ask", "Fetch", "Take", "Judge", "Write", "Send")
#: States in which the pipes have to be quiet.
BUSY_STATES = ("Sweep", "Settle", *ENTRY_STATES, "Gather", "Scan")


class StoreProof(StoreBooks):
    """The store, its environment, and what has to hold.

    Parameters are those of :class:`StoreBooks`.
    """

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
        m.d.comb += self._lemma(~(self._in(*BUSY_STATES) | keeper._reset | self.swept) | quiet)
        m.d.comb += self._lemma(~self._in(*BUSY_STATES) | check.quiet)

    def _keeper(self, m):
        keeper, walker, state = self.keeper, self.walker, self.state
        here, place = walker._here, walker.place
        is_here = place == self.place
        bit = self._pending_word()
        m.d.comb += [
            self._lemma(keeper._states._data["signal"] < len(keeper._states.encoding)),
            # Reset leads straight to a sweep from end to end.
            self._lemma(~keeper._reset | self._in("Rest", "Drain", "Sweep")),
            self._lemma(~keeper._reset | keeper._sweep_due | (state["Rest"] & keeper._wipe)),
            self._lemma(~keeper._sweep_due | self._in("Rest", "Drain", "Sweep")),
            self._lemma(~state["Sweep"] | keeper._sweep_due),
            self._lemma(
                ~(keeper._sweep_due & self._in("Rest", "Drain")) | (here == self.places.first)
            ),
            self._lemma(~state["Sweep"] | (here >= self.places.first)),
            self._lemma(~state["Sweep"] | (here <= self.places.count + self.places.end + 1)),
            self._lemma(~(state["Sweep"] & (here > self.places.first)) | self.swept),
            self._lemma(
                ~(state["Sweep"] & (here > self.places.first + self.index + 1)) | self.known
            ),
            self._lemma(~(state["Sweep"] & walker.at_end) | (here > self.places.first + 2)),
            self._lemma(keeper._reset | self.known),
            # The vector register follows the walker.
            self._lemma(
                ~self._in(*ENTRY_STATES)
                | (keeper.turn.vector.ims == ~place[-1])
                & (keeper.turn.vector.index == place[: self.places.msix_bits])
            ),
            # A turn is known for what it is when it leaves Drain.
            self._lemma(
                ~self._in(*BUSY_STATES) | (walker.walks == (keeper._for_scan | keeper._sweep_due))
            ),
            self._lemma(
                ~self._in(*BUSY_STATES)
                | (keeper._gathers == (keeper._window_now == Window.MSIX_PENDING))
            ),
        ]
        # What is known about the pending bit of the entry that is looked at.
        pending_ram = self.parts["pending"][1].submodules.bits
        m.d.comb += [
            self._lemma(~pending_ram.write | self._in("Rest", "Drain", "Sweep", "Answer")),
            self._lemma(~(state["Fetch"] & is_here) | (pending_ram.fetched == bit)),
            self._lemma(~(state["Take"] & is_here) | (pending_ram.read_data == bit)),
            self._lemma(~(self._in("Judge", "Write") & is_here) | (keeper._was_pending == bit)),
            self._lemma(
                ~(state["Judge"] & is_here & self.known) | (keeper._was_masked == self.mask)
            ),
            self._lemma(~(state["Send"] & is_here) | (bit & ~self.mask)),
        ]
        self._writes(m)
        self._access(m, is_here)

    def _writes(self, m):
        """The tables are written after a sweep or a write, and where they should be."""
        keeper, write = self.keeper, self.keeper.write
        window, upper = keeper._window_now, keeper._upper
        written, swept, index = self.written, self.swept, write.index[:1]
        strobes = {
            "ims_address": (Window.IMS, ~upper & ~keeper._outside.any()),
            "ims_data": (Window.IMS, upper),
            "msix_address": (Window.MSIX, ~upper),
            "msix_data": (Window.MSIX, upper),
            "msix_ignore": (Window.MSIX_PERMISSION, C(1)),
        }
        for name, (where, which) in strobes.items():
            strobe = getattr(write, name)
            m.d.comb += [
                self._lemma(~strobe | written | swept),
                self._lemma(~written | (strobe == ((window == where) & which))),
            ]
            if name in ("ims_address", "ims_data", "msix_ignore"):
                m.d.comb += self._lemma(~swept | strobe)
        m.d.comb += [
            self._lemma(~swept | (write.msix_address == write.msix_data)),
            self._lemma(~(swept & ~self.known) | write.msix_data),
            self._lemma(~(swept & keeper._reset) | write.msix_data),
            self._lemma(~written | (index == self.walker.place[:1])),
            self._lemma(~swept | (index == self.walker._before[:1])),
            self._lemma(~swept | (keeper._reset_value & self._in("Sweep", "Rest"))),
            self._lemma(~written | ~keeper._reset_value),
        ]

    def _access(self, m, is_here):
        """In a turn for software, the keeper has in mind what is on the bus."""
        keeper, state, offered = self.keeper, self.state, self.offered
        windows = keeper._windows
        at_work = self._in("Drain", "Ask", "Fetch", "Take", "Write", "Gather")
        host = at_work & ~keeper._for_scan & ~keeper._sweep_due
        asked = windows.window(offered.address)
        m.d.comb += [
            self._lemma(~self._in("Settle", "Judge", "Scan") | keeper._for_scan),
            self._lemma(~self._in("Write", "Gather", "Answer") | ~keeper._for_scan),
            self._lemma(~host | self.refused),
            self._lemma(~keeper._accept | self.refused),
            self._lemma(~keeper._accept | self._in("Send", "Answer")),
            self._lemma(~self.written | keeper._is_write),
            self._lemma(~host | (keeper._window_now.as_value() == asked)),
            self._lemma(~host | (keeper._upper == offered.address[3])),
            self._lemma(~host | (keeper._is_write == offered.write)),
            self._lemma(~self.waiting | state["Answer"]),
            self._lemma(~state["Answer"] | self.waiting | keeper._accept),
            self._lemma(~(self.waiting & keeper._accept)),
        ]
        place = windows.place(self.places, asked, offered.address)
        placed = host & self._in("Ask", "Fetch", "Take", "Write")
        drained = state["Drain"] & keeper.quiet & ~keeper._for_scan & ~keeper._sweep_due
        gathers = asked == Window.MSIX_PENDING.value
        m.d.comb += [
            self._lemma(~placed | (self.walker.place == place)),
            self._lemma(~placed | ~gathers),
            self._lemma(~drained | (self.walker._asked == place)),
            self._lemma(~drained | (~self.walker.walks & (keeper._gathers == gathers))),
        ]

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
                m.d.comb += self._lemma(~(self.written & wanted & self.known) | same)
        if not self.ims:
            at = offered.address == SPACE.table("msixperm").entry(self.index)
            new = Mux(offered.strobe[0], offered.data[2], self.ignore)
            m.d.comb += self._lemma(~(self.written & at & self.known) | (word[2] == new))
        empty = state["Sweep"] | self.swept | (self._in("Ask", "Fetch", "Take") & ~keeper._for_scan)
        m.d.comb += self._lemma(~empty | (word == 0))

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
        last = self.places.count + self.places.end
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
                keeper._sweep_due
                | (~state["Scan"] & ahead(walker._here))
                | (state["Scan"] & in_scan)
            )
        )
        m.d.comb += [
            # When nothing is going on, nothing waits that may be sent.
            Assert(self.store.busy | ~(waits & allowed)),
            self._lemma(~(waits & allowed) | due),
            self._lemma(~(state["Scan"] & walker.at_end) | ~ahead(walker._here)),
            # It goes one place too far, and no further: it does not get to its beginning again.
            self._lemma(~state["Scan"] | walker.at_end | (walker._here <= last)),
            self._lemma(
                ~(self._in("Settle", *ENTRY_STATES) & keeper._for_scan) | (walker._here <= last)
            ),
            self._lemma(~keeper._asked | state["Gather"] | (before <= last)),
            self._lemma(~keeper._answered | state["Gather"] | (earlier <= last)),
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
