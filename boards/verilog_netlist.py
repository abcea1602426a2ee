"""A component as Verilog that other tools read: plain names, plain operators, no warnings."""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from . import tools

YOSYS_SECONDS = 1800.0

SCRIPT = """
read_verilog -lib +/ecp5/cells_sim.v
read_rtlil {source}
select -assert-none t:$assert t:$assume t:$cover t:$check t:$print
proc -noopt -norom
opt_expr t:$div t:$mod t:$divfloor t:$modfloor
memory_collect
pmuxtree
opt_clean -purge
techmap -map {widths}
opt_clean -purge
check -assert
write_verilog -noattr {result}
"""
"""Processes become multiplexers: ``always @*`` and ``case`` are where readers of Verilog differ.
Divisions, all of them by powers of two, become shifts. The library says which way the ports of
block RAM go."""

_KEYWORDS = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic
before begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle
checker class clocking cmos config const constraint context continue cover covergroup
coverpoint cross deassign default defparam design disable dist do edge else end endcase
endchecker endclass endclocking endconfig endfunction endgenerate endgroup endinterface
endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
enum event eventually expect export extends extern final first_match for force foreach forever
fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
illegal_bins implements implies import incdir include initial inout input inside instance int
integer interconnect interface intersect join join_any join_none large let liblist library local
localparam logic longint macromodule matches medium modport module nand negedge nettype new
nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos
posedge primitive priority program property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime
ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always
s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal showcancelled
signed small soft solve specify specparam static string strong strong0 strong1 struct super
supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait
wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""

KEYWORDS = frozenset(_KEYWORDS.split())
"""What no identifier may be, in Verilog or SystemVerilog (IEEE 1800-2017 Annex B)."""


def verilog_of(component: Component, name: str, platform: Any, log: Path) -> str:
    """Verilog of a component, as modules whose names begin with ``name``.

    There are no escaped identifiers, paths, dates, assertions or attributes in it, and the same
    component gives the same text.

    Parameters
    ----------
    component
        The design; its ports become those of module ``name``, as Amaranth names them.
    name
        A Verilog identifier.
    platform
        What components ask for their technology; None for what any tool understands.
    log
        Where Yosys writes what it has to say, below the working directory.

    Raises
    ------
    ToolError
        Yosys failed or took too long.
    """
    text = rtlil.convert(component, name=name, platform=platform, emit_src=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=log.parent, prefix=f"{name}-") as folder:
        files = {}
        for part, content in {"source": plain_names(text), "widths": equal_widths()}.items():
            files[part] = Path(folder, part)
            files[part].write_text(content)
        files["result"] = Path(folder, "result.v")
        script = "; ".join(SCRIPT.strip().format(**files).splitlines())
        if not tools.run("yosys", ["-q", "-p", script], log, timeout=YOSYS_SECONDS):
            raise tools.ToolError(f"yosys took more than {YOSYS_SECONDS:.0f} s; see {log}")
        made = files["result"].read_text()
    return short_initial_values(re.sub(r"\A/\*.*?\*/\n+", "", made))


def plain_names(text: str) -> str:
    """RTLIL whose public names are identifiers of Verilog that need no escape, and stay distinct.

    Yosys does the same in ``rename -unescape``, but forgets the instances whose ports it renames.
    """
    token = re.compile(r'"\\\\(\S+)"|"(?:[^"\\]|\\.)*"|\\(\S+)')
    found = dict.fromkeys(match[1] or match[2] for match in token.finditer(text))
    found.pop(None, None)
    plain = re.compile(r"[A-Za-z_]\w*")
    kept = {name for name in found if plain.fullmatch(name) and name not in KEYWORDS}
    names = {name: name for name in kept}
    for name in found:
        if name in kept:
            continue
        wanted = re.sub(r"\W+", "_", name) + ("_" if name in KEYWORDS else "")
        wanted = wanted if plain.match(wanted) else f"_{wanted}"
        names[name] = _unused(wanted, kept)
        kept.add(names[name])

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return f'"\\\\{names[match[1]]}"'
        return f"\\{names[match[2]]}" if match[2] else match[0]

    return token.sub(replaced, text)


def _unused(name: str, used: Iterable[str]) -> str:
    number, wanted = 1, name
    while name in used:
        number += 1
        name = f"{wanted}_{number}"
    return name


def short_initial_values(text: str) -> str:
    """Verilog in which a memory whose words all start alike is set up by a loop."""

    def loop(match: re.Match[str]) -> str:
        words = re.findall(r"^    (\w+)\[(\d+)\] = (.*);$", match[0], re.MULTILINE)
        memory, _, value = words[0]
        if len({value for _, _, value in words}) > 1:
            return match[0]
        return (
            f"  initial begin : {memory}_at_first\n"
            "    integer word;\n"
            f"    for (word = 0; word < {len(words)}; word = word + 1) {memory}[word] = {value};\n"
            "  end\n"
        )

    return re.sub(r"  initial begin\n(?:    \w+\[\d+\] = .*;\n)+  end\n", loop, text)


BINARY = """
(* techmap_celltype = "${name}" *)
module {name}_of_one_width (A, B, Y);
  parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  input [B_WIDTH-1:0] B;
  output [Y_WIDTH-1:0] Y;
  localparam LONGER = A_WIDTH > B_WIDTH ? A_WIDTH : B_WIDTH;
  localparam OPERANDS = LONGER == 0 ? 1 : LONGER;
  localparam SHIFTED = A_WIDTH > Y_WIDTH ? A_WIDTH : Y_WIDTH;
  localparam A_NEW = {a}, B_NEW = {b} == 0 ? 1 : {b}, Y_NEW = {y};
  wire _TECHMAP_FAIL_ = A_WIDTH == A_NEW && B_WIDTH == B_NEW && Y_WIDTH == Y_NEW;
  wire [A_NEW-1:0] a;
  wire [B_NEW-1:0] b;
  wire [Y_NEW-1:0] y;
  generate
    if (A_WIDTH == 0) assign a = 0; else if ({signed}) assign a = $signed(A); else assign a = A;
    if (B_WIDTH == 0) assign b = 0; else if ({signed}) assign b = $signed(B); else assign b = B;
  endgenerate
  \\${name} #(.A_SIGNED(A_SIGNED), .B_SIGNED(B_SIGNED),
    .A_WIDTH(A_NEW), .B_WIDTH(B_NEW), .Y_WIDTH(Y_NEW)) _TECHMAP_REPLACE_ (.A(a), .B(b), .Y(y));
  assign Y = y;
endmodule
"""

UNARY = """
(* techmap_celltype = "${name}" *)
module {name}_of_one_width (A, Y);
  parameter A_SIGNED = 0, A_WIDTH = 1, Y_WIDTH = 1;
  input [A_WIDTH-1:0] A;
  output [Y_WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = A_WIDTH == Y_WIDTH;
  wire [Y_WIDTH-1:0] a;
  generate
    if (A_WIDTH == 0) assign a = 0; else if (A_SIGNED) assign a = $signed(A); else assign a = A;
  endgenerate
  \\${name} #(.A_SIGNED(A_SIGNED), .A_WIDTH(Y_WIDTH), .Y_WIDTH(Y_WIDTH))
    _TECHMAP_REPLACE_ (.A(a), .Y(Y));
endmodule
"""


def equal_widths() -> str:
    """A map for Yosys that gives the operands of an operator the width that Verilog expects.

    RTLIL extends operands as Verilog does, but Verilog's readers warn where it is not written out.
    """
    both = "A_SIGNED && B_SIGNED"
    kinds = (
        ("eq ne lt le gt ge", ("OPERANDS", "OPERANDS", "Y_WIDTH"), both),
        ("add sub mul and or xor", ("Y_WIDTH", "Y_WIDTH", "Y_WIDTH"), both),
        ("shl shr sshl sshr shift", ("SHIFTED", "B_WIDTH", "SHIFTED"), "A_SIGNED"),
    )
    parts = [
        BINARY.format(name=name, a=a, b=b, y=y, signed=signed)
        for names, (a, b, y), signed in kinds
        for name in names.split()
    ]
    parts += [UNARY.format(name=name) for name in ("not", "neg", "pos")]
    return "".join(parts)
