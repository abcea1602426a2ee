"""The simulated host, as the model reaches it."""

from contextlib import suppress

from ..host.iommu import AccessRefused
from ..host.memory import PAGE_BYTES
from ..host.platform import Host as Platform
from .host import HostError, ReadError


class PlatformHost:
    """Carries the model's DMA and messages to :class:`sim.host.platform.Host`.

    A refused read is answered Unsupported Request. A refused write vanishes, page by page; the
    IOMMU has logged it. A DW that is written without PASID into the message window is an interrupt
    message, whoever meant it.

    Parameters
    ----------
    platform
        Memory, IOMMU and interrupt controller.
    requester
        With which the function sends its requests.
    """

    def __init__(self, platform: Platform, requester: int):
        self.platform = platform
        self._requester = requester

    def dma_read(self, address: int, length: int, pasid: int | None) -> bytes:
        """Read host memory. Raises :class:`~sim.model.host.HostError`."""
        if pasid is None and self.platform.interrupts.contains(address):
            self.platform.interrupts.reject(f"read of message address {address:#x}")
            raise HostError(ReadError.UNSUPPORTED_REQUEST)
        try:
            return self.platform.dma_read(address, length, pasid)
        except AccessRefused as refused:
            raise HostError(ReadError.UNSUPPORTED_REQUEST, str(refused)) from refused

    def dma_write(self, address: int, data: bytes, pasid: int | None) -> None:
        """Write host memory."""
        if pasid is None and self.platform.interrupts.contains(address):
            if len(data) == 4 and address % 4 == 0:
                self.message(address, int.from_bytes(data, "little"))
            else:
                self.platform.interrupts.reject(f"{len(data)} bytes at {address:#x}")
            return
        done = 0
        while done < len(data):
            part = data[done : done + PAGE_BYTES - (address + done) % PAGE_BYTES]
            with suppress(AccessRefused):
                self.platform.dma_write(address + done, part, pasid)
            done += len(part)

    def message(self, address: int, data: int) -> None:
        """Deliver an interrupt message."""
        self.platform.message(address, data, self._requester)
