"""The host as the device and the driver see it: memory behind an IOMMU, and interrupt targets."""

from collections.abc import Callable
from dataclasses import dataclass, field

from .interrupts import InterruptController, Target
from .iommu import Iommu, Mapping
from .memory import PAGE_BYTES, Memory

SLACK = bytes((0xA5 ^ (index * 7)) & 0xFF for index in range(PAGE_BYTES))
"""What fills the part of a buffer's pages that nobody asked for."""


@dataclass(eq=False)
class HostBuffer:
    """Memory that the device can reach (:class:`driver.transport.Buffer`)."""

    host: "Host"
    pasid: int | None
    address: int
    size_bytes: int
    writable: bool
    _frames: list[int] = field(repr=False)

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes as the CPU sees them now; all of the rest if no size is given."""
        size = self.size_bytes - offset if size is None else size
        return b"".join(
            self.host.memory.read(frame, start, length)
            for frame, start, length in self._pieces(offset, size)
        )

    def write(self, data: bytes, offset: int = 0) -> None:
        """Store bytes as the CPU."""
        done = 0
        for frame, start, length in self._pieces(offset, len(data)):
            self.host.memory.write(frame, start, data[done : done + length])
            done += length

    def free(self) -> None:
        """Unmap and give back; the device can no longer reach it."""
        self._pieces(0, 0)
        self.host._release(self)

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int, int]]:
        if not self._frames:
            raise ValueError("the buffer has been freed")
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise ValueError(
                f"bytes {offset} to {offset + size} of a buffer of {self.size_bytes} bytes"
            )
        pieces, end = [], offset + size
        while offset < end:
            page, start = divmod(offset, PAGE_BYTES)
            length = min(end - offset, PAGE_BYTES - start)
            pieces.append((self._frames[page], start, length))
            offset += length
        return pieces


class Host:
    """Memory, IOMMU and interrupt controller of one machine.

    Parameters
    ----------
    window
        Where the 1 MiB of interrupt message addresses starts.

    Attributes
    ----------
    memory, iommu, interrupts
        Its parts.
    damage : list of str
        Writes found outside of what a buffer was asked for; see :meth:`check`.
    """

    def __init__(self, window: int = 0xFEE0_0000) -> None:
        self.memory = Memory()
        self.iommu = Iommu()
        self.interrupts = InterruptController(window)
        self.damage: list[str] = []
        self._buffers: set[HostBuffer] = set()

    def allocate_pasid(self) -> int:
        """A PASID with an empty address space of its own."""
        return self.iommu.allocate_pasid()

    def free_pasid(self, pasid: int) -> None:
        """Give a PASID and its address space back; its buffers have to be freed before."""
        self.iommu.free_pasid(pasid)

    def allocate(
        self, size: int, *, pasid: int | None = None, align: int = 64, writable: bool = True
    ) -> HostBuffer:
        """Zeroed memory in the address space of a PASID, or of the function itself."""
        if size < 1:
            raise ValueError(f"a buffer has at least 1 byte, not {size}")
        if align < 1 or align & (align - 1):
            raise ValueError(f"alignment is a power of two, not {align}")
        space = self.iommu.spaces.get(pasid)
        if space is None:
            raise ValueError(f"there is no PASID {pasid:#x}")
        address = space.allocate(size, align)
        frames = []
        for start in range(0, size, PAGE_BYTES):
            used = min(PAGE_BYTES, size - start)
            frames.append(self.memory.allocate(bytes(used) + SLACK[used:]))
            space.pages[(address + start) // PAGE_BYTES] = Mapping(frames[-1], writable)
        buffer = HostBuffer(self, pasid, address, size, writable, frames)
        self._buffers.add(buffer)
        return buffer

    def allocate_target(self, handler: Callable[[], None]) -> Target:
        """A place that a message of its own leads to. The handler is called once per message."""
        return self.interrupts.allocate(handler)

    def dma_read(self, address: int, length: int, pasid: int | None = None) -> bytes:
        """A read by the device. Raises :class:`sim.host.iommu.AccessRefused`."""
        return b"".join(
            self.memory.read(frame, offset, size)
            for frame, offset, size in self.iommu.translate(pasid, address, length, write=False)
        )

    def dma_write(self, address: int, data: bytes, pasid: int | None = None) -> None:
        """A write by the device. Raises :class:`sim.host.iommu.AccessRefused`, and then writes
        nothing."""
        done = 0
        for frame, offset, size in self.iommu.translate(pasid, address, len(data), write=True):
            self.memory.write(frame, offset, data[done : done + size])
            done += size

    def message(self, address: int, data: int) -> Target | None:
        """An interrupt message by the device. Returns its target, or None if misdirected."""
        return self.interrupts.deliver(address, data)

    def check(self) -> list[str]:
        """Everything the device did that it should not have done, as sentences."""
        for buffer in self._buffers:
            self._inspect(buffer)
        return [*self.damage, *self.interrupts.complaints]

    def _inspect(self, buffer: HostBuffer) -> None:
        used = (buffer.size_bytes - 1) % PAGE_BYTES + 1
        slack = self.memory.read(buffer._frames[-1], used, PAGE_BYTES - used)
        if slack != SLACK[used:]:
            first = next(n for n, byte in enumerate(slack) if byte != SLACK[used + n])
            self.damage.append(
                f"byte {buffer.size_bytes + first} behind the buffer at {buffer.address:#x} "
                f"({buffer.size_bytes} bytes, PASID {buffer.pasid}) was written"
            )

    def _release(self, buffer: HostBuffer) -> None:
        self._inspect(buffer)
        space = self.iommu.spaces[buffer.pasid]
        for index, frame in enumerate(buffer._frames):
            del space.pages[buffer.address // PAGE_BYTES + index]
            self.memory.free(frame)
        buffer._frames = []
        self._buffers.discard(buffer)
