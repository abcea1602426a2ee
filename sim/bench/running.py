"""Run a cocotb module on a built model, with parameters in and a result out."""

import contextlib
import json
import os
import random
import re
import select
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cocotb_tools.runner import get_runner

from .building import TOP, BuiltModel, _digest, _shown

VARIABLE = "TOCSIN_BENCH"
"""Environment variable that carries a bench's orders, as JSON."""

Progress = Callable[[int, int, str], None]


class BenchFailure(AssertionError):  # noqa: N818
    """A bench failed. The message says how, and names the seed and the log."""


def run(
    model: BuiltModel,
    module: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
    timeout: float = 600.0,
    on_progress: Progress | None = None,
    waves: bool = False,
    testcase: str | None = None,
) -> dict[str, Any]:
    """Run the tests of a module and return what they reported.

    Parameters
    ----------
    model
        From :func:`build`; built with ``waves=True`` if waveforms are wanted.
    module
        Python module with :func:`sim.bench.cocotb_side.bench` coroutines, such as
        ``tests.cosim.fuzz``.
    parameters
        What the bench may read with ``parameters()``; has to survive JSON.
    seed
        Seed of Python's ``random`` in the bench; a fresh one is drawn and printed if none is given.
    timeout
        Seconds of real time after which the bench is stopped.
    on_progress
        Called from another thread with (done, total, text) whenever the bench reports progress.
    waves
        Write ``dump.vcd`` into the run's directory.
    testcase
        Run only the test of this name.

    Raises
    ------
    BenchFailure
        A test failed, an assertion in the gateware fired, or the time was up.
    """
    if waves and not model.waves:
        raise ValueError("waves need a model that was built with waves=True")
    if seed is None:
        seed = random.SystemRandom().getrandbits(31)
    parameters = dict(parameters or {})
    orders = json.dumps(parameters, sort_keys=True)
    label = "-".join(
        [model.name, module.rpartition(".")[2], *([testcase] if testcase else []), str(seed)]
    )
    directory = Path("build/runs").resolve() / f"{label}-{_digest(module, orders)[:8]}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    log, result, xml = directory / "log", directory / "result.json", directory / "results.xml"
    if on_progress is None:
        print(f"{module}: seed={seed}", flush=True)
    runner = get_runner("verilator")
    crash: str | None = None
    with _progress_pipe(directory, on_progress) as pipe:
        environment = {
            VARIABLE: json.dumps(
                {
                    "parameters": parameters,
                    "result": str(result),
                    "progress": pipe,
                    "timeout": timeout,
                    "seed": seed,
                }
            ),
            "COCOTB_LOG_LEVEL": os.environ.get("COCOTB_LOG_LEVEL", "WARNING"),
        }
        try:
            runner.test(
                test_module=module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=model.directory,
                test_dir=directory,
                results_xml=str(xml),
                testcase=testcase,
                seed=seed,
                extra_env=environment,
                waves=waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            crash = str(error)
    reason = _failure(log, xml, timeout) or crash
    if reason is not None:
        raise BenchFailure(f"{module}: {reason} (seed {seed}, log {_shown(log)})")
    return dict(json.loads(result.read_text())) if result.exists() else {}


@contextlib.contextmanager
def _progress_pipe(directory: Path, on_progress: Progress | None) -> Iterator[str | None]:
    if on_progress is None:
        yield None
        return
    path = directory / "progress"
    os.mkfifo(path)
    # Open for both directions, so that neither end ever waits for the other to appear.
    pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    stop = threading.Event()

    def pump() -> None:
        pending = b""
        while True:
            ready, _, _ = select.select([pipe], [], [], 0.1)
            if ready:
                pending += os.read(pipe, 65536)
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    done, total, text = json.loads(line)
                    on_progress(done, total, text)
            elif stop.is_set():
                return

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield str(path)
    finally:
        stop.set()
        thread.join()
        os.close(pipe)
        path.unlink()


def _failure(log: Path, xml: Path, timeout: float) -> str | None:
    """One sentence about what went wrong, or None."""
    text = log.read_text(errors="replace") if log.exists() else ""
    if assertion := re.search(r"^(.*)\[\d+\] %Error: (.*)$", text, re.MULTILINE):
        return f"assertion in the gateware: {assertion[1].strip() or assertion[2].strip()}"
    if re.search(r"^Timeout \(\d+:\d\d:\d\d", text, re.MULTILINE):
        return f"stopped after {timeout:g} s of real time"
    try:
        cases = list(ElementTree.parse(xml).iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return "the simulator stopped before the bench ended"
    if not cases:
        return "the module holds no test of that name"
    for case in cases:
        for kind in ("failure", "error"):
            if (found := case.find(kind)) is not None:
                message = (found.get("message") or found.text or kind).strip().split("\n")[0]
                return f"{case.get('name')}: {message}"
    return None
