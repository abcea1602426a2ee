"""Message storage, clock by clock, in plain Python.

Written from what :class:`hw.interrupts.store.MessageStore` promises, to be run in lock-step with
it: same inputs, same outputs, in every clock. There are no memories, pipelines of look-ups or state
encodings in here; an event takes its entry along when it enters, and the keeper of the tables is
a coroutine that reads from top to bottom.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from hw.regs.bar0 import bar0
from hw.regs.config import Config

BURST = 64
REST = 16
NO_VERDICTS = [None, None, None]
WINDOW_MASK = (1 << 64) - (1 << 20)


@dataclass(slots=True)
class Inputs:
    """Inputs of one clock. Streams are ``None`` while not valid."""

    event: tuple[int, int, int] | None = None
    """(ims, index, completion)"""
    message_ready: int = 1
    check: tuple[int, int, int, int] | None = None
    """(ims, index, pasid, pasid_enable)"""
    verdict_ready: int = 1
    access: tuple[int, int, int, int] | None = None
    """(address, write, strobe, data)"""
    result_ready: int = 1
    enable: int = 1
    function_mask: int = 0
    bus_master: int = 1
    reset_ims: int = 0


@dataclass(slots=True)
class Outputs:
    """Outputs of one clock. Streams are ``None`` while not valid."""

    event_ready: int
    message: tuple[int, int] | None
    """(address, data)"""
    check_ready: int
    verdict: int | None
    access_ready: int
    result: int | None
    """For a write, only that it is not ``None`` counts."""
    busy: int


@dataclass(slots=True)
class Entry:
    """An entry of either table, with its permission and pending bit."""

    address: int
    data: int = 0
    mask: int = 1
    ignore: int = 0
    pasid_enable: int = 0
    pasid: int = 0
    pending: int = 0


@dataclass(slots=True)
class _Passenger:
    """An event on its way, with the contents of its entry when it entered."""

    entry: Entry
    address: int
    data: int
    sends: bool
    """Neither masked nor silenced."""
    holds: bool
    """Not silenced by Ignore: is held if it is not sent."""
    ims: int
    forced: bool
    allowed: bool = False


def _merge(old: int, strobe: int, data: int) -> int:
    for byte in range(8):
        if strobe >> byte & 1:
            lane = 0xFF << 8 * byte
            old = old & ~lane | data & lane
    return old


@dataclass
class MessageStoreModel:
    """The model. Call :meth:`step` once a clock, from the clock after reset on.

    Parameters
    ----------
    config
        As for the gateware.
    """

    config: Config
    msix: list[Entry] = field(init=False)
    ims: list[Entry] = field(init=False)

    def __post_init__(self) -> None:
        space = bar0(self.config)
        self._windows = [
            (space.table(name).offset, name) for name in ("ims", "pba", "msix", "msixperm")
        ]
        base = self.config.message_window
        self.msix = [Entry(0) for _ in range(self.config.msix_vectors)]
        self.ims = [Entry(base) for _ in range(self.config.ims_vectors)]
        self._walk = self.msix + self.ims
        # Events: put by at the door, on the two steps of the pipe, and about to be held.
        self._open = 0
        self._stored: list[tuple[int, int, int]] = []
        self._steps: list[_Passenger | None] = [None, None]
        self._held: Entry | None = None
        self._silent = False
        # Checks: verdicts on the three steps of their pipe.
        self._closed = 1
        self._verdicts: list[int | None] = [None, None, None]
        # What the keeper says in this clock.
        self._hold = 1
        self._busy = 1
        self._access_ready = 0
        self._result: int | None = None
        self._injected: Entry | None = None
        # What the keeper remembers.
        self._resetting = self._wipe = True
        self._restart = self._scanning = self._scan_next = False
        self._allowed = (0, 0)
        self._rested = 0
        self._is_rested = False
        self._bookmark = 0
        self._in = Inputs()
        self._keeper = self._keep()

    def entry(self, ims: int, index: int) -> Entry | None:
        """Entry of a vector, or ``None`` if there is no such vector."""
        table = self.ims if ims else self.msix
        return table[index] if index < len(table) else None

    def step(self, inputs: Inputs) -> Outputs:
        """One clock: outputs for these inputs and what went before; then the state moves on."""
        self._in = inputs
        last = self._steps[1]
        message = None
        if last is not None and (last.forced or (last.allowed and last.sends)):
            message = (last.address, last.data)
        empty = not (self._stored or self._steps[0] or last or self._held)
        self._quiet = empty and not self._open and self._closed and self._verdicts == NO_VERDICTS
        allow_msix = inputs.bus_master & inputs.enable & (1 - inputs.function_mask)
        allowed = (allow_msix, inputs.bus_master)
        self._now = allowed
        self._access_ready, self._result, self._injected = 0, None, None
        self._hold = self._busy = 1
        next(self._keeper)
        checks = self._verdicts[-1] is None or inputs.verdict_ready
        outputs = Outputs(
            self._open,
            message,
            int(checks and not self._closed),
            self._verdicts[-1],
            self._access_ready,
            self._result,
            int(self._busy or not empty),
        )
        if allowed[0] > self._allowed[0] or allowed[1] > self._allowed[1]:
            self._restart = True
        self._allowed = allowed
        if inputs.reset_ims:
            self._wipe = True
        moves = last is None or bool(inputs.message_ready) or self._silent
        self._silent = not moves and message is None
        self._move_events(inputs, moves, message is None)
        if checks:
            self._move_checks(inputs)
        self._closed = self._hold
        return outputs

    def _move_events(self, inputs: Inputs, moves: bool, silent: bool) -> None:
        if self._held is not None:
            self._held.pending = 1
        last = self._steps[1]
        if last is not None and moves and silent and last.holds:
            self._held = last.entry
        else:
            self._held = None
        stored = self._stored
        opens = not self._hold and len(stored) < 2
        if self._open and inputs.event is not None:
            # Another one is let in if there is room for it even if nothing moves.
            opens = opens and not stored
            stored.append(inputs.event)
        if moves:
            first = self._steps[0]
            if first is not None:
                first.allowed = bool(self._now[first.ims])
            entering = None
            if self._injected is not None:
                entering = self._board(self._injected, 0, 0, True)
            elif stored:
                ims, index, completion = stored.pop(0)
                if (entry := self.entry(ims, index)) is not None:
                    entering = self._board(entry, ims, completion, False)
            self._steps = [entering, first]
        self._open = int(opens)

    def _board(self, entry: Entry, ims: int, completion: int, forced: bool) -> _Passenger:
        silenced = completion and entry.ignore
        return _Passenger(
            entry,
            entry.address,
            entry.data,
            not entry.mask and not silenced,
            not silenced,
            ims,
            forced,
        )

    def _move_checks(self, inputs: Inputs) -> None:
        verdict = None
        if inputs.check is not None and not self._closed:
            ims, index, pasid, enable = inputs.check
            entry = self.entry(ims, index)
            verdict = int(
                entry is not None
                and entry.pasid_enable == enable
                and (not enable or entry.pasid == pasid)
            )
        self._verdicts = [verdict, *self._verdicts[:2]]

    # The keeper. Every ``yield`` ends a clock.

    def _keep(self) -> Generator[None, None, None]:
        sweep = False
        while True:
            # At rest.
            access = self._in.access
            rested = self._is_rested
            self._is_rested = self._rested >= REST
            scan = self._scanning and rested and (self._scan_next or access is None)
            asks = self._wipe or (self._restart and not self._scanning)
            self._hold = int(self._resetting)
            self._busy = int(asks or sweep or self._scanning)
            if not rested:
                self._rested += 1
            if asks:
                sweep |= self._wipe
                self._scanning |= self._restart
                self._wipe = self._restart = False
                self._bookmark = 0
                yield
                continue
            if not (sweep or scan or access):
                yield
                continue
            if scan:
                self._rested = 0
            yield
            yield from self._drain()
            if sweep:
                yield from self._sweep()
                sweep = False
            elif scan:
                yield from self._scan()
            else:
                assert access is not None
                yield from self._serve(*access)
            self._is_rested = self._rested >= REST

    def _drain(self) -> Generator[None, None, None]:
        while not self._quiet:
            yield
        yield

    def _sweep(self) -> Generator[None, None, None]:
        base = self.config.message_window
        for number, entry in enumerate(self._walk):
            is_msix = number < len(self.msix)
            if self._resetting or not is_msix:
                entry.address, entry.data, entry.mask = 0 if is_msix else base, 0, 1
                entry.pending = 0
            entry.ignore = entry.pasid_enable = entry.pasid = 0
            yield
        yield
        self._resetting = False
        yield

    def _at(self, number: int) -> Entry | None:
        """Entry that a rescan meets; it goes one too far, which may be the first again."""
        walk = self._walk
        if number < len(walk):
            return walk[number]
        return walk[0] if len(walk) & (len(walk) - 1) == 0 else None

    def _scan(self) -> Generator[None, None, None]:
        here = before = self._bookmark
        looked_at = 0
        while True:
            # A clock for each pending bit, whose value comes two clocks later.
            asked: int | None = None
            answered: int | None = None
            while True:
                at_end = before >= len(self._walk)
                more = looked_at < BURST and not at_end
                entry = None if answered is None else self._at(answered)
                if entry is not None and entry.pending:
                    break
                if not more and asked is None and answered is None:
                    self._bookmark = here
                    self._scan_next = False
                    self._rested = 0
                    if at_end:
                        self._scanning = False
                    yield
                    return
                answered, asked = asked, here if more else None
                before = here
                if more:
                    looked_at += 1
                    here += 1
                yield
            if more:
                looked_at += 1
            yield
            assert answered is not None
            here = answered
            yield  # settle
            yield  # ask
            yield  # fetch
            yield  # take
            ims = entry is not self._at(0) and here >= len(self.msix)
            go = entry.pending and not entry.mask and self._allowed[ims]
            yield  # judge
            before = here
            here += 1
            if go:
                self._inject(entry)
                yield  # send
                yield from self._drain()
                before = here

    def _inject(self, entry: Entry) -> None:
        self._injected = entry
        entry.pending = 0

    def _serve(
        self, address: int, write: int, strobe: int, data: int
    ) -> Generator[None, None, None]:
        base, window = next(item for item in self._windows if address >= item[0])
        offset = address - base
        if window == "pba":
            for _ in range(BURST + 2):
                yield
            self._rested = BURST
            word = self.msix[offset // 8 * 64 :][:64]
            result = sum(entry.pending << bit for bit, entry in enumerate(word))
            yield
            yield from self._accept(result)
            return
        index = offset // (8 if window == "msixperm" else 16)
        upper = window != "msixperm" and bool(offset & 8)
        entry = (self.ims if window == "ims" else self.msix)[index]
        yield  # ask
        yield  # fetch
        word_now = self._image(entry, window, upper)
        if not write:
            yield
            yield from self._accept(word_now)
            return
        yield  # take
        sends = False
        word_now = _merge(word_now, strobe, data)
        if window == "msixperm":
            entry.ignore = word_now >> 2 & 1
            entry.pasid_enable = word_now >> 3 & 1
            entry.pasid = word_now >> 12 & 0xFFFFF
        elif not upper:
            if window == "msix" or word_now & WINDOW_MASK == self.config.message_window:
                entry.address = word_now & ~3
        else:
            entry.data = word_now & 0xFFFF_FFFF
            entry.mask = word_now >> 32 & 1
            if window == "ims":
                entry.ignore = word_now >> 34 & 1
                entry.pasid_enable = word_now >> 35 & 1
                entry.pasid = word_now >> 44
            sends = bool(entry.pending and not entry.mask and self._allowed[window == "ims"])
        yield
        if sends:
            self._inject(entry)
            self._access_ready = 1
            yield
            yield from self._answer(word_now)
        else:
            yield from self._accept(word_now)

    def _image(self, entry: Entry, window: str, upper: bool) -> int:
        permission = entry.ignore << 2 | entry.pasid_enable << 3 | entry.pasid << 12
        if window == "msixperm":
            return permission
        if not upper:
            return entry.address
        control = entry.mask
        if window == "ims":
            control |= entry.pending << 1 | permission
        return entry.data | control << 32

    def _accept(self, result: int) -> Generator[None, None, None]:
        self._access_ready = 1
        self._hold = 0
        self._scan_next = True
        yield
        yield from self._answer(result)

    def _answer(self, result: int) -> Generator[None, None, None]:
        while True:
            self._hold = 0
            self._result = result
            self._scan_next = True
            if self._in.result_ready:
                yield
                return
            yield
