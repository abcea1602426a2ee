"""From a design to a bitstream, on one that is small enough for a test."""

import json
from dataclasses import replace

import pytest
from amaranth import *
from amaranth.lib import io

from boards import bitstream, tools
from boards.bitstream import TimingMissed, build
from boards.build import catalogue, program
from boards.cli import main
from boards.registry import BOARDS
from boards.show import stages


class Counter(Elaboratable):
    """A counter that is as slow as it has bits."""

    bits = 24

    def __init__(self, board):
        pass

    def elaborate(self, platform):
        m = Module()
        count = Signal(self.bits)
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.sync += count.eq(count * 3 + 1)
        m.d.comb += led.o.eq(count[-1])
        return m


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A board with a counter in place of the device, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bitstream, "Top", Counter)
    return replace(BOARDS["ulx3s_85f"], clock_hz=25_000_000)


def run(board, seeds=(1,)):
    with stages() as shown:
        return build(board, seeds, shown)


def test_bitstream_and_report_are_made_and_made_once(small, monkeypatch, tmp_path):
    figures = run(small)
    report = json.loads((tmp_path / "build/ulx3s_85f/report.json").read_text())
    assert report == json.loads(json.dumps(figures))
    assert (tmp_path / "build/ulx3s_85f/ulx3s_85f.bit").read_bytes()[:2] == b"\xff\x00"
    assert report["fmax_mhz"] >= report["target_mhz"] == 25
    assert report["ff"] >= Counter.bits and report["lut"] > 0
    assert {"dp16kd", "multipliers", "seed", "seconds", "tools"} <= set(report)

    def tool(name, *arguments, **options):
        assert name == "ecppack", f"{name} ran again"
        return True

    monkeypatch.setattr(tools, "run", tool)
    assert run(small)["fmax_mhz"] == report["fmax_mhz"]


def test_missed_timing_fails_and_says_by_how_much(small, tmp_path):
    with pytest.raises(TimingMissed) as caught:
        run(replace(small, clock_hz=900_000_000))
    text = str(caught.value)
    assert "timing missed on ulx3s_85f" in text and "900 MHz wanted" in text
    assert "% short (best seed 1)" in text and "the longest path goes from" in text
    assert not (tmp_path / "build/ulx3s_85f/ulx3s_85f.bit").exists()
    assert list((tmp_path / "build/ulx3s_85f/steps").glob("seed1-*.log"))


def test_program_without_a_bitstream_says_what_to_do(small):
    with pytest.raises(tools.ToolError, match=r"build it first: tocsin build ulx3s_85f"):
        program(small)


def test_program_without_a_board_is_one_sentence(small, tmp_path):
    place = tmp_path / "build/ulx3s_85f"
    place.mkdir(parents=True)
    (place / "ulx3s_85f.bit").write_bytes(b"\xff\x00")
    with pytest.raises(tools.ToolError, match=r"found on USB|lacks a library|failed; see"):
        program(small)


def test_catalogue_has_every_board():
    assert catalogue().row_count == len(BOARDS)


def test_unknown_board_is_named_with_those_that_there_are(capfd):
    with pytest.raises(SystemExit) as caught:
        main(["build", "teapot"])
    assert caught.value.code == 2
    assert (
        "There is no board 'teapot'; there are ulx3s_85f, versa_ecp5_5g" in capfd.readouterr().err
    )
