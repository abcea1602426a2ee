"""The device keeps its promises on slow links, with unkind hosts, and when reads fail."""

import pytest

from sim.bench import run

from .models import device

SCENES = {
    "a completion for every 64 bytes": ({"split": "rcb"}, {}),
    "a completion for every 128 bytes": ({"split": "rcb", "read_completion_boundary": 128}, {}),
    "any legal split, late, in any order": (
        {"split": "random", "latency_cycles": [0, 400], "reorder": True, "max_payload": 0},
        {},
    ),
    "pauses on the link": ({"split": "random"}, {"down_pause": 120, "up_pause": 120}),
    "hardly any credits": (
        {"latency_cycles": [10, 60]},
        {
            "posted": [2, 40],
            "non_posted": [1, 1],
            "completion": [1, 4],
            "release_cycles": [20, 200],
        },
    ),
    "everything at once": (
        {"split": "random", "latency_cycles": [0, 300], "reorder": True},
        {
            "posted": [1, 32],
            "non_posted": [2, 2],
            "release_cycles": [0, 100],
            "down_pause": 80,
            "up_pause": 160,
        },
    ),
}


@pytest.mark.parametrize("scene", SCENES)
def test_every_byte_and_every_bell_arrives(scene):
    host, link = SCENES[scene]
    outcome = run(
        device(),
        "tests.cosim.bench_adversity",
        parameters={"host": host, "link": link},
        seed=1,
        testcase="hardship",
    )
    assert outcome == {"reports": [], "strays": 0, "pending": 0, "errors": []}


def fail(kinds, after):
    outcome = run(
        device(),
        "tests.cosim.bench_adversity",
        parameters={"kinds": kinds, "after": after},
        seed=1,
        testcase="faults",
    )
    assert outcome == {"happened": len(kinds) * len(after), "pending": 0, "errors": []}


@pytest.mark.parametrize("kind", ["ur", "ca", "poison"])
def test_failed_read_fails_its_operation_and_nothing_else(kind):
    fail([kind], [0, 4, 8])


def test_read_without_an_answer_fails_its_operation_and_gives_its_tag_back():
    fail(["lost"], [4])
