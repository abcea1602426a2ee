"""The Verilog for others: read by Verilator, Yosys and Icarus, and by people."""

import re
from contextlib import chdir
from pathlib import Path

import pytest

from boards import cli, verilog
from hw.regs import Config
from hw.regs.bar0 import bar0

from .verilog_tools import (
    icarus_lint,
    icarus_run,
    verilator_lint,
    verilator_run,
    yosys,
    yosys_lint,
)

SMALL = (
    "--queues 1 --engines 1 --msix-vectors 2 --ims-vectors 256 --set groups=1 --set queue_slots=8"
    " --set tags=4 --set read_slot_bytes=128 --set max_payload_bytes=128"
)
DESIGNS = {
    "interrupts": "--part interrupts --ims-vectors 256 --msix-vectors 4",
    **{f"endpoint {width}": f"--data-width {width} {SMALL}" for width in (64, 128, 256)},
}


def write(folder, options):
    """Run the command in a folder; return its exit code."""
    with chdir(folder), pytest.raises(SystemExit) as ended:
        cli.main(["verilog", *options.split()])
    return ended.value.code


def written(options, folder):
    """Folder in which the files of a design are in ``out``, and the name of its module."""
    assert write(folder, f"--out out {options}") == 0
    (module,) = (path.stem for path in folder.glob("out/tocsin_*.v"))
    return folder, module


@pytest.fixture(scope="session", params=DESIGNS)
def design(request, tmp_path_factory):
    """Each design in turn, as :func:`written` gives it."""
    return written(DESIGNS[request.param], tmp_path_factory.mktemp("design"))


@pytest.fixture(scope="session")
def interrupts(tmp_path_factory):
    """The interrupt block."""
    return written(DESIGNS["interrupts"], tmp_path_factory.mktemp("interrupts"))


def test_verilator_has_nothing_to_say(design):
    folder, module = design
    assert verilator_lint(folder, f"out/{module}.v", "out/example.v", top="example") == ""


def test_icarus_has_nothing_to_say(design):
    folder, module = design
    assert icarus_lint(folder, f"out/{module}.v", "out/example.v", top="example") == ""


def test_yosys_finds_everything_driven_once_and_the_page_names_every_port(design):
    folder, module = design
    said, modules = yosys_lint(folder, f"out/{module}.v", "out/example.v", top="example")
    assert said == ""
    page = (folder / "out/PORTS.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (input|output) \| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert {name: (side, int(bits)) for name, side, bits, _ in rows} == modules[module]
    assert len(rows) == len(modules[module])
    assert all(meaning.strip() for *_, meaning in rows)


def test_names_are_plain_and_collide_with_nobody(design):
    folder, module = design
    text = (folder / f"out/{module}.v").read_text()
    names = re.findall(r"^module (\w+)", text, re.MULTILINE)
    assert names[0] == module and len(set(names)) == len(names)
    assert all(re.match(rf"{module}(_core|\Z)", name) for name in names)
    assert set(re.findall(r"\$\w+", text)) <= {"$signed"}
    assert "\\" not in text and "(*" not in text.replace("@(*)", "")
    for file in (folder / "out").iterdir():
        if file.suffix == ".v":
            assert file.read_text().isascii()
        assert str(Path.home()) not in file.read_text() and ".py" not in file.read_text()


def test_same_parameters_give_the_same_bytes(interrupts, tmp_path):
    folder, _ = interrupts
    assert write(tmp_path, f"--out elsewhere {DESIGNS['interrupts']}") == 0
    again = tmp_path / "elsewhere"
    assert {f.name: f.read_bytes() for f in again.iterdir()} == {
        f.name: f.read_bytes() for f in (folder / "out").iterdir()
    }


@pytest.mark.parametrize("simulate", [icarus_run, verilator_run])
def test_event_comes_out_as_the_message_that_was_programmed(simulate, interrupts, tmp_path):
    folder, module = interrupts
    bench = Path(__file__).with_name("ring.v")
    ims = bar0(Config(ims_vectors=256, msix_vectors=4)).table("ims").offset
    said = simulate(
        tmp_path, str(bench), str(folder / f"out/{module}.v"), top="ring", defines={"IMS": str(ims)}
    )
    assert said.splitlines()[:2] == ["message 00000000fee12344 cafe0200", "done"]


def test_block_ram_of_the_ecp5_is_instantiated_only_when_asked_for(interrupts, tmp_path):
    folder, module = interrupts
    assert "DP16KD" not in (folder / f"out/{module}.v").read_text()
    assert write(tmp_path, f"--out . --technology ecp5 {DESIGNS['interrupts']}") == 0
    assert re.search(r"^  DP16KD #\($", (tmp_path / f"{module}.v").read_text(), re.MULTILINE)
    script = f"read_verilog -lib +/ecp5/cells_sim.v; read_verilog {module}.v; hierarchy -check -top"
    assert yosys(tmp_path, f"{script} {module}; proc; check -assert") == ""


def test_every_waiver_says_why(interrupts):
    folder, module = interrupts
    text = (folder / f"out/{module}.v").read_text()
    waived = re.findall(r"lint_off (\w+) \*/  // .{20}", text)
    assert waived == list(verilog.WAIVED)
    assert not {"LATCH", "MULTIDRIVEN", "UNDRIVEN"} & set(waived)
    assert not [name for name in waived if name.startswith(("WIDTH", "CASE", "BLKSEQ"))]


@pytest.mark.parametrize("file", ["tocsin_interrupts.v", "example.v", "PORTS.md"])
def test_file_of_somebody_else_is_left_alone(file, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(verilog, "made", lambda *_: pytest.fail("nothing is to be made"))
    (tmp_path / file).write_text("mine")
    assert write(tmp_path, "--out . --part interrupts") == 2
    assert (
        f"tocsin: {file} is in the way: it was not written by this command"
        in capfd.readouterr().err
    )
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir() if f.is_file()] == [(file, "mine")]


def test_own_files_are_replaced_until_somebody_changes_them(tmp_path, monkeypatch, capfd):
    texts = {"module": "a\n", "example": "b\n", "page": "c\n"}
    monkeypatch.setattr(
        verilog, "made", lambda *_: {kind: verilog.signed(t, "//") for kind, t in texts.items()}
    )
    assert write(tmp_path, "--out new/one --part interrupts") == 0
    texts["example"] = "d\n"
    assert write(tmp_path, "--out new/one --part interrupts") == 0
    example = tmp_path / "new/one/example.v"
    assert example.read_text().endswith("\nd\n")
    example.write_text(example.read_text() + "mine\n")
    assert write(tmp_path, "--out new/one --part interrupts") == 2
    assert "or was changed since" in capfd.readouterr().err
    assert example.read_text().endswith("\nd\nmine\n")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "Missing option '--out'"),
        ("--out a --part wire", "'wire' is not one of"),
        ("--out a --ims-vectors 100", "ims_vectors takes 256 to 16128, a multiple of 256; 100"),
        ("--out a --data-width 96", "data_width takes 64 to 256, a power of two; 96 is not that"),
        ("--out a --part interrupts --queues 3", "interrupts has no parameter 'queues', only ims"),
        (
            "--out a --set tags",
            "--set takes NAME=VALUE with a number, such as tags=16, not 'tags'.",
        ),
        ("--out a --set bells=3", "endpoint has no parameter 'bells', only ims_vectors, "),
        ("--out a --set tags=5", "tags takes 4 to 256, a power of two; 5 is not that"),
    ],
)
def test_mistake_is_one_sentence_and_nothing_is_done(options, sentence, tmp_path, capfd):
    assert write(tmp_path, options) == 2
    said = capfd.readouterr().err
    assert said.startswith("tocsin: ") and sentence in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path, capfd):
    (tmp_path / "file").write_text("in the way")
    assert write(tmp_path, "--out file/below --part interrupts") == 2
    assert capfd.readouterr().err.startswith("tocsin: --out cannot be made: ")
