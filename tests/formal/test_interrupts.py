"""Message storage delivers every event exactly once, and the proof would notice if it did not."""

import inspect
import textwrap

import pytest

from hw.interrupts.keeper import Keeper
from hw.interrupts.pending import PendingBits
from hw.interrupts.pipe import EventPipe

from .interrupts_proof import StoreProof
from .prove import prove, refute


@pytest.mark.timeout(600)
@pytest.mark.parametrize("ims,index", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_every_event_is_delivered_once_held_or_ignored(ims, index):
    """Invariants 1 to 3 of message storage, by induction: for any number of clocks.

    Every vector of a store with two in each table, so the first and the last of each.
    """
    top = StoreProof(ims, index)
    prove(top, f"interrupts_{ims}{index}", depth=3, ports=top.ports)


def start(**changes):
    return {"mask": 1, "ignore": 0, "pending": 0, "allowed": 1} | changes


BROKEN = {
    "an event is lost": (
        (EventPipe.elaborate, "self.pend_valid.eq(step & ", "self.pend_valid.eq(0 & "),
        (1, start(), 8),
    ),
    "an event is held under a wrong number": (
        (PendingBits.elaborate, "self._places.of(self.set)", "self._places.of(self.set) ^ 1"),
        (1, start(), 8),
    ),
    "an event is doubled": (
        (EventPipe.elaborate, "| self.o.ready | silent", "| silent"),
        (1, start(mask=0), 8),
    ),
    "an event is sent although it is masked": (
        (EventPipe.elaborate, "(may_ims & emit_ims)", "may_ims"),
        (1, start(), 8),
    ),
    "a completion is held although it is ignored": (
        (EventPipe.elaborate, "entry.ignore & second.completion", "0"),
        (0, start(ignore=1), 8),
    ),
    "a completion is sent although it is ignored": (
        (EventPipe._tables, "ims_data[33] & second.completion", "0"),
        (1, start(mask=0, ignore=1), 8),
    ),
    "an event that is no completion is ignored": (
        (EventPipe.elaborate, "entry.ignore & second.completion", "entry.ignore"),
        (0, start(ignore=1), 8),
    ),
    "an event that is no completion is not sent": (
        (EventPipe._tables, "msix_ignore & second.completion", "msix_ignore"),
        (0, start(mask=0, ignore=1), 8),
    ),
    "an entry changes under an event": (
        (Keeper._drain, "with m.If(self.quiet)", "with m.If(1)"),
        (0, start(mask=0), 10),
    ),
    "a held event is forgotten": (
        (Keeper._requests, "self._restart.eq(1)", "self._restart.eq(self._restart)"),
        (0, start(mask=0, pending=1, allowed=0), 4),
    ),
}


def break_method(monkeypatch, method, old, new):
    """Compile a method anew with a piece of its text replaced."""
    text = textwrap.dedent(inspect.getsource(method))
    assert text.count(old) == 1, f"{old!r} is in {method.__qualname__} {text.count(old)} times"
    names = {}
    exec(compile(text.replace(old, new), "<broken>", "exec"), method.__globals__, names)
    owner = method.__globals__[method.__qualname__.partition(".")[0]]
    monkeypatch.setattr(owner, method.__name__, names[method.__name__])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found_when(fault, monkeypatch):
    change, (ims, state, depth) = BROKEN[fault]
    break_method(monkeypatch, *change)
    top = StoreProof(ims, 1, state)
    refute(top, "interrupts_" + fault.replace(" ", "_"), depth=depth, ports=top.ports)


def test_nothing_is_found_from_there_in_a_store_that_is_whole():
    top = StoreProof(1, 1, start(pending=1))
    prove(top, "interrupts_whole", mode="bmc", depth=6, ports=top.ports)
