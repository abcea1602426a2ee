"""Protocol checkers for every stream of a design, attached by walking signatures.

The rules are those of the stream contract: a beat that is offered stays offered, unchanged, until
it is taken; a packet begins with ``first``, ends with ``last``, and keeps its header in between.
"""

from collections.abc import Iterator
from typing import Any

from amaranth import *
from amaranth.hdl import Assert, Format, Fragment
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, FlippedSignature, Signature


class StreamChecker(Elaboratable):
    """Stops the simulation when a stream breaks the rules.

    It only looks on; nothing depends on it.

    Parameters
    ----------
    port
        The stream, seen from either side.
    name
        What to call it in messages.
    cut
        While 1, the design starts anew and may withdraw what it offers: nothing is held against the
        stream in the next clock, and packets are followed again from the next ``first`` on.

    Errors
    ------
    An assertion fires in the clock in which a rule is broken, with a message that begins with the
    name of the stream.
    """

    def __init__(self, port: Any, name: str, cut: Any = None):
        self.port = port
        self.cut = Const(0) if cut is None else cut
        self.shape = port.payload.shape()
        self.name = name

    def elaborate(self, platform):
        m = Module()
        valid, ready = Value.cast(self.port.valid), Value.cast(self.port.ready)
        payload = Value.cast(self.port.payload)

        def check(condition, text):
            m.d.sync += Assert(condition, Format(f"stream {self.name}: {text}"))

        offered = Signal()
        before = Signal(len(payload))
        m.d.sync += [offered.eq(valid & ~ready & ~self.cut), before.eq(payload)]
        with m.If(offered):
            check(valid, "valid was withdrawn before the beat was taken")
            check(~valid | (payload == before), "the payload changed before the beat was taken")

        if is_framed(self.shape):
            self._check_framing(m, check, valid, ready)
        return m

    def _check_framing(self, m, check, valid, ready):
        beat = self.port.payload
        inside, lost = Signal(), Signal()
        with m.If(valid & ready):
            m.d.sync += [inside.eq(~beat.last), lost.eq(lost & ~beat.last)]
        with m.If(self.cut):
            m.d.sync += [inside.eq(0), lost.eq(1)]
        with m.If(valid & (~lost | beat.first)):
            m.d.sync += lost.eq(self.cut)
            with m.If(inside):
                check(~beat.first, "a packet began inside another")
            with m.Else():
                check(beat.first, "a packet began without first")
        if "header" in self.shape.members:
            header = Value.cast(beat.header)
            kept = Signal(len(header))
            with m.If(valid):
                m.d.sync += kept.eq(header)
                with m.If(inside & ~lost):
                    check(header == kept, "the header changed inside a packet")


def is_framed(shape: Any) -> bool:
    """Whether a payload carries ``first`` and ``last``."""
    return isinstance(shape, data.StructLayout) and {"first", "last"} <= shape.members.keys()


def streams(component: Any, signature: Signature, path: str = "") -> Iterator[tuple[str, Any]]:
    """Name and interface of every stream in a signature."""
    for name, member in signature.members.items():
        if not member.is_signature:
            continue
        inner = member.signature
        if isinstance(inner, FlippedSignature):
            inner = inner.flip()
        for place, port in _elements(getattr(component, name), member.dimensions):
            label = f"{path}{name}{place}"
            if isinstance(inner, stream.Signature):
                yield label, port
            else:
                yield from streams(port, inner, f"{label}.")


def _elements(value: Any, dimensions: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    if not dimensions:
        yield "", value
        return
    for index in range(dimensions[0]):
        for place, item in _elements(value[index], dimensions[1:]):
            yield f"[{index}]{place}", item


def resets(fragment: Fragment) -> Iterator[Value]:
    """Every condition on which a part of the design starts anew without the rest."""
    for origin in getattr(fragment, "origins", None) or ():
        for transform in getattr(origin, "_transforms_", ()):
            if isinstance(transform, ResetInserter):
                yield from transform.controls.values()
    for inner, _name, _location in fragment.subfragments:
        yield from resets(inner)


class Instrumented(Elaboratable):
    """A design with a :class:`StreamChecker` on every stream of every component in it.

    Its ports are those of the design itself, so it can stand in for it in a simulator.

    Parameters
    ----------
    top
        The design.
    """

    def __init__(self, top: Component):
        self._top = top

    def __getattr__(self, name: str) -> Any:
        return getattr(self._top, name)

    def elaborate(self, platform):
        fragment = Fragment.get(self._top, platform)
        self._attach(fragment, "top", Cat(resets(fragment)).any())
        return fragment

    def _attach(self, fragment: Fragment, path: str, cut: Value) -> None:
        for index, (inner, name, _location) in enumerate(list(fragment.subfragments)):
            self._attach(inner, f"{path}.{name or index}", cut)
        for origin in getattr(fragment, "origins", None) or ():
            if not isinstance(origin, Component):
                continue
            for label, port in streams(origin, origin.signature):
                if isinstance(port.ready, Const):
                    continue
                checker = StreamChecker(port, f"{path}.{label}", cut)
                fragment.add_subfragment(
                    Fragment.get(checker, None), f"check_{label.replace('.', '_')}"
                )


def instrument(top: Component) -> Instrumented:
    """Attach a checker to every stream of a design.

    The checkers work in Amaranth's simulator and, built with ``--assert``, in Verilator.
    """
    return Instrumented(top)
