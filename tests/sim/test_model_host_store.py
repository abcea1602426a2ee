"""The model's store of a million entries in host memory, against simple books."""

import random
from types import SimpleNamespace

from sim.model.host import HostError
from sim.model.host_store import ENTRY_BYTES, HostStore

WINDOW = 0xFEE0_0000
MASK, IGNORE = 1, 4
VECTORS = 1 << 20
EVENTS = 60_000
BASE = 0x12_0000_0000


class World:
    """Entries as software wrote them, and as the device may know them; what each vector owes.

    An entry's message says which vector and which version of its entry it was made of.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.flags: dict[int, int] = {}
        self.version: dict[int, int] = {}
        self.synced: dict[int, int] = {}
        self.lost: set[int] = set()
        self.owed: set[int] = set()
        self.messages = self.reports = 0
        config = SimpleNamespace(message_window=WINDOW)
        self.store = HostStore(config, self._fetch, self._message, self._report)
        self.store.configure(enabled=True, base=BASE, count=VECTORS)
        self.store.allow(True)

    def _fetch(self, address: int, length: int) -> bytes:
        vector, rest = divmod(address - BASE, ENTRY_BYTES)
        assert (rest, length) == (0, ENTRY_BYTES) and 0 <= vector < VECTORS
        if vector in self.lost:
            raise HostError
        # 18 bits of the address and 32 of the data tell all of a million vectors apart.
        place, more = vector & 0x3FFFF, vector >> 18
        data = more | self.version.get(vector, 0) << 2
        entry = WINDOW | place << 2 | data << 64 | self.flags.get(vector, 0) << 96
        return entry.to_bytes(ENTRY_BYTES, "little")

    def _message(self, address: int, data: int) -> None:
        vector = (address - WINDOW) >> 2 | (data & 3) << 18
        assert vector in self.owed, f"vector {vector} rang without an event"
        assert data >> 2 >= self.synced.get(vector, 0), f"vector {vector} rang as it was once"
        self.owed.discard(vector)
        self.messages += 1

    def _report(self, index: int, status: int) -> None:
        assert index in self.lost and status == 1
        self.reports += 1

    def choose(self) -> int:
        """Some vectors come often, so that events, syncs and failures meet."""
        return self.rng.randrange(500 if self.rng.random() < 0.3 else VECTORS)

    def event(self, vector: int) -> None:
        """One at a time, so that none merges with another."""
        if vector not in self.owed:
            self.owed.add(vector)
            self.store.event(vector, completion=False)

    def change(self, vector: int) -> None:
        """Another message, masked or not; then a sync."""
        self.flags[vector] = self.rng.choice((0, 0, MASK, MASK | IGNORE))
        self.version[vector] = self.version.get(vector, 0) + 1
        self.sync(vector)

    def sync(self, vector: int) -> None:
        """Of one entry; it says what was held before."""
        before = vector in self.owed
        self.synced[vector] = self.version.get(vector, 0)
        assert self.store.sync(vector) == before

    def step(self) -> None:
        """Anything."""
        vector, what = self.choose(), self.rng.random()
        if what < 0.7:
            self.event(vector)
        elif what < 0.85:
            self.change(vector)
        elif what < 0.95:
            self.lost ^= {vector}
        elif what < 0.9995:
            self.sync(vector)
        else:
            self.store.sync(None)


def test_million_entries_lose_and_double_nothing():
    seed = 1
    print("seed", seed)
    world = World(seed)
    for _ in range(EVENTS):
        world.step()
    assert world.owed == set(world.store.held), "what is owed is held"
    assert world.reports and len(world.owed) > 100
    world.lost.clear()
    world.flags.clear()
    world.store.sync(None)
    assert not world.owed and not world.store.held
    print(f"{world.messages} messages, {world.reports} failed reads")
    assert world.messages > EVENTS // 2


def test_last_of_a_million_rings_and_the_next_is_not_there():
    world = World(2)
    world.event(VECTORS - 1)
    assert world.messages == 1 and not world.owed
    world.store.event(VECTORS, completion=False)
    assert world.messages == 1 and not world.store.held
