"""Which entries of a table are free."""

from collections import deque


class Indices:
    """Hands out the integers ``start`` to ``stop - 1``, each to one owner at a time.

    An index that comes back is handed out again as late as possible. Both calls take constant
    time.

    **Errors** ``take`` raises :class:`IndexError` when none is left; ``give`` raises
    :class:`ValueError` for an index that is not out.
    """

    def __init__(self, start: int, stop: int) -> None:
        self._free = deque(range(start, stop))
        self._taken: set[int] = set()

    def __len__(self) -> int:
        """How many are free."""
        return len(self._free)

    def take(self) -> int:
        """The next free index."""
        index = self._free.popleft()
        self._taken.add(index)
        return index

    def give(self, index: int) -> None:
        """Take an index back."""
        if index not in self._taken:
            raise ValueError(f"{index} is not allocated")
        self._taken.remove(index)
        self._free.append(index)
