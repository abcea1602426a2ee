"""Which entries of a table are free."""

from collections import OrderedDict
from collections.abc import Iterator


class Indices:
    """Hands out the integers ``start`` to ``stop - 1``, each to one owner at a time.

    An index that comes back is handed out again as late as possible. All calls take constant
    time, on average.

    Parameters
    ----------
    scatter
        Hand them out at this distance from one another, modulo their number; the two have no
        common divisor.

    **Errors** ``take`` raises :class:`IndexError` when none is left, and :class:`ValueError` for an
    index that is out; so does ``give`` for one that is not out.
    """

    def __init__(self, start: int, stop: int, scatter: int = 1) -> None:
        self._count = count = stop - start
        self._fresh: Iterator[int] = (start + n * scatter % count for n in range(count))
        self._returned: OrderedDict[int, None] = OrderedDict()
        self._taken: set[int] = set()

    def __len__(self) -> int:
        """How many are free."""
        return self._count - len(self._taken)

    def take(self, index: int | None = None) -> int:
        """The next free index, or the given one."""
        if index is None:
            index = self._next()
        elif index in self._taken:
            raise ValueError(f"{index} is allocated")
        else:
            self._returned.pop(index, None)
        self._taken.add(index)
        return index

    def give(self, index: int) -> None:
        """Take an index back."""
        if index not in self._taken:
            raise ValueError(f"{index} is not allocated")
        self._taken.remove(index)
        self._returned[index] = None

    def _next(self) -> int:
        for index in self._fresh:
            # It may have been taken by name before its turn.
            if index not in self._taken and index not in self._returned:
                return index
        if not self._returned:
            raise IndexError("none is left")
        return self._returned.popitem(last=False)[0]
