"""``tocsin verilog``: the endpoint, or the interrupt block alone, for designs in Verilog.

The module that a design instantiates has a port for each field of each stream, with a conventional
name, rather than the vectors that Amaranth makes of them: nobody has to count bits. It is written
here, from the same table as the page about the ports, and only joins those ports to the module that
Amaranth and Yosys make.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from amaranth.lib.wiring import Component

from hw.device import Device
from hw.interrupts.store import MessageStore
from hw.regs import Config, ConfigError
from hw.regs.bar0 import bar0

from .ecp5 import Technology
from .show import console, stages
from .tools import ToolError
from .verilog_netlist import verilog_of
from .verilog_ports import Group, groups
from .verilog_text import Description

FOLDER = Path("build/verilog")

WAIVED = {
    "DECLFILENAME": "all modules are in one file",
    "VARHIDDEN": "a name in a module may be that of an instance outside of it",
    "UNUSEDSIGNAL": "modules have ports and wires of which not every size needs every bit",
    "PROCASSINIT": "registers have a value at power-on, which is that of reset",
    "CMPCONST": "sizes that are parameters decide some comparisons",
    "UNSIGNED": "sizes that are parameters decide some comparisons",
}
"""What Verilator's lint may not say of the modules made from Amaranth, and why."""

TESTED_WIDTH = 64


class NotOurs(RuntimeError):  # noqa: N818
    """A file that would be replaced is not one that this command wrote."""


@dataclass(frozen=True)
class Part:
    """What can be had as Verilog.

    Parameters
    ----------
    module
        Name of the module, with which the names of all others begin; and of its file.
    title
        What it is.
    parameters
        Those of :class:`hw.regs.Config` that it depends on.
    make
        Makes it.
    tables
        Tables of BAR0 that are reached through its ports directly.
    """

    module: str
    title: str
    parameters: tuple[str, ...]
    make: Callable[[Config], Component]
    tables: tuple[str, ...] = ()


PARTS = {
    "endpoint": Part(
        "tocsin_endpoint",
        "A PCI Express endpoint with interrupt message storage, from wire to wire",
        tuple(Config.names()),
        Device,
    ),
    "interrupts": Part(
        "tocsin_interrupts",
        "MSI-X table and interrupt message storage, and the generator of their messages",
        ("ims_vectors", "msix_vectors", "message_window"),
        MessageStore,
        ("msixperm", "msix", "pba", "ims"),
    ),
}


def configured(name: str, settings: dict[str, int]) -> Config:
    """The parameters of a part, those in ``settings`` other than by default.

    Raises
    ------
    ConfigError
        There is no such parameter, or its value is out of range.
    """
    for given in settings:
        if given not in (known := PARTS[name].parameters):
            raise ConfigError(f"{name} has no parameter {given!r}, only {', '.join(known)}.")
    return Config(**settings)


def play(name: str, config: Config, technology: str, out: Path) -> int:
    """Write the files, say what they are, and return the exit code.

    Raises
    ------
    NotOurs
        A file of that name was not written by this command, or was changed since.
    """
    part = PARTS[name]
    targets = {kind: out / file for kind, file in files(part).items()}
    for path in targets.values():
        need_ours(path)
    with stages() as shown:
        shown.enter("Verilog (Amaranth, Yosys)")
        texts = made(part, config, technology)
    for kind, text in texts.items():
        targets[kind].write_text(text)
        console.print(f"written: {targets[kind]}", soft_wrap=True)
    if config.data_width != TESTED_WIDTH and "data_width" in part.parameters:
        console.print(f"Note: {_tested(config)}.")
    return 0


def files(part: Part) -> dict[str, str]:
    """Names of the files, by what is in them."""
    return {"module": f"{part.module}.v", "example": "example.v", "page": "PORTS.md"}


def made(part: Part, config: Config, technology: str) -> dict[str, str]:
    """The texts of :func:`files`; the same parameters give the same texts.

    Raises
    ------
    ToolError
        Yosys failed, or made what should not be there.
    """
    component = part.make(config)
    platform = Technology() if technology == "ecp5" else None
    log = FOLDER / f"{part.module}.log"
    netlist = verilog_of(component, f"{part.module}_core", platform, log)
    found = re.search(r"\$(?!signed\b)\w+|\\", netlist)
    if found:
        raise ToolError(f"the Verilog has {found[0]!r} in it, which is not for every tool")
    described = _described(part, config, technology, groups(component))
    waivers = [f"/* verilator lint_off {name} */  // {why}\n" for name, why in WAIVED.items()]
    ends = [f"/* verilator lint_on {name} */\n" for name in WAIVED]
    parts = (described.module(), "\n", *waivers, "\n", netlist, "\n", *ends)
    return {
        "module": signed("".join(parts), "//"),
        "example": signed(described.example(), "//"),
        "page": signed(described.page(), "<!--", " -->"),
    }


def _described(part: Part, config: Config, technology: str, table: list[Group]) -> Description:
    facts = [f"{part.title}.", f"Tocsin {version('tocsin')}."]
    facts.append(f"Memories: {'DP16KD of the ECP5' if technology == 'ecp5' else 'inferred'}.")
    if "data_width" in part.parameters:
        facts.append(f"{_tested(config)}.")
    tables = [bar0(config).table(name) for name in part.tables]
    values = {name: getattr(config, name) for name in part.parameters}
    return Description(part.module, facts, values, table, tables)


def _tested(config: Config) -> str:
    if config.data_width == TESTED_WIDTH:
        return f"Beats of {TESTED_WIDTH} bits, as in all simulations"
    return f"Beats of {config.data_width} bits: linted, but simulated only with {TESTED_WIDTH}"


MARK = "Made by `tocsin verilog`; unchanged while the SHA-256 of all below begins with"


def signed(text: str, begin: str, end: str = "") -> str:
    """The text below a line by which :func:`need_ours` knows it."""
    return f"{begin} {MARK} {_digest(text)}{end}\n{text}"


def need_ours(path: Path) -> None:
    """Refuse to replace a file that was not written by this command, or was changed since."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        first, _, rest = path.read_text().partition("\n")
    except (OSError, UnicodeDecodeError):
        first = rest = ""
    if f"{MARK} {_digest(rest)}" not in first:
        raise NotOurs(
            f"{path} is in the way: it was not written by this command, or was changed since. "
            "Move it, or give another folder to --out."
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
