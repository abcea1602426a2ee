"""A memory that becomes block RAM and nothing besides."""

from amaranth import *
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out


class BlockMemory(Component):
    """Words that are written on one side and read on the other.

    What is read of a word in the clock in which it is written is undefined, as it is on block RAM:
    users see to it that nobody looks at it. A plain memory promises the word before the write, for
    which synthesis puts a register and a multiplexer beside every bit.

    **Timing**: a word written at clock *t* is read from clock *t+1* on. ``read_data`` follows
    ``read_address`` by a clock in which ``read`` is 1 and keeps what it holds in others. There is
    no reset; the memory starts as zeros.

    Parameters
    ----------
    depth, width : int
        Words, and bits of a word.
    granularity : int, optional
        Bits of a part that can be written by itself; by default, all.

    Members
    -------
    write : ``In(width // granularity)``
        Parts to write.
    write_address : ``In(range(depth))``, write_data : ``In(width)``
    read : ``In(1)``, read_address : ``In(range(depth))``
    read_data : ``Out(width)``
    """

    def __init__(self, depth: int, width: int, granularity: int | None = None):
        self._granularity = granularity or width
        self._depth, self._width = depth, width
        super().__init__(
            {
                "write": In(width // self._granularity),
                "write_address": In(range(depth)),
                "write_data": In(width),
                "read": In(1),
                "read_address": In(range(depth)),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # Yosys heeds the attribute where a register follows a port that reads at once.
        m.submodules.words = words = Memory(
            shape=self._width, depth=self._depth, init=[], attrs={"no_rw_check": 1}
        )
        writer = words.write_port(granularity=self._granularity)
        reader = words.read_port(domain="comb")
        fetched = Signal(self._width, reset_less=True)
        m.d.comb += [
            writer.en.eq(self.write),
            writer.addr.eq(self.write_address),
            writer.data.eq(self.write_data),
            reader.addr.eq(self.read_address),
            self.read_data.eq(fetched),
        ]
        with m.If(self.read):
            m.d.sync += fetched.eq(reader.data)
        return m
