"""Legality of every TLP that a device sends."""

from collections.abc import Iterator
from dataclasses import dataclass

from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import CplStatus, TlpType

from ..host.credits import Flow
from ..host.observer import Observer
from ..host.tlp import (
    COMPLETIONS,
    CONFIGURATION,
    MEMORY_READS,
    MEMORY_WRITES,
    MalformedTlp,
    Tlp,
)
from .rules import broken_rules
from .settings import Settings

COMPLETER_BOUNDARY = 128
"""Where an endpoint may cut completions (PCIe Base 6.x §2.3.1.1)."""

MESSAGES = {0x1B: 0x15, 0x30: 0x10, 0x31: 0x10, 0x33: 0x10}
"""Messages that the device sends: PME_TO_Ack and errors; the type says how each is routed."""
LOGGED = 50


@dataclass
class Outstanding:
    """A non-posted request under way."""

    tlp: Tlp
    since: int
    #: Bytes still to come; of a read.
    left: int
    #: Whether it has to be completed; a request that breaks rules may go unanswered.
    owed: bool = True


class TlpChecker(Observer):
    """Checks headers, sizes, byte enables, PASIDs, tags and completions of a device.

    Parameters
    ----------
    window
        Where the 1 MiB of interrupt message addresses starts.
    timeout_cycles
        The device's completion timeout: it may use a tag again that was not completed that long.

    Attributes
    ----------
    errors : list of str
        What was wrong so far.
    """

    def __init__(self, window: int = 0xFEE0_0000, timeout_cycles: int = 1_250_000) -> None:
        self.window = range(window, window + (1 << 20))
        self.timeout_cycles = timeout_cycles
        self.settings = Settings()
        self.errors: list[str] = []
        self.count = 0
        self._clock = 0
        self._host: dict[tuple[int, int], Outstanding] = {}
        self._device: dict[int, Outstanding] = {}

    def sent(self, packet: bytes, flow: Flow, clock: int) -> None:
        """A TLP went to the device."""
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp:
            return
        self._clock = clock
        if tlp.fmt_type in COMPLETIONS:
            self._finish_request(tlp)
            return
        self.settings.sent(tlp)
        if tlp.get_fc_type() is FcType.NP:
            broken = broken_rules(tlp, payload_bytes=self.settings.payload_bytes, read_bytes=4096)
            is_read = tlp.fmt_type in MEMORY_READS
            left = _bytes_asked(tlp) if is_read else 4
            self._host[int(tlp.requester_id), tlp.tag] = Outstanding(
                tlp, clock, left, owed=next(broken, None) is None
            )

    def received(self, packet: bytes, start: int, clock: int) -> None:
        """A TLP came from the device."""
        self.count += 1
        self._clock = clock
        try:
            tlp = Tlp.unpack(packet)
        except MalformedTlp as error:
            self._complain(f"{error}: {packet[:20].hex(' ', 4)}")
            return
        settings = self.settings
        complaints = list(
            broken_rules(tlp, payload_bytes=settings.payload_bytes, read_bytes=settings.read_bytes)
        )
        complaints += self._header(tlp)
        if tlp.fmt_type in COMPLETIONS:
            complaints += self._completion(tlp)
            settings.completed(tlp)
        elif tlp.is_message:
            complaints += self._message(tlp)
        elif tlp.fmt_type in MEMORY_READS | MEMORY_WRITES:
            complaints += self._request(tlp)
        else:
            complaints.append("a type that this device never sends")
        for complaint in complaints:
            self._complain(f"{complaint}: {tlp.describe()}")

    def finish(self) -> list[str]:
        """Complain about what is still under way."""
        for request in self._host.values():
            if request.owed:
                self._complain(f"never completed by the device: {request.tlp.describe()}")
        for request in self._device.values():
            if self._clock - request.since < self.timeout_cycles:
                self._complain(f"not completed at the end: {request.tlp.describe()}")
        return self.errors

    def _complain(self, text: str) -> None:
        if len(self.errors) < LOGGED:
            self.errors.append(f"clock {self._clock}: {text}")

    def _header(self, tlp: Tlp) -> Iterator[str]:
        """Rules of this device for every TLP it sends."""
        if tlp.td or tlp.th or tlp.ln:
            yield "a digest, processing hints or lightweight notification"
        if tlp.ep:
            yield "poisoned"
        if tlp.at:
            yield f"address type {tlp.at}"
        who = tlp.completer_id if tlp.fmt_type in COMPLETIONS else tlp.requester_id
        if int(who) != self.settings.routing_id:
            yield f"ID is not {self.settings.routing_id:#06x}"

    def _request(self, tlp: Tlp) -> Iterator[str]:
        settings = self.settings
        if not settings.may_request:
            yield "a request while Bus Master Enable is off"
        if tlp.tc or tlp.attr:
            yield "traffic class or attributes are not 0"
        if tlp.pasid is not None:
            if not settings.may_send_pasid:
                yield "a PASID while PASID Enable is off"
            if tlp.privileged and not settings.may_be_privileged:
                yield "Privileged Mode Requested while it is not enabled"
            if tlp.execute and not settings.may_execute:
                yield "Execute Requested while it is not enabled"
        if tlp.fmt_type in MEMORY_WRITES:
            if tlp.pasid is None and tlp.address in self.window:
                yield from _interrupt(tlp)
            return
        before = self._device.get(tlp.tag)
        if before is not None and self._clock - before.since < self.timeout_cycles:
            yield "the tag is in use"
        if tlp.tag >= settings.tags:
            yield f"tags end at {settings.tags - 1}"
        self._device[tlp.tag] = Outstanding(tlp, self._clock, _bytes_asked(tlp))

    def _message(self, tlp: Tlp) -> Iterator[str]:
        if tlp.has_data() or tlp.type != MESSAGES.get(tlp.message_code):
            yield "a message that this device never sends"
        if tlp.pasid is not None:
            yield "a PASID on a message"

    def _completion(self, tlp: Tlp) -> Iterator[str]:
        key = int(tlp.requester_id), tlp.tag
        request = self._host.get(key)
        if request is None:
            yield "a completion that nobody waits for"
            return
        if (tlp.tc, tlp.attr) != (request.tlp.tc, request.tlp.attr):
            yield "traffic class or attributes are not those of the request"
        if tlp.bcm:
            yield "BCM is set"
        if tlp.status == CplStatus.SC and request.tlp.fmt_type in MEMORY_READS:
            yield from self._read_completion(tlp, request)
            if request.left > 0:
                return
        else:
            yield from _other_completion(tlp, request)
        del self._host[key]

    def _read_completion(self, tlp: Tlp, request: Outstanding) -> Iterator[str]:
        asked = request.tlp
        place = asked.get_first_be_offset() if asked.first_be else 0
        done = _bytes_asked(asked) - request.left
        address = asked.address + place + done
        if not tlp.has_data():
            yield "a successful completion of a read without data"
            request.left = 0
            return
        if tlp.byte_count != request.left:
            yield f"byte count is not {request.left}"
        if tlp.lower_address != address & 0x7F:
            yield f"lower address is not {address & 0x7F:#x}"
        carried = tlp.length * 4 - (address & 3)
        if carried < request.left and (address + carried) % COMPLETER_BOUNDARY:
            yield f"the completion ends at {address + carried:#x}, which is no boundary"
        if carried >= request.left + 4:
            yield f"the completion carries {carried} bytes where {request.left} are left"
        request.left -= min(carried, request.left)

    def _finish_request(self, tlp: Tlp) -> None:
        """The host completes a read of the device, or a part of it."""
        request = self._device.get(tlp.tag)
        if request is None:
            return
        skip = tlp.lower_address & 3
        request.left -= min(request.left, max(0, tlp.length * 4 - skip))
        if tlp.status != CplStatus.SC or not tlp.has_data() or request.left == 0:
            del self._device[tlp.tag]


def _bytes_asked(tlp: Tlp) -> int:
    return int(tlp.get_be_byte_count()) if tlp.first_be or tlp.length > 1 else 1


def _interrupt(tlp: Tlp) -> Iterator[str]:
    if tlp.length != 1 or (tlp.first_be, tlp.last_be) != (0xF, 0):
        yield "an interrupt message that is not one whole DW"


def _other_completion(tlp: Tlp, request: Outstanding) -> Iterator[str]:
    kind = request.tlp.fmt_type
    wants_data = tlp.status == CplStatus.SC and kind is TlpType.CFG_READ_0
    if tlp.status not in (CplStatus.SC, CplStatus.UR, CplStatus.CRS, CplStatus.CA):
        yield f"undefined status {tlp.status}"
    if tlp.status == CplStatus.CRS and kind in MEMORY_READS:
        yield "Request Retry Status for a memory read"
    if tlp.has_data() != wants_data or (wants_data and tlp.length != 1):
        yield "data that do not belong there, or none where they do"
    if tlp.byte_count != request.left:
        yield f"byte count is not {request.left}"
    if kind in CONFIGURATION and tlp.lower_address:
        yield "lower address is not 0"
