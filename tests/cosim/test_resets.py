"""Reset, or Bus Master Enable taken away, while descriptors move: silence, and a fresh start."""

import pytest

from sim.bench import run

from .models import device

ROUNDS = 12
SCENES = {
    "prompt host": {"latency_cycles": [0, 10], "up_pause": 0},
    "slow host": {"latency_cycles": [100, 600], "up_pause": 30},
    "slow link": {"latency_cycles": [0, 50], "up_pause": 160},
}


@pytest.fixture(scope="module", params=sorted(SCENES))
def outcome(request):
    parameters = {"rounds": ROUNDS, **SCENES[request.param]}
    return run(device(), "tests.cosim.bench_resets", parameters=parameters, seed=1)


def test_nothing_leaves_after_the_answer(outcome):
    assert outcome["broken"] == []


def test_device_works_as_if_nothing_had_been(outcome):
    assert outcome["completed"] == 12 * ROUNDS


def test_no_rule_is_broken_and_no_tag_is_leaked(outcome):
    assert outcome["errors"] == []
