"""Who may ring which vector."""

from amaranth import *
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from .compare import at_least
from .pipe import LUTRAM_MSIX
from .ram import BlockRam, DistributedRam
from .records import Check, Vector


class Permission(data.Struct):
    """Whose vector it is (DSA §9.2.22, §9.2.28)."""

    #: Must equal that of the descriptor's queue.
    pasid_enable: 1
    #: Must equal that of the descriptor, if PASIDs are used.
    pasid: 20


class PermissionWrite(data.Struct):
    """A write of a vector's permission."""

    index: 14
    #: For interrupt message storage.
    ims_permission: Permission
    #: For MSI-X.
    msix_permission: Permission
    #: Write the entry of interrupt message storage.
    ims: 1
    #: Write the MSI-X entry.
    msix: 1


class PermissionCheck(Component):
    """Answers whether a descriptor may ring a vector (DSA §5.4).

    The vector has to exist, its PASID Enable has to equal that of the descriptor's queue, and its
    PASID that of the descriptor where PASIDs are enabled. Mask and Ignore play no part.

    ``hold`` and ``quiet`` are as in :class:`hw.interrupts.pipe.EventPipe`.

    **Timing**: a check transferred at clock *t* has its verdict valid at *t+3*; one check per
    clock. ``i.ready`` follows ``o.ready`` within the clock. A look is taken in the clock it is
    offered; ``look_*`` show the entries two clocks later, for one clock.

    Parameters
    ----------
    ims_vectors, msix_vectors : int
        Entries of the tables.
    technology : str, optional
        See :class:`hw.interrupts.ram.BlockRam`.

    Members
    -------
    i : ``In(stream.Signature(Check))``
    o : ``Out(stream.Signature(1))``
        1 for a descriptor that may.
    hold : ``In(1)``
    quiet : ``Out(1)``
    vector : ``In(Vector)``
        Whose permission to look up while ``quiet``.
    look_ims, look_msix : ``Out(Permission)``
        What the tables have at its index.
    write : ``In(PermissionWrite)``
        Only while ``quiet``.
    """

    def __init__(self, ims_vectors: int, msix_vectors: int, technology=None):
        self._ims, self._msix = ims_vectors, msix_vectors
        self._technology = technology
        super().__init__(
            {
                "i": In(stream.Signature(Check)),
                "o": Out(stream.Signature(1)),
                "hold": In(1),
                "quiet": Out(1),
                "vector": In(Vector),
                "look_ims": Out(Permission),
                "look_msix": Out(Permission),
                "write": In(PermissionWrite),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = Signal(init=1)
        m.d.sync += held.eq(self.hold)
        vector = Signal(Vector)
        m.d.comb += vector.eq(Mux(held, self.vector, self.i.p.vector))
        exists = {
            "ims": vector.ims & ~at_least(vector.index, self._ims),
            "msix": ~vector.ims & ~at_least(vector.index, self._msix),
        }

        step = Signal()
        first_valid, second_valid, any_pasid = Signal(), Signal(), Signal()
        first_exists, second_exists = (
            {name: Signal(name=f"{stage}_{name}") for name in exists}
            for stage in ("first", "second")
        )
        wanted = [Signal(Permission, name=f"{stage}_wanted") for stage in ("first", "second")]
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step & ~held),
            self.quiet.eq(held & ~first_valid & ~second_valid & ~self.o.valid),
        ]
        with m.If(step):
            m.d.sync += [
                first_valid.eq(self.i.valid & ~held),
                wanted[0].pasid_enable.eq(self.i.p.pasid_enable),
                wanted[0].pasid.eq(self.i.p.pasid),
                wanted[1].eq(wanted[0]),
                second_valid.eq(first_valid),
            ]
            for name in exists:
                m.d.sync += [
                    first_exists[name].eq(exists[name]),
                    second_exists[name].eq(first_exists[name]),
                ]

        tables = {}
        for name, depth, enable, contents in (
            ("ims", self._ims, self.write.ims, self.write.ims_permission),
            ("msix", self._msix, self.write.msix, self.write.msix_permission),
        ):
            width = Shape.cast(Permission).width
            few = name == "msix" and depth <= LUTRAM_MSIX
            table = (
                DistributedRam(depth, width) if few else BlockRam(depth, width, self._technology)
            )
            m.submodules[name] = table
            m.d.comb += [
                table.write.eq(enable),
                table.write_address.eq(self.write.index),
                table.write_data.eq(contents),
                table.enable.eq(step),
                table.read_address.eq(vector.index),
            ]
            tables[name] = table.read_data
        m.d.comb += [self.look_ims.eq(tables["ims"]), self.look_msix.eq(tables["msix"])]
        # The block RAM is late: compare in this clock, conclude in the next.
        verdict = 0
        for name, entry in (("ims", self.look_ims), ("msix", self.look_msix)):
            same = Signal(10, name=f"{name}_same")
            same_use = Signal(name=f"{name}_same_use")
            with m.If(step):
                for pair in range(10):
                    bits = slice(2 * pair, 2 * pair + 2)
                    m.d.sync += same[pair].eq(entry.pasid[bits] == wanted[1].pasid[bits])
                m.d.sync += same_use.eq(
                    second_exists[name] & (entry.pasid_enable == wanted[1].pasid_enable)
                )
            verdict = verdict | (same_use & (any_pasid | same.all()))
        with m.If(step):
            m.d.sync += [self.o.valid.eq(second_valid), any_pasid.eq(~wanted[1].pasid_enable)]
        m.d.comb += self.o.payload.eq(verdict)
        return m
