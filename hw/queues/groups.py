"""Group configuration, as software reads and writes it."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from ..csr.bus import CsrSignature
from ..regs import Config
from ..regs.bar0 import GROUP_CONFIG

_LIMITS = ("global_limit", "work_limit", "batch_limit", "read_bandwidth", "write_bandwidth")


class GroupTable(Component):
    """Which queues and engines work together (DSA §9.2.23).

    There is one group. Traffic classes and read buffers are stored and have no effect.

    **Timing**: a bus access takes 2 clocks.

    Parameters
    ----------
    config
        Counts of queues and engines; bits of bitmaps beyond them read as 0.

    Members
    -------
    csr : ``In(CsrSignature())``
        Addresses as in BAR0; only those of the table may come.
    locked : ``In(1)``
        The device is not disabled: writes are ignored.
    clear : ``In(1)``
        Pulse: everything becomes 0.
    queues, engines : ``Out``
        Bitmaps of the group.
    limits : ``Out(1)``
        A limit is asked for that GRPCAP does not offer.
    """

    def __init__(self, config: Config):
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "locked": In(1),
                "clear": In(1),
                "queues": Out(config.queues),
                "engines": Out(config.engines),
                "limits": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        flags_register = GROUP_CONFIG[2]
        flags = Signal(48)
        access = self.csr.access.p
        strobe = Cat(bit.replicate(8) for bit in access.strobe)
        stored = {0: self.queues, 4: self.engines, 5: flags}

        result = Signal(64)
        writing = self.csr.access.ready & access.write & ~self.locked
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.csr.access.ready.eq(1)
                with m.If(self.csr.access.valid):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.csr.result.valid.eq(1)
                with m.If(self.csr.result.ready):
                    m.next = "IDLE"
        m.d.comb += self.csr.result.payload.eq(result)

        with m.If(self.csr.access.valid & self.csr.access.ready):
            with m.Switch(access.address[3:6]):
                for number, register in stored.items():
                    width = len(register)
                    mask = flags_register.mask() if number == 5 else -1
                    with m.Case(number):
                        m.d.sync += result.eq(register)
                        with m.If(writing):
                            kept = register & ~strobe[:width]
                            m.d.sync += register.eq(
                                kept | (access.data[:width] & strobe[:width] & mask)
                            )
                with m.Default():
                    m.d.sync += result.eq(0)
        with m.If(self.clear):
            m.d.sync += [self.queues.eq(0), self.engines.eq(0), flags.eq(0)]

        limited = [flags[flags_register[n].lsb : flags_register[n].msb + 1] for n in _LIMITS]
        m.d.comb += self.limits.eq(Cat(limited).any())
        return m
