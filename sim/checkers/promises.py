"""What a descriptor promises: where it is going to write, and whom it is going to tell."""

from dataclasses import dataclass, field

from hw.regs.descriptor import (
    DELTA_BYTES,
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    LAYOUTS,
    Flag,
    Opcode,
    Status,
)

_WORD_BYTES = 8
_DONE = (Status.SUCCESS, Status.SUCCESS_PREDICATE)


@dataclass
class Region:
    """Memory that a descriptor writes.

    Parameters
    ----------
    span
        Addresses.
    wanted
        Bytes that are written there if it succeeds; None: its completion record says how many.
    written
        Bytes so far.
    """

    span: range
    wanted: int | None
    written: int = 0


@dataclass(eq=False)
class Promise:
    """What a descriptor is going to do.

    Parameters
    ----------
    pasid
        Whose memory it writes.
    record
        Where its completion record goes, or None.
    certain
        There will be a record whatever becomes of it; otherwise only if it fails.
    vector
        IMS entry to ring, or None.
    regions
        What it writes besides.
    members
        Addresses of the descriptors that it fetches, if it is a batch.
    ims
        Submitted through an IMS portal, as are those that it fetches.
    fetched
        Those it has fetched, by their place.
    settled
        Its record has come, or another has taken its place.
    """

    pasid: int | None
    record: int | None = None
    certain: bool = False
    vector: int | None = None
    regions: list[Region] = field(default_factory=list)
    members: range = range(0)
    ims: bool = False
    fetched: dict[int, "Promise"] = field(default_factory=dict)
    settled: bool = False

    @property
    def complete(self) -> bool:
        """There is nothing more to fetch for it."""
        return self.settled or len(self.fetched) == len(self.members)

    def wrote(self, start: int, stop: int) -> None:
        """Bytes from start to stop were written to its memory."""
        for region in self.regions:
            overlap = min(stop, region.span.stop) - max(start, region.span.start)
            region.written += max(0, overlap)

    def broken(self, record: dict[str, int]) -> str | None:
        """What the completion record, fields of ``RESULTS``, claims and has not happened yet."""
        if record["status"] in _DONE:
            for region in self.regions:
                wanted = record["value"] if region.wanted is None else region.wanted
                if region.written < wanted:
                    return f"{region.written} of {wanted} bytes of data"
        for place in range(min(record["bytes_completed"], len(self.members))):
            member = self.fetched.get(place)
            if member is None:
                return f"{place} members were fetched"
            if member.certain and not member.settled:
                return f"{place} members had their records"
        return None


def promise(word: int, pasid: int | None, *, ims: bool, member: bool = False) -> Promise:
    """What a descriptor, 64 bytes as a number, promises."""
    flags = Flag(DESCRIPTOR.get(word, "flags") & 0xFFFF)
    address = DESCRIPTOR.get(word, "completion_address")
    valid = Flag.COMPLETION_ADDRESS_VALID in flags and address % 32 == 0
    rings = ims and Flag.REQUEST_INTERRUPT in flags
    made = Promise(
        pasid=pasid,
        record=address if valid else None,
        certain=valid and Flag.REQUEST_COMPLETION in flags,
        vector=DESCRIPTOR.get(word, "handle") if rings else None,
        ims=ims,
    )
    code = DESCRIPTOR.get(word, "opcode")
    if code in LAYOUTS:
        fields = LAYOUTS[Opcode(code)].unpack(word)
        if code == Opcode.BATCH and not member:
            end = fields["list_address"] + DESCRIPTOR_BYTES * fields["count"]
            made.members = range(fields["list_address"], end, DESCRIPTOR_BYTES)
        made.regions = [item for item in _regions(code, fields) if item.span.stop <= 1 << 64]
    return made


def _regions(code: int, fields: dict[str, int]) -> list[Region]:
    """What an operation writes (DSA §8.3)."""
    size = fields.get("size_bytes", 0)

    def there(name: str, length: int, wanted: int | None) -> Region:
        return Region(range(fields[name], fields[name] + length), wanted)

    match code:
        case Opcode.MEMORY_MOVE | Opcode.FILL | Opcode.COPY_CRC:
            return [there("destination", size, size)]
        case Opcode.DUALCAST:
            return [there(name, size, size) for name in ("destination", "destination_2")]
        case Opcode.CREATE_DELTA:
            return [there("delta_address", fields["max_delta_bytes"], None)]
        case Opcode.APPLY_DELTA:
            words = fields["delta_bytes"] // DELTA_BYTES
            return [there("destination", size, _WORD_BYTES * words)]
        case _:
            return []
