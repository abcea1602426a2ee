"""One bit per vector: an event waits."""

from amaranth import *
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import ceil_log2

from .ram import BlockRam
from .records import Vector


class Places:
    """Where the pending bit of each vector lies.

    Interrupt message storage starts at place 0; MSI-X takes the last places of a power of two, so
    that no adder is needed. Going through them from :attr:`first`, modulo :attr:`count`, meets
    all MSI-X vectors, and then all of interrupt message storage up to :attr:`end`.

    Parameters
    ----------
    ims_vectors, msix_vectors : int
        Entries of the tables; those of MSI-X a power of two.
    """

    def __init__(self, ims_vectors: int, msix_vectors: int):
        self.bits = ceil_log2(ims_vectors + msix_vectors)
        self.count = 1 << self.bits
        self.first = self.count - msix_vectors
        self.end = ims_vectors
        self.msix_bits = ceil_log2(msix_vectors)

    def of(self, vector):
        """Place of a vector."""
        msix = Cat(vector.index[: self.msix_bits], ~C(0, self.bits - self.msix_bits))
        return Mux(vector.ims, vector.index[: self.bits], msix)

    def is_msix(self, place):
        """Whether a place is of an MSI-X vector."""
        return place[self.msix_bits : self.bits].all()


class PendingBits(Component):
    """Pending bits, set by the event pipe and read and cleared by the keeper.

    The keeper reads and clears only while the pipe is quiet, so bits are never set then.

    **Timing**: the bit of ``place`` is at ``pending`` two clocks later. What is set or cleared at
    clock *t* is read from *t+2* on; what is read of it at *t+1* is undefined.

    Parameters
    ----------
    places : Places
    technology : str, optional
        See :class:`hw.interrupts.ram.BlockRam`.

    Members
    -------
    set_valid, set : ``In(1)``, ``In(Vector)``
        Set the bit of a vector.
    clear : ``In(1)``
        Clear the bit at ``place``.
    place : ``In(range(places.count))``
        The bit to read or to clear.
    pending : ``Out(1)``
    """

    def __init__(self, places: Places, technology=None):
        self._places = places
        self._technology = technology
        super().__init__(
            {
                "set_valid": In(1),
                "set": In(Vector),
                "clear": In(1),
                "place": In(places.bits),
                "pending": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.bits = bits = BlockRam(self._places.count, 1, self._technology)
        m.d.sync += [
            bits.write.eq(self.set_valid | self.clear),
            bits.write_address.eq(Mux(self.set_valid, self._places.of(self.set), self.place)),
            bits.write_data.eq(self.set_valid),
        ]
        m.d.comb += [
            bits.enable.eq(1),
            bits.read_address.eq(self.place),
            self.pending.eq(bits.read_data),
        ]
        return m
