"""Every case of the driver on the functional model, in order and shuffled."""

import pytest

from driver.irq import boot
from sim.host.platform import Host
from sim.model.transport import ModelTransport, run

from .cases import CASES, CONFIG, Case

SHUFFLES = (None, 1, 2)
"""The model's own order of work, and random ones by seed."""


async def play(case: Case, seed: int | None) -> Host:
    """Run one case on a new device; returns its host."""
    transport = ModelTransport(CONFIG, seed=seed or 0, shuffle=seed is not None)
    await case(transport)
    return transport.platform


@pytest.mark.parametrize("seed", SHUFFLES, ids=lambda seed: "in_order" if seed is None else seed)
@pytest.mark.parametrize("name", sorted(CASES))
def test_case(name, seed):
    print("seed", seed)
    host = run(play(CASES[name], seed))
    assert not host.check()
    assert not host.interrupts.live, "entries of the remapping table were leaked"
    assert not any(boot(host).counts().values()), "interrupts were leaked"
