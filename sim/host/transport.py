"""The driver's transport over TLPs, whatever carries them."""

from typing import Any

from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from driver.transport import Outcome

from .platform import Host, HostBuffer
from .tlp import ExtraType, Tlp

LARGEST = 64
"""Bytes of the largest access that a processor makes in one request."""


class TlpTransport:
    """Accesses of a driver as requests, on a host of Python.

    What is left of :class:`driver.transport.Transport` is for those who derive from it: the way
    that requests take, and time.

    Attributes
    ----------
    host : Host
        Memory and interrupt controller.
    requests : int
        Requests sent to the device since it was opened.
    bars : dict of int to range
        Where the BARs lie.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.requests = 0
        self.bars: dict[int, range] = {}

    @property
    def machine(self) -> Host:
        """The host's processors and what interrupts them."""
        return self.host

    @property
    def requester_id(self) -> int:
        """With which the function sends its requests."""
        raise NotImplementedError

    async def _post(self, request: Tlp) -> None:
        """Send a posted request."""
        raise NotImplementedError

    async def _perform(self, request: Tlp) -> list[Tlp]:
        """Send a non-posted request and collect its completions; none if it was given up."""
        raise NotImplementedError

    def bar_bytes(self, bar: int) -> int:
        """Size of a BAR (0 or 2), or 0 if there is none."""
        return len(self.bars.get(bar, range(0)))

    async def read(self, bar: int, offset: int, size: int) -> bytes:
        """Read 1 to 64 bytes as one request; all ones if the device refuses or does not answer."""
        request = self._request(TlpType.MEM_READ, bar, offset, size)
        request.set_addr_be(request.address, size)
        completions = await self._perform(request)
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
        await self._post(request)

    async def deferrable_write(self, bar: int, offset: int, data: bytes) -> Outcome:
        """Send 64 bytes as one deferrable memory write."""
        request = self._request(ExtraType.DEFERRABLE_WRITE, bar, offset, len(data))
        request.set_addr_be_data(request.address, data)
        completions = await self._perform(request)
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
        request = Tlp()
        request.address = self.bars[bar].start + offset
        fmt, type_ = kind.value
        request.fmt_type = (fmt | 1 if request.address >> 32 else fmt, type_)
        request.requester_id = PcieId(0, 0, 0)
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


def check_aligned(offset: int, size: int) -> None:
    """Refuse what is no access to configuration space."""
    if size not in (1, 2, 4) or offset % size or not 0 <= offset < 4096:
        raise ValueError(
            f"configuration accesses are 1, 2 or 4 aligned bytes, not {size} at {offset}"
        )
