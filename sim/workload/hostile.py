"""A tenant that tries everything it should not, with what a tenant can reach: its portals."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from driver import Adi, Buffer, DriverError, Nop, Queue, Transport, Vector
from driver.queues import PORTAL_BAR
from hw.regs.bar2 import Portal, portal
from hw.regs.descriptor import COMPLETION_BYTES, Flag

from .trials import Raw, Trials

MESSAGES = 0xFEE0_0000
"""Where interrupt messages go."""

SCRAP_BYTES = 1 << 14


@dataclass(frozen=True)
class Reach:
    """What a hostile tenant knows of the others.

    Parameters
    ----------
    vectors
        Theirs, which it would like to ring.
    pasids
        Whose memory it would like to use.
    addresses
        Where their memory is, in their address spaces.
    """

    vectors: tuple[Vector, ...]
    pasids: tuple[int, ...]
    addresses: tuple[int, ...]


class Hostile:
    """Commits one misdeed after another, until told to stop.

    Parameters
    ----------
    transport
        The way to the device.
    adi
        Its own, on a shared queue.
    dedicated
        Its own dedicated queue, enabled with its PASID.
    reach
        The others.
    trials
        Draws operations on its own memory.
    rng
        The source of chance.

    Members
    -------
    deeds
        Misdeeds by name.
    stop
        Set it to end.
    """

    def __init__(
        self,
        transport: Transport,
        adi: Adi,
        dedicated: Queue,
        reach: Reach,
        trials: Trials,
        rng: random.Random,
    ) -> None:
        self.deeds: Counter[str] = Counter()
        self.stop = False
        self._transport, self._adi, self._dedicated = transport, adi, dedicated
        self._reach, self._trials, self._random = reach, trials, rng
        self._scrap: Buffer = adi.allocate(SCRAP_BYTES, align=SCRAP_BYTES)
        self._record = 0
        self._deeds: dict[str, Callable[[], Awaitable[None]]] = {
            "ring another's vector": self._ring_others,
            "ring the device's own vector": self._ring_device,
            "ring beyond the table": self._ring_nobody,
            "name another's PASID on a dedicated queue": self._borrow_pasid,
            "reach for another's memory": self._reach_out,
            "forge an interrupt by a data write": self._forge,
            "put a record where none may be": self._misplace_record,
            "write to a portal in pieces": self._write_pieces,
            "write across the slots of a portal": self._write_across,
            "write the wrong way": self._write_wrong_way,
            "read a portal": self._read_portal,
            "submit rubbish": self._submit_rubbish,
            "flood both queues": self._flood,
        }

    async def run(self) -> None:
        """Go on until :attr:`stop`."""
        while not self.stop:
            name = self._random.choice(list(self._deeds))
            self.deeds[name] += 1
            await self._deeds[name]()

    # Tools

    def _place(self, *, shared: bool, ims: bool = True, offset: int | None = None) -> int:
        queue = self._adi.queue.index if shared else self._dedicated.index
        kind = self._random.choice((Portal.LIMITED, Portal.UNLIMITED)) | (
            Portal.IMS if ims else Portal(0)
        )
        slot = portal(queue, kind, self._random.randrange(64))
        return slot if offset is None else (slot & ~0xFFF) + offset

    async def _send(self, raw: bytes, *, ims: bool = True) -> None:
        """Submit 64 bytes to one of its queues, once."""
        if self._random.random() < 0.5:
            place = self._place(shared=True, ims=ims)
            await self._transport.deferrable_write(PORTAL_BAR, place, raw)
        else:
            await self._transport.write(PORTAL_BAR, self._place(shared=False, ims=ims), raw)

    def _encode(
        self, raw: Raw | None = None, *, handle: int | None = None, pasid: int = 0
    ) -> bytes:
        descriptor = raw or Nop()
        # A place of its own for each record, so that the host can tell whose it is.
        self._record = (self._record + COMPLETION_BYTES) % SCRAP_BYTES
        return descriptor.encode(
            pasid=pasid or self._adi.pasid,
            completion_address=self._scrap.address + self._record,
            handle=handle,
        )

    # Misdeeds

    async def _ring_others(self) -> None:
        vector = self._random.choice(self._reach.vectors)
        await self._send(self._encode(handle=vector.index), ims=self._random.random() < 0.8)

    async def _ring_device(self) -> None:
        await self._send(self._encode(handle=0), ims=False)

    async def _ring_nobody(self) -> None:
        handle = self._random.choice((0xFFFF, 0x4000, 0x3FFF, 0x1000, 64))
        await self._send(self._encode(handle=handle), ims=self._random.random() < 0.5)

    async def _borrow_pasid(self) -> None:
        """What a posted write says of its PASID is not looked at."""
        raw = self._trials.draw().descriptor
        stolen = self._encode(raw, pasid=self._random.choice(self._reach.pasids))
        await self._transport.write(PORTAL_BAR, self._place(shared=False), stolen)

    async def _reach_out(self) -> None:
        """Their addresses are its own, or nobody's, in its address space."""
        theirs = self._random.choice(self._reach.addresses)
        raw = self._trials.draw_trespass(theirs | 0x7_0000_0000_0000).descriptor
        await self._send(self._encode(raw))

    async def _forge(self) -> None:
        move = self._trials.draw().descriptor
        values = {"source": self._scrap.address, "destination": MESSAGES, "size_bytes": 4}
        raw = Raw(type(move.opcode).MEMORY_MOVE, values)
        await self._send(self._encode(raw))

    async def _misplace_record(self) -> None:
        place = self._random.choice((self._scrap.address + 8, MESSAGES, 1 << 63))
        await self._send(Nop().encode(pasid=self._adi.pasid, completion_address=place))

    async def _write_pieces(self) -> None:
        """Halves, quarters, and less; never all of it."""
        size = self._random.choice((1, 4, 8, 16, 32, 60))
        data = self._encode()
        start = self._random.randrange(0, 64 - size, 4) if size < 64 else 0
        place = self._place(shared=self._random.random() < 0.5) + start
        await self._transport.write(PORTAL_BAR, place, data[start : start + size])

    async def _write_across(self) -> None:
        offset = 64 * self._random.randrange(62) + self._random.choice((1, 4, 32, 60))
        place = self._place(shared=self._random.random() < 0.5, offset=offset)
        await self._transport.write(PORTAL_BAR, place, self._encode())

    async def _write_wrong_way(self) -> None:
        """Deferrable to a dedicated queue, posted to a shared one."""
        data = self._encode()
        if self._random.random() < 0.5:
            await self._transport.deferrable_write(PORTAL_BAR, self._place(shared=False), data)
        else:
            await self._transport.write(PORTAL_BAR, self._place(shared=True), data)

    async def _read_portal(self) -> None:
        size = self._random.choice((1, 4, 8, 64))
        await self._transport.read(PORTAL_BAR, self._place(shared=True), size)

    async def _submit_rubbish(self) -> None:
        data = bytearray(self._random.randbytes(64))
        data[0:4] = self._adi.pasid.to_bytes(4, "little")
        # No privilege, and no address that leads to its own memory by luck.
        await self._send(bytes(data))

    async def _flood(self) -> None:
        raw = self._trials.draw_wrong().descriptor
        data = self._encode(Raw(raw.opcode, raw.values, raw.flags | Flag.FENCE, raw.code, raw.flip))
        for _ in range(self._random.randrange(1, 12)):
            await self._send(data)

    async def rest(self) -> None:
        """Leave nothing under way."""
        try:
            await self._adi.drain()
            await self._dedicated.drain()
        except DriverError:
            return
