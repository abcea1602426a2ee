"""The driver's transport to a device in RTL, simulated under cocotb."""

from collections.abc import Callable, Coroutine
from typing import Any

import cocotb
from cocotb.task import Task as CocotbTask
from cocotb.triggers import Event as CocotbEvent
from cocotb.triggers import First, Timer
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from driver.transport import Outcome
from hw.regs import Config

from ..bench.cocotb_side import PERIOD_PS, now
from ..bench.cocotb_side import cycles as elapse
from ..checkers.flow_control import CreditChecker
from ..checkers.order import OrderChecker
from ..checkers.tlps import TlpChecker
from .interrupts import Target
from .observer import Observer
from .platform import Host, HostBuffer
from .port import LinkBehaviour
from .root_complex import Behaviour, TocsinRootComplex
from .tlp import ExtraType, Tlp

LARGEST = 64
"""Bytes of the largest access that a processor makes in one request."""


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


class RtlTransport:
    """A device in RTL behind a root complex (:class:`driver.transport.Transport`).

    Made by :meth:`open`, which enumerates the bus.

    Attributes
    ----------
    host : Host
        Memory and interrupt controller.
    root_complex : TocsinRootComplex
        The way to the device.
    requests : int
        Requests sent to the device since it was opened.
    checkers : list of Observer
        Who watches the link.
    """

    def __init__(
        self, root_complex: TocsinRootComplex, function: Any, checkers: list[Observer]
    ) -> None:
        self.root_complex = root_complex
        self.checkers = checkers
        self.host: Host = root_complex.host
        self.requests = 0
        self._function = function
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

    async def config_read(self, offset: int, size: int) -> int:
        """Read 1, 2 or 4 aligned bytes of configuration space; all ones if nobody answers."""
        _check_aligned(offset, size)
        self.requests += 1
        data = await self.root_complex.config_read(self._function.pcie_id, offset, size)
        return int.from_bytes(data, "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 aligned bytes of configuration space."""
        _check_aligned(offset, size)
        self.requests += 1
        data = value.to_bytes(size, "little")
        await self.root_complex.config_write(self._function.pcie_id, offset, data)

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR (0 or 2), or 0 if there is none."""
        return int(self._function.bar_size[bar] or 0)

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read 1 to 64 bytes as one request; all ones if the device refuses or does not answer."""
        request = self._request(TlpType.MEM_READ, bar, offset, size)
        request.set_addr_be(request.address, size)
        completions = await self.root_complex.perform_nonposted_operation(request)
        data = b""
        for completion in completions:
            if completion.status != CplStatus.SC or completion.ep:
                return b"\xff" * size
            skip = completion.lower_address & 3
            data += bytes(completion.data[skip : skip + completion.byte_count])
        return data if len(data) == size else b"\xff" * size

    async def write(self, bar: int, offset: int, data: bytes) -> None:
        """Send 1 to 64 bytes as one posted write. Returns when it is under way."""
        request = self._request(TlpType.MEM_WRITE, bar, offset, len(data))
        request.set_addr_be_data(request.address, data)
        await self.root_complex.send(request)

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        """Send 64 bytes as one deferrable memory write."""
        request = self._request(ExtraType.DEFERRABLE_WRITE, bar, offset, len(data))
        request.set_addr_be_data(request.address, data)
        completions = await self.root_complex.perform_nonposted_operation(request)
        if not completions:
            return Outcome.REJECTED
        if completions[0].status == CplStatus.SC:
            return Outcome.ACCEPTED
        return Outcome.RETRY if completions[0].status == CplStatus.CRS else Outcome.REJECTED

    def _request(self, kind: Any, bar: int, offset: int, size: int) -> Tlp:
        if not 1 <= size <= LARGEST or offset % 4096 + size > 4096:
            raise ValueError(
                f"a request takes 1 to {LARGEST} bytes within 4 KiB, not {size} at {offset:#x}"
            )
        if not 0 <= offset <= self.bar_bytes(bar) - size:
            raise ValueError(f"offset {offset:#x} in a BAR of {self.bar_bytes(bar):#x} bytes")
        self.requests += 1
        address = self._function.bar_addr[bar] + offset
        request = self.root_complex.memory_request(kind, address)
        request.address = address
        return request

    def allocate_pasid(self) -> int:
        """A PASID with an empty address space of its own."""
        return self.host.allocate_pasid()

    def free_pasid(self, pasid: int) -> None:
        """Give a PASID and its address space back."""
        self.host.free_pasid(pasid)

    def allocate(self, size: int, *, pasid: int | None = None, align: int = 64) -> HostBuffer:
        """Memory in the address space of a PASID, or of the function itself."""
        return self.host.allocate(size, pasid=pasid, align=align)

    def allocate_target(self, handler: Callable[[], None]) -> Target:
        """A place that a message of its own leads to. The handler is called once per message."""
        return self.host.allocate_target(handler)

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


def _check_aligned(offset: int, size: int) -> None:
    if size not in (1, 2, 4) or offset % size or not 0 <= offset < 4096:
        raise ValueError(
            f"configuration accesses are 1, 2 or 4 aligned bytes, not {size} at {offset}"
        )
