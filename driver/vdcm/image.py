"""A register space of a virtual device: bytes, and how each bit of them takes a write."""

from hw.regs import Access, Register


class Image:
    """Bytes that behave as the register data says; what is not there reads as 0.

    Parameters
    ----------
    size_bytes
        Of the space.
    """

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._bytes = bytearray(size_bytes)
        self._writable = bytearray(size_bytes)
        self._clearable = bytearray(size_bytes)

    def add(self, register: Register, base: int = 0, value: int | None = None) -> None:
        """Put a register there, with its reset value or another; ``base`` is its table entry."""
        self.put(register, register.reset if value is None else value, base)
        clearable = register.mask(Access.RW1C)
        self._fill(self._writable, register, base, register.mask(Access.RW))
        self._fill(self._clearable, register, base, clearable)

    def get(self, register: Register, base: int = 0) -> int:
        """The value of a register."""
        start = base + register.offset
        return int.from_bytes(self._bytes[start : start + register.size_bytes], "little")

    def put(self, register: Register, value: int, base: int = 0) -> None:
        """Change a register as hardware does."""
        self._fill(self._bytes, register, base, value)

    def set(self, register: Register, base: int = 0, **fields: int) -> None:
        """Change some fields of a register as hardware does."""
        self.put(register, register.set(self.get(register, base), **fields), base)

    def read(self, offset: int, size: int) -> bytes:
        """Bytes as software reads them."""
        return bytes(self._bytes[offset : offset + size]).ljust(size, b"\0")

    def write(self, offset: int, data: bytes) -> None:
        """Write as software: each bit decides what becomes of it."""
        for place, byte in enumerate(data[: max(self.size_bytes - offset, 0)], offset):
            writable = self._writable[place]
            kept = self._bytes[place] & ~writable | byte & writable
            self._bytes[place] = kept & ~(byte & self._clearable[place])

    def save(self) -> bytes:
        """All bytes, for :meth:`restore` of another image of the same registers."""
        return bytes(self._bytes)

    def restore(self, saved: bytes) -> None:
        """Take over what was saved."""
        self._bytes[:] = saved

    @staticmethod
    def _fill(where: bytearray, register: Register, base: int, value: int) -> None:
        start = base + register.offset
        where[start : start + register.size_bytes] = value.to_bytes(register.size_bytes, "little")
