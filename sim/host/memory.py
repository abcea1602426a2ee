"""Physical memory, of which only the pages in use exist."""

PAGE_BYTES = 4096


class Memory:
    """Sparse memory of 4 KiB frames.

    Frames are handed out by :meth:`allocate` and never handed out twice, so a stale physical
    address never meets somebody else's data.
    """

    def __init__(self) -> None:
        self._frames: dict[int, bytearray] = {}
        self._next = 1

    def allocate(self, fill: bytes) -> int:
        """A new frame with the contents given. Returns its number."""
        assert len(fill) == PAGE_BYTES
        frame = self._next
        self._next += 1
        self._frames[frame] = bytearray(fill)
        return frame

    def free(self, frame: int) -> bytes:
        """Take a frame away. Returns what was in it."""
        return bytes(self._frames.pop(frame))

    @property
    def frames(self) -> int:
        """How many frames there are now."""
        return len(self._frames)

    def read(self, frame: int, offset: int, size: int) -> bytes:
        """Bytes of one frame."""
        assert offset + size <= PAGE_BYTES
        return bytes(self._frames[frame][offset : offset + size])

    def write(self, frame: int, offset: int, data: bytes) -> None:
        """Store bytes in one frame."""
        assert offset + len(data) <= PAGE_BYTES
        self._frames[frame][offset : offset + len(data)] = data

    def contiguous(self, size: int) -> "PhysicalMemory":
        """Zeroed frames, one after the other."""
        frames = [self.allocate(bytes(PAGE_BYTES)) for _ in range(-(-size // PAGE_BYTES))]
        return PhysicalMemory(self, frames[0] * PAGE_BYTES, size)

    def load(self, address: int, size: int) -> bytes:
        """Bytes at a physical address, within one frame. Raises KeyError where there are none."""
        return self.read(address // PAGE_BYTES, address % PAGE_BYTES, size)

    def store(self, address: int, data: bytes) -> None:
        """Store bytes at a physical address, within one frame."""
        self.write(address // PAGE_BYTES, address % PAGE_BYTES, data)


class PhysicalMemory:
    """Memory of the kernel's own (:class:`driver.machine.HostMemory`)."""

    def __init__(self, memory: Memory, address: int, size_bytes: int) -> None:
        self.address = address
        self.size_bytes = size_bytes
        self._memory = memory

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes as they are now; all of the rest if no size is given."""
        size = self.size_bytes - offset if size is None else size
        return b"".join(
            self._memory.load(self.address + start, length)
            for start, length in self._pieces(offset, size)
        )

    def write(self, data: bytes, offset: int = 0) -> None:
        """Store bytes."""
        for start, length in self._pieces(offset, len(data)):
            self._memory.store(self.address + start, data[start - offset : start - offset + length])

    def free(self) -> None:
        """Give the frames back."""
        for start in range(0, self.size_bytes, PAGE_BYTES):
            self._memory.free((self.address + start) // PAGE_BYTES)

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int]]:
        if offset < 0 or size < 0 or offset + size > self.size_bytes:
            raise ValueError(f"bytes {offset} to {offset + size} of {self.size_bytes}")
        pieces, end = [], offset + size
        while offset < end:
            length = min(end - offset, PAGE_BYTES - offset % PAGE_BYTES)
            pieces.append((offset, length))
            offset += length
        return pieces
