"""The software error register."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from ..queues.records import ErrorRecord
from ..regs.bar0 import REGISTERS
from ..regs.descriptor import Status

SWERROR = next(register for register in REGISTERS if register.name == "swerror")


class ErrorLog(Component):
    """Keep the first error until software has cleared it (DSA §9.2.15).

    Errors that come while one is recorded only set ``overflow``. An error that comes in the very
    clock in which software clears the register is recorded.

    **Timing**: takes an error per clock; the register shows it one clock later.

    Members
    -------
    i : ``In(stream.Signature(ErrorRecord))``
    clear_valid, clear_overflow : ``In(1)``
        Pulses.
    value : ``Out(256)``
        The register.
    raised : ``Out(1)``
        Pulse: ``valid`` becomes set.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(ErrorRecord)),
                "clear_valid": In(1),
                "clear_overflow": In(1),
                "value": Out(256),
                "raised": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid, overflow, record = Signal(), Signal(), Signal(ErrorRecord)
        free = ~valid | self.clear_valid
        m.d.comb += [self.i.ready.eq(1), self.raised.eq(self.i.valid & free)]
        with m.If(self.clear_valid):
            m.d.sync += valid.eq(0)
        with m.If(self.clear_overflow):
            m.d.sync += overflow.eq(0)
        with m.If(self.i.valid):
            with m.If(free):
                m.d.sync += [valid.eq(1), record.eq(self.i.payload)]
            with m.Else():
                m.d.sync += overflow.eq(1)

        info = SWERROR["info"]
        shown = {
            "valid": valid,
            "overflow": overflow,
            **{name: record[name] for name in ErrorRecord.as_shape().members},
        }
        for name, value in shown.items():
            field = SWERROR[name]
            m.d.comb += self.value[field.lsb : field.msb + 1].eq(value)
        with m.If(record.code == Status.BAD_HANDLE):
            # The register has the handle only; the event log more.
            m.d.comb += self.value[info.lsb + 16 : info.msb + 1].eq(0)
        return m
