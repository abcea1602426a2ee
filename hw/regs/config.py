"""The one set of parameters from which gateware, model and driver are made."""

import zlib
from dataclasses import dataclass, fields


class ConfigError(ValueError):
    """A parameter is out of range, or two of them do not fit together."""


IMS_UNIT = 256
"""GENCAP counts interrupt message storage in units of this many entries (DSA §9.2.3)."""

IMS_MAX = 63 * IMS_UNIT
"""The most entries that the six bits of GENCAP can name."""

MSIX_MAX = 2048
"""The most entries that the MSI-X Table Size field can name (PCIe Base 6.x §7.7.2.2)."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of a device, checked when made and never changed after.

    Parameters
    ----------
    ims_vectors
        Entries of interrupt message storage: 256 to 16,128, a multiple of 256.
    msix_vectors
        Entries of the MSI-X table: 2 to 2048, a power of two. The stock Linux driver wants one
        more than there are queues.
    queues
        Work queues: 1 to 64.
    queue_slots
        Descriptors that all queues together can hold: 8 to 1024, a power of two.
    groups, engines
        Groups of queues and engines, and engines: 1 to 8 each.
    tags
        Read requests in flight: 4 to 256, a power of two.
    read_slot_bytes
        Largest read request the device makes, and the size of the buffer behind each tag: 128 to
        4096, a power of two.
    max_payload_bytes
        Largest payload the device supports: 128, 256 or 512.
    max_transfer_log2, max_batch_log2
        Largest transfer size in bytes, and batch size in descriptors, that a queue can be
        configured to allow, as powers of two.
    data_width
        Bits of a payload beat: 64, 128 or 256. Gateware is built and tested at 64.
    message_window
        Where interrupt messages may go: 1 MiB that starts here. DSA allows only ``0xFEE00000``.
    vendor_id, device_id, subsystem_vendor_id, subsystem_id, revision
        Identity in config space. The default vendor ID is not assigned to anyone.
    serial_number
        Device Serial Number, 64 bits.
    completion_timeout_cycles
        Clocks after which a read without its completion is given up. The default is 10 ms at
        125 MHz.
    """

    ims_vectors: int = 4096
    msix_vectors: int = 64
    queues: int = 8
    queue_slots: int = 128
    groups: int = 2
    engines: int = 2
    tags: int = 32
    read_slot_bytes: int = 512
    max_payload_bytes: int = 512
    max_transfer_log2: int = 21
    max_batch_log2: int = 5
    data_width: int = 64
    message_window: int = 0xFEE0_0000
    vendor_id: int = 0x70C5
    device_id: int = 0x0001
    subsystem_vendor_id: int = 0x70C5
    subsystem_id: int = 0x0001
    revision: int = 0x01
    serial_number: int = 0x70C5_0001_0000_0001
    completion_timeout_cycles: int = 1_250_000

    def __post_init__(self) -> None:
        def within(
            name: str, low: int, high: int, *, multiple: int = 1, power: bool = False
        ) -> None:
            value = getattr(self, name)
            rule = f"{low} to {high}"
            rule += ", a power of two" if power else ""
            rule += f", a multiple of {multiple}" if multiple > 1 else ""
            good = low <= value <= high and value % multiple == 0
            if not good or (power and value & (value - 1)):
                raise ConfigError(f"{name} takes {rule}; {value} is not that")

        within("ims_vectors", IMS_UNIT, IMS_MAX, multiple=IMS_UNIT)
        within("msix_vectors", 2, MSIX_MAX, power=True)
        within("queues", 1, 64)
        within("queue_slots", 8, 1024, power=True)
        within("groups", 1, 8)
        within("engines", 1, 8)
        within("tags", 4, 256, power=True)
        within("read_slot_bytes", 128, 4096, power=True)
        within("max_payload_bytes", 128, 512, power=True)
        within("max_transfer_log2", 6, 31)
        within("max_batch_log2", 1, 15)
        within("data_width", 64, 256, power=True)
        within("message_window", 0, (1 << 64) - (1 << 20), multiple=1 << 20)
        for name in ("vendor_id", "device_id", "subsystem_vendor_id", "subsystem_id"):
            within(name, 0, 0xFFFE)
        within("revision", 0, 0xFF)
        within("serial_number", 0, (1 << 64) - 1)
        within("completion_timeout_cycles", 64, (1 << 31) - 1)

    @property
    def beat_bytes(self) -> int:
        """Bytes of a payload beat."""
        return self.data_width // 8

    @property
    def beat_dw(self) -> int:
        """DWs of a payload beat."""
        return self.data_width // 32

    @property
    def digest(self) -> int:
        """32 bits that differ where parameters differ, with all likelihood."""
        return zlib.crc32(repr(self).encode())

    @classmethod
    def names(cls) -> list[str]:
        """Names of all parameters."""
        return [item.name for item in fields(cls)]
