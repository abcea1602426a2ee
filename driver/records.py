"""Places for completion records in the memory of one PASID."""

from hw.regs.descriptor import COMPLETION_BYTES

from .completion import Completion
from .transport import Buffer, Transport

CHUNK = 8
"""Records that are allocated at a time."""


class Record:
    """The place of one completion record."""

    def __init__(self, buffer: Buffer, offset: int) -> None:
        self._buffer = buffer
        self._offset = offset

    @property
    def address(self) -> int:
        """Where the device writes it."""
        return self._buffer.address + self._offset

    def clear(self) -> None:
        """Make it say that nothing has completed."""
        self._buffer.write(bytes(COMPLETION_BYTES), self._offset)

    def read(self) -> Completion:
        """What the device has written, or status 0."""
        return Completion.decode(self._buffer.read(self._offset, COMPLETION_BYTES))


class Records:
    """Hands out cleared records; memory grows as more are needed and is freed all at once."""

    def __init__(self, transport: Transport, pasid: int | None) -> None:
        self._transport = transport
        self._pasid = pasid
        self._buffers: list[Buffer] = []
        self._free: list[Record] = []

    def take(self) -> Record:
        """A record that says that nothing has completed."""
        if not self._free:
            size = CHUNK * COMPLETION_BYTES
            buffer = self._transport.allocate(size, pasid=self._pasid, align=COMPLETION_BYTES)
            self._buffers.append(buffer)
            self._free = [Record(buffer, offset) for offset in range(0, size, COMPLETION_BYTES)]
        record = self._free.pop()
        record.clear()
        return record

    def give(self, record: Record) -> None:
        """Take a record back that the device writes no more."""
        self._free.append(record)

    def free(self) -> None:
        """Give all memory back. The device writes none of it any more."""
        for buffer in self._buffers:
            buffer.free()
        self._buffers.clear()
        self._free.clear()
