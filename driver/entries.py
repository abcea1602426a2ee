"""Entries of the two vector tables, and the order of accesses that keeps them safe.

The rules, for both tables:

- A message changes only while its entry is masked: changing an unmasked entry is undefined
  (PCIe Base 6.x §6.1.4.2).
- The completion of a read of an entry pushes every message made from the entry's earlier contents
  ahead of it (PCIe Base 6.x §2.4.1, reads do not pass posted requests). So a write, then a read
  back, is a flush: when the read returns, the old contents ring nobody.
- A submission cannot pass an earlier posted write, so what was written before a descriptor was
  submitted holds for its interrupt.
- MSI-X tables take accesses of 4 and 8 bytes only (PCIe Base 6.x §6.1.4.2); interrupt message
  storage takes 16, so a whole entry is one request.
"""

from hw.regs.bar0 import IMS_ENTRY, MSIX_PERMISSION

from .discovery import WINDOW_BYTES, Capabilities
from .errors import DeviceGone, VectorError
from .registers import BAR
from .transport import Message, Transport

ENTRY_BYTES = 16
_, _, CONTROL = IMS_ENTRY
MASK = CONTROL["mask"].mask
PENDING = CONTROL["pending"].mask
IGNORE = CONTROL["ignore"].mask
(PERMISSION,) = MSIX_PERMISSION

PURGE_POLLS = 64
"""Reads that a held event gets to leave an entry whose mask was cleared to let it go."""


class Entries:
    """A vector table, by index. :class:`ImsEntries` and :class:`MsixEntries` are the two kinds.

    **Errors** :class:`~driver.errors.VectorError` where an entry does not take what was written;
    it is masked then. :class:`~driver.errors.DeviceGone` where reads return all ones.
    """

    def __init__(self, transport: Transport, capabilities: Capabilities, offset: int) -> None:
        self._transport = transport
        self._capabilities = capabilities
        self._offset = offset

    def check(self, message: Message) -> None:
        """Refuse a message that the device would refuse, before anything is written."""
        window = self._capabilities.window
        if not window <= message.address < window + WINDOW_BYTES or message.address & 3:
            raise VectorError(
                f"the device sends messages only to aligned addresses from {window:#x} to "
                f"{window + WINDOW_BYTES - 1:#x}; {message.address:#x} is not one"
            )

    def control(self, pasid: int | None) -> int:
        """The control word of an unmasked entry that belongs to ``pasid``."""
        raise NotImplementedError

    async def load(self, index: int, message: Message, pasid: int | None) -> None:
        """Give a disarmed entry its message and its owner. With :meth:`arm`, 3 requests."""
        raise NotImplementedError

    async def arm(self, index: int, message: Message, pasid: int | None) -> None:
        """Unmask an entry that is loaded or masked."""
        raise NotImplementedError

    async def disarm(self, index: int, *, held: bool) -> None:
        """Mask an entry for good and flush it. With :meth:`blank`, 3 requests.

        ``held`` says that the vector was masked, so that an event may be pending; it is let go to
        the old message before this returns, which costs requests.
        """
        raise NotImplementedError

    async def blank(self, index: int) -> None:
        """Forget the message of a disarmed entry."""
        raise NotImplementedError

    async def pending(self, index: int) -> bool:
        """Whether an event waits for the mask to clear."""
        raise NotImplementedError

    async def set_control(self, index: int, value: int) -> None:
        """Write the control word of an entry. 1 request."""
        await self._write(index, 12, value.to_bytes(4, "little"))

    async def flush(self, index: int) -> int:
        """Read the control word of an entry. When this returns, earlier contents ring nobody."""
        return int.from_bytes(await self._read(index, 12, 4), "little")

    async def rewrite(self, index: int, message: Message, control: int) -> None:
        """Give a live entry another message: mask, write, restore, read back. 5 requests.

        Events that come while the entry is masked are held and ring the new message. The data
        and the restored mask lie in one 8-byte word, which the device takes whole.
        """
        await self.set_control(index, control | MASK)
        await self._write(index, 0, message.address.to_bytes(8, "little"))
        second = message.data | control << 32
        await self._write(index, 8, second.to_bytes(8, "little"))
        got = await self._read(index, 0, 8) + await self._read(index, 8, 8)
        self._verify(index, got, message, control)

    def _verify(self, index: int, got: bytes, message: Message, control: int) -> None:
        address, data, found = (int.from_bytes(got[a:b], "little") for a, b in _WORDS)
        if (address, data, found & ~PENDING) != (message.address, message.data, control):
            raise VectorError(
                f"entry {index} did not take its message: {message.address:#x}, "
                f"{message.data:#x}, {control:#x} reads back as {address:#x}, {data:#x}, "
                f"{found:#x}"
            )

    async def _write(self, index: int, offset: int, data: bytes) -> None:
        await self._transport.write(BAR, self._offset + ENTRY_BYTES * index + offset, data)

    async def _read(self, index: int, offset: int, size: int) -> bytes:
        place = self._offset + ENTRY_BYTES * index + offset
        data = await self._transport.read(BAR, place, size)
        if data == b"\xff" * size:
            raise DeviceGone(f"entry {index} reads as all ones: the device does not answer")
        return data

    async def _let_go(self, index: int, unmasked: int) -> None:
        """Unmask an entry that ignores new events until the one it holds has left."""
        await self.set_control(index, unmasked)
        for _ in range(PURGE_POLLS):
            if not await self.pending(index):
                break
        else:
            raise VectorError(f"entry {index} keeps an event pending although it is unmasked")
        await self.set_control(index, unmasked | MASK)
        await self.flush(index)


_WORDS = ((0, 8), (8, 12), (12, 16))


class ImsEntries(Entries):
    """Interrupt message storage (DSA §9.2.28): the owner is part of the entry."""

    def __init__(self, transport: Transport, capabilities: Capabilities) -> None:
        super().__init__(transport, capabilities, capabilities.ims_offset)

    def control(self, pasid: int | None) -> int:
        if pasid is None:
            return 0
        return CONTROL.pack(pasid_enable=1, pasid=pasid)

    async def load(self, index: int, message: Message, pasid: int | None) -> None:
        """Write the entry masked, and read it back.

        Nothing rings before the read has shown that the entry holds what was written. An event
        that the entry still held from before goes to the new message, where nobody counts it yet.
        """
        control = self.control(pasid)
        entry = message.address | message.data << 64 | (control | MASK) << 96
        await self._write(index, 0, entry.to_bytes(ENTRY_BYTES, "little"))
        got = await self._read(index, 0, ENTRY_BYTES)
        try:
            self._verify(index, got, message, control | MASK)
        except VectorError:
            await self.set_control(index, MASK | IGNORE)
            raise
        if int.from_bytes(got[12:], "little") & PENDING:
            await self._let_go(index, IGNORE)

    async def arm(self, index: int, message: Message, pasid: int | None) -> None:
        await self.set_control(index, self.control(pasid))

    async def disarm(self, index: int, *, held: bool) -> None:
        """Mask, ignore and take the owner away in one write; read back.

        The entry stays ignored, so that it holds no event when it is armed again.
        """
        await self.set_control(index, MASK | IGNORE)
        if await self.flush(index) & PENDING:
            await self._let_go(index, IGNORE)

    async def blank(self, index: int) -> None:
        blank = self._capabilities.window | (MASK | IGNORE) << 96
        await self._write(index, 0, blank.to_bytes(ENTRY_BYTES, "little"))

    async def pending(self, index: int) -> bool:
        return bool(await self.flush(index) & PENDING)


class MsixEntries(Entries):
    """The MSI-X table; owners are in the permission table (DSA §9.2.22), pending bits apart."""

    def __init__(self, transport: Transport, capabilities: Capabilities) -> None:
        super().__init__(transport, capabilities, capabilities.msix_offset)

    def control(self, pasid: int | None) -> int:
        return 0

    async def load(self, index: int, message: Message, pasid: int | None) -> None:
        """Write the owner and the address; the data comes with the cleared mask.

        Nothing is read back: posted order makes the entry effective before any later submission.
        """
        owner = {} if pasid is None else {"pasid_enable": 1, "pasid": pasid}
        await self._permit(index, PERMISSION.pack(**owner))
        await self._write(index, 0, message.address.to_bytes(8, "little"))

    async def arm(self, index: int, message: Message, pasid: int | None) -> None:
        """Write the data and the cleared mask, in one word that the device takes whole."""
        await self._write(index, 8, message.data.to_bytes(8, "little"))

    async def disarm(self, index: int, *, held: bool) -> None:
        """Ignore new events and take the owner away; mask; read back."""
        await self._permit(index, IGNORE)
        await self.set_control(index, MASK)
        await self.flush(index)
        if held and await self.pending(index):
            await self._let_go(index, 0)

    async def blank(self, index: int) -> None:
        """Nothing: what a masked entry holds is never sent."""

    async def clear(self, index: int) -> None:
        """Bring an entry whose contents are unknown into the disarmed state."""
        await self._permit(index, IGNORE)
        await self.set_control(index, MASK)

    async def pending(self, index: int) -> bool:
        place = self._capabilities.pba_offset + index // 64 * 8
        word = int.from_bytes(await self._transport.read(BAR, place, 8), "little")
        return bool(word >> index % 64 & 1)

    async def _permit(self, index: int, value: int) -> None:
        place = self._capabilities.permission_offset + 8 * index
        await self._transport.write(BAR, place, value.to_bytes(4, "little"))
