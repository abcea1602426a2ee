"""The host as the device and the driver see it: memory behind an IOMMU, and processors."""

from dataclasses import dataclass, field

from driver.machine import InterruptSystem

from .interrupts import InterruptController
from .iommu import Iommu, Mapping
from .memory import PAGE_BYTES, Memory, PhysicalMemory

CPUS = 96
"""Enough for a vector of their own for 16,128 + 2048 interrupts, at 203 each."""

APIC_STRIDE = 2
"""From one processor's APIC identifier to the next; so a processor's number is not one."""

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
    """Memory, IOMMU, processors and interrupt controller of one machine.

    A :class:`driver.machine.Machine` is part of it.

    Parameters
    ----------
    window
        Where the 1 MiB of interrupt message addresses starts.
    cpus
        How many processors it has.
    remapping
        Whether its interrupts can be remapped.

    Attributes
    ----------
    memory, iommu, interrupts
        Its parts.
    system
        Who is entered with each interrupt.
    damage : list of str
        Writes found outside of what a buffer was asked for; see :meth:`check`.
    """

    def __init__(
        self, window: int = 0xFEE0_0000, *, cpus: int = CPUS, remapping: bool = True
    ) -> None:
        self.memory = Memory()
        self.iommu = Iommu()
        self.apic_ids = [APIC_STRIDE * cpu for cpu in range(cpus)]
        self.interrupts = InterruptController(self.memory, window, self.apic_ids, self.interrupt)
        self.message_base = window
        self.remapping = remapping
        self.system: InterruptSystem | None = None
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

    def allocate_physical(self, size: int) -> PhysicalMemory:
        """Zeroed memory of the kernel's own, which no device reaches."""
        return self.memory.contiguous(size)

    def set_remapping_table(
        self, address: int, entries_log2: int, *, extended: bool, compatibility: bool = False
    ) -> None:
        """Turn the remapping unit on, or give it another table."""
        if not self.remapping:
            raise ValueError("the machine cannot remap interrupts")
        self.interrupts.unit.set_table(
            address, entries_log2, extended=extended, compatibility=compatibility
        )

    def invalidate_interrupt_entries(self, index: int | None = None) -> None:
        """Drop what the remapping unit has cached of one entry, or of all."""
        self.interrupts.unit.invalidate(index)

    def interrupt(self, cpu: int, vector: int) -> bool:
        """A processor takes a vector. Returns whether it is anybody's."""
        return self.system is not None and self.system.interrupt(cpu, vector)

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

    def message(self, address: int, data: int, source: int) -> bool:
        """An interrupt message by a requester. Returns whether it reached anybody."""
        return self.interrupts.deliver(address, data, source)

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
