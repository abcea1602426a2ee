"""The registers at the start of BAR0, and our own page."""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.answer import Answer
from ..csr.bus import CsrSignature
from ..regs import Config
from ..regs.bar0 import bar0
from ..regs.capabilities import constants
from ..regs.schema import Access

_LOCKED = ("gencfg", "evlcfg")
_CLEARED = ("gencfg", "genctrl", "evlcfg", "ext_control")


class Registers(Component):
    """Registers as software sees them, made from the register map.

    **Timing**: an access takes 3 clocks.

    Parameters
    ----------
    config
        Gives the constants.

    Members
    -------
    csr : ``In(CsrSignature())``
        Addresses as in BAR0; those without a register read as 0 and ignore writes.
    locked : ``In(1)``
        The device is not disabled: GENCFG and EVLCFG ignore writes.
    clear : ``In(1)``
        Pulse: what Reset Device clears takes its reset value.
    gencfg, genctrl, evlcfg, ext_control : ``Out``
        Stored values.
    gensts, cmdstatus : ``In(32)``, swerror : ``In(256)``
        Values to show.
    cause : ``In(32)``
        Bits of INTCAUSE to set.
    command : ``Out(32)``, command_written : ``Out(1)``
        Pulse: CMD is written with ``command``; bytes not written are 0.
    error_clear : ``Out(2)``
        Pulses: software clears bit 0 or 1 of SWERROR.
    log_start : ``In(1)``
        Pulse: the head of the event log becomes 0.
    log_head : ``Out(16)``, log_tail : ``In(16)``, log_pending : ``In(1)``
        EVLSTATUS.
    log_acknowledge : ``Out(1)``
        Pulse: software clears the pending bit of EVLSTATUS.
    """

    def __init__(self, config: Config):
        self._space = bar0(config)
        self._constants = constants(config)
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "locked": In(1),
                "clear": In(1),
                "gencfg": Out(32),
                "genctrl": Out(32),
                "evlcfg": Out(128),
                "ext_control": Out(32),
                "gensts": In(32),
                "cmdstatus": In(32),
                "swerror": In(256),
                "cause": In(32),
                "command": Out(32),
                "command_written": Out(1),
                "error_clear": Out(2),
                "log_start": In(1),
                "log_head": Out(16),
                "log_tail": In(16),
                "log_pending": In(1),
                "log_acknowledge": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        access = self.csr.access.p
        strobe = Cat(bit.replicate(8) for bit in access.strobe)
        written, causes = Signal(), Signal(32)
        evlstatus = self._space.register("evlstatus")
        pending = evlstatus["interrupt_pending"].lsb
        stored = {
            "gencfg": self.gencfg,
            "genctrl": self.genctrl,
            "evlcfg": self.evlcfg,
            "evlstatus": self.log_head,
            "ext_control": self.ext_control,
        }
        shown = {
            **{name: Const(value, 256) for name, value in self._constants.items()},
            **stored,
            "evlstatus": self.log_head
            | (self.log_tail << evlstatus["tail"].lsb)
            | (self.log_pending << pending),
            "gensts": self.gensts,
            "intcause": causes,
            "cmdstatus": self.cmdstatus,
            "swerror": self.swerror,
        }

        m.submodules.answer = answer = Answer()
        connect(m, flipped(self.csr), answer.csr)
        # An access stays until it is done, so what is done is known a clock before.
        begins = answer.valid & ~answer.done
        m.d.sync += [answer.done.eq(begins), written.eq(begins & access.write)]
        # Where an access goes is known when it is done, a clock after it was offered.
        here = self._places(m, [address for address, _ in self._words(shown)])
        m.d.comb += answer.value.eq(
            reduce(or_, (Mux(here[address], value, 0) for address, value in self._words(shown)))
        )
        for name, register in stored.items():
            locked = self.locked if name in _LOCKED else Const(0, 1)
            self._store(m, name, register, written & ~locked, here)
        with m.If(self.log_start):
            m.d.sync += self.log_head.eq(0)

        def at(name):
            return written & here[self._space.register(name).offset]

        cleared = Mux(at("intcause"), access.data[:32] & strobe[:32], 0)
        m.d.sync += causes.eq((Mux(self.clear, 0, causes) & ~cleared) | self.cause)
        m.d.comb += [
            self.command.eq(access.data & strobe),
            self.command_written.eq(at("cmd") & access.strobe[:4].any()),
            self.error_clear.eq(Mux(at("swerror"), access.data & strobe, 0)),
            self.log_acknowledge.eq(at("evlstatus") & (access.data & strobe)[pending]),
        ]
        return m

    def _words(self, shown):
        """Pairs of address and 64-bit value, for every register that reads as anything."""
        for name, value in shown.items():
            register = self._space.register(name)
            for word in range(-(-register.width // 64)):
                bits = value[64 * word : min(64 * word + 64, register.width, len(value))]
                yield register.offset + 8 * word, bits

    def _places(self, m, addresses):
        """Whether the access is to a word, by its address."""
        here = {}
        for address in {*addresses, self._space.register("cmd").offset}:
            here[address] = Signal(name=f"at_{address:x}")
            m.d.sync += here[address].eq(self.csr.access.p.address == address)
        return here

    def _store(self, m, name, value, enable, here):
        """Writable bits of a register; a register is at most as wide as its access."""
        register = self._space.register(name)
        access = self.csr.access.p
        writable = register.mask(Access.RW)
        for word in range(-(-register.width // 64)):
            for byte in range(8):
                low = 64 * word + 8 * byte
                mask = writable >> low & 0xFF
                if mask:
                    chosen = here[register.offset + 8 * word]
                    with m.If(enable & chosen & access.strobe[byte]):
                        m.d.sync += value[low : low + 8].eq(access.data.word_select(byte, 8) & mask)
        if name in _CLEARED:
            with m.If(self.clear):
                m.d.sync += value.eq(register.reset)
