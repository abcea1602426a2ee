"""What software has set in configuration space, as seen on the wire."""

from dataclasses import dataclass

from cocotbext.pcie.core.tlp import CplStatus, TlpType

from hw.regs.configspace import MSIX, PASID, PCIE, PM

from ..host.tlp import Tlp

COMMAND, DEVICE_CONTROL, PM_CONTROL, PASID_CONTROL = 0x04, PCIE + 0x08, PM + 0x04, PASID + 0x04
FLR = 1 << 15

AFTER_FLR = {
    COMMAND: 0,
    DEVICE_CONTROL: 1 << 8 | 2 << 12,
    PM_CONTROL: 0,
    MSIX: 0,
    PASID_CONTROL: 0,
}
"""Values after a Function Level Reset; the maximum payload in Device Control is kept."""

PAYLOAD = 0xE0
"""Maximum payload size in Device Control."""


@dataclass
class Write:
    """A configuration write that has not been completed."""

    tag: int
    registers: dict[int, int]


class Settings:
    """Follows configuration writes.

    A write takes effect at some time before its completion leaves the device. Until then both the
    value before and the value after it are possible.
    """

    def __init__(self) -> None:
        self._now = dict(AFTER_FLR)
        self._pending: list[Write] = []
        self.routing_id = 0

    def sent(self, tlp: Tlp) -> None:
        """The host has sent a TLP."""
        if tlp.fmt_type is not TlpType.CFG_WRITE_0:
            return
        self.routing_id = int(tlp.completer_id)
        latest = dict(self._now)
        for write in self._pending:
            latest.update(write.registers)
        if tlp.address not in latest:
            return
        word, data = latest[tlp.address], int.from_bytes(tlp.data, "little")
        for byte in range(4):
            if tlp.first_be >> byte & 1:
                mask = 0xFF << 8 * byte
                word = word & ~mask | data & mask
        changes = {tlp.address: word}
        if tlp.address == DEVICE_CONTROL and word & FLR and tlp.first_be & 2:
            changes = AFTER_FLR | {DEVICE_CONTROL: AFTER_FLR[DEVICE_CONTROL] | word & PAYLOAD}
        self._pending.append(Write(tlp.tag, changes))

    def completed(self, completion: Tlp) -> None:
        """The device has completed a request."""
        for write in self._pending:
            if write.tag == completion.tag:
                if completion.status == CplStatus.SC:
                    self._now.update(write.registers)
                self._pending.remove(write)
                return

    def possible(self, register: int) -> set[int]:
        """Values that a register may have at this moment."""
        return {self._now[register]} | {
            write.registers[register] for write in self._pending if register in write.registers
        }

    @property
    def may_request(self) -> bool:
        """Whether the function may be allowed to send requests."""
        bus_master = any(word >> 2 & 1 for word in self.possible(COMMAND))
        return bus_master and any(word & 3 == 0 for word in self.possible(PM_CONTROL))

    @property
    def payload_bytes(self) -> int:
        """The most payload that the device may send."""
        return max(128 << (word >> 5 & 7) for word in self.possible(DEVICE_CONTROL))

    @property
    def read_bytes(self) -> int:
        """The most that the device may ask for in one read."""
        return max(128 << (word >> 12 & 7) for word in self.possible(DEVICE_CONTROL))

    @property
    def tags(self) -> int:
        """How many tags the device may use."""
        return 256 if any(word >> 8 & 1 for word in self.possible(DEVICE_CONTROL)) else 32

    @property
    def may_send_pasid(self) -> bool:
        return any(word >> 16 & 1 for word in self.possible(PASID_CONTROL))

    @property
    def may_execute(self) -> bool:
        return any(word >> 17 & 1 for word in self.possible(PASID_CONTROL))

    @property
    def may_be_privileged(self) -> bool:
        return any(word >> 18 & 1 for word in self.possible(PASID_CONTROL))
