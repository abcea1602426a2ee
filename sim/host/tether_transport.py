"""The driver's transport to a device at the other end of a serial line."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from driver.tether import Line, Link, TetherError
from hw.regs.tether import PROTOCOL, STATUS_INTERVAL_BYTES, Identity

from ..checkers.flow_control import CreditChecker
from ..checkers.tlps import TlpChecker
from .credits import Flow, Total, unpack
from .device_clock import DeviceClock
from .observer import Observer
from .outbox import FLOWS, Outbox
from .platform import Host
from .responder import Responder, completes
from .tlp import COMPLETIONS, MalformedTlp, Tlp
from .transport import TlpTransport, check_aligned
from .waiting import ClockEvent, ClockTask

FUNCTION = PcieId(1, 0, 0)
BAR_BASE = 0x40_0000_0000
TAGS = 32
HELLO_SECONDS = 1.0
"""Real time between two tries to open the line."""

OPENING_SECONDS = 8.0
"""After which it is given up."""

MUTE_SECONDS = 15.0
"""Real time without a good frame after which the board is taken to be gone."""

SIMULATED_SLOWER = 30
"""By how much longer each of these is for a simulated board."""

TIMEOUT_SECONDS = 5.0
"""Time of the device, after which a request of the host's is given up."""

REAL_PATIENCE_SECONDS = 0.05
"""What USB and an operating system may add to the time of the line."""


class TetherTransport(TlpTransport):
    """A device on a board, behind a tether (:class:`driver.transport.Transport`).

    Made by :meth:`open`, inside a running event loop. Time is the device's clock, as its frames
    tell it: it advances in steps of at most :data:`~hw.regs.tether.STATUS_INTERVAL_BYTES` byte
    times. The checkers of the simulation watch the TLPs here too.

    **Errors**: :class:`driver.tether.TetherError` from every wait, once the line is gone or the
    board has been mute for :data:`MUTE_SECONDS`.

    Attributes
    ----------
    link : Link
        What went over the line.
    identity : Identity
        What the board says of itself.
    checkers : list of Observer
        Who watches the TLPs.
    """

    def __init__(self, line: Line, host: Host, baud: int, *, simulated: bool = False) -> None:
        super().__init__(host)
        self.checkers: list[Observer] = [TlpChecker(host.interrupts.window), CreditChecker()]
        self.responder = Responder(host)
        self._line = line
        self._simulated, self._baud = simulated, baud
        self._slower = SIMULATED_SLOWER if simulated else 1
        self.link = Link(patience_cycles=1 << 31, byte_cycles=0)
        self._clock = DeviceClock(lambda: self.link.clock)
        self._outbox = Outbox({flow: Total(0, 0) for flow in Flow})
        self._free = list(range(TAGS))
        self._tag_freed = ClockEvent(self._clock)
        self._asked: dict[int, tuple[Tlp, list[Tlp], ClockEvent]] = {}
        self._heard_at = 0.0
        self._opened = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls,
        line: Line,
        host: Host,
        baud: int,
        *,
        simulated: bool = False,
        seconds: float | None = None,
    ) -> "TetherTransport":
        """Reset the device behind a line, greet the board, and enumerate its function.

        The board has so many seconds to answer. A simulated one has more of them, and then a clock
        so slow that nothing of this machine needs to be waited for.

        Raises
        ------
        TetherError
            Nobody answers, or somebody who speaks another protocol.
        """
        transport = cls(line, host, baud, simulated=simulated)
        try:
            await transport._greet(seconds or OPENING_SECONDS)
            await transport._enumerate()
        except BaseException:
            await transport.close()
            raise
        return transport

    @property
    def identity(self) -> Identity:
        """What the board says of itself."""
        assert self.link.identity is not None
        return self.link.identity

    @property
    def requester_id(self) -> int:
        """With which the function sends its requests."""
        return int(FUNCTION)

    async def _greet(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._watch())]
        deadline = loop.time() + seconds * self._slower
        while not self._opened.is_set():
            self._clock.check()
            if loop.time() >= deadline:
                raise TetherError(self._nobody())
            self.link.hello()
            self._flush()
            try:
                await asyncio.wait_for(self._opened.wait(), HELLO_SECONDS * self._slower)
            except TimeoutError:
                continue
        if self.link.protocol != PROTOCOL:
            raise TetherError(
                f"the bitstream on the board speaks version {self.link.protocol} of the tether, "
                f"this program version {PROTOCOL}; build and load a bitstream of this version"
            )
        identity = self.identity
        self.link.byte_cycles = 10 * identity.clock_hz // identity.baud
        interval = STATUS_INTERVAL_BYTES * self.link.byte_cycles
        real = 0 if self._simulated else int(REAL_PATIENCE_SECONDS * identity.clock_hz)
        self.link.patience_cycles = 3 * interval + real
        for checker in self.checkers:
            checker.advertised(unpack(self.link.granted))
            checker.granted({flow: Total(None, None) for flow in Flow})

    def _nobody(self) -> str:
        if self.link.heard or self.link.statistics.damaged:
            return (
                f"what answers at {self._line.name} is no Tocsin board, or not at {self._baud:,} "
                "baud; is it the right port?"
            )
        return (
            f"nothing answers at {self._line.name}; is a bitstream loaded (tocsin program BOARD), "
            "and is it the right port?"
        )

    async def _listen(self) -> None:
        """Take what comes, until there is nothing more to come."""
        try:
            while True:
                self._take(await self._line.read())
        except Exception as error:
            self._clock.stop(error)
            self._opened.set()

    async def _watch(self) -> None:
        """See to it that a mute board is noticed."""
        loop = asyncio.get_running_loop()
        heard, patience = self.link.heard, MUTE_SECONDS * self._slower
        while True:
            await asyncio.sleep(MUTE_SECONDS / 10)
            if self.link.heard != heard or not self._opened.is_set():
                heard, self._heard_at = self.link.heard, loop.time()
            elif loop.time() - self._heard_at > patience:
                self._clock.stop(
                    TetherError(
                        f"the board at {self._line.name} has been mute for {patience:g} s; "
                        "reset it, or load its bitstream again"
                    )
                )
                return

    def _take(self, data: bytes) -> None:
        for packet in self.link.receive(data):
            self._receive(packet)
        if self.link.protocol not in (None, PROTOCOL) or self.link.granted:
            self._opened.set()
        self._clock.advance()
        # Whoever has waited for this may have something to send, which then acknowledges it too.
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send what may be sent."""
        self._outbox.limit = unpack(self.link.granted)
        while self.link.room and (waiting := self._outbox.take()) is not None:
            self.link.send(waiting.packet)
            for checker in self.checkers:
                checker.sent(waiting.packet, waiting.flow, self.link.clock)
        if data := self.link.outgoing():
            self._line.write(data)

    def _receive(self, packet: bytes) -> None:
        for checker in self.checkers:
            checker.received(packet, self.link.clock, self.link.clock)
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return  # about which the checker has complained
        if tlp.fmt_type not in COMPLETIONS:
            for completion in self.responder.serve(tlp):
                self._send(completion)
            return
        asked = self._asked.get(tlp.tag)
        if asked is None:
            self.responder.errors.append(f"unexpected completion: {tlp.describe()}")
            return
        request, completions, done = asked
        completions.append(tlp)
        if completes(request, tlp):
            done.set()

    def _send(self, tlp: Tlp) -> None:
        self._outbox.put(tlp.pack(), FLOWS[tlp.get_fc_type()])

    async def _post(self, request: Tlp) -> None:
        self._clock.check()
        self._send(request)
        self._flush()
        await asyncio.sleep(0)

    async def _perform(self, request: Tlp) -> list[Tlp]:
        while not self._free:
            self._tag_freed.clear()
            await self._tag_freed.wait()
        request.tag = self._free.pop()
        completions: list[Tlp] = []
        done = ClockEvent(self._clock)
        self._asked[request.tag] = request, completions, done
        await self._post(request)
        if not await done.wait(int(TIMEOUT_SECONDS * self.identity.clock_hz)):
            # The tag is never used again, so that a late completion meets nobody.
            self.responder.errors.append(
                f"no completion within the time limit: {request.describe()}"
            )
            del self._asked[request.tag]
            return completions
        del self._asked[request.tag]
        self._free.append(request.tag)
        self._tag_freed.set()
        return completions

    async def _enumerate(self) -> None:
        """Assign BARs and sizes as firmware would; these requests are not counted."""
        if await self.config_read(0, 2) == 0xFFFF:
            raise TetherError(f"the device behind {self._line.name} does not answer")
        base = BAR_BASE
        for bar in (0, 2):
            offset = 0x10 + 4 * bar
            for half in (0, 4):
                await self.config_write(offset + half, 0xFFFF_FFFF, 4)
            low, high = [await self.config_read(offset + half, 4) for half in (0, 4)]
            size = (~(high << 32 | low & ~0xF) & (1 << 64) - 1) + 1
            base = -(-base // size) * size
            await self.config_write(offset, base & 0xFFFF_FFFF, 4)
            await self.config_write(offset + 4, base >> 32, 4)
            self.bars[bar] = range(base, base + size)
            base += size
        place = await self._pcie_capability()
        payload = min(await self.config_read(place + 4, 4) & 7, 2)
        control = await self.config_read(place + 8, 2) & ~0x70E0
        await self.config_write(place + 8, control | payload << 5 | 2 << 12, 2)
        self.requests = 0

    async def _pcie_capability(self) -> int:
        place = await self.config_read(0x34, 1)
        for _ in range(48):
            if place < 0x40 or place % 4:
                break
            if await self.config_read(place, 1) == 0x10:
                return place
            place = await self.config_read(place + 1, 1)
        raise TetherError(f"the device behind {self._line.name} has no PCI Express capability")

    async def finish(self) -> list[str]:
        """Wait until nothing is under way; everything the device did wrong, as sentences."""
        idle = 0
        while idle < 3:
            await self.sleep(1)
            busy = len(self._outbox) or self._asked or not self.link.settled
            idle = 0 if busy else idle + 1
        for checker in self.checkers:
            checker.returned(unpack(self.link.granted))
        errors = [*self.responder.errors, *self.host.check()]
        for checker in self.checkers:
            errors += checker.finish()
        return errors

    async def close(self) -> None:
        """Let go of the line."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._line.close()

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space; all ones if nobody answers."""
        check_aligned(offset, size)
        answers = await self._perform(self._config(TlpType.CFG_READ_0, offset, size))
        if not answers or answers[0].status != CplStatus.SC:
            return (1 << 8 * size) - 1
        start = offset % 4
        return int.from_bytes(answers[0].data[start : start + size], "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        check_aligned(offset, size)
        request = self._config(TlpType.CFG_WRITE_0, offset, size)
        request.set_addr_be_data(offset, value.to_bytes(size, "little"))
        await self._perform(request)

    def _config(self, kind: TlpType, offset: int, size: int) -> Tlp:
        self.requests += 1
        request = Tlp()
        request.fmt_type = kind
        request.requester_id, request.completer_id = PcieId(0, 0, 0), FUNCTION
        request.set_addr_be(offset, size)
        return request

    def now(self) -> int:
        """Clocks of the device since the line was opened."""
        return self._clock.now

    async def sleep(self, cycles: int) -> None:
        """Let time pass."""
        await self._clock.wait(self._clock.now + cycles, {})

    def event(self) -> ClockEvent:
        """Something that happens, for others to wait for."""
        return ClockEvent(self._clock)

    def start(self, work: Coroutine[Any, Any, Any]) -> ClockTask:
        """Run a coroutine beside the caller."""
        return ClockTask(work)
