"""The benchmarks still measure: each of DMA runs, briefly, and finds what headers leave."""

from dataclasses import asdict

import pytest

from hw.regs import Config
from sim.bench import build, run
from sim.benchmarks.figures import missed
from sim.benchmarks.report import FIGURES as FIGURES_OF_A_VECTOR
from sim.benchmarks.report import write_page
from sim.benchmarks.rigs import DmaPath
from tests.cosim.models import device

CONFIG = Config()
PAYLOAD = 256


@pytest.mark.parametrize("bench", ["reads", "writes"])
@pytest.mark.timeout(400)
def test_dma_fills_the_wire_as_far_as_headers_leave_it(bench):
    model = build(DmaPath(CONFIG), "dma_path", key=repr(CONFIG))
    parameters = {"config": asdict(CONFIG), "payloads": [PAYLOAD], "bytes": 8192}
    found = run(model, "sim.benchmarks.dma_bench", parameters=parameters, seed=1, testcase=bench)[
        str(PAYLOAD)
    ]
    assert found["efficiency"] >= 0.95 * found["limit"] > 0.8


@pytest.mark.timeout(900)
def test_vector_costs_as_much_whether_one_is_in_use_or_three_hundred():
    found = run(
        device(),
        "sim.benchmarks.vector_bench",
        parameters={"config": asdict(CONFIG), "vectors": [1, 300]},
        seed=1,
        testcase="vectors",
    )
    few, many = found["vector_costs"].values()
    for name, cost in many.items():
        assert 0 < cost["median"] <= cost["worst"] <= few[name]["worst"]
    assert few["alloc_tlps"] == few["free_tlps"] == {"median": 3, "worst": 3}
    assert found["vector_alloc_tlps"] == found["vector_free_tlps"] == 3


def costs(**worst):
    """Costs of a vector, some of them higher with many in use."""
    few = {name: {"median": 3, "worst": 5} for name in FIGURES_OF_A_VECTOR}
    many = few | {name: {"median": 3, "worst": value} for name, value in worst.items()}
    return {"1": few, "16000": many}


GOOD = {
    "messages_per_cycle": 1.0,
    "messages_per_cycle_distinct": 1.0,
    "messages_per_cycle_identical": 1.0,
    "checks_per_cycle": 1.0,
    "event_to_message_cycles": 2,
    "event_to_wire_cycles": 5,
    "vector_alloc_tlps": 3,
    "vector_free_tlps": 3,
    "vector_costs": costs(),
    "small_move_cycles": 22,
    "block_move_efficiency": 0.9,
    "block_move_limit": 0.94,
    "dma_read_efficiency": {"256": 0.9},
    "dma_read_limit": {"256": 0.9},
    "dma_write_efficiency": {"256": 0.9},
    "dma_write_limit": {"256": 0.9},
}


def test_figure_that_misses_its_goal_is_named():
    assert missed(GOOD) == []
    assert missed(GOOD | {"small_move_cycles": 33}) == [
        "small_move_cycles is 33, and should be at most 32"
    ]
    assert missed(GOOD | {"block_move_efficiency": 0.89}) == [
        "block_move_efficiency is 0.890, and should be at least 0.95 of 0.940"
    ]


def test_vector_that_costs_more_with_many_in_use_is_named(tmp_path):
    grown = costs(free_cycles=6)
    assert missed(GOOD | {"vector_costs": grown}) == [
        "the worst of free_cycles is 6 with 16,000 vectors in use, "
        "and should be at most 5, as with 1"
    ]
    write_page(tmp_path / "page.html", grown)
    assert "<td>16,000</td><td>3 / 5</td>" in (tmp_path / "page.html").read_text()
