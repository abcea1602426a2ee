"""Area and clock of small designs, with the real tools."""

from pathlib import Path

import pytest
from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from boards import ecp5, synth, tools


class Adder(Component):
    """Sum of the last two values: registers of known number."""

    def __init__(self, width: int):
        self._width = width
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        before = Signal(self._width)
        m.d.sync += [before.eq(self.i), self.o.eq(self.i + before)]
        return m


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """The tools see files by their relative paths only, wherever the repository is."""
    monkeypatch.chdir(tmp_path)
    return Path()


def forbid(*_args, **_kwargs):
    raise AssertionError("a tool was run again")


def test_area_counts_cells_and_is_kept(elsewhere, monkeypatch):
    folder = elsewhere / "synth"
    cells = ecp5.area(Adder(8), "adder", folder)
    assert cells["TRELLIS_FF"] == 16
    assert 0 < cells["LUT4"] + 2 * cells["CCU2C"] <= 20
    assert cells["DP16KD"] == 0
    monkeypatch.setattr(tools, "run", forbid)
    assert ecp5.area(Adder(8), "adder", folder) == cells
    with pytest.raises(AssertionError, match="run again"):
        ecp5.area(Adder(9), "adder", folder)


@pytest.mark.timeout(600)
def test_clock_is_that_of_the_component(elsewhere, monkeypatch):
    folder = elsewhere / "synth"
    short, long = (ecp5.netlist(Adder(width), "adder", folder) for width in (2, 128))
    fast, slow = (ecp5.clock(design, 8, 1, folder) for design in (short, long))
    assert fast > slow > 50
    monkeypatch.setattr(tools, "run", forbid)
    assert ecp5.clock(long, 8, 1, folder) == slow


def test_run_that_takes_too_long_is_no_figure(elsewhere, monkeypatch):
    monkeypatch.setattr(tools, "run", lambda *_args, **_kwargs: False)
    assert ecp5.clock(elsewhere / "any.json", 8, 1, elsewhere) is None


def test_tool_that_fails_names_its_log(elsewhere):
    with pytest.raises(tools.ToolError, match=r"yosys failed \(exit code 1\); see .*x\.log"):
        tools.run("yosys", ["-q", "-p", "nonsense"], elsewhere / "x.log", timeout=300)
    assert "nonsense" in (elsewhere / "x.log").read_text()


def test_tool_is_stopped_when_its_time_is_up(elsewhere):
    script = "read_rtlil /dev/null; " + "tee -q -o x.txt help -all; " * 1000
    assert not tools.run("yosys", ["-q", "-p", script], elsewhere / "x.log", timeout=0.5)


def test_best_seed_is_reported_with_all_others():
    assert synth._best({1: 180.0, 2: None, 3: 210.5}) == {
        "mhz": 210.5,
        "seed": 3,
        "seeds": {1: 180.0, 2: None, 3: 210.5},
    }
    assert synth._best({1: None})["mhz"] is None


def test_tables_have_a_row_for_each_figure():
    area = {name: dict.fromkeys(ecp5.CELLS, 7) for name in synth.LABELS}
    clock = {f"{c.design}_speed{c.speed}": synth._best({1: 201.0, 2: None}) for c in synth.CLOCKS}
    first, second = synth.tables(area, clock)
    assert first.row_count == len(synth.LABELS)
    assert second.row_count == len(synth.CLOCKS)
