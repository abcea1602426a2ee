"""The root port's end of the link to the RTL."""

import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.triggers import Event, First

from ..bench.cocotb_side import cycles, now
from .credits import Flow, Total, data_credits, pack, unpack
from .link import CAPACITY_DW, HEAD_DW
from .observer import Observer
from .outbox import FLOWS, Outbox
from .tlp import MalformedTlp, Tlp

HEAD_BYTES, CAPACITY_BYTES = HEAD_DW * 4, CAPACITY_DW * 4


def unlimited() -> Total:
    """Infinitely many credits, as a host advertises for completions."""
    return Total(None, None)


@dataclass(frozen=True)
class LinkBehaviour:
    """How the host's end of the link behaves.

    Parameters
    ----------
    posted, non_posted, completion
        Buffers that the host advertises, in credits.
    release_cycles
        Clocks from the arrival of a TLP until its credits are given back, at least and at most.
    down_pause, up_pause
        Chance of a pause in each clock towards and from the device, in 1/256.
    """

    posted: Total = field(default_factory=lambda: Total(64, 1024))
    non_posted: Total = field(default_factory=lambda: Total(64, 64))
    completion: Total = field(default_factory=unlimited)
    release_cycles: tuple[int, int] = (0, 0)
    down_pause: int = 0
    up_pause: int = 0


class RtlPort:
    """Carries TLPs between a root port of cocotbext-pcie and a :class:`sim.host.link.Linked`.

    It takes the place of a ``SimPort``. Nothing is awaited but what the device does, so an idle
    device costs nothing. Posted TLPs may pass the others, none passes a posted one.

    Parameters
    ----------
    dut
        The simulated :class:`sim.host.link.Linked`.
    behaviour
        See :class:`LinkBehaviour`.

    Attributes
    ----------
    observers : list of Observer
        Told of everything that passes.
    malformed : list of str
        Why TLPs of the device could not be taken apart.
    """

    def __init__(self, dut: Any, behaviour: LinkBehaviour | None = None) -> None:
        self.behaviour = behaviour or LinkBehaviour()
        self.observers: list[Observer] = []
        self.malformed: list[str] = []
        self.log = logging.getLogger("cocotb.tocsin.port")
        self.parent: Any = None
        self.rx_handler: Callable[[Tlp], Awaitable[None]] | None = None
        self._dut = dut
        self._outbox = Outbox(unpack(int(dut.granted.value)))
        self._wake = Event()
        self._put = int(dut.down_taken.value)
        dut.down_put.value = self._put
        given = (self.behaviour.posted, self.behaviour.non_posted, self.behaviour.completion)
        self.totals = {
            flow: Total(total.header, total.data) for flow, total in zip(Flow, given, strict=True)
        }
        self._arrived: deque[tuple[Tlp, int]] = deque()
        self._arrival = Event()
        self._epoch = now() - int(dut.clock.value)
        dut.down_pause.value = self.behaviour.down_pause
        dut.up_pause.value = self.behaviour.up_pause
        dut.down_final.value = 1
        dut.credits.value = pack(self.totals)
        for run in (self._run_transmit(), self._run_receive(), self._run_handle()):
            cocotb.start_soon(run)

    def observe(self, observer: Observer) -> None:
        """Let somebody watch the link; best before anything passes."""
        self.observers.append(observer)
        observer.advertised(unpack(int(self._dut.granted.value)))
        observer.granted(self.totals)

    async def send(self, tlp: Any) -> None:
        """Queue a TLP for the device. Returns at once."""
        tlp.release_fc()
        tlp = tlp if isinstance(tlp, Tlp) else Tlp(tlp)
        self.queue(tlp.pack(), FLOWS[tlp.get_fc_type()])

    def queue(self, packet: bytes, flow: Flow, sent: Event | None = None) -> None:
        """Queue the bytes of a TLP, whatever they are, under the credits of a type.

        The event is set when the TLP is under way.
        """
        self._outbox.put(packet, flow, sent)
        self._wake.set()

    @property
    def queued(self) -> int:
        """TLPs that have not been sent yet."""
        return len(self._outbox)

    def grants(self) -> dict[Flow, Total]:
        """What the device grants at this moment, as running totals."""
        return unpack(int(self._dut.granted.value))

    def credits_left(self) -> dict[str, tuple[int, int]]:
        """Header and data credits that are free at this moment, by type."""
        granted = self.grants()
        return {flow.name.lower(): granted[flow].left(self._outbox.used[flow]) for flow in Flow}

    async def _run_transmit(self) -> None:
        dut, outbox = self._dut, self._outbox
        while True:
            waiting = outbox.take()
            if waiting is None:
                outbox.limit = unpack(int(dut.granted.value))
                waiting = outbox.take()
            if waiting is None:
                self._wake.clear()
                if self.queued:
                    await First(self._wake.wait(), dut.granted.value_change)
                else:
                    await self._wake.wait()
                continue
            await self._put_down(waiting.packet)
            clock = now()
            for observer in self.observers:
                observer.sent(waiting.packet, waiting.flow, clock)
            if waiting.note is not None:
                waiting.note.set()

    async def _put_down(self, packet: bytes) -> None:
        dut = self._dut
        for start in range(0, len(packet), CAPACITY_BYTES):
            piece = packet[start : start + CAPACITY_BYTES]
            final = start + CAPACITY_BYTES >= len(packet)
            while int(dut.down_taken.value) != self._put:
                await dut.down_taken.value_change
            dut.down_head.value = int.from_bytes(piece[:HEAD_BYTES], "little")
            if len(piece) > HEAD_BYTES:
                dut.down_tail.value = int.from_bytes(piece[HEAD_BYTES:], "little")
            dut.down_dw.value = len(piece) // 4
            dut.down_final.value = final
            self._put = (self._put + 1) % 4
            dut.down_put.value = self._put

    async def _run_receive(self) -> None:
        dut = self._dut
        while True:
            await dut.up_count.value_change
            size = int(dut.up_dw.value) * 4
            packet = int(dut.up_head.value).to_bytes(HEAD_BYTES, "little")
            if size > HEAD_BYTES:
                tail = int(dut.up_tail.value)
                packet += tail.to_bytes(CAPACITY_BYTES - HEAD_BYTES, "little")
            packet = packet[:size]
            clock, start = now(), int(dut.up_start.value) + self._epoch
            for observer in self.observers:
                observer.received(packet, start, clock)
            try:
                if len(packet) != size:
                    raise MalformedTlp(f"a TLP of {size} bytes")
                tlp = Tlp.unpack(packet)
            except MalformedTlp as error:
                self.malformed.append(f"clock {clock}: {error}: {packet[:20].hex(' ', 4)}")
                continue
            self._arrived.append((tlp, data_credits(packet)))
            self._arrival.set()

    async def _run_handle(self) -> None:
        while True:
            while not self._arrived:
                self._arrival.clear()
                await self._arrival.wait()
            tlp, needed = self._arrived.popleft()
            flow = FLOWS[tlp.get_fc_type()]
            low, high = self.behaviour.release_cycles
            if high:
                cocotb.start_soon(self._release_later(flow, needed, random.randint(low, high)))
            else:
                self._release(flow, needed)
            assert self.rx_handler is not None
            await self.rx_handler(tlp)

    async def _release_later(self, flow: Flow, needed: int, delay: int) -> None:
        await cycles(delay)
        self._release(flow, needed)

    def _release(self, flow: Flow, needed: int) -> None:
        total = self.totals[flow]
        if total.header is None and total.data is None:
            return
        total.add(needed)
        self._dut.credits.value = pack(self.totals)
        for observer in self.observers:
            observer.granted(self.totals)
