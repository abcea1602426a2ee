"""Message storage in host memory keeps its promises, and the proof would notice if it did not."""

import pytest

from hw.host_ims.cache import EntryCache
from hw.host_ims.host_store import HostStore

from .host_proof import HostProof
from .prove import prove, refute
from .test_interrupts import break_method


@pytest.mark.timeout(900)
@pytest.mark.parametrize("index", [0, 5, 15])
def test_every_event_is_sent_once_held_or_ignored(index):
    """Invariants 1, 2 and 4 of message storage, and of 3 that a reason to send is never lost."""
    top = HostProof(index)
    prove(top, f"host_store_{index}", depth=2, ports=top.ports, timeout=600)


BROKEN = {
    "an event is lost": (
        HostStore._judge_event,
        "self._hold(m, now)",
        "self._hold(m, held)",
    ),
    "a message is sent though the entry is masked": (
        HostStore._let_go,
        "~entry.mask & self.bus_master",
        "self.bus_master",
    ),
    "an event that is no completion is ignored": (
        HostStore._let_go,
        "held.other | (held.completion & ~entry.ignore)",
        "(held.other | held.completion) & ~entry.ignore",
    ),
    "an entry that changed on its way is used": (
        HostStore._judge_sync,
        "fetches.spoil.eq(fetches.found)",
        "fetches.spoil.eq(0)",
    ),
    "the cached copy outlives its sync": (
        HostStore._judge_sync,
        "self._cache.drop.eq(self._cache.hit)",
        "self._cache.drop.eq(0)",
    ),
    "a copy stands for a vector of the same set": (
        EntryCache.elaborate,
        "& (found[k].tag == geometry.tag_of(self.index))",
        "",
    ),
    "a fetch that was not begun is not made up for": (
        HostStore._judge_event,
        "m.d.sync += self._walk_due.eq(1)",
        "pass",
    ),
    "a sync is not answered": (
        HostStore._wipe,
        "with m.If(self._kind == Kind.SYNC):",
        "with m.If(~everything):",
    ),
    "a descriptor of another owner passes": (
        HostStore._may,
        "(entry.pasid == check.pasid)",
        "1",
    ),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_is_found_when(fault, monkeypatch):
    break_method(monkeypatch, *BROKEN[fault])
    top = HostProof(5, lemmas=False)
    refute(top, "host_" + fault.replace(" ", "_"), depth=36, ports=top.ports, timeout=600)
