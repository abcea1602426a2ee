"""Group configuration, as software reads and writes it."""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..csr.answer import Answer
from ..csr.bus import CsrSignature
from ..regs import Config
from ..regs.bar0 import GROUP_CONFIG, GROUP_CONFIG_BYTES, bar0
from .records import group_shape


class GroupTable(Component):
    """Which queues and engines work together (DSA §9.2.23).

    Everything is stored as written; what it means, and whether it makes sense, is seen by others.

    **Timing**: a bus access takes 2 clocks.

    Parameters
    ----------
    config
        Counts of groups, queues and engines; bits of bitmaps beyond them read as 0.

    Members
    -------
    csr : ``In(CsrSignature())``
        Addresses as in BAR0; what is not of the table reads as 0.
    locked : ``In(1)``
        The device is not disabled: writes are ignored.
    clear : ``In(1)``
        Pulse: everything becomes 0.
    groups : ``Out``
        An array of :func:`hw.queues.records.group_shape`.
    """

    def __init__(self, config: Config):
        self._table = bar0(config).table("grpcfg")
        self._groups = config.groups
        super().__init__(
            {
                "csr": In(CsrSignature()),
                "locked": In(1),
                "clear": In(1),
                "groups": Out(data.ArrayLayout(group_shape(config), config.groups)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.answer = answer = Answer()
        connect(m, flipped(self.csr), answer.csr)
        offset = Signal(24)
        m.d.comb += [offset.eq(answer.access.address - self._table.offset), answer.done.eq(1)]
        with m.Switch(offset):
            for number in range(self._groups):
                self._words(m, self.groups[number], number * GROUP_CONFIG_BYTES, answer)
        with m.If(self.clear):
            m.d.sync += self.groups.eq(0)
        return m

    def _words(self, m, group, base, answer):
        """What an access to one of the words of a group does."""
        access = answer.access
        strobe = Cat(bit.replicate(8) for bit in access.strobe)
        for register in GROUP_CONFIG:
            value = Value.cast(group[register.name])
            mask = strobe[: len(value)] & register.mask()
            with m.Case(base + register.offset):
                m.d.comb += answer.value.eq(value)
                with m.If(answer.valid & access.write & ~self.locked):
                    m.d.sync += value.eq((value & ~mask) | (access.data & mask))
