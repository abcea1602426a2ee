"""Every case of the driver on the RTL: one simulation, one result for each case."""

import json

import pytest

from sim.bench import BenchFailure, run
from tests.driver.cases import CASES

from .models import device

SEED = 1


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What became of each case, and how the simulation itself ended."""
    path = tmp_path_factory.mktemp("driver") / "results"
    path.touch()
    failure = None
    try:
        parameters = {"results": str(path)}
        run(device(), "tests.cosim.driver_bench", parameters=parameters, seed=SEED, timeout=900)
    except BenchFailure as error:
        failure = str(error)
    results = [json.loads(line) for line in path.read_text().splitlines()]
    return {result["name"]: result["error"] for result in results}, failure


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(CASES))
def test_case(outcome, name):
    errors, failure = outcome
    assert name in errors, f"the case did not end: {failure}"
    assert errors[name] is None, errors[name]


def test_simulation_ends_without_complaint(outcome):
    _, failure = outcome
    assert failure is None, failure
