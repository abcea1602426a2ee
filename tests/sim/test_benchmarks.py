"""The benchmarks still measure: each of DMA runs, briefly, and finds what headers leave."""

from dataclasses import asdict

import pytest

from hw.regs import Config
from sim.bench import build, run
from sim.benchmarks.figures import missed
from sim.benchmarks.rigs import DmaPath

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


def test_figure_that_misses_its_goal_is_named():
    good = dict.fromkeys(
        ("messages_per_cycle", "messages_per_cycle_distinct", "messages_per_cycle_identical"), 1.0
    )
    good |= {"checks_per_cycle": 1.0, "event_to_message_cycles": 2, "event_to_wire_cycles": 5}
    good |= {"vector_alloc_tlps": 3, "vector_free_tlps": 3, "small_move_cycles": 22}
    good |= {"host_hit_cycles": 5, "host_miss_extra_cycles": 9, "host_sync_cycles": 5}
    good |= {"block_move_efficiency": 0.9, "block_move_limit": 0.94}
    for kind in ("read", "write"):
        good |= {f"dma_{kind}_{what}": {"256": 0.9} for what in ("efficiency", "limit")}
    assert missed(good) == []
    assert missed(good | {"small_move_cycles": 33}) == [
        "small_move_cycles is 33, and should be at most 32"
    ]
    assert missed(good | {"block_move_efficiency": 0.89}) == [
        "block_move_efficiency is 0.890, and should be at least 0.95 of 0.940"
    ]
