"""The driver's transport to a device in RTL, simulated under cocotb."""

from collections.abc import Coroutine
from typing import Any

import cocotb
from cocotb.task import Task as CocotbTask
from cocotb.triggers import Event as CocotbEvent
from cocotb.triggers import First, Timer
from cocotbext.pcie.core.utils import PcieId

from hw.regs import Config

from ..bench.cocotb_side import PERIOD_PS, now
from ..bench.cocotb_side import cycles as elapse
from ..checkers.flow_control import CreditChecker
from ..checkers.order import OrderChecker
from ..checkers.tlps import TlpChecker
from .observer import Observer
from .platform import Host
from .port import LinkBehaviour
from .root_complex import Behaviour, TocsinRootComplex
from .tlp import Tlp
from .transport import TlpTransport, check_aligned


class RtlEvent:
    """Something that happens (:class:`driver.transport.Event`)."""

    def __init__(self) -> None:
        self._event = CocotbEvent()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        self._event.clear()

    def is_set(self) -> bool:
        return bool(self._event.is_set())

    async def wait(self, timeout_cycles: int | None = None) -> bool:
        """Wait until set. Returns whether it was, before the time was up."""
        if not self._event.is_set():
            if timeout_cycles is None:
                await self._event.wait()
            else:
                await First(self._event.wait(), Timer(max(1, timeout_cycles * PERIOD_PS), "step"))
        return self.is_set()


class RtlTask:
    """A coroutine that runs beside its caller (:class:`driver.transport.Task`)."""

    def __init__(self, task: CocotbTask[Any]):
        self._task = task

    async def join(self) -> Any:
        """Wait until it returns; its result or its exception becomes the caller's."""
        return await self._task


class RtlTransport(TlpTransport):
    """A device in RTL behind a root complex (:class:`driver.transport.Transport`).

    Made by :meth:`open`, which enumerates the bus.

    Attributes
    ----------
    root_complex : TocsinRootComplex
        The way to the device.
    checkers : list of Observer
        Who watches the link.
    """

    def __init__(
        self, root_complex: TocsinRootComplex, function: Any, checkers: list[Observer]
    ) -> None:
        super().__init__(root_complex.host)
        self.root_complex = root_complex
        self.checkers = checkers
        self._function = function
        for bar in (0, 2):
            base = function.bar_addr[bar]
            self.bars[bar] = range(base, base + int(function.bar_size[bar] or 0))
        self._opened = now()

    @classmethod
    async def open(
        cls,
        dut: Any,
        *,
        behaviour: Behaviour | None = None,
        link: LinkBehaviour | None = None,
        observers: list[Observer] | None = None,
        window: int = 0xFEE0_0000,
        host: Host | None = None,
        config: Config | None = None,
    ) -> "RtlTransport":
        """Put a root complex at the device's link and enumerate the bus.

        The checkers of :mod:`sim.checkers` always watch; observers are told besides. A host that
        is given takes the place of a new one with that message window. With the device's
        parameters, the order of what belongs to one descriptor is checked too, and the tags by
        the device's own completion timeout.

        Raises
        ------
        RuntimeError
            Nobody answers.
        """
        root_complex = TocsinRootComplex(dut, host or Host(window), behaviour, link)
        timeout = (config or Config()).completion_timeout_cycles
        checkers = [
            TlpChecker(root_complex.host.interrupts.window, timeout),
            CreditChecker(),
            *(observers or []),
        ]
        for checker in checkers:
            root_complex.port.observe(checker)
        await root_complex.enumerate(timeout=root_complex.behaviour.timeout_cycles * 8)
        function = root_complex.find_device(PcieId(1, 0, 0))
        if function is None:
            raise RuntimeError("no device answers behind the root port")
        transport = cls(root_complex, function, checkers)
        if config is not None:
            bars = function.bar_addr[0], function.bar_addr[2], transport.bar_bytes(2)
            order = OrderChecker(config, *bars)
            checkers.append(order)
            root_complex.port.observe(order)
        return transport

    async def finish(self, settle_cycles: int = 1000) -> list[str]:
        """Wait until nothing is under way; everything the device did wrong, as sentences."""
        root_complex = self.root_complex
        for _ in range(100):
            await elapse(settle_cycles)
            if root_complex.idle:
                break
        else:
            root_complex.errors.append("requests to the device are still under way")
        for checker in self.checkers:
            checker.returned(root_complex.port.grants())
        errors = [*root_complex.errors, *self.host.check()]
        for checker in self.checkers:
            errors += checker.finish()
        return errors

    @property
    def requester_id(self) -> int:
        """With which the function sends its requests."""
        return int(self._function.pcie_id)

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space; all ones if nobody answers."""
        check_aligned(offset, size)
        self.requests += 1
        data = await self.root_complex.config_read(self._function.pcie_id, offset, size)
        return int.from_bytes(data, "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        check_aligned(offset, size)
        self.requests += 1
        data = value.to_bytes(size, "little")
        await self.root_complex.config_write(self._function.pcie_id, offset, data)

    async def _post(self, request: Tlp) -> None:
        await self.root_complex.send(request)

    async def _perform(self, request: Tlp) -> list[Tlp]:
        return await self.root_complex.perform_nonposted_operation(request)

    def now(self) -> int:
        """Clocks since the transport was opened."""
        return now() - self._opened

    async def sleep(self, cycles: int) -> None:
        """Let time pass."""
        await elapse(cycles)

    def event(self) -> RtlEvent:
        """Something that happens, for others to wait for."""
        return RtlEvent()

    def start(self, work: Coroutine[Any, Any, Any]) -> RtlTask:
        """Run a coroutine beside the caller."""
        return RtlTask(cocotb.start_soon(work))
