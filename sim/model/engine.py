"""The engine: checks a descriptor, then does what it says, one chunk at a time."""

import enum
from dataclasses import dataclass
from typing import Protocol

from hw.regs.config import Config
from hw.regs.descriptor import COMPLETION, COMPLETION_BYTES, DESCRIPTOR, Flag, Opcode, Status

from .host import Host, HostError
from .queues import Descriptor, WorkQueue

# As plain numbers: a descriptor is looked at many times.
VALID = int(Flag.COMPLETION_ADDRESS_VALID)
RECORD = int(Flag.REQUEST_COMPLETION)
INTERRUPT = int(Flag.REQUEST_INTERRUPT)
RECORD_CLASS = int(Flag.COMPLETION_TRAFFIC_CLASS)

_COMMON = VALID | RECORD | INTERRUPT | RECORD_CLASS
_DRAIN_SUPPRESS = 0b11 << 18

#: Flags that an operation may have at all (DSA Table 5-3, §8.3.3; this device caches nothing,
#: never blocks on a fault and reads nothing back).
_ALLOWED: dict[int, int] = {
    Opcode.NOP: _COMMON,
    Opcode.DRAIN: _COMMON | _DRAIN_SUPPRESS,
    Opcode.MEMORY_MOVE: int(
        _COMMON | Flag.STRICT_ORDERING | Flag.ADDRESS_1_TRAFFIC_CLASS | Flag.ADDRESS_2_TRAFFIC_CLASS
    ),
}

#: Bytes that must be 0, per operation (DSA Table 5-3).
_RESERVED = {
    Opcode.NOP: (range(16, 36), range(38, 64)),
    Opcode.DRAIN: (range(16, 36), range(38, 64)),
    Opcode.MEMORY_MOVE: (range(38, 64),),
}
_FIELDS = [(item.name, item.lsb, (1 << item.width) - 1) for item in DESCRIPTOR.fields]
_RESERVED_MASK: dict[int, int] = {
    opcode: sum(0xFF << 8 * byte for part in parts for byte in part)
    for opcode, parts in _RESERVED.items()
}

#: Status codes that never go to a completion record (DSA §5.8.1).
_NOT_RECORDED = {Status.COMPLETION_TRANSLATION, Status.COMPLETION_ALIGNMENT, Status.PRIVILEGE}


class Phase(enum.Enum):
    """What the engine does next with the descriptor it has."""

    CHECK = "check"
    MOVE = "move"
    RECORD = "record"
    INTERRUPT = "interrupt"


@dataclass(slots=True)
class Work:
    """A descriptor under way.

    Parameters
    ----------
    descriptor, word
        As it was submitted, and its 64 bytes as a number.
    fields
        The descriptor's fields.
    phase
        What comes next.
    done_bytes
        Bytes moved.
    status, invalid_flags
        What the completion record will say.
    interrupt
        Whether a completion interrupt is due.
    """

    descriptor: Descriptor
    word: int
    fields: dict[str, int]
    phase: Phase = Phase.CHECK
    done_bytes: int = 0
    status: Status = Status.SUCCESS
    invalid_flags: int = 0
    interrupt: bool = False


class Surroundings(Protocol):
    """What the engine asks of the device around it."""

    host: Host

    @property
    def user_interrupts(self) -> bool:
        """GENCFG: descriptors of users may ask for interrupts."""
        ...

    @property
    def pasid_privileged(self) -> bool:
        """Privileged Mode Enable of the PASID capability."""
        ...

    @property
    def chunk_bytes(self) -> int:
        """The largest read to make."""
        ...

    def queue(self, number: int) -> WorkQueue: ...

    def permits(self, ims: bool, handle: int, pasid: int, pasid_enable: bool) -> bool:
        """Whether an interrupt handle is good for a descriptor."""
        ...

    def ring(self, ims: bool, handle: int) -> None:
        """A completion interrupt."""
        ...

    def software_error(self, status: int, work: Work) -> None:
        """An error that has no completion record to go to."""
        ...


class Engine:
    """One engine: at most one descriptor at a time.

    Use :meth:`start` when :attr:`work` is None, then :meth:`step` until it is None again. Checks
    come first and a failed one has no effect but its report; then data, completion record and
    interrupt leave in that order (DSA §5.4, §3.6).

    Parameters
    ----------
    config
        Parameters of the device.
    around
        The device.
    """

    def __init__(self, config: Config, around: Surroundings):
        self._around = around
        self._chunk = config.read_slot_bytes
        self.work: Work | None = None
        self._stages = {
            Phase.CHECK: self._check,
            Phase.MOVE: self._move,
            Phase.RECORD: self._record,
            Phase.INTERRUPT: self._ring,
        }

    def start(self, descriptor: Descriptor) -> None:
        """Take a descriptor."""
        word = int.from_bytes(descriptor.data, "little")
        fields = {name: word >> lsb & mask for name, lsb, mask in _FIELDS}
        self.work = Work(descriptor, word, fields)

    def abandon(self) -> None:
        """Forget the descriptor: no completion record, no interrupt."""
        self.work = None

    def step(self) -> None:
        """Do one thing: all checks, one chunk, the completion record, or the interrupt."""
        work = self.work
        assert work is not None
        self._stages[work.phase](work)

    def _check(self, work: Work) -> None:
        work.status = self.verdict(work)
        flags = work.fields["flags"]
        wants = bool(flags & INTERRUPT)
        if work.status is Status.SUCCESS:
            work.interrupt = wants
            move = work.fields["opcode"] == Opcode.MEMORY_MOVE
            work.phase = Phase.MOVE if move else Phase.RECORD
            self._skip(work)
            return
        queue = self._around.queue(work.descriptor.queue)
        work.interrupt = (
            wants
            and work.status is not Status.COMPLETION_ALIGNMENT
            and not self._mute(work, queue)
            and self._permits(work)
        )
        work.phase = Phase.RECORD

    def verdict(self, work: Work) -> Status:
        """What the checks of DSA §5.4 say, in the order of this device."""
        fields, descriptor = work.fields, work.descriptor
        flags, opcode = fields["flags"], fields["opcode"]
        valid = bool(flags & VALID)
        queue = self._around.queue(descriptor.queue)
        if valid and fields["completion_address"] % 32:
            return Status.COMPLETION_ALIGNMENT
        if not queue.values["operations"] >> opcode & 1 or opcode not in _ALLOWED:
            return Status.BAD_OPCODE
        work.invalid_flags = self._invalid_flags(work, queue)
        if work.invalid_flags:
            return Status.BAD_FLAGS
        word = work.word
        if word & _RESERVED_MASK[opcode]:
            return Status.RESERVED_NOT_ZERO
        if descriptor.shared and word >> 20 & 0x7FF:
            return Status.RESERVED_NOT_ZERO
        if not valid and fields["completion_address"]:
            return Status.RESERVED_NOT_ZERO
        if not flags & INTERRUPT and fields["handle"]:
            return Status.RESERVED_NOT_ZERO
        if descriptor.shared and descriptor.privileged and not self._around.pasid_privileged:
            return Status.PRIVILEGE
        if opcode == Opcode.MEMORY_MOVE:
            size = fields["size_bytes"]
            if not 0 < size <= 1 << queue.get("limits", "max_transfer_log2"):
                return Status.BAD_TRANSFER_SIZE
            apart = (fields["destination"] - fields["source"]) % (1 << 64)
            if apart < size or (1 << 64) - apart < size:
                return Status.OVERLAP
        if flags & INTERRUPT and not self._permits(work):
            return Status.BAD_HANDLE
        return Status.SUCCESS

    def _invalid_flags(self, work: Work, queue: WorkQueue) -> int:
        flags, opcode = work.fields["flags"], work.fields["opcode"]
        bad = flags & ~_ALLOWED[opcode]
        if not flags & VALID:
            bad |= flags & (RECORD | RECORD_CLASS)
        if self._mute(work, queue):
            bad |= flags & INTERRUPT
        needed = RECORD | INTERRUPT
        if opcode == Opcode.DRAIN and not flags & needed:
            bad |= needed
        return int(bad)

    def _mute(self, work: Work, queue: WorkQueue) -> bool:
        """Whether the descriptor may not ask for an interrupt (DSA Table 5-4)."""
        user = queue.pasid_enable and not work.descriptor.privileged
        return user and not self._around.user_interrupts

    def _permits(self, work: Work) -> bool:
        descriptor = work.descriptor
        enable = self._around.queue(descriptor.queue).pasid_enable
        return self._around.permits(
            descriptor.ims, work.fields["handle"], descriptor.pasid or 0, enable
        )

    def _move(self, work: Work) -> None:
        """One chunk: up to the read size, and never across 4 KiB of the source."""
        fields, pasid = work.fields, work.descriptor.pasid
        source = fields["source"] + work.done_bytes
        chunk = min(self._chunk, self._around.chunk_bytes)
        size = min(fields["size_bytes"] - work.done_bytes, chunk - source % chunk)
        host = self._around.host
        try:
            data = host.dma_read(source % (1 << 64), size, pasid)
        except HostError:
            work.status = Status.HARDWARE
            work.phase = Phase.RECORD
            return
        host.dma_write((fields["destination"] + work.done_bytes) % (1 << 64), data, pasid)
        work.done_bytes += size
        if work.done_bytes == fields["size_bytes"]:
            work.phase = Phase.RECORD
            self._skip(work)

    def _skip(self, work: Work) -> None:
        """Leave out what the descriptor does not ask for."""
        if work.phase is Phase.RECORD and not work.fields["flags"] & RECORD:
            self._finish(work)

    def _finish(self, work: Work) -> None:
        if work.interrupt:
            work.phase = Phase.INTERRUPT
        else:
            self.work = None

    def _ring(self, work: Work) -> None:
        self._around.ring(work.descriptor.ims, work.fields["handle"])
        self.work = None

    def _record(self, work: Work) -> None:
        valid = work.fields["flags"] & VALID
        success = work.status is Status.SUCCESS
        if valid and work.status not in _NOT_RECORDED:
            record = int(Status.SUCCESS)
            if not success:
                record = COMPLETION.pack(
                    status=work.status,
                    bytes_completed=work.done_bytes,
                    invalid_flags=work.invalid_flags,
                )
            address, pasid = work.fields["completion_address"], work.descriptor.pasid
            data = record.to_bytes(COMPLETION_BYTES, "little")
            self._around.host.dma_write(address, data, pasid)
        elif not success:
            self._around.software_error(work.status, work)
        self._finish(work)
