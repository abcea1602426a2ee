"""The register map as text: tables for people, a header for C.

Text is made from the same data as gateware and driver, and carries no date, so that a stale copy
shows by comparison.
"""

import enum
from collections.abc import Iterable, Iterator

from . import bar0, bar2, commands, descriptor, event_log
from .config import Config
from .configspace import DVSEC_TOCSIN, Capability, capabilities
from .schema import Field, Register

REGISTERS_MARK = "registers"


def markdown(config: Config) -> str:
    """The register map as Markdown tables, for the parameters given."""
    space = bar0.bar0(config)
    parts = [
        f"#### BAR0: {space.size_bytes // 1024} KiB of registers and tables",
        _registers(space.registers),
        "#### Tables in BAR0",
        _rows(
            ("offset", "table", "entries", "bytes each", "what", "source"),
            (
                (f"{t.offset:#07x}", f"`{t.name}`", t.count, t.stride, t.doc, t.source)
                for t in sorted(space.tables, key=lambda table: table.offset)
            ),
        ),
    ]
    for table in space.tables:
        parts += [f"#### An entry of `{table.name}`", _registers(table.registers)]
    parts += [
        f"#### BAR2: {bar2.bar2_bytes(config) // 1024} KiB of portals, four pages for each queue",
        _rows(
            ("page of the queue", "accepts while", "interrupt handles index"),
            (
                (
                    int(kind),
                    "the queue is below its threshold"
                    if kind & bar2.Portal.LIMITED
                    else "the queue has room",
                    "interrupt message storage" if kind & bar2.Portal.IMS else "the MSI-X table",
                )
                for kind in (bar2.Portal(page) for page in range(bar2.PORTALS_PER_QUEUE))
            ),
        ),
        "#### Configuration space",
        _rows(
            ("offset", "capability", "registers"),
            ((f"{c.offset:#05x}", c.name, _names(c)) for c in capabilities(config)),
        ),
        "#### A descriptor, as a portal takes it",
        _fields(descriptor.DESCRIPTOR),
        "#### What each operation reads in its descriptor",
        _rows(
            ("opcode", "operation", "operands"),
            (
                (
                    f"{int(opcode):#04x}",
                    opcode.name.replace("_", " ").capitalize(),
                    "<br>".join(f"{f.bits} `{f.name}`" for f in operands(opcode)) or "none",
                )
                for opcode in descriptor.Opcode
            ),
        ),
        "#### A completion record, as the device writes it",
        _fields(descriptor.COMPLETION),
        "#### What operations have found, in their completion records",
        _fields(descriptor.RESULTS),
        "#### An entry of the event log, in host memory",
        _fields(event_log.EVENT),
    ]
    return "\n\n".join(parts) + "\n"


def operands(opcode: descriptor.Opcode) -> list[Field]:
    """The fields of a descriptor that only some operations have, as this one has them."""
    common = {item.name for item in descriptor.LAYOUTS[descriptor.Opcode.NOP].fields}
    return [item for item in descriptor.LAYOUTS[opcode].fields if item.name not in common]


def replace(text: str, mark: str, body: str) -> str:
    """Put ``body`` between the lines ``<!-- begin mark -->`` and ``<!-- end mark -->``.

    Raises
    ------
    ValueError
        The text does not have exactly one such pair.
    """
    begin, end = f"<!-- begin {mark} -->\n", f"<!-- end {mark} -->\n"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"the text needs one pair of the marks {begin.strip()} and {end.strip()}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{body}{end}{after}"


def c_header() -> str:
    """A C header of everything that does not depend on parameters.

    Where the tables are, and how long, a driver reads from the device: OFFSETS, the MSI-X
    capability and the extension page.
    """
    lines = [
        "/* SPDX-License-Identifier: BSD-2-Clause */",
        "/* Generated from hw/regs by `make generate`; do not edit. */",
        "#ifndef TOCSIN_REGS_H",
        "#define TOCSIN_REGS_H",
    ]
    for title, prefix, registers in _groups():
        lines += ["", f"/* {title} */"]
        for register in registers:
            lines += _c_register(prefix, register)
    for kind in (
        commands.Command,
        commands.CommandError,
        commands.SoftwareError,
        commands.DeviceState,
        commands.ResetType,
        commands.QueueState,
        descriptor.Opcode,
        descriptor.Flag,
        descriptor.Status,
    ):
        lines += ["", *_c_enumeration(kind)]
    lines += ["", "/* Sizes and identifiers */"]
    lines += [
        _define(name, value)
        for name, value in (
            ("TABLE_UNIT", f"{bar0.TABLE_UNIT:#x}"),
            ("EXTENSION_TYPE", f"{bar0.EXTENSION_TYPE:#x}"),
            ("DVSEC_ID", f"{DVSEC_TOCSIN:#x}"),
            ("MSIX_PERMISSION_BYTES", "8"),
            ("IMS_ENTRY_BYTES", "16"),
            ("QUEUE_CONFIG_BYTES", str(bar0.QUEUE_CONFIG_BYTES)),
            ("GROUP_CONFIG_BYTES", str(bar0.GROUP_CONFIG_BYTES)),
            ("DESCRIPTOR_BYTES", str(descriptor.DESCRIPTOR_BYTES)),
            ("COMPLETION_BYTES", str(descriptor.COMPLETION_BYTES)),
            ("DELTA_BYTES", str(descriptor.DELTA_BYTES)),
            ("EVENT_BYTES", str(event_log.EVENT_BYTES)),
            ("PORTAL_PAGE_BYTES", f"{bar2.PAGE_BYTES:#x}"),
            ("PORTALS_PER_QUEUE", str(bar2.PORTALS_PER_QUEUE)),
            ("PORTAL_LIMITED", str(int(bar2.Portal.LIMITED))),
            ("PORTAL_IMS", str(int(bar2.Portal.IMS))),
        )
    ]
    return "\n".join([*lines, "", "#endif", ""])


def _groups() -> Iterator[tuple[str, str, Iterable[Register]]]:
    yield "Registers of BAR0: bytes from its start", "", bar0.REGISTERS
    yield "Extension page: bytes from the start of BAR0", "", bar0.EXTENSION
    yield "An entry of the MSI-X permission table", "MSIXPERM_", bar0.MSIX_PERMISSION
    yield "An entry of interrupt message storage", "IMS_", bar0.IMS_ENTRY
    yield "A group's configuration", "GRPCFG_", bar0.GROUP_CONFIG
    yield "A queue's configuration", "WQCFG_", bar0.QUEUE_CONFIG
    yield "A descriptor", "", (descriptor.DESCRIPTOR,)
    for opcode in descriptor.Opcode:
        if own := operands(opcode):
            name = opcode.name.lower()
            yield f"Operands of {name.replace('_', ' ')}", "", (Register(name, 0, tuple(own), 512),)
    yield "A completion record", "", (descriptor.COMPLETION,)
    yield "What operations have found, in their completion records", "", (descriptor.RESULTS,)
    yield "An entry of the event log", "", (event_log.EVENT,)


def _define(name: str, value: str) -> str:
    return f"#define TOCSIN_{name.upper():<42} {value}"


def _c_register(prefix: str, register: Register) -> Iterator[str]:
    """Offset of the register; shift and mask of each field, within its 64-bit word."""
    name = prefix + register.name
    yield _define(name, f"{register.offset:#x}")
    for item in register.fields:
        word, shift = divmod(item.lsb, 64)
        if register.width > 64:
            yield _define(f"{name}_{item.name}_WORD", str(word))
        if shift + item.width > 64:
            yield _define(f"{name}_{item.name}_BITS", str(item.width))
            continue
        suffix = "u" if register.width == 32 else "ull"
        mask = ((1 << item.width) - 1) << shift
        yield _define(f"{name}_{item.name}_SHIFT", str(shift))
        yield _define(f"{name}_{item.name}_MASK", f"{mask:#x}{suffix}")


def _c_enumeration(kind: type[enum.IntEnum] | type[enum.IntFlag]) -> Iterator[str]:
    words = "".join(f"_{c}" if c.isupper() else c for c in kind.__name__).strip("_").upper()
    yield f"/* {(kind.__doc__ or kind.__name__).splitlines()[0]} */"
    for member in kind:
        yield _define(f"{words}_{member.name}", f"{int(member):#x}")


def _registers(registers: Iterable[Register]) -> str:
    return _rows(
        ("offset", "register", "bits", "fields", "what", "source"),
        (
            (f"{r.offset:#05x}", f"`{r.name}`", r.width, _list(r.fields), r.doc, r.source)
            for r in registers
        ),
    )


def _fields(register: Register) -> str:
    return _rows(
        ("bits", "field", "what"), ((f.bits, f"`{f.name}`", f.doc) for f in register.fields)
    )


def _list(items: Iterable[Field]) -> str:
    return "<br>".join(
        f"{f.bits} `{f.name}` {f.access.value}"
        + (f" = {f.reset:#x}" if f.reset else "")
        + (f": {f.doc}" if f.doc else "")
        for f in items
    )


def _names(capability: Capability) -> str:
    return ", ".join(f"`{r.name}`" for r in capability.registers)


def _rows(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
