"""What is done to a netlist so that it reads well does not change what it means."""

from pathlib import Path

import pytest
from amaranth import *
from amaranth.back import rtlil
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from boards.verilog_netlist import plain_names, short_initial_values, verilog_of

from .verilog_tools import verilator_lint, yosys


class Operators(Component):
    """Every operator, on operands of unlike widths and signs, into results of other widths."""

    def __init__(self):
        super().__init__(
            {
                **{f"u{width}": In(width) for width in (1, 3, 5)},
                **{f"s{width}": In(signed(width)) for width in (2, 4)},
                "o": Out(5000),
                "begin": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        operands = [self.u1, self.u3, self.u5, self.s2, self.s4, Const(0, 0), Const(5)]
        results = []
        for a in operands:
            results += [a + 1, -a, ~a, a.bool(), a // 4, a % 4, a << 2, a >> 1]
            for b in operands:
                results += [a + b, a - b, a & b, a | b, a ^ b, a == b, a != b, a < b, a >= b]
                if not b.shape().signed:
                    results += [(a << b[:2])[:6], a >> b]
        narrow = [Signal(3, name=f"narrow{n}") for n in range(len(results) // 7)]
        wide = [Signal(signed(9), name=f"wide{n}") for n in range(len(results) // 7)]
        m.d.comb += [target.eq(value) for target, value in zip(narrow, results[::7], strict=False)]
        m.d.comb += [target.eq(value) for target, value in zip(wide, results[3::7], strict=False)]
        m.d.comb += self.o.eq(Cat(*results, *narrow, *wide))
        with m.Switch(self.u5):
            with m.Case(3, 7):
                m.d.comb += self.begin.eq(self.u1)
            with m.Case("1--0-"):
                m.d.comb += self.begin.eq(self.s2[1])
        return m


class Ringer(Component):
    """A memory that starts with zeros, and one that does not."""

    def __init__(self):
        super().__init__({"i": In(3), "o": Out(8)})

    def elaborate(self, platform):
        m = Module()
        for name, init in (("silent", [0] * 8), ("loud", range(8))):
            m.submodules[name] = memory = Memory(shape=8, depth=8, init=list(init))
            read = memory.read_port()
            m.d.comb += read.addr.eq(self.i)
            with m.If(read.data.any()):
                m.d.comb += self.o.eq(read.data)
        return m


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    """Yosys sees files by their relative paths only."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_operators_of_unlike_widths_mean_what_they_meant(elsewhere):
    ours = verilog_of(Operators(), "ours", None, Path("ours.log"))
    (elsewhere / "ours.v").write_text(ours)
    (elsewhere / "theirs.il").write_text(rtlil.convert(Operators(), name="theirs", emit_src=False))
    script = (
        "read_rtlil theirs.il; rename -unescape; read_verilog ours.v; proc; opt_clean; "
        "miter -equiv -make_assert -flatten ours theirs miter; sat -verify -prove-asserts miter"
    )
    assert yosys(elsewhere, script) == ""


def test_operators_of_unlike_widths_leave_nothing_to_say(elsewhere):
    text = verilog_of(Operators(), "ours", None, Path("ours.log"))
    (elsewhere / "ours.v").write_text(text)
    assert "begin_" in text and "\\" not in text
    said = verilator_lint(elsewhere, "ours.v", top="ours")
    assert not [line for line in said.splitlines() if "WIDTH" in line or "CASE" in line]


def test_memory_that_starts_alike_is_a_loop_and_another_is_not(elsewhere):
    text = verilog_of(Ringer(), "ringer", None, Path("ringer.log"))
    assert "for (word = 0; word < 8; word = word + 1) silent[word] = 8'h00;" in text
    assert "loud[7] = 8'h07;" in text


def test_names_that_become_alike_stay_distinct():
    text = 'wire \\a.b\nwire \\a_b\nwire \\a$b\ncell \\table \\t\nparameter \\MEMID "\\\\a.b"\n'
    assert plain_names(text) == (
        'wire \\a_b_2\nwire \\a_b\nwire \\a_b_3\ncell \\table_ \\t\nparameter \\MEMID "\\\\a_b_2"\n'
    )


def test_text_in_quotes_is_no_name():
    text = 'attribute \\why "not \\"\\\\x.y\\" here"\n'
    assert plain_names(text) == text


def test_words_that_differ_stay_as_they_are():
    text = "  initial begin\n    m[0] = 2'h0;\n    m[1] = 2'h1;\n  end\n"
    assert short_initial_values(text) == text
