"""Streams seen from a bench, one clock at a time."""

from collections.abc import Iterable
from typing import Any

from amaranth.lib.data import Layout, Struct
from cocotb.triggers import ReadOnly

from ..bench.cocotb_side import cycles


def pack(shape: type[Struct] | Layout, **fields: Any) -> int:
    """Field values of a record as the number that its port takes."""
    return int(shape.const(fields).as_bits())


class Pins:
    """The ports of one stream.

    Parameters
    ----------
    dut
        The simulated component.
    name
        Of the stream, such as ``i_event``.
    """

    def __init__(self, dut: Any, name: str) -> None:
        self._payload = getattr(dut, f"{name}__payload")
        self._valid = getattr(dut, f"{name}__valid")
        self._ready = getattr(dut, f"{name}__ready")

    def offer(self, payload: int | None) -> None:
        """Offer a payload from now on, or nothing."""
        self._valid.value = payload is not None
        if payload is not None:
            self._payload.value = payload

    def take(self, ready: bool = True) -> None:
        """Be ready from now on, or not."""
        self._ready.value = ready

    @property
    def moves(self) -> bool:
        """Whether a transfer happens in this clock; to be read when all has settled."""
        return bool(self._valid.value) and bool(self._ready.value)

    @property
    def valid(self) -> bool:
        """Whether something is offered in this clock."""
        return bool(self._valid.value)

    @property
    def payload(self) -> int:
        """What is offered."""
        return int(self._payload.value)


async def settle() -> None:
    """Wait until what depends on the inputs has followed them, in the same clock."""
    await ReadOnly()


async def send(pins: Pins, payloads: Iterable[int]) -> None:
    """Offer payloads one after another, each until it is taken."""
    for payload in payloads:
        pins.offer(payload)
        await settle()
        while not pins.moves:
            await cycles(1)
            await settle()
        await cycles(1)
    pins.offer(None)


async def receive(pins: Pins) -> int:
    """Take one payload."""
    pins.take()
    await settle()
    while not pins.moves:
        await cycles(1)
        await settle()
    payload = pins.payload
    await cycles(1)
    pins.take(False)
    return payload
