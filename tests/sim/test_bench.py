"""The harness itself: caching, results, progress, watchdogs, seeds."""

import re

import pytest

from sim.bench import BenchFailure, build, run
from sim.bench.sources import source_files

from .designs import Counter

BENCH = "tests.sim.bench_counter"


@pytest.fixture(scope="module")
def model():
    return build(Counter(), "test-counter")


def test_result_and_parameters_pass_through(model):
    result = run(model, BENCH, testcase="counts", parameters={"beats": 7}, seed=5)
    assert result["count"] == 7
    assert result["seed"] == 5


def test_same_seed_gives_the_same_run(model):
    first, again, other = (
        run(model, BENCH, testcase="counts", parameters={"beats": 1}, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first["drawn"] != other["drawn"]


def test_progress_reaches_the_caller(model):
    seen = []
    run(
        model,
        BENCH,
        testcase="counts",
        parameters={"beats": 5},
        on_progress=lambda *report: seen.append(report),
    )
    assert seen == [(n, 5, "counting") for n in range(1, 6)]


def test_seed_is_printed(model, capsys):
    result = run(model, BENCH, testcase="counts", parameters={"beats": 1})
    assert f"seed={result['seed']}" in capsys.readouterr().out


def test_failure_is_one_sentence_with_seed_and_log(model):
    with pytest.raises(BenchFailure) as caught:
        run(model, BENCH, testcase="fails", seed=9)
    assert re.fullmatch(
        r"tests\.sim\.bench_counter: fails: .*the counter is blue.* \(seed 9, log build/\S+/log\)",
        str(caught.value),
    )


def test_bench_without_end_is_stopped_by_its_clocks(model):
    with pytest.raises(BenchFailure, match="not finished after 100 clocks"):
        run(model, BENCH, testcase="never_ends")


def test_bench_that_stands_still_is_stopped_by_real_time(model):
    with pytest.raises(BenchFailure, match=r"stopped after 1\.5 s"):
        run(model, BENCH, testcase="stands_still", timeout=1.5)


def test_unknown_testcase_is_an_error(model):
    with pytest.raises(BenchFailure, match="no test of that name"):
        run(model, BENCH, testcase="does_not_exist")


def test_unchanged_design_is_neither_converted_nor_compiled(model, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("built again")

    monkeypatch.setattr("sim.bench.building._convert", refuse)
    monkeypatch.setattr("sim.bench.building._compile", refuse)
    assert build(Counter(), "test-counter") == model


def test_waves_need_a_model_built_for_them(model):
    with pytest.raises(ValueError, match="waves=True"):
        run(model, BENCH, waves=True)


def test_sources_are_followed_through_imports():
    names = {path.name for path in source_files("tests.sim.designs")}
    assert names == {"designs.py", "records.py"}
