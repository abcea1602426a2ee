"""Everything about the tables that is not an event: accesses, rescans, and resets."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..csr.bus import CsrSignature
from .pending import Places
from .permission import Permission, PermissionWrite
from .pipe import WINDOW_BITS, Entry, EntryWrite, Turn
from .records import Vector
from .windows import Window, Windows

BURST_LOG2 = 6
"""Log2 of the pending bits that are looked at in one turn: those of a word of the PBA."""

REST_LOG2 = 4
"""Log2 of the clocks that events have to themselves between two turns of a rescan."""


class Keeper(Component):
    """Reads and writes entries for software, rescans pending bits, and resets the tables.

    It works in turns. For each it raises ``hold`` and waits until the pipes are ``quiet``, so
    nothing that it does can race with an event, and whoever reads an entry sees the completion
    after all messages made from earlier contents. The turns are:

    - an access from ``csr``. After a write to data and control of an entry that leaves it pending,
      unmasked and allowed to send, the event that waited is sent and its pending bit cleared;
    - up to 64 pending bits of a rescan. A rescan starts whenever ``allow_ims`` or ``allow_msix``
      rises, and sends what waits and no longer has to, MSI-X vectors first;
    - a sweep, which gives all entries their reset values: after reset, and without the MSI-X table
      and its pending bits when ``reset_ims`` is pulsed.

    **Timing**: in clocks, from quiet pipes: a read of an entry is answered after 5, a write after
    6 or 7, a read of pending bits after 70; a sweep takes one for each vector. Between two turns
    at least one event can enter, and 16 between two turns of a rescan. Accesses and turns of
    a rescan alternate at the latest after 16 accesses.

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
    permission, permission_write
        ``look`` and ``write`` of :class:`hw.interrupts.permission.PermissionCheck`.
    place, pending, clear, clear_place
        As of :class:`hw.interrupts.pending.PendingBits`.
    """

    def __init__(self, windows: Windows, places: Places, window: int):
        self._windows, self._places = windows, places
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
                "permission": In(Permission),
                "permission_write": Out(PermissionWrite),
                "place": Out(places.bits),
                "pending": In(1),
                "clear": Out(1),
                "clear_place": Out(places.bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        places = self._places
        # Bit ``places.bits`` of the cursor tells the end from the beginning.
        self._cursor = cursor = Signal(places.bits + 1, init=places.first)
        self._last = Signal()
        self._step = Signal(BURST_LOG2 + 1)
        self._wipe, self._everything = Signal(), Signal(init=1)
        self._restart, self._scanning, self._scan_next = Signal(), Signal(), Signal()
        self._for_scan = Signal()
        self._window_now, self._upper, self._write_now = Signal(Window), Signal(), Signal()
        self._sweeping = Signal()
        self._vector = Signal(Vector)
        # Reads of pending bits on their way.
        self._asked, self._answered = Signal(), Signal()
        self._cursors = [Signal.like(cursor), Signal.like(cursor)]

        m.d.comb += [
            self._last.eq(cursor == places.count + places.end - 1),
            self.turn.vector.eq(self._vector),
            self.place.eq(places.of(self._vector)),
            self.clear_place.eq(
                Mux(self._sweeping, cursor[: places.bits], places.of(self._vector))
            ),
            self.hold.eq(1),
            self.busy.eq(1),
        ]
        m.d.sync += [
            self._answered.eq(self._asked),
            self._asked.eq(0),
            self._cursors[0].eq(cursor),
            self._cursors[1].eq(self._cursors[0]),
        ]
        self._requests(m)
        merged = self._merge(m)
        with m.FSM(init="Sweep"):
            self._rest(m)
            self._drain(m)
            self._sweep(m)
            self._look_up(m)
            self._write(m, merged)
            self._send(m)
            self._gather(m)
            self._scan(m)
        return m

    def _requests(self, m):
        """Remember what asks for a rescan or a sweep."""
        allowed = Signal(2)
        m.d.sync += allowed.eq(Cat(self.allow_ims, self.allow_msix))
        with m.If((Cat(self.allow_ims, self.allow_msix) & ~allowed).any()):
            m.d.sync += self._restart.eq(1)
        with m.If(self.reset_ims):
            m.d.sync += self._wipe.eq(1)

    def _rest(self, m):
        access = self.csr.access
        rested = self._step[REST_LOG2:].any()
        scan = self._scanning & rested & (self._scan_next | ~access.valid)
        window = self._windows.window(access.p.address)
        with m.State("Rest"):
            m.d.comb += [
                self.hold.eq(0),
                self.busy.eq(self._wipe | self._restart | self._scanning),
            ]
            with m.If(~rested):
                m.d.sync += self._step.eq(self._step + 1)
            m.d.sync += [
                self._for_scan.eq(scan),
                self._window_now.eq(window),
                self._upper.eq(access.p.address[3]),
                self._write_now.eq(access.p.write),
                self._vector.index.eq(self._windows.index(window, access.p.address)),
                self._vector.ims.eq(window == Window.IMS.value),
            ]
            with m.If(self._wipe):
                m.next = "Drain"
            with m.Elif(self._restart):
                m.d.sync += [
                    self._restart.eq(0),
                    self._scanning.eq(1),
                    self._cursor.eq(self._places.first),
                ]
            with m.Elif(scan | access.valid):
                with m.If(scan):
                    m.d.sync += self._step.eq(0)
                m.next = "Drain"

    def _drain(self, m):
        with m.State("Drain"):
            with m.If(self.quiet):
                with m.If(self._wipe):
                    m.d.sync += [self._wipe.eq(0), self._cursor.eq(self._places.first)]
                    m.next = "Sweep"
                with m.Elif(self._for_scan):
                    m.next = "Scan"
                with m.Elif(self._window_now == Window.MSIX_PENDING):
                    m.d.sync += self._step.eq(0)
                    m.next = "Gather"
                with m.Else():
                    m.next = "Ask"

    def _sweep(self, m):
        with m.State("Sweep"):
            msix = self._places.is_msix(self._cursor)
            m.d.comb += [
                self._sweeping.eq(1),
                self.clear.eq(self._everything | ~msix),
                self.write.ims_address.eq(1),
                self.write.ims_data.eq(1),
                self.write.msix_address.eq(self._everything),
                self.write.msix_data.eq(self._everything),
                self.write.msix_ignore.eq(1),
                self.permission_write.ims.eq(1),
                self.permission_write.msix.eq(1),
            ]
            m.d.sync += self._cursor.eq(self._cursor + 1)
            with m.If(self._last):
                # A rescan that was under way has lost its place.
                with m.If(self._scanning):
                    m.d.sync += self._restart.eq(1)
                m.d.sync += self._everything.eq(0)
                m.next = "Rest"

    def _look_up(self, m):
        """Send a look-up through the pipes, and take the entry when it comes out."""
        with m.State("Ask"):
            m.d.comb += self.turn_valid.eq(1)
            m.next = "Fetch"
        with m.State("Fetch"):
            m.next = "Take"
        with m.State("Take"):
            allowed = Mux(self._vector.ims, self.allow_ims, self.allow_msix)
            m.d.sync += [self._result.eq(self._image()), self._was_pending.eq(self.pending)]
            with m.If(self._for_scan):
                with m.If(self.pending & ~self.look.mask & allowed):
                    m.next = "Send"
                with m.Else():
                    m.next = "Scan"
            with m.Elif(self._write_now):
                m.next = "Write"
            with m.Else():
                m.d.comb += self.csr.access.ready.eq(1)
                m.next = "Answer"

    def _image(self):
        """The word that software sees, from what came out of the pipes."""
        look, permission = self.look, self.permission
        ims = self._vector.ims
        identity = Cat(look.ignore, permission.pasid_enable, C(0, 8), permission.pasid)
        control = Cat(look.mask, Mux(ims, Cat(self.pending, identity), 0))
        return Mux(
            self._window_now == Window.MSIX_PERMISSION,
            Cat(C(0, 2), identity),
            Mux(self._upper, Cat(look.data, control), Cat(C(0, 2), look.address)),
        )

    def _merge(self, m):
        """The word that a write makes of the one that was there, or zeros for a sweep."""
        self._result, self._was_pending = Signal(64), Signal()
        access = self.csr.access.p
        merged = Signal(64)
        m.d.comb += self.csr.result.payload.eq(self._result)
        for byte in range(8):
            lane = slice(8 * byte, 8 * byte + 8)
            value = Mux(access.strobe[byte], access.data[lane], self._result[lane])
            m.d.comb += merged[lane].eq(Mux(self._sweeping, 0, value))
        index = Mux(self._sweeping, self._cursor[: len(self._vector.index)], self._vector.index)
        write, permission = self.write, self.permission_write
        m.d.comb += [
            write.index.eq(index),
            write.entry.address.eq(merged[2:]),
            write.entry.data.eq(merged[:32]),
            write.entry.mask.eq(merged[32] | self._sweeping),
            write.entry.ignore.eq(merged[34]),
            write.msix_ignore_value.eq(merged[2]),
            permission.index.eq(index),
            permission.ims_permission.eq(Cat(merged[35], merged[44:])),
            permission.msix_permission.eq(Cat(merged[3], merged[12:32])),
        ]
        return merged

    def _write(self, m, merged):
        write = self.write
        inside = merged[WINDOW_BITS:] == self._window
        allowed = Mux(self._vector.ims, self.allow_ims, self.allow_msix)
        with m.State("Write"):
            m.d.comb += self.csr.access.ready.eq(1)
            m.next = "Answer"
            with m.Switch(self._window_now):
                with m.Case(Window.IMS):
                    m.d.comb += [
                        write.ims_address.eq(~self._upper & inside),
                        write.ims_data.eq(self._upper),
                        self.permission_write.ims.eq(self._upper),
                    ]
                with m.Case(Window.MSIX):
                    m.d.comb += [
                        write.msix_address.eq(~self._upper),
                        write.msix_data.eq(self._upper),
                    ]
                with m.Case(Window.MSIX_PERMISSION):
                    m.d.comb += [
                        write.msix_ignore.eq(1),
                        self.permission_write.msix.eq(1),
                    ]
            entry = self._window_now != Window.MSIX_PERMISSION
            waits = self._was_pending & ~merged[32] & allowed
            with m.If(entry & self._upper & waits):
                m.next = "Send"

    def _send(self, m):
        """Send the event that waited; answer an access."""
        with m.State("Send"):
            m.d.comb += [self.turn_valid.eq(1), self.turn.send.eq(1), self.clear.eq(1)]
            m.next = "Answer"
            with m.If(self._for_scan):
                m.next = "Drain"
        with m.State("Answer"):
            m.d.comb += [self.hold.eq(0), self.csr.result.valid.eq(1)]
            m.d.sync += self._scan_next.eq(1)
            with m.If(self.csr.result.ready):
                m.next = "Rest"

    def _gather(self, m):
        """Collect a word of the MSI-X pending bits."""
        places = self._places
        step, done = self._step[:BURST_LOG2], self._step[BURST_LOG2]
        vector = Signal(Vector)
        number = Cat(step, self._vector.index)
        exists = [number < places.count - places.first]
        for _ in range(2):
            exists.append(Signal(name=f"exists{len(exists)}"))
            m.d.sync += exists[-1].eq(exists[-2])
        with m.State("Gather"):
            m.d.comb += [vector.index.eq(number), self.place.eq(places.of(vector))]
            with m.If(~done):
                m.d.sync += [self._asked.eq(1), self._step.eq(self._step + 1)]
            with m.If(self._answered):
                m.d.sync += self._result.eq(Cat(self._result[1:], self.pending & exists[-1]))
            with m.If(done & ~self._asked & ~self._answered):
                m.d.comb += self.csr.access.ready.eq(1)
                m.next = "Answer"

    def _scan(self, m):
        """Look at pending bits until one is set, 64 have been looked at, or there are no more."""
        places = self._places
        end = self._cursor == places.count + places.end
        done = self._step[BURST_LOG2] | end
        with m.State("Scan"):
            m.d.comb += self.place.eq(self._cursor)
            with m.If(~done):
                m.d.sync += [
                    self._asked.eq(1),
                    self._step.eq(self._step + 1),
                    self._cursor.eq(self._cursor + 1),
                ]
            with m.If(self._answered & self.pending):
                # Afterwards, go on from its successor.
                m.d.sync += [
                    self._vector.eq(places.vector(self._cursors[1])),
                    self._cursor.eq(self._cursors[0]),
                    self._asked.eq(0),
                    self._answered.eq(0),
                ]
                m.next = "Ask"
            with m.Elif(done & ~self._asked & ~self._answered):
                m.d.sync += [self._step.eq(0), self._scan_next.eq(0)]
                with m.If(end):
                    m.d.sync += self._scanning.eq(0)
                m.next = "Rest"
