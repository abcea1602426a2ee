"""Message storage in host memory keeps its promises, and the proof would notice if it did not."""

import pytest

from hw.host_ims.cache import EntryCache
from hw.host_ims.host_store import HostStore

from .host_proof import HostProof, Start
from .prove import prove, refute
from .test_interrupts import break_method


@pytest.mark.timeout(900)
@pytest.mark.parametrize("index", [0, 5, 10, 15])
def test_every_event_is_sent_once_held_or_ignored(index):
    """Invariants 1, 2 and 4 of message storage, and of 3 that a reason to send is never lost."""
    top = HostProof(index)
    prove(top, f"host_store_{index}", depth=2, ports=top.ports)


CACHED, COMING = Start(cached=5), Start(reads=(5,))

BROKEN = {
    "an event is lost": (
        (HostStore._judge_event, "self._hold(m, now)", "self._hold(m, held)"),
        (Start(), 8),
    ),
    "a message is sent though the entry is masked": (
        (HostStore._let_go, "~entry.mask & self.bus_master", "self.bus_master"),
        (COMING, 9),
    ),
    "an event that is no completion is ignored": (
        (
            HostStore._let_go,
            "held.other | (held.completion & ~entry.ignore)",
            "(held.other | held.completion) & ~entry.ignore",
        ),
        (COMING, 9),
    ),
    "a copy stands for a vector of the same set": (
        (EntryCache.elaborate, "& (found[k].tag == geometry.tag_of(self.index))", ""),
        (Start(cached=7), 9),
    ),
    "a fetch for which there is no room is not made up for": (
        (HostStore._judge_event, "m.d.sync += self._walk_due.eq(1)", "pass"),
        (Start(reads=(1, 2)), 8),
    ),
    "a sync is not answered": (
        (HostStore._wipe, "with m.If(self._kind == Kind.SYNC):", "with m.If(~everything):"),
        (Start(), 8),
    ),
    "a descriptor of another owner passes": (
        (HostStore._may, "(entry.pasid == check.pasid)", "1"),
        (CACHED, 9),
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found_when(fault, monkeypatch):
    change, (start, depth) = BROKEN[fault]
    break_method(monkeypatch, *change)
    top = HostProof(5, start, lemmas=False)
    refute(top, "host_" + fault.replace(" ", "_"), depth=depth, ports=top.ports)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("start", [CACHED, COMING, Start(cached=7), Start(reads=(1, 2))])
def test_nothing_is_found_from_there_in_a_store_that_is_whole(start):
    """What the induction steps from holds there, so everything that is proven does."""
    top = HostProof(5, start)
    name = f"host_whole_{start.cached}_{len(start.reads)}"
    prove(top, name, mode="bmc", depth=2, ports=top.ports)
