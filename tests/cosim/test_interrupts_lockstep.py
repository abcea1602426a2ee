"""Message storage does what its model does, in every clock."""

import pytest

from hw.regs.config import Config
from sim.bench import build, run

from .interrupts_top import InterruptsTop

BENCH = "tests.cosim.bench_interrupts"


def lockstep(clocks, seed, **sizes):
    model = build(InterruptsTop(Config(**sizes)), "interrupts")
    counts = run(
        model,
        BENCH,
        parameters={"config": sizes, "clocks": clocks},
        seed=seed,
        testcase="lockstep",
        timeout=500,
    )
    print(counts)
    return counts


@pytest.mark.timeout(600)
def test_a_million_clocks_of_random_traffic_show_no_difference():
    counts = lockstep(1_000_000, 2026, ims_vectors=256, msix_vectors=64)
    assert counts["events"] > 50_000
    assert counts["messages"] > 10_000
    assert counts["accesses"] > 10_000
    assert counts["checks"] > 40_000
    assert counts["resets"] > 5
