"""Every case of the driver on the RTL: one result for each case.

One simulation of the default device, and one of a device that has its message storage in the host's
memory.
"""

import json
from pathlib import Path

import pytest

from sim.bench import BenchFailure, BuiltModel, run
from tests.driver.cases import CASES, IN_HOST_MEMORY

from .models import device, host_device

SEED = 1


Outcome = tuple[dict[str, str | None], str | None]


def play(model: BuiltModel, path: Path, **parameters: bool) -> Outcome:
    """What became of each case, and how the simulation itself ended."""
    path.touch()
    failure = None
    try:
        orders = {"results": str(path)} | parameters
        run(model, "tests.cosim.driver_bench", parameters=orders, seed=SEED, timeout=900)
    except BenchFailure as error:
        failure = str(error)
    results = [json.loads(line) for line in path.read_text().splitlines()]
    return {result["name"]: result["error"] for result in results}, failure


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    return play(device(), tmp_path_factory.mktemp("driver") / "results")


@pytest.fixture(scope="module")
def in_host_memory(tmp_path_factory) -> Outcome:
    path = tmp_path_factory.mktemp("driver") / "results"
    return play(host_device(), path, in_host_memory=True)


def judge(outcome: Outcome, name: str) -> None:
    errors, failure = outcome
    assert name in errors, f"the case did not end: {failure}"
    assert errors[name] is None, errors[name]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(CASES))
def test_case(outcome, name):
    judge(outcome, name)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(IN_HOST_MEMORY))
def test_case_in_host_memory(in_host_memory, name):
    judge(in_host_memory, name)


@pytest.mark.parametrize("which", ["outcome", "in_host_memory"])
def test_simulation_ends_without_complaint(request, which):
    _, failure = request.getfixturevalue(which)
    assert failure is None, failure
