"""Gates around a component, so that it can be placed and routed by itself."""

from collections.abc import Iterator
from typing import Any

from amaranth import *
from amaranth.lib.wiring import Component, Flow, In, Signature


class Harness(Elaboratable):
    """Registers around a component, fed and read serially, so that a package has enough pins.

    All paths into and out of the component start and end in registers, as they would inside a
    design; so its clock is that of the component and of the wires around it.
    """

    def __init__(self, component: Component):
        self._component = component
        self.serial_in = Signal()
        self.serial_out = Signal()

    def elaborate(self, platform):
        m = Module()
        m.submodules.component = component = self._component
        driven, read = [], []
        for flow, value in leaves(component.signature, component):
            (driven if flow == In else read).append(value)
        inputs, outputs = Cat(driven), Cat(read)
        fed, captured = Signal(len(inputs)), Signal(len(outputs))
        folded = Signal(len(outputs))
        m.d.comb += [inputs.eq(fed), self.serial_out.eq(folded[-1])]
        m.d.sync += [
            fed.eq(Cat(self.serial_in, fed[:-1])),
            captured.eq(outputs),
            # Each bit depends on all before it, so that nothing is optimized away.
            folded.eq(captured ^ Cat(self.serial_in, folded[:-1])),
        ]
        return m


def leaves(signature: Signature, value: Any) -> Iterator[tuple[Flow, Value]]:
    """Every port of an interface: its direction, and it."""
    for _, member, port in signature.flatten(value):
        yield member.flow, Value.cast(port)
