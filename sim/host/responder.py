"""What a host does with requests of the device, whatever carries them."""

import random
from collections.abc import Callable

from cocotbext.pcie.core.dllp import FcType
from cocotbext.pcie.core.tlp import CplStatus, TlpType
from cocotbext.pcie.core.utils import PcieId

from .iommu import AccessRefused
from .platform import Host
from .tlp import CONFIGURATION, MEMORY_READS, MEMORY_WRITES, Tlp


class Responder:
    """Serves requests of the device: memory by PASID, and interrupt messages.

    Plain Python, and the same for every link: what a device meets in simulation it meets on a
    serial line.

    Parameters
    ----------
    host
        Memory, IOMMU and interrupt controller.
    split, boundary
        How reads are completed, see :class:`sim.host.root_complex.Behaviour`.
    payload_bytes
        Called for the largest payload of a completion.

    Attributes
    ----------
    errors : list of str
        What the device did that no device may do, as sentences.
    messages : list of Tlp
        Message TLPs that the device has sent.
    """

    def __init__(
        self,
        host: Host,
        *,
        split: str = "largest",
        boundary: int = 64,
        payload_bytes: Callable[[], int] = lambda: 512,
    ) -> None:
        self.host = host
        self.errors: list[str] = []
        self.messages: list[Tlp] = []
        self._split, self._boundary, self._payload_bytes = split, boundary, payload_bytes

    def serve(self, tlp: Tlp) -> list[Tlp]:
        """Do what a request asks for. Returns its completions."""
        if tlp.fmt_type in MEMORY_WRITES:
            self.write(tlp)
        elif tlp.fmt_type in MEMORY_READS:
            return self.read(tlp)
        elif tlp.is_message:
            self.messages.append(tlp)
        else:
            self.errors.append(f"a request that this device never makes: {tlp.describe()}")
            if tlp.get_fc_type() is FcType.NP and tlp.fmt_type not in CONFIGURATION:
                return [refusal(tlp, CplStatus.UR)]
        return []

    def write(self, tlp: Tlp) -> None:
        """Store what a memory write carries, or take the message that it is."""
        if tlp.pasid is None and self.host.interrupts.contains(tlp.address):
            self._interrupt(tlp)
            return
        if tlp.ep:
            return
        enables = [bool(tlp.first_be >> n & 1) for n in range(4)]
        if tlp.length > 1:
            enables += [True] * (tlp.length * 4 - 8)
            enables += [bool(tlp.last_be >> n & 1) for n in range(4)]
        try:
            start = 0
            while True in enables[start:]:
                start = enables.index(True, start)
                end = enables.index(False, start) if False in enables[start:] else len(enables)
                self.host.dma_write(tlp.address + start, bytes(tlp.data[start:end]), tlp.pasid)
                start = end
        except AccessRefused:
            pass

    def _interrupt(self, tlp: Tlp) -> None:
        interrupts = self.host.interrupts
        proper = tlp.length == 1 and (tlp.first_be, tlp.last_be) == (0xF, 0)
        if not proper or tlp.attr or tlp.ep or tlp.at:
            interrupts.reject(f"malformed interrupt message: {tlp.describe()}")
            return
        data = int.from_bytes(tlp.data, "little")
        self.host.message(tlp.address, data, int(tlp.requester_id))

    def read(self, tlp: Tlp) -> list[Tlp]:
        """The completions of a memory read; Unsupported Request where the IOMMU refuses it."""
        try:
            data = self.host.dma_read(tlp.address, tlp.length * 4, tlp.pasid)
        except AccessRefused:
            return [refusal(tlp, CplStatus.UR)]
        completions: list[Tlp] = []
        left = tlp.get_be_byte_count()
        place = tlp.get_first_be_offset() if tlp.first_be else 0
        start = 0
        while start < len(data):
            end = self._cut(tlp.address, start, len(data))
            completion = refusal(tlp, CplStatus.SC)
            completion.fmt_type = TlpType.CPL_DATA
            completion.set_data(data[start:end])
            completion.byte_count = left
            completion.lower_address = (tlp.address + start + place) & 0x7F
            completions.append(completion)
            left -= end - start - place
            start, place = end, 0
        return completions

    def _cut(self, address: int, start: int, size: int) -> int:
        """Where a completion that begins with this byte of a read ends."""
        limit = self._payload_bytes()
        ends = [size] if size - start <= limit else []
        first = self._boundary - (address + start) % self._boundary
        ends += range(start + first, min(size, start + limit + 1), self._boundary)
        if self._split == "largest":
            return max(ends)
        return min(ends) if self._split == "rcb" else random.choice(ends)


def refusal(tlp: Tlp, status: CplStatus) -> Tlp:
    """A completion without data."""
    completion = Tlp()
    completion.fmt_type = TlpType.CPL
    completion.requester_id = tlp.requester_id
    completion.completer_id = PcieId(0, 0, 0)
    completion.status = status
    completion.attr, completion.tc, completion.tag = tlp.attr, tlp.tc, tlp.tag
    completion.byte_count = tlp.get_be_byte_count() or 1
    return completion


def completes(request: Tlp, completion: Tlp) -> bool:
    """Whether no other completion of the request follows this one."""
    size = completion.length * 4 - (completion.lower_address & 3)
    partial = (
        request.fmt_type in MEMORY_READS and completion.has_data() and completion.byte_count > size
    )
    return completion.status != CplStatus.SC or not partial
