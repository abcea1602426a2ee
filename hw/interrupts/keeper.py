"""Everything about the tables that is not an event: accesses, rescans, and resets."""

from dataclasses import dataclass

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..csr.bus import CsrSignature
from .pending import Places
from .permission import Permission, PermissionWrite
from .pipe import WINDOW_BITS, Entry, EntryWrite, Turn
from .walker import Walker
from .windows import Window, Windows
from .word import Word

WORD_LOG2 = 6
"""Log2 of the bits in a word of the PBA."""


@dataclass(frozen=True)
class Pace:
    """How a rescan shares the clocks with events.

    Parameters
    ----------
    burst_log2
        Log2 of the pending bits that are looked at in one turn; at most 6.
    rest_log2
        Log2 of the clocks that events have to themselves between two turns; at most 5.
    """

    burst_log2: int = 6
    rest_log2: int = 4


class Keeper(Component):
    """Reads and writes entries for software, rescans pending bits, and resets the tables.

    It works in turns. For each it raises ``hold`` and waits until the pipes are ``quiet``, so
    nothing that it does can race with an event, and whoever reads an entry sees the completion
    after all messages made from earlier contents. The turns are:

    - an access from ``csr``. After a write to data and control of an entry that leaves it pending,
      unmasked and allowed to send, the event that waited is sent and its pending bit cleared;
    - up to 64 pending bits of a rescan. A rescan follows whenever ``allow_ims`` or ``allow_msix``
      rises, after the one that is under way, and sends what waits and no longer has to, MSI-X
      vectors first;
    - a sweep, which gives all entries their reset values: after reset, and without the MSI-X table
      and its pending bits when ``reset_ims`` is pulsed.

    **Timing**: in clocks, from the offer of an access at rest: a read of an entry is answered after
    7, a write after 8, a read of pending bits after 71; 3 more if events and checks come without
    pause. Accesses without pause take 11 or 12 each, reads of pending bits 75. A sweep takes one
    for each vector. In a rescan each look takes one, and a pending bit that is found 9 more; the
    rest of a turn takes 9. Between two turns at least one event can enter, and 16 between two turns
    of a rescan: until then there are 16 accesses at most, only the last of them a read of pending
    bits, which takes 256.

    **Errors**: a write of interrupt message storage whose resulting address is outside the message
    window changes nothing (DSA §9.2.28). Writes to read-only bits change nothing.

    Parameters
    ----------
    windows : Windows
        Where the tables are on ``csr``.
    places : Places
        Where the pending bits are.
    window : int
        Base of the message window.
    pace : Pace
        How a rescan shares the clocks with events.

    Members
    -------
    csr : ``In(CsrSignature())``
        Offsets in BAR0, inside the windows only.
    allow_ims, allow_msix, reset_ims : ``In(1)``
    busy : ``Out(1)``
        A turn is taken or due.
    hold : ``Out(1)``, quiet : ``In(1)``
        To and from the pipes.
    turn, turn_valid, look, write
        As of :class:`hw.interrupts.pipe.EventPipe`.
    permission_ims, permission_msix, permission_write
        ``look_*`` and ``write`` of :class:`hw.interrupts.permission.PermissionCheck`.
    place, pending, clear
        As of :class:`hw.interrupts.pending.PendingBits`.
    """

    def __init__(self, windows: Windows, places: Places, window: int, pace: Pace):
        self._windows, self._places, self._pace = windows, places, pace
        self._window = window >> WINDOW_BITS
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "allow_ims": In(1),
                "allow_msix": In(1),
                "reset_ims": In(1),
                "busy": Out(1),
                "hold": Out(1),
                "quiet": In(1),
                "turn": Out(Turn),
                "turn_valid": Out(1),
                "look": In(Entry),
                "write": Out(EntryWrite),
                "permission_ims": In(Permission),
                "permission_msix": In(Permission),
                "permission_write": Out(PermissionWrite),
                "place": Out(places.bits),
                "pending": In(1),
                "clear": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self._places
        m.submodules.walker = self._walker = walker = Walker(places)
        m.submodules.word = self._word = word = Word()
        # Pending bits looked at in this turn, and between turns the clocks of rest.
        self._step = step = Signal(WORD_LOG2 + 1)
        self._advance_step, self._clear_step = Signal(), Signal()
        self._reset, self._wipe, self._sweep_due = Signal(init=1), Signal(init=1), Signal()
        self._restart, self._scanning, self._scan_next = Signal(), Signal(), Signal()
        self._for_scan, self._upper, self._is_write = Signal(), Signal(), Signal()
        self._window_now = Signal(Window)
        self._was_pending, self._was_masked = Signal(), Signal()
        self._accept = Signal()
        # Reads of pending bits on their way.
        self._asked, self._answered = Signal(), Signal()
        self._gathers = gathers = Signal()

        access = self.csr.access.p
        is_msix = places.is_msix(walker.place)
        # A clock old, which does no harm: whatever rises later starts a rescan.
        self._allowed = Signal()
        vector = self.turn.vector
        m.d.sync += [
            # Kinds of turns; they are told apart before a turn leaves ``Drain``.
            walker.walks.eq(self._for_scan | self._sweep_due),
            gathers.eq(self._window_now == Window.MSIX_PENDING),
            self._allowed.eq(Mux(is_msix, self.allow_msix, self.allow_ims)),
            vector.index.eq(walker.place),
            vector.ims.eq(~is_msix),
        ]
        # Outermost, so that it becomes the synchronous reset of the register.
        with m.If(is_msix):
            m.d.sync += vector.index[places.msix_bits :].eq(0)
        m.d.comb += [
            self.hold.eq(1),
            self.busy.eq(1),
            self.place.eq(walker.place),
            walker.offset.eq(Mux(gathers, step[:WORD_LOG2], 0)),
            self.csr.access.ready.eq(self._accept),
            self.csr.result.payload.eq(word.word),
            word.window.eq(self._window_now),
            word.upper.eq(self._upper),
            word.written.eq(access.strobe & self._is_write.replicate(8)),
            word.data.eq(access.data),
            word.look.eq(self.look),
            word.permission_ims.eq(self.permission_ims),
            word.permission_msix.eq(self.permission_msix),
            word.pending.eq(self.pending),
        ]
        with m.If(self._advance_step):
            m.d.sync += step.eq(step + 1)
        with m.If(self._clear_step):
            m.d.sync += step.eq(0)
        m.d.sync += [self._answered.eq(self._asked), self._asked.eq(0), self._accept.eq(0)]
        self._inside = self._filter(m)
        self._write_data(m)
        with m.FSM(init="Rest") as self._states:
            self._rest(m)
            self._drain(m)
            self._sweep(m, is_msix)
            self._look_up(m)
            self._write(m)
            self._send(m)
            self._gather(m)
            self._scan(m)
        self._requests(m)
        return m

    def _requests(self, m):
        """Remember what asks for a rescan or a sweep. What asks now is not forgotten now."""
        self._allowed_before = allowed = Signal(2)
        m.d.sync += allowed.eq(Cat(self.allow_ims, self.allow_msix))
        with m.If((Cat(self.allow_ims, self.allow_msix) & ~allowed).any()):
            m.d.sync += self._restart.eq(1)
        with m.If(self.reset_ims):
            m.d.sync += self._wipe.eq(1)

    def _rest(self, m):
        """Wait for something to do. The first rest after reset is none."""
        access = self.csr.access
        rested = Signal()
        rests_over = self._step[self._pace.rest_log2 :].any()
        m.d.sync += rested.eq(rests_over & ~self._clear_step)
        scan = self._scanning & rested & (self._scan_next | ~access.valid)
        window = self._windows.window(access.p.address)
        # A pass that is under way ends before another begins, or those at its end would starve.
        asks = self._wipe | (self._restart & ~self._scanning)
        with m.State("Rest"):
            m.d.comb += [
                self.hold.eq(self._reset),
                self.busy.eq(asks | self._sweep_due | self._scanning),
                self._advance_step.eq(~rested),
                self._walker.rewind.eq(asks),
            ]
            m.d.sync += [
                self._for_scan.eq(scan),
                self._window_now.eq(window),
                self._upper.eq(access.p.address[3]),
                self._is_write.eq(access.p.write),
            ]
            with m.If(asks):
                m.d.sync += [
                    self._wipe.eq(0),
                    self._sweep_due.eq(self._sweep_due | self._wipe),
                    self._restart.eq(0),
                    self._scanning.eq(self._scanning | self._restart),
                ]
            with m.Elif(self._sweep_due | scan | access.valid):
                m.d.comb += self._clear_step.eq(scan)
                m.next = "Drain"

    def _drain(self, m):
        address = self.csr.access.p.address
        with m.State("Drain"):
            m.d.comb += [
                self._word.clear.eq(1),
                self._walker.enter.eq(1),
                self._walker.entry.eq(
                    self._windows.place(self._places, self._window_now.as_value(), address)
                ),
            ]
            with m.If(self.quiet):
                with m.If(self._sweep_due):
                    m.next = "Sweep"
                with m.Elif(self._for_scan):
                    m.next = "Scan"
                with m.Elif(self._window_now == Window.MSIX_PENDING):
                    m.d.comb += self._clear_step.eq(1)
                    m.next = "Gather"
                with m.Else():
                    m.next = "Ask"

    def _sweep(self, m, is_msix):
        """Write reset values: the word is 0 all the time."""
        with m.State("Sweep"):
            m.d.comb += [
                self._walker.advance.eq(1),
                self.clear.eq(self._reset | ~is_msix),
            ]
            m.d.sync += [
                self.write.ims_address.eq(1),
                self.write.ims_data.eq(1),
                self.write.msix_address.eq(self._reset),
                self.write.msix_data.eq(self._reset),
                self.write.msix_ignore.eq(1),
                self.permission_write.ims.eq(1),
                self.permission_write.msix.eq(1),
            ]
            with m.If(self._walker.at_end):
                # A rescan that was under way starts anew.
                m.d.comb += self._walker.rewind.eq(1)
                m.d.sync += [self._reset.eq(0), self._sweep_due.eq(0)]
                m.next = "Rest"

    def _look_up(self, m):
        """Send a look-up through the pipes, and take the entry when it comes out."""
        with m.State("Settle"):
            m.next = "Ask"
        with m.State("Ask"):
            m.d.comb += self.turn_valid.eq(1)
            m.next = "Fetch"
        with m.State("Fetch"):
            m.next = "Take"
        with m.State("Take"):
            m.d.comb += self._word.take.eq(1)
            m.d.sync += [
                self._was_pending.eq(self.pending),
                self._was_masked.eq(self.look.mask),
            ]
            with m.If(self._for_scan):
                m.next = "Judge"
            with m.Elif(self._is_write):
                self._choose(m)
                m.next = "Write"
            with m.Else():
                m.d.sync += self._accept.eq(1)
                m.next = "Answer"

        with m.State("Judge"):
            with m.If(self._was_pending & ~self._was_masked & self._allowed):
                m.next = "Send"
            with m.Else():
                m.d.comb += self._walker.advance.eq(1)
                m.next = "Scan"

    def _write_data(self, m):
        """What is written always comes from the word; the states decide a clock before which part.

        A clock, because their decision comes late, and tables may lie far apart.
        """
        word, write, permission = self._word.word, self.write, self.permission_write
        self._reset_value = reset_value = Signal()
        m.d.sync += [
            write.ims_address.eq(0),
            write.ims_data.eq(0),
            write.msix_address.eq(0),
            write.msix_data.eq(0),
            write.msix_ignore.eq(0),
            permission.ims.eq(0),
            permission.msix.eq(0),
            reset_value.eq(self._sweep_due),
            write.index.eq(self._walker.place),
            permission.index.eq(self._walker.place),
        ]
        m.d.comb += [
            write.entry.address.eq(word[2:]),
            write.entry.data.eq(word[:32]),
            write.entry.mask.eq(word[32] | reset_value),
            write.entry.ignore.eq(word[34]),
            write.msix_ignore_value.eq(word[2]),
            permission.ims_permission.eq(Cat(word[35], word[44:])),
            permission.msix_permission.eq(Cat(word[3], word[12:32])),
        ]

    def _choose(self, m):
        """Say which parts are written in the next clock."""
        write = self.write
        with m.Switch(self._window_now):
            with m.Case(Window.IMS):
                m.d.sync += [
                    write.ims_address.eq(~self._upper & self._inside),
                    write.ims_data.eq(self._upper),
                    self.permission_write.ims.eq(self._upper),
                ]
            with m.Case(Window.MSIX):
                m.d.sync += [
                    write.msix_address.eq(~self._upper),
                    write.msix_data.eq(self._upper),
                ]
            with m.Case(Window.MSIX_PERMISSION):
                m.d.sync += [
                    write.msix_ignore.eq(1),
                    self.permission_write.msix.eq(1),
                ]

    def _write(self, m):
        waits = self._was_pending & ~self._word.word[32] & self._allowed
        with m.State("Write"):
            m.d.sync += self._accept.eq(1)
            m.next = "Answer"
            is_entry = self._window_now != Window.MSIX_PERMISSION
            with m.If(is_entry & self._upper & waits):
                m.next = "Send"

    def _filter(self, m):
        """Whether the address that is written stays in the message window.

        What is there is inside, so only bytes that are written matter. They are on the bus long
        before they are written, which leaves time for a register.
        """
        access = self.csr.access.p
        base = Const(self._window << WINDOW_BITS, 64)
        lanes = [slice(max(8 * n, WINDOW_BITS), 8 * n + 8) for n in range(8)]
        self._outside = outside = Signal(8 - WINDOW_BITS // 8)
        for bit, byte in enumerate(range(WINDOW_BITS // 8, 8)):
            differs = access.data[lanes[byte]] != base[lanes[byte]]
            m.d.sync += outside[bit].eq(access.strobe[byte] & differs)
        return ~outside.any()

    def _send(self, m):
        """Send the event that waited; answer an access."""
        with m.State("Send"):
            m.d.comb += [self.turn_valid.eq(1), self.turn.send.eq(1), self.clear.eq(1)]
            m.next = "Answer"
            with m.If(self._for_scan):
                m.d.comb += self._walker.advance.eq(1)
                m.next = "Drain"
        with m.State("Answer"):
            m.d.comb += [self.hold.eq(0), self.csr.result.valid.eq(~self._accept)]
            m.d.sync += self._scan_next.eq(1)
            with m.If(self.csr.result.valid & self.csr.result.ready):
                m.next = "Rest"

    def _walk(self, m, more):
        """Ask for a pending bit and go on, ``more`` permitting; returns whether all is over."""
        m.d.sync += self._asked.eq(more)
        m.d.comb += self._advance_step.eq(more)
        return ~more & ~self._asked & ~self._answered

    def _gather(self, m):
        """Collect a word of the MSI-X pending bits."""
        exists = self._step < self._places.count - self._places.first
        with m.State("Gather"):
            over = self._walk(m, ~self._step[WORD_LOG2])
            for _ in range(2):
                earlier, exists = exists, Signal()
                m.d.sync += exists.eq(earlier)
            m.d.comb += [
                self._word.gather.eq(self._answered),
                self._word.bit.eq(self.pending & exists),
            ]
            with m.If(over):
                m.d.sync += self._accept.eq(1)
                m.next = "Answer"

    def _scan(self, m):
        """Look at pending bits until one is set, 64 have been looked at, or there are no more."""
        with m.State("Scan"):
            more = ~self._step[self._pace.burst_log2 :].any() & ~self._walker.at_end
            over = self._walk(m, more)
            m.d.comb += self._walker.advance.eq(more)
            with m.If(self._answered & self.pending):
                # It was asked for two clocks ago.
                m.d.comb += self._walker.back.eq(1)
                m.d.sync += [self._asked.eq(0), self._answered.eq(0)]
                m.next = "Settle"
            with m.Elif(over):
                m.d.comb += self._clear_step.eq(1)
                m.d.sync += self._scan_next.eq(0)
                with m.If(self._walker.at_end):
                    m.d.sync += self._scanning.eq(0)
                m.next = "Rest"
