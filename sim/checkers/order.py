"""Order on the wire: data, then the completion record, then the interrupt message.

What a descriptor asks for is read from its submission, so this works for every driver that uses
the place of a completion record for one descriptor at a time.
"""

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

from cocotbext.pcie.core.tlp import CplStatus, TlpType

from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE, Portal
from hw.regs.descriptor import (
    COMPLETION,
    COMPLETION_BYTES,
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    Flag,
    Opcode,
    Status,
)
from hw.regs.schema import Table

from ..host.credits import Flow
from ..host.observer import Observer
from ..host.tlp import COMPLETIONS, DEFERRABLE_WRITES, MEMORY_WRITES, MalformedTlp, Tlp
from .settings import DEVICE_CONTROL, FLR

LOGGED = 50


@dataclass
class Promise:
    """What a descriptor is going to do."""

    pasid: int | None
    #: Where its completion record goes, or None.
    record: int | None
    destination: range
    #: IMS entry to ring, or None.
    vector: int | None
    #: Bytes of the destination written so far.
    written: int = 0


class Shadow:
    """A table of BAR0 as software has written it."""

    def __init__(self, table: Table, base: int) -> None:
        self._table = table
        self._span = range(base + table.offset, base + table.end)
        self._bytes = bytearray(table.size_bytes)

    def write(self, tlp: Tlp) -> range:
        """Follow a write. Returns the entries that it touched."""
        if tlp.address not in self._span:
            return range(0)
        place = tlp.address - self._span.start
        enables = [tlp.first_be, *[0xF] * (tlp.length - 2), *[tlp.last_be] * (tlp.length > 1)]
        for offset, byte in enumerate(tlp.data[: len(self._bytes) - place]):
            if enables[offset // 4] >> offset % 4 & 1:
                self._bytes[place + offset] = byte
        stride = self._table.stride
        return range(place // stride, (place + len(tlp.data) - 1) // stride + 1)

    def entry(self, index: int) -> bytes:
        """Bytes of an entry."""
        stride = self._table.stride
        return bytes(self._bytes[index * stride : (index + 1) * stride])

    def register(self, index: int, name: str) -> dict[str, int]:
        """Fields of a register of an entry."""
        register = self._table[name]
        part = self.entry(index)[register.offset : register.offset + register.size_bytes]
        return register.unpack(int.from_bytes(part, "little"))


class OrderChecker(Observer):
    """Checks the order of the writes that belong to one descriptor.

    A completion record that reports success has to come after all data of its descriptor, and the
    message of an IMS vector after a completion record that asked for it. Messages of the MSI-X
    table have other causes too and are not judged.

    Parameters
    ----------
    config
        Parameters of the device.
    bar0_base, bar2_base, bar2_bytes
        Where the two BARs are.

    Attributes
    ----------
    records, bells : int
        Completion records and IMS messages judged so far.
    """

    def __init__(self, config: Config, bar0_base: int, bar2_base: int, bar2_bytes: int) -> None:
        space = bar0(config)
        self.records = self.bells = 0
        self.errors: list[str] = []
        self._queues = Shadow(space.table("wqcfg"), bar0_base)
        self._vectors = Shadow(space.table("ims"), bar0_base)
        self._portals = range(bar2_base, bar2_base + bar2_bytes)
        self._window = range(config.message_window, config.message_window + (1 << 20))
        self._rung_by: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self._promises: defaultdict[int | None, list[Promise]] = defaultdict(list)
        self._undecided: dict[tuple[int, int], Promise] = {}
        self._owed: defaultdict[int, int] = defaultdict(int)
        self._resets: set[tuple[int, int]] = set()

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type is TlpType.CFG_WRITE_0 and tlp.address == DEVICE_CONTROL:
            data = int.from_bytes(tlp.data, "little")
            if tlp.first_be & 2 and data & FLR:
                self._resets.add((int(tlp.requester_id), tlp.tag))
        if tlp.fmt_type not in MEMORY_WRITES | DEFERRABLE_WRITES or tlp.ep:
            return
        self._queues.write(tlp)
        for index in self._vectors.write(tlp):
            entry = self._vectors.entry(index)
            message = int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:12], "little")
            self._rung_by[message].add(index)
        if tlp.address in self._portals and len(tlp.data) == DESCRIPTOR_BYTES:
            self._submit(tlp)

    def _submit(self, tlp: Tlp) -> None:
        word = DESCRIPTOR.unpack(int.from_bytes(tlp.data, "little"))
        flags = Flag(word["flags"] & 0xFFFF)
        has_record = flags & Flag.COMPLETION_ADDRESS_VALID
        queue, portal = divmod((tlp.address - self._portals.start) // PAGE_BYTES, PORTALS_PER_QUEUE)
        mode = self._queues.register(queue, "mode")
        pasid = mode["pasid"] if mode["dedicated"] else word["pasid"]
        size = word["size_bytes"] if word["opcode"] == Opcode.MEMORY_MOVE else 0
        rings = portal & Portal.IMS and flags & Flag.REQUEST_INTERRUPT
        promise = Promise(
            pasid=pasid if mode["pasid_enable"] else None,
            record=word["completion_address"] if has_record else None,
            destination=range(word["destination"], word["destination"] + size),
            vector=word["handle"] if rings else None,
        )
        if tlp.fmt_type in DEFERRABLE_WRITES:
            self._undecided[int(tlp.requester_id), tlp.tag] = promise
        if promise.record is None:
            # Nothing says when its interrupt is due.
            if promise.vector is not None:
                self._owed[promise.vector] += 1
            return
        # One whose record is due in the same place was given up: aborted, refused, or reset away.
        promises = self._promises[promise.pasid]
        promises[:] = [other for other in promises if other.record != promise.record]
        promises.append(promise)

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type in COMPLETIONS:
            request = int(tlp.requester_id), tlp.tag
            if request in self._resets:
                # What was promised before a Function Level Reset is off.
                self._resets.discard(request)
                self._promises.clear()
                self._owed.clear()
            promise = self._undecided.pop(request, None)
            if promise is not None and tlp.status != CplStatus.SC:
                # Refused, so nothing may be done for it.
                if promise.record is None and promise.vector is not None:
                    self._owed[promise.vector] -= 1
                with suppress(ValueError):
                    self._promises[promise.pasid].remove(promise)
        elif tlp.fmt_type in MEMORY_WRITES:
            if tlp.pasid is None and tlp.address in self._window:
                self._bell(tlp, clock)
            else:
                self._write(tlp, clock)

    def _write(self, tlp: Tlp, clock: int) -> None:
        start = tlp.address + tlp.get_first_be_offset()
        stop = start + tlp.get_be_byte_count()
        promises = self._promises[tlp.pasid]
        for promise in promises:
            if promise.record == start and len(tlp.data) == COMPLETION_BYTES:
                promises.remove(promise)
                self._judge(promise, tlp, clock)
                return
        for promise in promises:
            overlap = min(stop, promise.destination.stop) - max(start, promise.destination.start)
            promise.written += max(0, overlap)

    def _judge(self, promise: Promise, tlp: Tlp, clock: int) -> None:
        """Hold a completion record against its descriptor."""
        self.records += 1
        record = COMPLETION.unpack(int.from_bytes(tlp.data, "little"))
        if promise.vector is not None:
            self._owed[promise.vector] += 1
        wanted = len(promise.destination)
        if record["status"] == Status.SUCCESS and promise.written < wanted:
            self._complain(
                f"clock {clock}: the completion record at {promise.record:#x} (PASID {tlp.pasid}) "
                f"came after {promise.written} of {wanted} bytes of data"
            )

    def _bell(self, tlp: Tlp, clock: int) -> None:
        vectors = self._rung_by.get((tlp.address, int.from_bytes(tlp.data, "little")))
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
