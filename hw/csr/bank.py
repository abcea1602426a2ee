"""Registers made from data."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, Signature

from ..regs.schema import Access, Field, Register
from .bus import CsrSignature


def _ports(register: Register, field: Field, inputs: frozenset[str]) -> dict:
    name = f"{register.name}_{field.name}"
    match field.access:
        case Access.RW | Access.WO:
            return {name: Out(field.width, init=field.reset)}
        case Access.RW1C:
            return {name: Out(field.width, init=field.reset), f"{name}_set": In(field.width)}
        case Access.RO if f"{register.name}.{field.name}" in inputs:
            return {name: In(field.width, init=field.reset)}
    return {}


class RegisterBank(Component):
    """Registers from the register map, each field with the port that its access calls for.

    A field ``f`` of register ``r`` has these members:

    ======  ==========================  ==========================================================
    access  member                      meaning
    ======  ==========================  ==========================================================
    RW      ``r_f : Out``               the value
    RW1C    ``r_f : Out``               the value
    RW1C    ``r_f_set : In``            bits to set; a set wins over a clear in the same clock
    WO      ``r_f : Out``               what was last written; bytes not written are 0
    RO      ``r_f : In``                if listed in ``inputs``; else a constant without a port
    ======  ==========================  ==========================================================

    Every register with a WO field also has ``r_written : Out(1)``, high for the clock in which the
    WO values of a write are first there. A register in ``locks`` has ``r_locked : In(1)``: while it
    is high, writes to the register are ignored.

    **Timing**: a write takes effect 2 clocks, and a result is valid 2 clocks, after the access was
    taken. One access at a time. ``reset`` takes effect on the next clock and wins over all else.

    **Errors**: bytes that no register covers read as 0 and ignore writes.

    Parameters
    ----------
    registers
        What is in the bank; offsets are addresses on the bus.
    inputs
        Names ``"register.field"`` of the RO fields that hardware drives.
    constants
        Register name to value, for RO fields whose value is not their reset value.
    locks
        Names of registers that can be locked.
    signature
        The bus: :class:`hw.csr.bus.CsrSignature` or of the same form with another width.

    Members
    -------
    csr : ``In(signature)``
    reset : ``In(1)``
        Gives fields that are not sticky their reset value.
    """

    def __init__(
        self,
        registers: Iterable[Register],
        *,
        inputs: Iterable[str] = (),
        constants: Mapping[str, int] | None = None,
        locks: Iterable[str] = (),
        signature: Signature | None = None,
    ):
        self._registers = tuple(registers)
        self._inputs = frozenset(inputs)
        self._constants = dict(constants or {})
        self._locks = frozenset(locks)
        signature = signature or CsrSignature()
        names = {item.name for item in self._registers}
        fields = {f"{item.name}.{f.name}" for item in self._registers for f in item.fields}
        for unknown in (self._inputs - fields) | (self._locks - names):
            raise ValueError(f"the bank has no {unknown!r}")
        members = {"csr": In(signature), "reset": In(1)}
        for register in self._registers:
            for field in register.fields:
                members |= _ports(register, field, self._inputs)
            if any(field.access is Access.WO for field in register.fields):
                members[f"{register.name}_written"] = Out(1)
            if register.name in self._locks:
                members[f"{register.name}_locked"] = In(1)
        super().__init__(members)

    def _readable(self, register: Register, field: Field):
        """What software reads in a field."""
        if field.access is Access.WO:
            return C(0, field.width)
        if field.access is Access.RO and f"{register.name}.{field.name}" not in self._inputs:
            value = self._constants.get(register.name)
            return C(field.reset if value is None else register.get(value, field.name), field.width)
        return getattr(self, f"{register.name}_{field.name}")

    def _value(self, register: Register):
        """What software reads in a register."""
        parts, end = [], 0
        for field in sorted(register.fields, key=lambda item: item.lsb):
            parts += [C(0, field.lsb - end), self._readable(register, field)]
            end = field.msb + 1
        return Cat(*parts, C(0, register.width - end))

    def _write(self, m, register: Register, value, enable):
        """Let software's ``value`` change the fields of a register where ``enable`` is 1."""
        written = getattr(self, f"{register.name}_written", None)
        if written is not None:
            m.d.sync += written.eq(enable.any())
        for field in register.fields:
            if field.access is Access.RO:
                continue
            name = f"{register.name}_{field.name}"
            port = getattr(self, name)
            new = value[field.lsb : field.msb + 1]
            here = enable[field.lsb : field.msb + 1]
            match field.access:
                case Access.RW:
                    m.d.sync += port.eq((port & ~here) | (new & here))
                case Access.RW1C:
                    m.d.sync += port.eq((port & ~(new & here)) | getattr(self, f"{name}_set"))
                case Access.WO:
                    with m.If(enable.any()):
                        m.d.sync += port.eq(new & here)
            if not field.sticky:
                with m.If(self.reset):
                    m.d.sync += port.eq(field.reset)

    def _place(self, register: Register, width: int) -> dict[int, int]:
        """Word addresses that a register touches, and the bit of it that is their bit 0."""
        step = width // 8
        end = register.offset + register.size_bytes
        starts = range(register.offset // step * step, end, step)
        return {start: 8 * (start - register.offset) for start in starts}

    def elaborate(self, platform):
        m = Module()
        access, result = self.csr.access, self.csr.result
        width = len(result.payload)
        taken = Signal.like(access.payload)
        busy = Signal()
        m.d.comb += access.ready.eq(~busy & ~result.valid)
        m.d.sync += busy.eq(access.valid & access.ready)
        with m.If(access.valid & access.ready):
            m.d.sync += taken.eq(access.payload)

        bits = Cat(bit.replicate(8) for bit in taken.strobe)
        words: dict[int, list] = {}
        for register in self._registers:
            current = self._value(register)
            value, enable = Signal(register.width), Signal(register.width)
            writes = busy & taken.write
            if register.name in self._locks:
                writes &= ~getattr(self, f"{register.name}_locked")
            for address, lsb in self._place(register, width).items():
                hit = writes & (taken.address == address)
                low, skip = max(lsb, 0), max(-lsb, 0)
                size = min(width - skip, register.width - low)
                words.setdefault(address, []).append(Cat(C(0, skip), current[low : low + size]))
                part = slice(low, low + size)
                m.d.comb += [
                    value[part].eq(taken.data[skip : skip + size]),
                    enable[part].eq(Mux(hit, bits[skip : skip + size], 0)),
                ]
            self._write(m, register, value, enable)

        with m.If(busy):
            m.d.sync += [result.valid.eq(1), result.payload.eq(0)]
            with m.Switch(taken.address):
                for address, parts in words.items():
                    with m.Case(address):
                        m.d.sync += result.payload.eq(reduce(or_, parts))
        with m.Elif(result.ready):
            m.d.sync += result.valid.eq(0)
        return m
