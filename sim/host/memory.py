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
