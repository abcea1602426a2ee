"""Work queues, their portals, and the groups that join them to the engines."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from hw.regs.bar0 import GROUP_CONFIG, QUEUE_CONFIG, bar0
from hw.regs.bar2 import SUBMISSION_BYTES, Portal
from hw.regs.commands import QueueState
from hw.regs.config import Config
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED, Opcode
from hw.regs.schema import Access, Register

_QUEUE = {item.name: item for item in QUEUE_CONFIG}
_GROUP = {item.name: item for item in GROUP_CONFIG}

_FIELD = {
    (register.name, item.name): (item.lsb, (1 << item.width) - 1)
    for register in QUEUE_CONFIG
    for item in register.fields
}

PIECE_BYTES = 8
"""What staged submission takes at a time."""

_PASID = (1 << 20) - 1
_LIMITED, _IMS = int(Portal.LIMITED), int(Portal.IMS)

#: Opcodes that DSA §8.1.2 leaves undefined; their bits in WQCFG read as 0.
_UNDEFINED = {*range(0x0B, 0x10), 0x16, 0x1F, 0x22}
DEFINED_OPERATIONS = sum(1 << opcode for opcode in range(0x27) if opcode not in _UNDEFINED)


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A descriptor as a queue took it.

    Parameters
    ----------
    data
        Its 64 bytes.
    queue
        The queue it was submitted to.
    ims
        Whether it came through an IMS portal.
    pasid
        Whose memory it speaks of (None: the function's own).
    privileged
        Whether supervisor software submitted it.
    shared
        Whether it came through a shared queue.
    sequence
        Rises by one with every descriptor that the device accepts.
    """

    data: bytes
    queue: int
    ims: bool
    pasid: int | None
    privileged: bool
    shared: bool
    sequence: int

    @property
    def opcode(self) -> int:
        """What it asks for (:class:`hw.regs.descriptor.Opcode`, or something unknown)."""
        return self.data[7]

    def member(self, data: bytes) -> "Descriptor":
        """A descriptor that this one, a batch, has fetched: all but its 64 bytes is the batch's."""
        return replace(self, data=data)


class WorkQueue:
    """One queue: its WQCFG registers, state and descriptors (DSA §9.2.24).

    Members
    -------
    values : dict[str, int]
        WQCFG registers by name; ``status`` holds only the bits that are not derived.
    state : QueueState
        As WQCFG shows it.
    entries : deque[Descriptor]
        Accepted and not yet dispatched.
    credit : int
        Dispatches left before the group's counters start anew (DSA §4.1).
    taken : int
        Descriptors that engines have not finished.
    """

    def __init__(self) -> None:
        self.entries: deque[Descriptor] = deque()
        self.values: dict[str, int] = {}
        self.taken = 0
        self.reset()

    def reset(self, *, keep_size: bool = False) -> None:
        """Disable, forget descriptors, and give the registers their initial values."""
        size = self.values.get("size", 0) if keep_size else 0
        self.values = {name: item.reset for name, item in _QUEUE.items()}
        self.values["operations"] = OPERATIONS_IMPLEMENTED
        self.values["size"] = size
        self.state = QueueState.DISABLED
        self.entries.clear()
        self.credit = 0

    @property
    def offers(self) -> bool:
        """Whether a descriptor may leave: Drain has to be alone of its queue (DSA §3.10)."""
        entries = self.entries
        return bool(entries) and not (self.taken and entries[0].opcode == Opcode.DRAIN)

    def get(self, register: str, field: str) -> int:
        """A field of a WQCFG register."""
        lsb, mask = _FIELD[register, field]
        return self.values[register] >> lsb & mask

    @property
    def size(self) -> int:
        return self.values["size"]

    @property
    def threshold(self) -> int:
        """Descriptors that limited portals may fill: never more than the size."""
        return min(self.values["threshold"], self.values["size"])

    @property
    def dedicated(self) -> bool:
        return bool(self.values["mode"] & 1)

    @property
    def pasid_enable(self) -> bool:
        return bool(self.get("mode", "pasid_enable"))

    def read(self, name: str) -> int:
        """A WQCFG register as software sees it."""
        value = self.values[name]
        if name == "status":
            return _QUEUE[name].set(
                value, occupancy=len(self.entries), mode_support=1, state=self.state
            )
        return value

    def write(self, name: str, data: int, lanes: int, *, device_disabled: bool) -> None:
        """Write the bits in ``lanes``; fields that are locked now keep their value (Table 9-7)."""
        register = _QUEUE[name]
        if name == "status":
            self.values[name] &= ~(data & lanes & register.mask(Access.RW1C))
            return
        lanes &= register.mask(Access.RW)
        if name == "size":
            locked = not device_disabled
        elif name in ("threshold", "occupancy_limit"):
            locked = False
        else:
            locked = self.state is not QueueState.DISABLED
        if locked:
            return
        if name == "occupancy_limit" and self.get(name, "enable"):
            lanes &= ~register["limit"].mask
        value = self.values[name] & ~lanes | data & lanes
        if name == "operations":
            value &= DEFINED_OPERATIONS
        self.values[name] = value


class WorkQueues:
    """All queues, the group tables, and who is next.

    Parameters
    ----------
    config
        Parameters of the device.

    Members
    -------
    queues : list[WorkQueue]
        By number.
    held : int
        Descriptors in all of them.
    overflow : Callable[[int, bytes], None]
        Called when a dedicated queue had no room: queue and descriptor.
    below : Callable[[bool, int], None]
        Called with the vector of an occupancy interrupt (IMS rather than MSI-X, and its index).
    staged : bool
        Portals of dedicated queues take descriptors in pieces of 8 bytes.
    """

    def __init__(
        self,
        config: Config,
        overflow: Callable[[int, bytes], None],
        below: Callable[[bool, int], None],
    ):
        space = bar0(config)
        self._config = config
        self._overflow = overflow
        self._below = below
        self.staged = False
        self._pieces: dict[tuple[int, int], dict[int, bytes]] = {}
        self._wqcfg = space.table("wqcfg")
        self._grpcfg = space.table("grpcfg")
        self.windows = {
            "wqcfg": range(self._wqcfg.offset, self._wqcfg.end),
            "grpcfg": range(self._grpcfg.offset, self._grpcfg.end),
        }
        self.queues = [WorkQueue() for _ in range(config.queues)]
        self._words = {
            name: _words(table)
            for name, table in (("wqcfg", QUEUE_CONFIG), ("grpcfg", GROUP_CONFIG))
        }
        self._group_bits = {name: item.mask(Access.RW) for name, item in _GROUP.items()}
        self._group_bits["queues"] = (1 << config.queues) - 1
        self._group_bits["engines"] = (1 << config.engines) - 1
        self.sequence = 0
        self.reset()

    def reset(self) -> None:
        """Reset Device: all queues and groups to their initial values."""
        for queue in self.queues:
            queue.reset()
        self.groups = [
            {name: item.reset for name, item in _GROUP.items()} for _ in range(self._config.groups)
        ]
        self._turn = [0] * self._config.groups
        self.held = 0
        self._pieces.clear()

    # Portals

    def submit(self, queue: int, portal: int, data: bytes, *, deferrable: bool) -> bool:
        """A 64-byte write to a portal (DSA §5.3, §9.3). Returns whether it was accepted.

        Parameters
        ----------
        queue
            Queue whose portal it is; one that does not exist accepts nothing.
        portal
            See :class:`hw.regs.bar2.Portal`.
        data
            64 bytes.
        deferrable
            A deferrable memory write (ENQCMD) rather than a posted one (MOVDIR64B).
        """
        if queue >= len(self.queues):
            return False
        wq = self.queues[queue]
        if wq.state is not QueueState.ENABLED or deferrable == wq.dedicated:
            return False
        room = wq.threshold if portal & _LIMITED and not wq.dedicated else wq.size
        if len(wq.entries) >= room:
            if wq.dedicated:
                self._overflow(queue, data)
            return False
        trusted = int.from_bytes(data[:4], "little")
        if wq.dedicated:
            pasid = wq.get("mode", "pasid") if wq.pasid_enable else None
            privileged = wq.pasid_enable and bool(wq.get("mode", "privileged"))
        else:
            pasid, privileged = trusted & _PASID, bool(trusted >> 31)
        self.sequence += 1
        self.held += 1
        wq.entries.append(
            Descriptor(
                bytes(data),
                queue,
                bool(portal & _IMS),
                pasid,
                privileged,
                not wq.dedicated,
                self.sequence,
            )
        )
        return True

    def stage(self, queue: int, portal: int, place: int, data: bytes) -> None:
        """Eight bytes of a descriptor; those at offset 0x38 submit it, if none are missing."""
        if not self.staged or queue >= len(self.queues):
            return
        wq = self.queues[queue]
        if wq.state is not QueueState.ENABLED or not wq.dedicated:
            return
        pieces = self._pieces.setdefault((queue, portal), {})
        pieces[place] = data
        if place == SUBMISSION_BYTES - PIECE_BYTES:
            del self._pieces[queue, portal]
            if len(pieces) == SUBMISSION_BYTES // PIECE_BYTES:
                whole = b"".join(pieces[at] for at in sorted(pieces))
                self.submit(queue, portal, whole, deferrable=False)

    def turn_staging(self, on: bool) -> None:
        """The extension is turned on or off; what was begun is forgotten."""
        if on != self.staged:
            self._pieces.clear()
        self.staged = on

    def close(self, queue: WorkQueue) -> None:
        """Accept nothing more."""
        if queue.state is QueueState.ENABLED:
            queue.state = QueueState.BUSY
        number = self.queues.index(queue)
        for place in [place for place in self._pieces if place[0] == number]:
            del self._pieces[place]

    # Arbitration

    def group_of(self, engine: int) -> int | None:
        """The group that an engine serves."""
        for number, group in enumerate(self.groups):
            if group["engines"] >> engine & 1:
                return number
        return None

    def waiting(self, engine: int) -> bool:
        """Whether there is a descriptor for an engine."""
        if not self.held:
            return False
        group = self.group_of(engine)
        if group is None:
            return False
        members = self.groups[group]["queues"]
        return any(wq.offers for i, wq in enumerate(self.queues) if members >> i & 1)

    def take(self, engine: int) -> Descriptor:
        """The next for an engine, in weighted round robin among its group (DSA §4.1)."""
        group = self.group_of(engine)
        assert group is not None
        members = self.groups[group]["queues"]
        mine = [i for i in range(len(self.queues)) if members >> i & 1]
        offers = [i for i in mine if self.queues[i].offers]
        if not any(self.queues[i].credit for i in offers):
            for i in mine:
                self.queues[i].credit = self.queues[i].get("mode", "priority")
        count = len(self.queues)
        ready = [i for i in offers if self.queues[i].credit] or offers
        turn = self._turn[group]
        chosen = min(ready, key=lambda i: (i - turn) % count)
        self._turn[group] = (chosen + 1) % count
        wq = self.queues[chosen]
        wq.credit = max(wq.credit - 1, 0)
        wq.taken += 1
        self.held -= 1
        descriptor = wq.entries.popleft()
        self.watch(chosen)
        return descriptor

    def finished(self, descriptor: Descriptor) -> None:
        """An engine can do nothing more for a descriptor that it took."""
        self.queues[descriptor.queue].taken -= 1

    def holds(self, affected: Callable[[Descriptor], bool]) -> bool:
        """Whether any queue holds a descriptor that is affected."""
        return any(affected(entry) for wq in self.queues for entry in wq.entries)

    def discard(self, affected: Callable[[Descriptor], bool]) -> None:
        """Abandon descriptors without completion record or interrupt."""
        for number, wq in enumerate(self.queues):
            if wq.entries:
                kept = deque(entry for entry in wq.entries if not affected(entry))
                self.held -= len(wq.entries) - len(kept)
                wq.entries = kept
                self.watch(number)

    def watch(self, number: int) -> None:
        """Ring, once, if a queue has few enough descriptors (DSA §9.2.24)."""
        wq = self.queues[number]
        if not wq.get("occupancy_limit", "enable") or wq.state is not QueueState.ENABLED:
            return
        if wq.get("status", "occupancy_interrupt"):
            return
        if len(wq.entries) <= wq.get("occupancy_limit", "limit"):
            status = _QUEUE["status"]
            wq.values["status"] = status.set(wq.values["status"], occupancy_interrupt=1)
            handle = wq.get("occupancy_handle", "handle")
            self._below(bool(wq.get("occupancy_handle", "ims")), handle)

    # Tables

    def read(self, address: int) -> int:
        """The aligned 8-byte word at an address inside one of the windows."""
        table, index, offset = self._locate(address)
        value = 0
        for name, shift, mask, lsb in self._words[table].get(offset, ()):
            word = self.queues[index].read(name) if table == "wqcfg" else self.groups[index][name]
            value |= (word >> lsb & mask) << shift
        return value

    def write(self, address: int, data: int, lanes: int, *, device_disabled: bool) -> None:
        """Write the bits in ``lanes`` of an aligned 8-byte word inside one of the windows."""
        table, index, offset = self._locate(address)
        for name, shift, mask, lsb in self._words[table].get(offset, ()):
            part, bits = (data >> shift & mask) << lsb, (lanes >> shift & mask) << lsb
            if table == "wqcfg":
                self.queues[index].write(name, part, bits, device_disabled=device_disabled)
                self.watch(index)
            elif device_disabled:
                bits &= self._group_bits[name]
                self.groups[index][name] = self.groups[index][name] & ~bits | part & bits

    def _locate(self, address: int) -> tuple[str, int, int]:
        name = "wqcfg" if address in self.windows["wqcfg"] else "grpcfg"
        table = self._wqcfg if name == "wqcfg" else self._grpcfg
        index, offset = divmod(address - table.offset, table.stride)
        return name, index, offset


def _words(registers: tuple[Register, ...]) -> dict[int, list[tuple[str, int, int, int]]]:
    """Offset of an 8-byte word to the registers in it: name, shift there, mask, lsb in register."""
    words: dict[int, list[tuple[str, int, int, int]]] = {}
    for item in registers:
        if item.width == 32:
            place = (item.name, 8 * (item.offset & 4), 0xFFFF_FFFF, 0)
            words.setdefault(item.offset & ~7, []).append(place)
        else:
            for lsb in range(0, item.width, 64):
                part = (item.name, 0, (1 << 64) - 1, lsb)
                words.setdefault(item.offset + lsb // 8, []).append(part)
    return words
