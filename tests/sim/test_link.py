"""The link to the RTL and the root complex behind it, with a mirror in the place of the device."""

import pytest

from sim.bench import build, run
from sim.host.link import Linked

from .designs import Mirror

BENCH = "tests.sim.bench_link"


@pytest.fixture(scope="module")
def mirror():
    return build(Linked(Mirror()), "test-mirror")


def bench(model, testcase, **parameters):
    return run(model, BENCH, testcase=testcase, parameters=parameters, seed=11)


def test_tlps_of_every_length_pass_unchanged_and_back_to_back(mirror):
    result = bench(mirror, "every_length_passes_unchanged")
    assert result["largest_gap"] <= 1


def test_tlps_of_every_length_pass_with_pauses(mirror):
    link = {"down_pause": 128, "up_pause": 100}
    result = bench(mirror, "every_length_passes_unchanged", link=link)
    assert result["largest_gap"] > 1


def test_writes_reach_memory_of_their_pasid(mirror):
    bench(mirror, "writes_reach_memory")


@pytest.mark.parametrize("split", ["largest", "rcb", "random"])
@pytest.mark.parametrize("boundary", [64, 128])
def test_reads_are_completed_in_legal_pieces(mirror, split, boundary):
    behaviour = {"split": split, "read_completion_boundary": boundary}
    assert bench(mirror, "reads_are_completed", behaviour=behaviour)["in_order"]


def test_reads_are_completed_out_of_order_on_request(mirror):
    behaviour = {"split": "random", "reorder": True, "latency_cycles": [10, 400]}
    assert not bench(mirror, "reads_are_completed", behaviour=behaviour)["in_order"]


def test_refused_reads_get_unsupported_request(mirror):
    bench(mirror, "refused_reads_get_unsupported_request")


def test_interrupts_reach_their_targets_and_nothing_else_does(mirror):
    bench(mirror, "interrupts_reach_their_targets")


@pytest.mark.parametrize("data_width", [128, 256])
def test_link_works_at_other_widths(data_width):
    model = build(Linked(Mirror(data_width), data_width), f"test-mirror-{data_width}")
    bench(model, "every_length_passes_unchanged")
