"""Order on the wire: data, then the completion record, then the interrupt message.

What a descriptor asks for is read from its submission, or from the completion that brings it to the
device as the member of a batch. So this works for every driver that uses the place of a completion
record for one descriptor at a time.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from cocotbext.pcie.core.tlp import CplStatus, TlpType

from hw.regs import Config
from hw.regs.bar0 import bar0
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE, SUBMISSION_BYTES, Portal
from hw.regs.commands import Command
from hw.regs.descriptor import COMPLETION_BYTES, DESCRIPTOR, DESCRIPTOR_BYTES, RESULTS
from hw.regs.schema import Table

from ..host.credits import Flow
from ..host.observer import Observer
from ..host.tlp import (
    COMPLETIONS,
    DEFERRABLE_WRITES,
    MEMORY_READS,
    MEMORY_WRITES,
    MalformedTlp,
    Tlp,
)
from .promises import Promise, promise
from .settings import DEVICE_CONTROL, FLR

LOGGED = 50
PIECE_BYTES = 8

Request = tuple[int, int]
"""Requester and tag."""


@dataclass
class Fetch:
    """A read of the device that has not been answered to its end."""

    pasid: int | None
    address: int
    data: bytes = b""


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


class Portals:
    """Descriptors as they come through the portals, whole or in pieces of 8 bytes.

    Parameters
    ----------
    config
        Parameters of the device.
    bar0_base
        Where the register lies that lets them come in pieces.
    span
        Addresses of BAR2.
    """

    def __init__(self, config: Config, bar0_base: int, span: range) -> None:
        space = bar0(config)
        self._span = span
        self._control = bar0_base + space.register("ext_control").offset
        self._command = bar0_base + space.register("cmd").offset
        self._staged = False
        self._pieces: defaultdict[int, dict[int, bytes]] = defaultdict(dict)

    def reset(self) -> None:
        """The extension is off after each reset."""
        self._staged = False
        self._pieces.clear()

    def write(self, tlp: Tlp) -> tuple[int, int, bytes] | None:
        """Follow a write. Returns queue, kind of portal and descriptor if there is one now."""
        if tlp.address == self._control and tlp.first_be & 1:
            self.reset()
            self._staged = bool(tlp.data[0] & 1)
        if tlp.address == self._command and _code(tlp) == Command.RESET_DEVICE:
            self.reset()
        if tlp.address not in self._span:
            return None
        page, place = divmod(tlp.address - self._span.start, PAGE_BYTES)
        queue, kind = divmod(page, PORTALS_PER_QUEUE)
        if len(tlp.data) == DESCRIPTOR_BYTES:
            return queue, kind, bytes(tlp.data)
        if not self._staged or len(tlp.data) != PIECE_BYTES or place % PIECE_BYTES:
            return None
        pieces = self._pieces[page]
        pieces[place % SUBMISSION_BYTES] = bytes(tlp.data)
        if place % SUBMISSION_BYTES != SUBMISSION_BYTES - PIECE_BYTES:
            return None
        del self._pieces[page]
        data = b"".join(pieces[at] for at in sorted(pieces))
        return (queue, kind, data) if len(data) == DESCRIPTOR_BYTES else None


class OrderChecker(Observer):
    """Checks the order of the writes that belong to one descriptor.

    A completion record that reports success has to come after all data of its descriptor, that of
    a batch after the records of the members that it counts, and the message of an IMS vector after
    a completion record that asked for it. Of a delta record to be created, its own completion
    record says how long it is. Messages of the MSI-X table have other causes too and are not
    judged, nor are those of IMS vectors that also tell of a queue's occupancy.

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
        self._portals = Portals(config, bar0_base, range(bar2_base, bar2_base + bar2_bytes))
        self._window = range(config.message_window, config.message_window + (1 << 20))
        self._rung_by: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self._promises: defaultdict[int | None, list[Promise]] = defaultdict(list)
        self._undecided: dict[Request, Promise] = {}
        self._batches: list[Promise] = []
        self._fetches: dict[Request, Fetch] = {}
        self._owed: defaultdict[int, int] = defaultdict(int)
        self._other_causes: set[int] = set()
        self._resets: set[Request] = set()

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type is TlpType.CFG_WRITE_0 and tlp.address == DEVICE_CONTROL:
            data = int.from_bytes(tlp.data, "little")
            if tlp.first_be & 2 and data & FLR:
                self._resets.add(_request(tlp))
        if tlp.fmt_type in COMPLETIONS:
            self._answered(tlp)
        if tlp.fmt_type not in MEMORY_WRITES | DEFERRABLE_WRITES or tlp.ep:
            return
        for queue in self._queues.write(tlp):
            target = self._queues.register(queue, "occupancy_handle")
            if target["ims"]:
                self._other_causes.add(target["handle"])
        for index in self._vectors.write(tlp):
            entry = self._vectors.entry(index)
            message = int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:12], "little")
            self._rung_by[message].add(index)
        submission = self._portals.write(tlp)
        if submission is not None:
            made = self._submit(*submission)
            if tlp.fmt_type in DEFERRABLE_WRITES:
                self._undecided[_request(tlp)] = made

    def _submit(self, queue: int, kind: int, data: bytes) -> Promise:
        word = int.from_bytes(data, "little")
        mode = self._queues.register(queue, "mode")
        pasid = mode["pasid"] if mode["dedicated"] else DESCRIPTOR.get(word, "pasid")
        made = promise(word, pasid if mode["pasid_enable"] else None, ims=bool(kind & Portal.IMS))
        self._expect(made)
        if made.members:
            self._batches.append(made)
        return made

    def _expect(self, made: Promise) -> None:
        if not made.certain and made.vector is not None:
            # Nothing says when its interrupt is due.
            self._owed[made.vector] += 1
        if made.record is None:
            return
        # One whose record is due in the same place was given up: aborted, refused, or reset away.
        promises = self._promises[made.pasid]
        for other in promises:
            other.settled |= other.record == made.record
        promises[:] = [other for other in promises if not other.settled]
        promises.append(made)

    # Batches

    def _answered(self, tlp: Tlp) -> None:
        """A completion brings what the device has asked for: members, if it is a batch's list."""
        fetch = self._fetches.get(_request(tlp))
        if fetch is None:
            return
        if tlp.status != CplStatus.SC or tlp.ep:
            del self._fetches[_request(tlp)]
            return
        skip = tlp.lower_address & 3 if not fetch.data else 0
        fetch.data += bytes(tlp.data)[skip : skip + tlp.byte_count]
        if tlp.byte_count + skip > len(tlp.data):
            return
        del self._fetches[_request(tlp)]
        span = range(fetch.address, fetch.address + len(fetch.data))
        for batch in self._batches:
            if batch.pasid == fetch.pasid:
                for place, address in _within(batch.members, span):
                    start = address - fetch.address
                    self._fetched(batch, place, fetch.data[start : start + DESCRIPTOR_BYTES])
        self._batches = [batch for batch in self._batches if not batch.complete]

    def _fetched(self, batch: Promise, place: int, data: bytes) -> None:
        known = batch.fetched.get(place)
        if known is not None and known.settled:
            return
        word = int.from_bytes(data, "little")
        made = promise(word, batch.pasid, ims=batch.ims, member=True)
        if known is not None and known.record == made.record:
            return
        batch.fetched[place] = made
        self._expect(made)

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        if tlp.fmt_type in COMPLETIONS:
            self._decide(tlp)
        elif tlp.fmt_type in MEMORY_READS:
            if self._batches:
                address = tlp.address + tlp.get_first_be_offset()
                self._fetches[_request(tlp)] = Fetch(tlp.pasid, address)
        elif tlp.fmt_type in MEMORY_WRITES:
            if tlp.pasid is None and tlp.address in self._window:
                self._bell(tlp, clock)
            else:
                self._write(tlp, clock)

    def _decide(self, tlp: Tlp) -> None:
        """A submission is accepted or refused, or a Function Level Reset has begun."""
        request = _request(tlp)
        if request in self._resets:
            # What was promised before a Function Level Reset is off.
            self._resets.discard(request)
            self._promises.clear()
            self._batches.clear()
            self._fetches.clear()
            self._owed.clear()
            self._portals.reset()
        made = self._undecided.pop(request, None)
        if made is not None and tlp.status != CplStatus.SC:
            # Refused, so nothing may be done for it.
            if not made.certain and made.vector is not None:
                self._owed[made.vector] -= 1
            made.settled = True
            for promises in (self._promises[made.pasid], self._batches):
                with suppress(ValueError):
                    promises.remove(made)

    def _write(self, tlp: Tlp, clock: int) -> None:
        start = tlp.address + tlp.get_first_be_offset()
        stop = start + tlp.get_be_byte_count()
        promises = self._promises[tlp.pasid]
        for made in promises:
            if made.record == start and len(tlp.data) == COMPLETION_BYTES:
                promises.remove(made)
                self._judge(made, tlp, clock)
                return
        for made in promises:
            made.wrote(start, stop)

    def _judge(self, made: Promise, tlp: Tlp, clock: int) -> None:
        """Hold a completion record against its descriptor."""
        self.records += 1
        made.settled = True
        if made.members:
            with suppress(ValueError):
                self._batches.remove(made)
        record = RESULTS.unpack(int.from_bytes(tlp.data, "little"))
        if made.certain and made.vector is not None:
            self._owed[made.vector] += 1
        broken = made.broken(record)
        if broken is not None:
            self._complain(
                f"clock {clock}: the completion record at {made.record:#x} (PASID {tlp.pasid}) "
                f"came after {broken}"
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
        if vectors & self._other_causes:
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


def _code(tlp: Tlp) -> int:
    """Of the command that is written to CMD."""
    return int.from_bytes(tlp.data[:4], "little") >> 20 & 0x1F


def _request(tlp: Tlp) -> Request:
    return int(tlp.requester_id), int(tlp.tag)


def _within(members: range, span: range) -> Iterator[tuple[int, int]]:
    """Places and addresses of members that lie in a span of memory as a whole."""
    first = max(0, -((members.start - span.start) // DESCRIPTOR_BYTES))
    for place in range(first, len(members)):
        address = members[place]
        if address + DESCRIPTOR_BYTES > span.stop:
            return
        if address >= span.start:
            yield place, address
