"""The command line: what a person gets for a mistake, and what a script can rely on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from boards import cli, demo
from sim.demo.result import Result
from sim.soak.result import Round

ROOT = Path(__file__).resolve().parents[2]


def run(capfd, *arguments):
    """Run a command; return its exit code and what it wrote to the two outputs."""
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code, *capfd.readouterr()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--frob"], "No such option"),
        (["frob"], "No such command"),
        (["demo", "--frob"], "No such option"),
        (["demo", "extra"], "unexpected extra argument"),
        (["demo", "--vectors"], "requires an argument"),
        (["demo", "--vectors", "0"], "--vectors takes a whole number from 1 to 16128, not '0'."),
        (["demo", "--vectors", "20000"], "from 1 to 16128, not '20000'."),
        (["demo", "--vectors", "-3"], "from 1 to 16128, not '-3'."),
        (["demo", "--vectors", "many"], "not 'many'."),
        (["demo", "--vectors", "1.5"], "not '1.5'."),
        (["demo", "--seed", "-1"], "--seed takes a whole number from 0"),
        (["demo", "--operations-per-adi", "0"], "--operations-per-adi takes a whole number from 1"),
        (["demo", "--model", "--waves"], "leave out --waves or --model"),
        (["compare", "--adis", "0"], "--adis takes a whole number from 1 to 16000, not '0'."),
        (["compare", "--cpus", "257"], "--cpus takes a whole number from 1 to 256, not '257'."),
        (["compare", "--share", "9"], "--share takes a whole number from 1 to 8, not '9'."),
        (["compare", "--seed", "x"], "--seed takes a whole number from 0"),
        (["compare", "extra"], "unexpected extra argument"),
        (["crowd", "--guests", "0"], "--guests takes a whole number from 1 to 64, not '0'."),
        (["crowd", "--adis", "15904", "--guests", "64"], "1 to 15520 ADIs beside 64 guests"),
        (["bench", "--events", "0"], "--events takes a whole number from 100"),
        (["synth", "now"], "unexpected extra argument"),
        (["registers", "--yaml"], "No such option"),
    ],
)
def test_mistake_is_one_sentence_and_exit_code_2(capfd, tmp_path, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, *arguments)
    assert code == 2
    assert sentence in err
    assert err.startswith("tocsin: ") and err.count("\n") == 1
    assert out == ""
    assert not list(tmp_path.iterdir()), "nothing is half done"


@pytest.mark.parametrize("command", ["demo", "compare", "bench", "synth", "soak", "crowd"])
def test_place_that_takes_no_results_is_refused_first(capfd, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").write_text("in the way")
    code, out, err = run(capfd, command)
    assert (code, out) == (2, "")
    assert err == "tocsin: Results go into build/, but build is not a folder.\n"
    assert (tmp_path / "build").read_text() == "in the way"


def test_silent_device_is_one_sentence_and_exit_code_2(capfd, tmp_path, monkeypatch):
    async def nobody(self, offset, size):
        return (1 << 8 * size) - 1

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.model.transport.ModelTransport.config_read", nobody)
    code, out, err = run(capfd, "demo", "--model", "--vectors", "5")
    assert code == 2
    assert err.startswith("tocsin: ") and err.count("\n") == 1
    assert "the device does not answer: its vendor ID reads as 0xffff" in err
    assert "adis=" not in out
    assert not list(tmp_path.rglob("*.html")), "nothing is half done"


def test_terminal_without_the_characters_is_no_failure(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "boards.cli", "demo", "--model", "--vectors", "5"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("demo: adis=5 ")


def test_reader_that_leaves_early_is_no_accident(tmp_path):
    command = [sys.executable, "-m", "boards.cli", "registers", "--header"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nowhere:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=nowhere,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["compare"],
        ["bench"],
        ["synth"],
        ["soak"],
        ["crowd"],
        ["registers"],
        ["verilog"],
    ],
)
def test_help_names_the_command_and_ends_well(capfd, command):
    code, out, err = run(capfd, *command, "--help")
    assert code == 0
    assert f"Usage: {' '.join(['tocsin', *command])}" in out
    assert err == ""


def test_interruption_is_one_word(capfd, monkeypatch, tmp_path):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "play", interrupt)
    code, _, err = run(capfd, "demo", "--model")
    assert (code, err.strip()) == (130, "tocsin: stopped")


def test_demo_on_the_model_ends_with_its_line(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capfd, "demo", "--model", "--vectors", "40", "--seed", "7")
    assert code == 0
    assert out.splitlines()[-1] == (
        "demo: adis=40 vectors=40 operations=884 interrupts=884 lost=0 doubled=0 misdirected=0"
    )
    page = (tmp_path / "build/demo/report.html").read_text()
    assert "plotly.js v" in page
    assert not re.search(r'<(script|link)[^>]*(src|href)="https?:', page), "the page is alone"


def test_demo_that_finds_something_wrong_ends_with_1(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    bad = Result(adis=1, vectors=1, operations=1, lost=1, errors=["a bell is missing"])
    monkeypatch.setattr("sim.demo.model_side.on_model", lambda plan, progress: bad)
    code, out, _ = run(capfd, "demo", "--model", "--vectors", "1")
    assert code == 1
    assert "a bell is missing" in out
    assert out.splitlines()[-1].endswith("interrupts=0 lost=1 doubled=0 misdirected=0")


def test_registers_prints_tables_or_a_header(capfd):
    code, out, _ = run(capfd, "registers")
    assert code == 0 and "| 0x010 | `gencap` |" in out
    code, out, _ = run(capfd, "registers", "--header")
    assert code == 0 and "#define TOCSIN_GENCAP " in out


def test_version_names_the_tools(capfd):
    code, out, _ = run(capfd, "version")
    assert code == 0
    assert re.search(r"^tocsin \d+\.\d+\.\d+$", out, re.MULTILINE)
    assert "verilator" in out


def test_results_survive_json():
    result = Result(adis=3, bells=[(5, 1)], occupancy=[(2, 1)], latencies=[4])
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_soak_of_one_round_ends_with_its_line(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capfd, "soak", "--model", "--seed", "3", "--round", "5")
    assert code == 0
    assert re.fullmatch(
        r"soak: seed=3 rounds=1 operations=\d+ faults=\d+ refused=\d+ failed=0",
        out.splitlines()[-1],
    )


def test_soak_that_goes_wrong_says_how_to_play_the_round_again(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    bad = Round(disturbance="nothing", kinds={"nop": 1}, errors=["a byte is wrong"])
    monkeypatch.setattr("sim.soak.model_side.on_model", lambda seed, number, progress: bad)
    code, out, _ = run(capfd, "soak", "--model", "--seed", "9")
    assert code == 1
    assert "a byte is wrong" in out
    assert "Again: tocsin soak --seed 9 --round 0 --model" in out
    assert out.splitlines()[-1].endswith("failed=1")


@pytest.mark.parametrize("options", [["--waves"], ["--waves", "--model", "--round", "1"]])
def test_waveform_of_many_rounds_is_refused(capfd, monkeypatch, tmp_path, options):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capfd, "soak", *options)
    assert (code, err) == (2, "tocsin: --waves needs --round, and the RTL: leave out --model.\n")


def test_compare_ends_with_its_line_and_leaves_figures_and_pictures(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, "compare", "--adis", "20", "--cpus", "2", "--seed", "7")
    assert (code, err) == (0, "")
    figures = json.loads((tmp_path / "build/compare.json").read_text())
    assert [way["key"] for way in figures["ways"]] == ["msix_at_probe", "msix_dynamic", "ims"]
    assert figures["plan"] == {"adis": 20, "cpus": 2, "share": 8, "seed": 7}
    assert out.splitlines()[-1] == (
        f"compare: adis={figures['adis']} msix_at_probe_refused=0 msix_dynamic_refused=0 "
        "ims_refused=0 lost=0 leaked=0"
    )
    page = (tmp_path / "build/compare.html").read_text()
    assert "plotly.js v" in page
    assert not re.search(r'<(script|link)[^>]*(src|href)="https?:', page), "the page is alone"


def test_compare_that_loses_a_bell_ends_with_1(capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.compare.paper.Paper.ring", lambda *_: None)
    code, out, _ = run(capfd, "compare", "--adis", "1", "--cpus", "1")
    assert code == 1
    assert "bells were lost" in out
