"""Order on the wire: data, then the completion record, then the interrupt message.

What a descriptor asks for is read from its submission, so this works for every driver.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from cocotbext.pcie.core.tlp import CplStatus

from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.descriptor import COMPLETION, DESCRIPTOR, DESCRIPTOR_BYTES, Flag, Opcode, Status

from ..host.credits import Flow
from ..host.observer import Observer
from ..host.tlp import COMPLETIONS, DEFERRABLE_WRITES, MEMORY_WRITES, MalformedTlp, Tlp

PAGE_BYTES = 4096
IMS_PORTAL = 2
ENTRY_BYTES = 16
LOGGED = 50


@dataclass
class Promise:
    """What a descriptor is going to do."""

    #: None for a dedicated queue: its PASID is the queue's, which the submission does not tell.
    pasid: int | None
    record: int
    destination: range
    #: IMS entry to ring, or None.
    vector: int | None
    #: Bytes of the destination written so far, by PASID.
    written: defaultdict[int | None, int] = field(default_factory=lambda: defaultdict(int))

    def concerns(self, pasid: int | None) -> bool:
        """Whether writes with this PASID may be its own."""
        return self.pasid is None or self.pasid == pasid


class OrderChecker(Observer):
    """Checks the order of the writes that belong to one descriptor.

    A completion record that reports success has to come after all data of its descriptor, and the
    message of an IMS vector after a completion record that asked for it. Messages of the MSI-X
    table have other causes too and are not judged.

    Parameters
    ----------
    bar0_base, bar2_base
        Addresses of the two BARs.
    config
        Parameters of the device.

    Attributes
    ----------
    records, bells : int
        Completion records and IMS messages judged so far.
    """

    def __init__(self, config: Config, bar0_base: int, bar2_base: int, bar2_bytes: int) -> None:
        table = bar0(config).table("ims")
        start = bar0_base + table.offset
        self.records = self.bells = 0
        self.errors: list[str] = []
        self._entries = range(start, start + table.count * ENTRY_BYTES)
        self._portals = range(bar2_base, bar2_base + bar2_bytes)
        self._window = range(config.message_window, config.message_window + (1 << 20))
        self._shadow: defaultdict[int, bytearray] = defaultdict(lambda: bytearray(ENTRY_BYTES))
        self._vectors: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self._promises: defaultdict[int, list[Promise]] = defaultdict(list)
        self._undecided: dict[tuple[int, int], Promise] = {}
        self._owed: defaultdict[int, int] = defaultdict(int)

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type not in MEMORY_WRITES | DEFERRABLE_WRITES or tlp.ep:
            return
        if tlp.address in self._entries:
            self._program(tlp)
        elif tlp.address in self._portals and len(tlp.data) == DESCRIPTOR_BYTES:
            self._submit(tlp)

    def _program(self, tlp: Tlp) -> None:
        """Follow what is written to the table."""
        place = tlp.address - self._entries.start
        enables = [tlp.first_be, *[0xF] * (tlp.length - 2), *[tlp.last_be] * (tlp.length > 1)]
        for offset, byte in enumerate(tlp.data):
            if enables[offset // 4] >> offset % 4 & 1:
                index, inside = divmod(place + offset, ENTRY_BYTES)
                self._shadow[index][inside] = byte
        for index in range(place // ENTRY_BYTES, (place + len(tlp.data) - 1) // ENTRY_BYTES + 1):
            entry = self._shadow[index]
            address = int.from_bytes(entry[:8], "little")
            self._vectors[address, int.from_bytes(entry[8:12], "little")].add(index)

    def _submit(self, tlp: Tlp) -> None:
        word = DESCRIPTOR.unpack(int.from_bytes(tlp.data, "little"))
        flags = Flag(word["flags"] & 0xFFFF)
        page = (tlp.address - self._portals.start) // PAGE_BYTES
        if not flags & Flag.COMPLETION_ADDRESS_VALID:
            return
        moves = word["opcode"] == Opcode.MEMORY_MOVE
        size = word["size_bytes"] if moves else 0
        shared = tlp.fmt_type in DEFERRABLE_WRITES
        rings = page & IMS_PORTAL and flags & Flag.REQUEST_INTERRUPT
        promise = Promise(
            pasid=word["pasid"] if shared else None,
            record=word["completion_address"],
            destination=range(word["destination"], word["destination"] + size),
            vector=word["handle"] if rings else None,
        )
        if shared:
            self._undecided[int(tlp.requester_id), tlp.tag] = promise
        self._promises[promise.record].append(promise)

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type in COMPLETIONS:
            promise = self._undecided.pop((int(tlp.requester_id), tlp.tag), None)
            if promise is not None and tlp.status != CplStatus.SC:
                # Refused. Had anything been done for it, the record would have been judged.
                others = self._promises[promise.record]
                if promise in others:
                    others.remove(promise)
        elif tlp.fmt_type in MEMORY_WRITES:
            if tlp.pasid is None and tlp.address in self._window:
                self._bell(tlp, clock)
            else:
                self._write(tlp, clock)

    def _write(self, tlp: Tlp, clock: int) -> None:
        start = tlp.address + tlp.get_first_be_offset()
        place = range(start, start + tlp.get_be_byte_count())
        judged = self._judge(tlp, place, clock)
        for promises in self._promises.values():
            for promise in promises:
                if promise is not judged and promise.concerns(tlp.pasid):
                    span = promise.destination
                    overlap = min(place.stop, span.stop) - max(place.start, span.start)
                    if overlap > 0:
                        promise.written[tlp.pasid] += overlap

    def _judge(self, tlp: Tlp, place: range, clock: int) -> Promise | None:
        """If this is a completion record, hold it against its descriptor."""
        promises = self._promises.get(place.start, [])
        promise = next((item for item in promises if item.concerns(tlp.pasid)), None)
        if promise is None:
            return None
        promises.remove(promise)
        if not promises:
            del self._promises[place.start]
        self.records += 1
        record = COMPLETION.unpack(int.from_bytes(tlp.data, "little"))
        if promise.vector is not None:
            self._owed[promise.vector] += 1
        wanted, found = len(promise.destination), promise.written[tlp.pasid]
        if record["status"] == Status.SUCCESS and found < wanted:
            self._complain(
                f"clock {clock}: the completion record at {place.start:#x} (PASID {tlp.pasid}) "
                f"came after {found} of {wanted} bytes of data"
            )
        return promise

    def _bell(self, tlp: Tlp, clock: int) -> None:
        vectors = self._vectors.get((tlp.address, int.from_bytes(tlp.data, "little")))
        if not vectors:
            return
        self.bells += 1
        for vector in vectors:
            if self._owed[vector] > 0:
                self._owed[vector] -= 1
                return
        self._complain(
            f"clock {clock}: the message of IMS vector {min(vectors)} came before the completion "
            "record that asked for it"
        )

    def _complain(self, text: str) -> None:
        if len(self.errors) < LOGGED:
            self.errors.append(text)

    def finish(self) -> list[str]:
        """Everything that was wrong."""
        return self.errors
