"""The texts around a module made from Amaranth: its outer module, an example, a page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hw.regs.schema import Table

from .verilog_ports import Group, Port

CLOCK = Group(
    "clk",
    "",
    {
        "clk": (Port("clk", True, 1, "Clock of all other ports."),),
        "rst": (Port("rst", True, 1, "Reset, synchronous to the clock, active high."),),
    },
)

STREAMS = """\
All ports belong to `clk`. A group with `valid` and `ready` is a stream: a beat is transferred in
each clock in which both are 1. What is offered stays, unchanged, until it is taken; `valid` does
not wait for `ready`."""


@dataclass(frozen=True)
class Description:
    """What is known of a module, and the texts that are made of it.

    Parameters
    ----------
    name
        Name of the module. It instantiates the module of that name with ``_core`` behind.
    facts
        Sentences about it.
    parameters
        Name and value of each.
    groups
        Its ports, but for clock and reset.
    tables
        What its ``csr`` port reaches, if it has one.
    """

    name: str
    facts: list[str]
    parameters: dict[str, int]
    groups: list[Group]
    tables: list[Table]

    def module(self) -> str:
        """The outer module: a port for each field, joined to the vectors of the inner one."""
        lines = [*self._comment(), "", f"module {self.name} ("]
        last = self.groups[-1].ports[-1]
        for heading, group in self._headed():
            lines += heading
            lines += [
                f"  {_declared(port)}{'' if port is last else ','}  // {port.meaning}"
                for port in group.ports
            ]
        lines += [");", "", f"  {self.name}_core core ("]
        vectors = (item for group in self._all for item in group.vectors.items())
        lines += _commas(f"    .{vector}({_concatenated(ports)})" for vector, ports in vectors)
        return _ascii([*lines, "  );", "", "endmodule", ""])

    def example(self) -> str:
        """A module that instantiates the outer one, every port on a wire of its own."""
        lines = [
            *self._comment(),
            "",
            f"// All ports of {self.name} on wires; constants keep it idle. Put your own in place.",
            "/* verilator lint_off UNUSEDSIGNAL */  // What comes out goes nowhere yet.",
            "",
            "module example (",
            "  input wire clk,",
            "  input wire rst",
            ");",
        ]
        for heading, group in self._headed():
            if group is CLOCK:
                continue
            lines += heading
            for port in group.ports:
                idle = "1'b1" if port.name.endswith("_ready") else f"{port.bits}'b0"
                lines.append(f"  {_wire(port)}{f' = {idle}' if port.is_input else ''};")
        lines += ["", f"  {self.name} tocsin ("]
        names = [port.name for group in self._all for port in group.ports]
        lines += _commas(f"    .{name}({name})" for name in names)
        lines += ["  );", "", "endmodule", "", "/* verilator lint_on UNUSEDSIGNAL */", ""]
        return _ascii(lines)

    def page(self) -> str:
        """The ports in a table, for people."""
        parts = [
            f"# `{self.name}`",
            "\n".join(self.facts),
            STREAMS,
            "## Ports",
            "\n".join(self._port_rows()),
        ]
        introduced: dict[str, list[str]] = {}
        for group in self.groups:
            for text in group.records:
                introduced.setdefault(text, []).append(f"`{group.name}`")
        if introduced:
            items = [f"- {', '.join(names)}: {text}" for text, names in introduced.items()]
            parts += ["## What the ports carry", "\n".join(items)]
        if self.tables:
            parts += ["## What `csr_access_address` reaches", "\n".join(self._table_rows())]
        rows = [f"| `{name}` | {value} | {value:#x} |" for name, value in self.parameters.items()]
        head = ["| parameter | value | |", "|---|---:|---:|"]
        return "\n\n".join([*parts, "## Parameters", "\n".join([*head, *rows])]) + "\n"

    @property
    def _all(self) -> tuple[Group, ...]:
        return CLOCK, *self.groups

    def _headed(self) -> Iterator[tuple[list[str], Group]]:
        """Each group, and the lines that set it off from the one before."""
        apart = False
        for group in self._all:
            text = [f"  // {group.name}: {group.meaning}"] if group.meaning else []
            yield ["", *text] if text or apart else [], group
            apart = bool(text)

    def _comment(self) -> Iterator[str]:
        yield "// SPDX-License-Identifier: BSD-2-Clause"
        yield "//"
        yield from (f"// {fact}" for fact in self.facts)
        yield "//"
        yield from (
            f"//   {name} = {value} ({value:#x})" for name, value in self.parameters.items()
        )

    def _port_rows(self) -> Iterator[str]:
        yield "| port | direction | bits | meaning |"
        yield "|---|---|---:|---|"
        for group in self._all:
            if group.meaning:
                yield f"| **{group.name}** | | | **{group.meaning}** |"
            for port in group.ports:
                direction = "input" if port.is_input else "output"
                yield f"| `{port.name}` | {direction} | {port.bits} | {port.meaning} |"

    def _table_rows(self) -> Iterator[str]:
        yield "| offset | table | entries | bytes each | what |"
        yield "|---|---|---:|---:|---|"
        for table in self.tables:
            size = f"{table.count} | {table.stride}"
            yield f"| {table.offset:#x} | `{table.name}` | {size} | {table.doc} |"


def _ascii(lines: list[str]) -> str:
    return "\n".join(lines).replace("§", "section ")


def _wire(port: Port) -> str:
    width = f"[{port.bits - 1}:0]" if port.bits > 1 else ""
    return f"wire {width:<7} {port.name}"


def _declared(port: Port) -> str:
    return f"{'input ' if port.is_input else 'output'} {_wire(port)}"


def _concatenated(ports: tuple[Port, ...]) -> str:
    names = ", ".join(port.name for port in reversed(ports))
    return f"{{{names}}}" if len(ports) > 1 else names


def _commas(items: Iterable[str]) -> list[str]:
    return [",\n".join(items)]
