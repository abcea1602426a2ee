"""One bus, several rooms."""

from collections.abc import Mapping
from itertools import pairwise

from amaranth import *
from amaranth.lib.wiring import Component, In, Out

from .bus import CsrSignature


class CsrDecoder(Component):
    """Route accesses by address range; every target sees the address in the BAR.

    **Timing**: an access is offered to its target 1 clock after it was taken; the result passes
    combinationally. One access at a time, as the bus has it.

    **Errors**: a read that hits no range gives 0, a write that hits none vanishes; both are
    answered 1 clock after they were taken.

    Parameters
    ----------
    ranges
        Name of the target to its first byte and its end (exclusive), or to several such pairs.
        Both are multiples of 8. Ranges do not overlap.

    Members
    -------
    csr : ``In(CsrSignature())``
        From the master.
    <name> : ``Out(CsrSignature())``
        To the target; one member for each name in ``ranges``.
    """

    def __init__(self, ranges: Mapping[str, tuple[int, int] | list[tuple[int, int]]]):
        self._ranges = {
            name: [span] if isinstance(span, tuple) else list(span) for name, span in ranges.items()
        }
        spans = sorted((*span, name) for name, spans in self._ranges.items() for span in spans)
        for (_, end, name), (start, _, following) in pairwise(spans):
            if start < end:
                raise ValueError(f"the ranges of {name} and {following} overlap at {start:#x}")
        for start, end, name in spans:
            if start % 8 or end % 8 or not start < end:
                raise ValueError(
                    f"the range of {name} is {start:#x} to {end:#x}; it takes rising multiples of 8"
                )
        super().__init__(
            {"csr": In(CsrSignature())} | {name: Out(CsrSignature()) for name in self._ranges}
        )

    def elaborate(self, platform):
        m = Module()
        access = self.csr.access
        targets = [getattr(self, name) for name in self._ranges]
        held = Signal.like(access.payload)
        chosen = Signal(len(targets))
        none = Signal()
        offered = Signal()
        waiting = Signal()

        hits = [
            Cat(
                (access.p.address >= start) & (access.p.address < end) for start, end in spans
            ).any()
            for spans in self._ranges.values()
        ]
        m.d.comb += access.ready.eq(~waiting)
        with m.If(access.valid & access.ready):
            m.d.sync += [
                held.eq(access.payload),
                chosen.eq(Cat(hits)),
                none.eq(~Cat(hits).any()),
                offered.eq(1),
                waiting.eq(1),
            ]
        for index, target in enumerate(targets):
            m.d.comb += [
                target.access.valid.eq(offered & chosen[index]),
                target.access.payload.eq(held),
                target.result.ready.eq(waiting & chosen[index] & self.csr.result.ready),
            ]
            with m.If(chosen[index]):
                m.d.comb += [
                    self.csr.result.valid.eq(waiting & target.result.valid),
                    self.csr.result.payload.eq(target.result.payload),
                ]
                with m.If(target.access.ready):
                    m.d.sync += offered.eq(0)
        with m.If(none):
            m.d.comb += self.csr.result.valid.eq(waiting)
        with m.If(self.csr.result.valid & self.csr.result.ready):
            m.d.sync += [waiting.eq(0), offered.eq(0), none.eq(0), chosen.eq(0)]
        return m
