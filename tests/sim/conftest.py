"""What several tests of this room share."""

import pytest

from sim.model.platform import PlatformHost


@pytest.fixture
def spoiled(monkeypatch):
    """Do something else instead of the n-th write to memory or message of the device."""

    def arrange(method, count, act):
        original, calls = getattr(PlatformHost, method), [0]

        def counting(self, *arguments):
            calls[0] += 1
            if calls[0] == count:
                act(lambda *changed: original(self, *changed), *arguments)
            else:
                original(self, *arguments)

        monkeypatch.setattr(PlatformHost, method, counting)

    return arrange
