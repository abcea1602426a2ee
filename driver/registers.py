"""BAR0 by register name."""

from hw.regs import Register
from hw.regs.bar0 import EXTENSION, REGISTERS

from .errors import DeviceGone
from .transport import Transport

BAR = 0


class Registers:
    """Reads and writes registers of BAR0, in accesses of 4 and 8 bytes.

    DSA §9.2 allows only naturally aligned accesses of up to 8 bytes, so a wider register is read
    and written in pieces, lowest first.

    **Errors** A read of all ones raises :class:`~driver.errors.DeviceGone`, except from registers
    that may legitimately hold it: none of those that this driver reads does.
    """

    _named = {register.name: register for register in REGISTERS + EXTENSION}

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def load(self, register: Register, base: int = 0) -> int:
        """Read a register; ``base`` is where its table entry starts, if it has one."""
        value = 0
        for low in range(0, register.size_bytes, 8):
            size = min(8, register.size_bytes - low)
            piece = await self._transport.read(BAR, base + register.offset + low, size)
            value |= int.from_bytes(piece, "little") << 8 * low
        if value == (1 << register.width) - 1:
            raise DeviceGone(
                f"register {register.name} at {base + register.offset:#x} reads as all ones: "
                f"the device does not answer memory reads"
            )
        return value

    async def store(self, register: Register, value: int, base: int = 0) -> None:
        """Write a register, as :meth:`load` reads it."""
        data = value.to_bytes(register.size_bytes, "little")
        for low in range(0, register.size_bytes, 8):
            place = base + register.offset + low
            await self._transport.write(BAR, place, data[low : low + 8])

    async def read(self, name: str) -> int:
        """The value of the register of that name."""
        return await self.load(self._named[name])

    async def fields(self, name: str) -> dict[str, int]:
        """The fields of the register of that name."""
        register = self._named[name]
        return register.unpack(await self.load(register))

    async def write(self, name: str, value: int) -> None:
        """Write the register of that name."""
        await self.store(self._named[name], value)

    async def write_fields(self, name: str, **values: int) -> None:
        """Write the register of that name; fields not named become 0."""
        await self.write(name, self._named[name].pack(**values))
