"""Configuration space as data: a type 0 header and a chain of capabilities.

Registers are 32 bits wide and their offsets count from the start of configuration space. Fields
that mirror another field's meaning for software (such as BARs) are ordinary ``RW`` fields whose
low bits do not exist.
"""

from dataclasses import dataclass

from .bar0 import EXTENSION_PAGE, bar0
from .bar2 import bar2_bytes
from .config import Config
from .schema import Access, Field, Register, Space, bits

RO, RW, RW1C = Access.RO, Access.RW, Access.RW1C

BYTES = 4096

PM, PCIE, MSIX = 0x40, 0x50, 0x90
AER, SERIAL, SIOV, PASID, DEVICE3, TOCSIN = 0x100, 0x150, 0x160, 0x180, 0x190, 0x1A0

CAPABILITY_PM, CAPABILITY_PCIE, CAPABILITY_MSIX = 0x01, 0x10, 0x11
EXTENDED_AER, EXTENDED_SERIAL, EXTENDED_PASID = 0x0001, 0x0003, 0x001B
EXTENDED_DVSEC, EXTENDED_DEVICE3 = 0x0023, 0x002F

DVSEC_INTEL, DVSEC_SIOV = 0x8086, 0x0005
DVSEC_TOCSIN = 0x0001

PASID_WIDTH = 20


@dataclass(frozen=True)
class Capability:
    """One element of the capability chain: where it is and what it is called."""

    name: str
    offset: int
    registers: tuple[Register, ...]


def _constant(place: str, name: str, value: int, doc: str = "") -> Field:
    return bits(place, name, RO, doc, reset=value)


def _base_address(name: str, offset: int, size: int) -> tuple[Register, Register]:
    """A 64-bit prefetchable memory BAR: address bits below the size read as 0."""
    low = max(size.bit_length() - 1, 4)
    first: list[Field] = [_constant("2:1", "type", 2), _constant("3", "prefetchable", 1)]
    if low < 32:
        first.append(bits(f"31:{low}", "address", RW))
    high = max(low - 32, 0)
    return (
        Register(name, offset, tuple(first), source="PCIe Base 6.x §7.5.1.2.1"),
        Register(f"{name}_high", offset + 4, (bits(f"31:{high}", "address", RW),)),
    )


def _header(config: Config) -> tuple[Register, ...]:
    return (
        Register(
            "id",
            0x00,
            (
                _constant("15:0", "vendor", config.vendor_id),
                _constant("31:16", "device", config.device_id),
            ),
        ),
        Register(
            "command",
            0x04,
            (
                bits("1", "memory_space", RW),
                bits("2", "bus_master", RW),
                bits("6", "parity_response", RW),
                bits("8", "serr", RW),
                bits("10", "interrupt_disable", RW),
                _constant("20", "capabilities", 1),
                bits("24", "master_data_parity", RW1C),
                bits("27", "signaled_abort", RW1C),
                bits("28", "received_target_abort", RW1C),
                bits("29", "received_master_abort", RW1C),
                bits("30", "signaled_error", RW1C),
                bits("31", "parity_error", RW1C),
            ),
            doc="Command, and status in the upper half.",
            source="PCIe Base 6.x §7.5.1.1.3",
        ),
        Register(
            "class",
            0x08,
            (_constant("7:0", "revision", config.revision), _constant("31:8", "code", 0x088000)),
            doc="A system peripheral, as Intel DSA is.",
        ),
        Register("cache_line", 0x0C, (bits("7:0", "size", RW),)),
        *_base_address("bar0", 0x10, bar0(config).size_bytes),
        *_base_address("bar2", 0x18, bar2_bytes(config)),
        Register(
            "subsystem",
            0x2C,
            (
                _constant("15:0", "vendor", config.subsystem_vendor_id),
                _constant("31:16", "device", config.subsystem_id),
            ),
        ),
        Register("capabilities", 0x34, (_constant("7:0", "pointer", PM),)),
        Register("interrupt", 0x3C, (bits("7:0", "line", RW),), doc="No INTx: the pin reads 0."),
    )


def _pm(following: int) -> tuple[Register, ...]:
    return (
        Register(
            "pm",
            PM,
            (
                _constant("7:0", "id", CAPABILITY_PM),
                _constant("15:8", "next", following),
                _constant("18:16", "version", 3),
            ),
            source="PCIe Base 6.x §7.5.2.1",
        ),
        Register(
            "pm_control",
            PM + 4,
            (bits("1:0", "state", RW, "0 is D0, 3 is D3hot."), _constant("3", "no_soft_reset", 1)),
            source="PCIe Base 6.x §7.5.2.2",
        ),
    )


def _pcie(config: Config, following: int) -> tuple[Register, ...]:
    payload = config.max_payload_bytes.bit_length() - 8
    return (
        Register(
            "pcie",
            PCIE,
            (
                _constant("7:0", "id", CAPABILITY_PCIE),
                _constant("15:8", "next", following),
                _constant("19:16", "version", 2),
                _constant("23:20", "type", 0),
            ),
            doc="An endpoint.",
            source="PCIe Base 6.x §7.5.3.2",
        ),
        Register(
            "device_capabilities",
            PCIE + 0x04,
            (
                _constant("2:0", "max_payload", payload),
                _constant("5", "extended_tag", 1),
                _constant("8:6", "l0s_latency", 7),
                _constant("11:9", "l1_latency", 7),
                _constant("15", "role_based_errors", 1),
                _constant("28", "flr", 1),
            ),
            source="PCIe Base 6.x §7.5.3.3",
        ),
        Register(
            "device_control",
            PCIE + 0x08,
            (
                bits("0", "correctable", RW),
                bits("1", "non_fatal", RW),
                bits("2", "fatal", RW),
                bits("3", "unsupported", RW),
                bits("7:5", "max_payload", RW, sticky=True),
                bits("8", "extended_tag", RW, reset=1),
                bits("14:12", "max_read", RW, reset=2),
                bits("15", "flr", Access.WO, "Function Level Reset."),
                bits("16", "correctable_detected", RW1C),
                bits("17", "non_fatal_detected", RW1C),
                bits("18", "fatal_detected", RW1C),
                bits("19", "unsupported_detected", RW1C),
                bits("21", "transactions_pending"),
            ),
            doc="Device control, and status in the upper half.",
            source="PCIe Base 6.x §7.5.3.4",
        ),
        Register(
            "link_capabilities",
            PCIE + 0x0C,
            (
                _constant("3:0", "max_speed", 2),
                _constant("9:4", "max_width", 1),
                _constant("22", "aspm_optionality", 1),
            ),
            source="PCIe Base 6.x §7.5.3.6",
        ),
        Register(
            "link_control",
            PCIE + 0x10,
            (
                bits("1:0", "aspm", RW, sticky=True),
                bits("3", "read_completion_boundary", RW, sticky=True),
                bits("6", "common_clock", RW, sticky=True),
                bits("7", "extended_synch", RW, sticky=True),
                _constant("19:16", "speed", 2),
                _constant("25:20", "width", 1),
                _constant("28", "slot_clock", 1),
            ),
            source="PCIe Base 6.x §7.5.3.7",
        ),
        Register(
            "device_capabilities_2",
            PCIE + 0x24,
            (
                _constant("4", "timeout_disable", 1),
                _constant("16", "tag_10_completer", 1),
                _constant("20", "extended_fmt", 1),
                _constant("21", "end_end_prefix", 1),
                _constant("23:22", "max_prefixes", 1),
                _constant("28", "dmwr_completer", 1),
                _constant("30:29", "dmwr_lengths", 0, "Up to 64 bytes."),
            ),
            source="PCIe Base 6.x §7.5.3.15",
        ),
        Register(
            "device_control_2",
            PCIE + 0x28,
            (bits("4", "timeout_disable", RW),),
            source="PCIe Base 6.x §7.5.3.16",
        ),
        Register(
            "link_capabilities_2",
            PCIE + 0x2C,
            (_constant("7:1", "speeds", 0b11),),
            source="PCIe Base 6.x §7.5.3.18",
        ),
        Register(
            "link_control_2",
            PCIE + 0x30,
            (bits("3:0", "target_speed", RW, reset=2, sticky=True),),
            source="PCIe Base 6.x §7.5.3.19",
        ),
    )


def _msix(config: Config, following: int) -> tuple[Register, ...]:
    space = bar0(config)
    return (
        Register(
            "msix",
            MSIX,
            (
                _constant("7:0", "id", CAPABILITY_MSIX),
                _constant("15:8", "next", following),
                _constant("26:16", "table_size", config.msix_vectors - 1),
                bits("30", "function_mask", RW),
                bits("31", "enable", RW),
            ),
            source="PCIe Base 6.x §7.7.2",
        ),
        Register(
            "msix_table", MSIX + 4, (_constant("31:3", "offset", space.table("msix").offset >> 3),)
        ),
        Register(
            "msix_pba", MSIX + 8, (_constant("31:3", "offset", space.table("pba").offset >> 3),)
        ),
    )


def _extended(name: str, offset: int, identifier: int, version: int, following: int) -> Register:
    return Register(
        name,
        offset,
        (
            _constant("15:0", "id", identifier),
            _constant("19:16", "version", version),
            _constant("31:20", "next", following),
        ),
    )


UNCORRECTABLE = {
    "poisoned": 12,
    "completion_timeout": 14,
    "completer_abort": 15,
    "unexpected_completion": 16,
    "receiver_overflow": 17,
    "malformed": 18,
    "unsupported": 20,
}
"""Uncorrectable errors that a device without a link layer can detect, and their AER bits."""

UNCORRECTABLE_FATAL = 1 << UNCORRECTABLE["malformed"] | 1 << UNCORRECTABLE["receiver_overflow"]
CORRECTABLE = {"advisory": 13}


def _errors(
    register: str, offset: int, names: dict[str, int], access: Access, reset: int
) -> Register:
    return Register(
        register,
        offset,
        tuple(
            bits(str(bit), name, access, reset=reset >> bit & 1, sticky=True)
            for name, bit in names.items()
        ),
    )


def _aer(following: int) -> tuple[Register, ...]:
    log = tuple(
        Register(f"aer_header_{i}", AER + 0x1C + 4 * i, (bits("31:0", "dw", sticky=True),))
        for i in range(4)
    )
    prefix = tuple(
        Register(f"aer_prefix_{i}", AER + 0x38 + 4 * i, (bits("31:0", "dw", sticky=True),))
        for i in range(4)
    )
    return (
        _extended("aer", AER, EXTENDED_AER, 2, following),
        _errors("aer_uncorrectable", AER + 0x04, UNCORRECTABLE, RW1C, 0),
        _errors("aer_uncorrectable_mask", AER + 0x08, UNCORRECTABLE, RW, 0),
        _errors("aer_severity", AER + 0x0C, UNCORRECTABLE, RW, UNCORRECTABLE_FATAL),
        _errors("aer_correctable", AER + 0x10, CORRECTABLE, RW1C, 0),
        _errors("aer_correctable_mask", AER + 0x14, CORRECTABLE, RW, 1 << CORRECTABLE["advisory"]),
        Register(
            "aer_control",
            AER + 0x18,
            (bits("4:0", "first_error", sticky=True), bits("11", "prefix_present", sticky=True)),
        ),
        *log,
        *prefix,
    )


def _dvsec(
    name: str, offset: int, following: int, vendor: int, identifier: int, length: int
) -> tuple[Register, ...]:
    return (
        _extended(name, offset, EXTENDED_DVSEC, 1, following),
        Register(
            f"{name}_header",
            offset + 4,
            (
                _constant("15:0", "vendor", vendor),
                _constant("19:16", "revision", 1),
                _constant("31:20", "length", length),
            ),
        ),
        Register(f"{name}_id", offset + 8, (_constant("15:0", "id", identifier),)),
    )


def capabilities(config: Config) -> tuple[Capability, ...]:
    """The capability chain, in order."""
    serial = config.serial_number
    return (
        Capability("Power Management", PM, _pm(PCIE)),
        Capability("PCI Express", PCIE, _pcie(config, MSIX)),
        Capability("MSI-X", MSIX, _msix(config, 0)),
        Capability("Advanced Error Reporting", AER, _aer(SERIAL)),
        Capability(
            "Device Serial Number",
            SERIAL,
            (
                _extended("serial", SERIAL, EXTENDED_SERIAL, 1, SIOV),
                Register(
                    "serial_low", SERIAL + 4, (_constant("31:0", "dw", serial & 0xFFFF_FFFF),)
                ),
                Register("serial_high", SERIAL + 8, (_constant("31:0", "dw", serial >> 32),)),
            ),
        ),
        Capability(
            "Scalable I/O Virtualization",
            SIOV,
            (
                *_dvsec("siov", SIOV, PASID, DVSEC_INTEL, DVSEC_SIOV, 0x18),
                Register(
                    "siov_pages_supported",
                    SIOV + 0x0C,
                    (_constant("31:0", "sizes", 1),),
                    doc="Bit n: pages of 2^(n+12) bytes.",
                ),
                Register("siov_page_size", SIOV + 0x10, (_constant("31:0", "size", 1),)),
                Register("siov_capabilities", SIOV + 0x14, (_constant("0", "ims", 1),)),
            ),
        ),
        Capability(
            "Process Address Space ID",
            PASID,
            (
                _extended("pasid", PASID, EXTENDED_PASID, 1, DEVICE3),
                Register(
                    "pasid_control",
                    PASID + 4,
                    (
                        _constant("2", "privileged_supported", 1),
                        _constant("12:8", "width", PASID_WIDTH),
                        bits("16", "enable", RW),
                        bits("18", "privileged", RW),
                    ),
                    doc="PASID capability, and control in the upper half.",
                    source="PCIe Base 6.x §7.8.9",
                ),
            ),
        ),
        Capability(
            "Device 3",
            DEVICE3,
            (
                _extended("device3", DEVICE3, EXTENDED_DEVICE3, 1, TOCSIN),
                Register("device_capabilities_3", DEVICE3 + 4),
                Register("device_control_3", DEVICE3 + 8),
                Register("device_status_3", DEVICE3 + 12),
            ),
        ),
        Capability(
            "Tocsin",
            TOCSIN,
            (
                *_dvsec("tocsin", TOCSIN, 0, config.vendor_id, DVSEC_TOCSIN, 0x14),
                Register(
                    "tocsin_page",
                    TOCSIN + 0x0C,
                    (_constant("2:0", "bar", 0), _constant("31:3", "offset", EXTENSION_PAGE >> 3)),
                    doc="Where the extension page is.",
                ),
                Register("tocsin_version", TOCSIN + 0x10, (_constant("7:0", "version", 1),)),
            ),
        ),
    )


def config_space(config: Config) -> Space:
    """All registers of configuration space."""
    chain = (register for item in capabilities(config) for register in item.registers)
    return Space("CONFIG", BYTES, (*_header(config), *chain))
