"""A memory of beats that is written at any DW."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2


class DwBanks(Component):
    """Memory that takes a beat at any DW and gives a beat at any word.

    A word is a beat of ``data_width`` bits. A write puts consecutive DWs of ``data`` to consecutive
    DWs of the memory from ``write_address`` on, across the border of two words if need be, so data
    is realigned without an extra beat. Each DW of a word has a bank of its own, with its own
    address.

    **Timing**: a write is visible to a read of the next clock; a read of a word in the clock that
    writes it is undefined. ``read_data`` follows ``read_address`` by one clock and holds while
    ``read_enable`` is 0. One write and one read per clock.

    Parameters
    ----------
    data_width
        Bits of a word.
    depth
        Words; a power of two.

    Members
    -------
    write_address : ``range(depth * data_width // 32)``
        DW that lane 0 goes to; lane k goes to the k-th after it, modulo the size.
    write_data : ``data_width``
    write_enable : ``data_width // 32``
        Lanes that are written.
    read_address : ``range(depth)``
    read_enable : 1
    read_data : ``data_width``
    """

    def __init__(self, data_width: int, depth: int):
        exact_log2(depth)
        self._lanes = data_width // 32
        self._depth = depth
        super().__init__(
            {
                "write_address": In(range(depth * self._lanes)),
                "write_data": In(data_width),
                "write_enable": In(self._lanes),
                "read_address": In(range(depth)),
                "read_enable": In(1),
                "read_data": Out(data_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        offset = self.write_address[: exact_log2(lanes)]
        word = self.write_address[exact_log2(lanes) :]
        following = Signal.like(self.read_address)
        m.d.comb += following.eq(word + 1)

        for index in range(lanes):
            bank = Memory(shape=32, depth=self._depth, init=[])
            m.submodules[f"bank{index}"] = bank
            write, read = bank.write_port(), bank.read_port()
            m.d.comb += [
                read.addr.eq(self.read_address),
                read.en.eq(self.read_enable),
                self.read_data.word_select(index, 32).eq(read.data),
            ]
            with m.Switch(offset):
                for start in range(lanes):
                    lane = (index - start) % lanes
                    with m.Case(start):
                        m.d.comb += [
                            write.addr.eq(word if index >= start else following),
                            write.data.eq(self.write_data.word_select(lane, 32)),
                            write.en.eq(self.write_enable[lane]),
                        ]
        return m
