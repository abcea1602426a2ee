"""Several streams into one, and a stage of registers behind."""

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from ..tlp.slice import Slice
from .arbiter import Arbiter


class Merge(Component):
    """An :class:`.arbiter.Arbiter` whose output goes through a :class:`hw.tlp.slice.Slice`.

    **Timing**: one clock; a beat per clock. What hangs on the inputs ends here.

    Parameters
    ----------
    shape
        Payload of the streams.
    count
        How many inputs there are.

    Members
    -------
    i : ``In(stream.Signature(shape)).array(count)``
    o : ``Out(stream.Signature(shape))``
        Valid while anything has been taken that has not left.
    """

    def __init__(self, shape, count: int):
        self._shape, self._count = shape, count
        super().__init__(
            {
                "i": In(stream.Signature(shape)).array(count),
                "o": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.arbiter = arbiter = Arbiter(self._shape, self._count)
        m.submodules.slice = slice_ = Slice(self._shape)
        for port, source in zip(self.i, arbiter.i, strict=True):
            connect(m, flipped(port), source)
        connect(m, arbiter.o, slice_.i)
        connect(m, slice_.o, flipped(self.o))
        return m
