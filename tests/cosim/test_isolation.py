"""A hostile tenant harms nobody: not on the functional model, and not on the RTL."""

from dataclasses import asdict

import pytest

from sim.bench import run
from sim.model.transport import ModelTransport
from sim.model.transport import run as run_on_model
from sim.workload.isolation import PROMISE, isolate

from .models import CONFIG, device

SEED = 1
MODEL = {"seed": SEED, "cycles": 5_000}
RTL = {"seed": SEED, "cycles": 60_000}
TOLERANCE = 0.95
"""Of the promised share; turns are counted, and operations differ in length."""


@pytest.fixture(scope="module")
def on_rtl():
    return run(device(), "tests.cosim.bench_isolation", parameters=RTL, seed=SEED, timeout=600)


@pytest.fixture(scope="module")
def on_model():
    async def play():
        transport = ModelTransport(CONFIG, seed=SEED, shuffle=True)
        outcome = asdict(await isolate(transport, transport.platform, MODEL))
        outcome["errors"] += transport.platform.check()
        return outcome

    return run_on_model(play())


@pytest.fixture(params=["on_model", "on_rtl"])
def outcome(request):
    return request.getfixturevalue(request.param)


def test_results_and_bells_of_the_others_are_right(outcome):
    assert outcome["errors"] == []
    assert outcome["attacked"] > 100


def test_every_misdeed_was_committed(outcome):
    assert len(outcome["deeds"]) == 13
    assert min(outcome["deeds"].values()) > 2
    assert outcome["reported"] > 0
    assert outcome["resets"] > 3


@pytest.mark.timeout(900)
def test_the_others_have_the_share_of_the_engines_that_arbitration_promises(on_rtl):
    print(on_rtl["alone"], on_rtl["attacked"])
    assert on_rtl["attacked"] >= TOLERANCE * PROMISE * on_rtl["alone"]
