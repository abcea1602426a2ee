"""The storm at its full strength, and on a machine without remapping."""

import pytest

from driver.irq import boot
from sim.host.platform import Host
from sim.model.transport import ModelTransport, run

from ..cases.registry import CONFIG
from ..cases.storm import storm


def play(host: Host, operations: int, seed: int) -> tuple[int, dict[str, int]]:
    """Every promise of the storm, and those of the host after it."""

    async def work():
        transport = ModelTransport(CONFIG, host, seed=seed, shuffle=True)
        return await storm(transport, operations, seed)

    weather = run(work())
    assert not host.check() and host.interrupts.delivered >= weather.fired
    assert not host.interrupts.live and not any(boot(host).counts().values())
    return weather.fired, weather.done


def test_hundred_thousand_operations_lose_double_misdirect_and_leak_nothing():
    fired, done = play(Host(), 100_000, seed=1)
    print(f"{fired} events, {done}")
    assert all(done[name] > 5000 for name in ("come", "go", "move", "rewrite", "mask", "unmask"))


@pytest.mark.parametrize("cpus", [2, 96])
def test_storm_without_remapping_rewrites_messages_and_loses_nothing(cpus):
    host = Host(cpus=cpus, remapping=False)
    fired, done = play(host, 5000, seed=2)
    print(f"{fired} events, {done}")
    assert boot(host).remapping_domain is None
