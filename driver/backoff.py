"""How long to wait before something is tried again."""

import random

FIRST_CYCLES, LAST_CYCLES = 16, 1024


class Backoff:
    """Pauses that grow, so that many who are turned away do not come back at once.

    The bound doubles from ``FIRST_CYCLES`` to ``LAST_CYCLES`` clocks; each pause lies between half
    of it and all of it.

    Parameters
    ----------
    source
        Where the jitter comes from; seeded, so that a run can be repeated.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._bound = FIRST_CYCLES

    def pause(self) -> int:
        """Clocks to wait now."""
        bound = self._bound
        self._bound = min(2 * bound, LAST_CYCLES)
        return self._source.randint(bound // 2, bound)
