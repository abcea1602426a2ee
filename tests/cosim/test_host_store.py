"""65,536 vectors in host memory: none is lost, doubled, misdirected or stale."""

import pytest

from hw.regs import Config
from sim.bench import build, run

from .host_store_top import HostStoreTop

CONFIG = Config(host_vectors=1 << 16)


def soak(config: Config, clocks: int, seed: int) -> dict[str, int]:
    counts = run(
        build(HostStoreTop(config), "host_store"),
        "tests.cosim.bench_host_store",
        parameters={"clocks": clocks},
        seed=seed,
        timeout=800,
    )
    print(counts)
    return counts


@pytest.mark.timeout(900)
def test_every_vector_rings_while_entries_change_fail_and_are_synced():
    counts = soak(CONFIG, 6_000_000, 1)
    assert (counts["faults"], counts["owed"]) == (0, 0)
    assert counts["rung"] == 1 << 16
    assert counts["messages"] > 200_000
    assert counts["failures"] > 1000
    assert counts["changes"] > 10_000
    assert counts["checks"] > 10_000
    assert counts["blackouts"] > 100


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "sizes",
    [
        {"host_cache_entries": 16, "host_cache_ways": 1, "host_fetches": 1},
        {"host_cache_entries": 16, "host_cache_ways": 8, "host_fetches": 8, "data_width": 256},
        {"host_cache_entries": 1024, "host_cache_ways": 2, "host_fetches": 2, "data_width": 128},
    ],
)
def test_other_caches_and_widths_do_as_well(sizes):
    counts = soak(Config(host_vectors=1 << 10, **sizes), 1_000_000, 2)
    assert (counts["faults"], counts["owed"], counts["rung"]) == (0, 0, 1 << 10)
