"""Block RAM as its contract has it: what the contract leaves open, the solver chooses."""

from contextlib import contextmanager
from unittest import mock

from amaranth import *
from amaranth.asserts import AnySeq
from amaranth.lib.wiring import In

from hw.interrupts import pending, permission, pipe
from hw.interrupts.ram import Ram


class ContractRam(Ram):
    """Words in registers; whatever is read while it is written is anything."""

    def __init__(self, depth, width, option=None):
        super().__init__(depth, width, {"blank": In(1)})
        self._substitute = option if isinstance(option, int) else 0
        self.words = [Signal(width, name=f"word{n}") for n in range(depth)]
        self.fetched = Signal(width)

    def elaborate(self, platform):
        m = Module()
        word = Array(self.words)[self.read_address]
        collides = self.write & (self.write_address == self.read_address)
        with m.If(self.write):
            m.d.sync += Array(self.words)[self.write_address].eq(self.write_data)
        output = Signal(self.width)
        with m.If(self.enable):
            m.d.sync += [
                self.fetched.eq(Mux(collides, AnySeq(self.width), word)),
                output.eq(Mux(self.blank, self._substitute, self.fetched)),
            ]
        m.d.comb += self.read_data.eq(output)
        return m


@contextmanager
def contract_rams():
    """Make the store of :class:`ContractRam` within the context."""
    with (
        mock.patch.object(pipe, "BlockRam", ContractRam),
        mock.patch.object(pipe, "DistributedRam", ContractRam),
        mock.patch.object(permission, "BlockRam", ContractRam),
        mock.patch.object(permission, "DistributedRam", ContractRam),
        mock.patch.object(pending, "BlockRam", ContractRam),
    ):
        yield
