"""Interrupt handles: which table entries have been asked for."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from ..flow.block_memory import BlockMemory
from ..interrupts.records import Vector
from ..regs import Config


class HandleRequest(data.Struct):
    """Ask for a handle, or give one back."""

    vector: Vector
    release: 1


class Handles(Component):
    """Remember for which vectors a handle has been requested (DSA §3.7).

    A handle is the index of its table entry. Asking again for the same one succeeds.

    **Timing**: an answer comes 2 clocks after the request. After reset and after ``clear`` all
    handles are forgotten, one per clock; requests wait for that.

    Parameters
    ----------
    config
        Sizes of the tables.

    Members
    -------
    i : ``In(stream.Signature(HandleRequest))``
        The vector must exist.
    o : ``Out(stream.Signature(1))``
        0: there was nothing to release.
    clear : ``In(1)``
        Pulse: forget all.
    ready : ``Out(1)``
        No clearing under way.
    """

    def __init__(self, config: Config):
        self._ims = config.ims_vectors
        self._depth = config.ims_vectors + config.msix_vectors
        super().__init__(
            {
                "i": In(stream.Signature(HandleRequest)),
                "o": Out(stream.Signature(1)),
                "clear": In(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # What is read while its place is written is looked at by nobody.
        m.submodules.given = given = BlockMemory(self._depth, 1)
        vector = self.i.p.vector
        place = Signal(range(self._depth))
        m.d.comb += [
            place.eq(Mux(vector.ims, vector.index, vector.index + self._ims)),
            given.read.eq(1),
            given.read_address.eq(place),
            given.write_address.eq(place),
        ]

        sweep = Signal(range(self._depth + 1))
        m.d.comb += self.ready.eq(sweep == self._depth)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.i.valid & self.ready):
                    m.next = "LOOK UP"
            with m.State("LOOK UP"):
                m.d.sync += self.o.payload.eq(given.read_data | ~self.i.p.release)
                m.d.comb += [
                    self.i.ready.eq(1),
                    given.write.eq(1),
                    given.write_data.eq(~self.i.p.release),
                ]
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "IDLE"

        with m.If(~self.ready):
            m.d.sync += sweep.eq(sweep + 1)
            m.d.comb += [given.write_address.eq(sweep), given.write_data.eq(0), given.write.eq(1)]
        with m.If(self.clear):
            m.d.sync += sweep.eq(0)
        return m
