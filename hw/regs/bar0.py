"""BAR0: control registers and tables, in the layout of Intel DSA (DSA §9.2)."""

from .config import Config
from .schema import Access, Register, Space, Table, bits

RO, RW, RW1C, WO = Access.RO, Access.RW, Access.RW1C, Access.WO

TABLE_UNIT = 0x100
"""The OFFSETS register counts in units of this many bytes (DSA §9.2.7)."""

EXTENSION_PAGE = 0x1000
"""Where our own registers lie: the page that our DVSEC points at."""

PERFMON_PAGE = 0x2000
"""Reads as zero: a performance monitor without counters (DSA §9.2.25)."""

TABLES = 0x3000
"""Where the tables start."""

REGISTERS = (
    Register(
        "version",
        0x00,
        (bits("7:0", "minor"), bits("15:8", "major")),
        doc="Version of the programming model.",
        source="DSA §9.2.1",
    ),
    Register(
        "gencap",
        0x10,
        (
            bits("0", "block_on_fault"),
            bits("1", "overlapping_copy"),
            bits("2", "cache_control_memory"),
            bits("3", "cache_control_flush"),
            bits("4", "command_capabilities", doc="CMDCAP is valid."),
            bits("5", "durable_write"),
            bits("6", "inter_domain"),
            bits("7", "translation_stride"),
            bits("8", "destination_readback"),
            bits("9", "drain_readback"),
            bits("10", "fill_16"),
            bits("11", "crc64"),
            bits("12", "fault_info"),
            bits("14:13", "event_log", doc="0 none; entries of 1: 64, 2: 128, 3: 256 bytes."),
            bits("15", "batch_continuation"),
            bits("20:16", "max_transfer_log2"),
            bits("24:21", "max_batch_log2"),
            bits("30:25", "ims_size", doc="Interrupt message storage in units of 256 entries."),
            bits("31", "configurable", doc="Queues and groups take configuration."),
            bits("32", "event_log_overflow"),
            bits("52", "single_entry_batch"),
            bits("54:53", "strict_ordering_limits"),
        ),
        width=64,
        doc="What the device can do.",
        source="DSA §9.2.2",
    ),
    Register(
        "wqcap",
        0x20,
        (
            bits("15:0", "total_size", doc="Descriptors that all queues together can hold."),
            bits("23:16", "queues"),
            bits("27:24", "config_size_log2", doc="A WQCFG entry has 2^(5+N) bytes."),
            bits("48", "shared"),
            bits("49", "dedicated"),
            bits("50", "ats"),
            bits("51", "priority"),
            bits("52", "occupancy"),
            bits("53", "occupancy_interrupt"),
            bits("54", "operation_config"),
            bits("55", "prs"),
        ),
        width=64,
        doc="Work queues.",
        source="DSA §9.2.3",
    ),
    Register(
        "grpcap",
        0x30,
        (
            bits("7:0", "groups"),
            bits("15:8", "read_buffers"),
            bits("16", "read_buffer_control"),
            bits("17", "global_limit"),
            bits("18", "progress_limit"),
            bits("19", "bandwidth"),
        ),
        width=64,
        doc="Groups.",
        source="DSA §9.2.4",
    ),
    Register(
        "engcap",
        0x38,
        (
            bits("7:0", "engines"),
            bits("15:8", "work_in_progress"),
            bits("23:16", "batch_in_progress"),
        ),
        width=64,
        doc="Engines.",
        source="DSA §9.2.5",
    ),
    Register(
        "opcap",
        0x40,
        (bits("255:0", "operations", doc="Bit n: opcode n is implemented."),),
        width=256,
        doc="Operations.",
        source="DSA §9.2.6",
    ),
    Register(
        "offsets",
        0x60,
        (
            bits("15:0", "grpcfg"),
            bits("31:16", "wqcfg"),
            bits("47:32", "msixperm"),
            bits("63:48", "ims"),
            bits("79:64", "perfmon"),
            bits("95:80", "idpt"),
        ),
        width=128,
        doc="Where the tables are, in units of 0x100 bytes.",
        source="DSA §9.2.7",
    ),
    Register(
        "gencfg",
        0x80,
        (
            bits("7:0", "read_buffer_limit", RW),
            bits("12", "user_interrupts", RW),
            bits("13", "event_log", RW),
        ),
        doc="Device-wide configuration; locked unless the device is disabled.",
        source="DSA §9.2.8",
    ),
    Register(
        "genctrl",
        0x88,
        (
            bits("0", "error_interrupt", RW),
            bits("1", "halt_interrupt", RW),
            bits("2", "event_log_interrupt", RW),
        ),
        doc="Which errors interrupt.",
        source="DSA §9.2.9",
    ),
    Register(
        "gensts",
        0x90,
        (
            bits("1:0", "state", doc="0 disabled, 1 enabled, 2 draining, 3 halted."),
            bits(
                "3:2",
                "reset_type",
                doc="Reset that ends a halt: 0 software, 1 FLR, 2 warm, 3 cold.",
            ),
        ),
        doc="Device state.",
        source="DSA §9.2.10",
    ),
    Register(
        "intcause",
        0x98,
        (
            bits("0", "error", RW1C),
            bits("1", "command", RW1C),
            bits("2", "occupancy", RW1C),
            bits("3", "perfmon", RW1C),
            bits("4", "halt", RW1C),
            bits("5", "event_log", RW1C),
            bits("31", "handles_revoked", RW1C),
        ),
        doc="Why MSI-X vector 0 rang.",
        source="DSA §9.2.11",
    ),
    Register(
        "cmd",
        0xA0,
        (
            bits("19:0", "operand", WO),
            bits("24:20", "code", WO),
            bits("31", "interrupt", WO, doc="Interrupt when the command has completed."),
        ),
        doc="Starts a command.",
        source="DSA §9.2.12",
    ),
    Register(
        "cmdstatus",
        0xA8,
        (bits("7:0", "error"), bits("23:8", "result"), bits("31", "active")),
        doc="What became of the command.",
        source="DSA §9.2.13",
    ),
    Register(
        "cmdcap",
        0xB0,
        (bits("31:0", "commands", doc="Bit n: command n is implemented."),),
        doc="Commands.",
        source="DSA §9.2.14",
    ),
    Register(
        "swerror",
        0xC0,
        (
            bits("0", "valid", RW1C),
            bits("1", "overflow", RW1C),
            bits("2", "descriptor_valid"),
            bits("3", "queue_valid"),
            bits("4", "batch"),
            bits("5", "write"),
            bits("6", "privileged"),
            bits("7", "info_valid"),
            bits("15:8", "code"),
            bits("23:16", "queue"),
            bits("39:32", "opcode"),
            bits("59:40", "pasid"),
            bits("79:64", "batch_index"),
            bits("127:96", "info"),
            bits("191:128", "address"),
        ),
        width=256,
        doc="The first error that had no other place to go.",
        source="DSA §9.2.15",
    ),
    Register(
        "evlcfg",
        0xE0,
        (
            bits("0", "pasid_enable", RW),
            bits("1", "privileged", RW),
            bits("63:12", "base", RW),
            bits("79:64", "size", RW),
            bits("99:80", "pasid", RW),
        ),
        width=128,
        doc="Event log in host memory; locked unless the device is disabled.",
        source="DSA §9.2.16",
    ),
    Register(
        "evlstatus",
        0xF0,
        (bits("15:0", "head", RW), bits("47:32", "tail"), bits("62", "interrupt_pending", RW1C)),
        width=64,
        doc="Event log: software reads at the head, the device writes at the tail.",
        source="DSA §9.2.17",
    ),
)

EXTENSION = (
    Register(
        "ext_id",
        EXTENSION_PAGE + 0x00,
        (bits("15:0", "type"), bits("31:16", "version")),
        doc="What this page is: type 0x7C05, version 1.",
    ),
    Register(
        "ext_features",
        EXTENSION_PAGE + 0x08,
        (bits("0", "staged_submission"), bits("1", "host_memory_ims")),
        doc="Extensions that this device has; each is off at reset.",
    ),
    Register(
        "ext_window",
        EXTENSION_PAGE + 0x10,
        (bits("63:0", "base"),),
        width=64,
        doc="Interrupt messages may go to the 1 MiB that starts here.",
    ),
    Register(
        "ext_msix",
        EXTENSION_PAGE + 0x18,
        (bits("31:0", "vectors"),),
        doc="Entries of the MSI-X table.",
    ),
    Register(
        "ext_ims",
        EXTENSION_PAGE + 0x20,
        (bits("31:0", "vectors"),),
        doc="Entries of interrupt message storage.",
    ),
    Register(
        "ext_control",
        EXTENSION_PAGE + 0x28,
        (bits("0", "staged_submission", RW, "Portals take descriptors in pieces of 8 bytes."),),
        doc="Turns extensions on; takes effect at once.",
    ),
)

EXTENSION_TYPE = 0x7C05
EXTENSION_VERSION = 1

MSIX_ENTRY = (
    Register("address", 0, (bits("63:2", "address", RW),), width=64),
    Register("data", 8, (bits("31:0", "data", RW),)),
    Register("control", 12, (bits("0", "mask", RW, reset=1),)),
)

IMS_ENTRY = (
    Register(
        "address",
        0,
        (bits("63:2", "address", RW, reset=0xFEE0_0000 >> 2),),
        width=64,
        doc="A write that leaves the message window is ignored whole.",
    ),
    Register("data", 8, (bits("31:0", "data", RW),), doc="Sent unmodified."),
    Register(
        "control",
        12,
        (
            bits("0", "mask", RW, "Hold events as pending.", reset=1),
            bits("1", "pending", RO, "An event waits for the mask to clear."),
            bits("2", "ignore", RW, "Neither send nor hold completion interrupts."),
            bits("3", "pasid_enable", RW, "Must equal that of the descriptor's queue."),
            bits("31:12", "pasid", RW, "Must equal that of the descriptor."),
        ),
    ),
)

MSIX_PERMISSION = (
    Register(
        "control",
        0,
        (bits("2", "ignore", RW), bits("3", "pasid_enable", RW), bits("31:12", "pasid", RW)),
    ),
)

GROUP_CONFIG = (
    Register("queues", 0, (bits("255:0", "bitmap", RW),), width=256, doc="Queues of the group."),
    Register("engines", 32, (bits("63:0", "bitmap", RW),), width=64, doc="Its engines."),
    Register(
        "flags",
        40,
        (
            bits("2:0", "traffic_class_a", RW),
            bits("5:3", "traffic_class_b", RW),
            bits("7", "global_limit", RW),
            bits("15:8", "read_buffers_reserved", RW),
            bits("27:20", "read_buffers_allowed", RW),
            bits("33:32", "work_limit", RW),
            bits("37:36", "batch_limit", RW),
            bits("43:40", "read_bandwidth", RW),
            bits("47:44", "write_bandwidth", RW),
        ),
        width=64,
        doc="All traffic leaves in traffic class 0, whatever the classes named here.",
    ),
)

QUEUE_CONFIG = (
    Register("size", 0, (bits("15:0", "size", RW),), doc="Descriptors; locked while enabled."),
    Register("threshold", 4, (bits("15:0", "threshold", RW),), doc="Limit of limited portals."),
    Register(
        "mode",
        8,
        (
            bits("0", "dedicated", RW),
            bits("1", "block_on_fault", RW),
            bits("2", "ats_disable", RW),
            bits("3", "prs_disable", RW),
            bits("7:4", "priority", RW),
            bits("27:8", "pasid", RW),
            bits("28", "pasid_enable", RW),
            bits("29", "privileged", RW),
        ),
    ),
    Register(
        "limits",
        12,
        (
            bits("4:0", "max_transfer_log2", RW),
            bits("8:5", "max_batch_log2", RW),
            bits("12:9", "max_sgl_log2", RW),
        ),
    ),
    Register("occupancy_handle", 16, (bits("15:0", "handle", RW), bits("16", "ims", RW))),
    Register("occupancy_limit", 20, (bits("15:0", "limit", RW), bits("16", "enable", RW))),
    Register(
        "status",
        24,
        (
            bits("15:0", "occupancy"),
            bits("16", "occupancy_interrupt", RW1C),
            bits("29", "mode_support"),
            bits("31:30", "state", doc="0 disabled, 1 enabled, 2 busy."),
        ),
    ),
    Register("operations", 32, (bits("255:0", "mask", RW),), width=256, doc="Allowed opcodes."),
)

QUEUE_CONFIG_BYTES = 64
GROUP_CONFIG_BYTES = 64


def _up(offset: int, unit: int) -> int:
    return -(-offset // unit) * unit


def rooms(config: Config) -> dict[str, list[tuple[int, int]]]:
    """Which part of the device answers for which bytes: first byte and end (exclusive)."""
    space = bar0(config)
    tables = {table.name: (table.offset, table.end) for table in space.tables}
    return {
        "control": [(0, 0x200), (EXTENSION_PAGE, PERFMON_PAGE)],
        "queues": [(tables["grpcfg"][0], tables["wqcfg"][1])],
        "store": [tables[name] for name in ("msixperm", "msix", "pba", "ims")],
    }


def bar0(config: Config) -> Space:
    """Lay out BAR0: registers where DSA has them, tables behind one another.

    The MSI-X table, its pending bits and the IMS table each start a 4 KiB page.
    """
    msixperm = Table(
        "msixperm",
        TABLES,
        8,
        config.msix_vectors,
        MSIX_PERMISSION,
        doc="Who may use which MSI-X vector.",
        source="DSA §9.2.22",
    )
    grpcfg = Table(
        "grpcfg",
        _up(msixperm.end, TABLE_UNIT),
        GROUP_CONFIG_BYTES,
        config.groups,
        GROUP_CONFIG,
        doc="Groups; locked unless the device is disabled.",
        source="DSA §9.2.23",
    )
    wqcfg = Table(
        "wqcfg",
        _up(grpcfg.end, TABLE_UNIT),
        QUEUE_CONFIG_BYTES,
        config.queues,
        QUEUE_CONFIG,
        doc="Work queues; locked while the queue is enabled.",
        source="DSA §9.2.24",
    )
    msix = Table(
        "msix",
        _up(wqcfg.end, 0x1000),
        16,
        config.msix_vectors,
        MSIX_ENTRY,
        doc="MSI-X table.",
        source="PCIe Base 6.x §6.1.4.2",
    )
    pba = Table(
        "pba",
        _up(msix.end, 0x1000),
        8,
        -(-config.msix_vectors // 64),
        (Register("pending", 0, (bits("63:0", "bits"),), width=64),),
        doc="MSI-X pending bits.",
        source="PCIe Base 6.x §6.1.4.2",
    )
    ims = Table(
        "ims",
        _up(pba.end, 0x1000),
        16,
        config.ims_vectors,
        IMS_ENTRY,
        doc="Interrupt message storage.",
        source="DSA §9.2.28",
    )
    size = max(0x1_0000, 1 << (ims.end - 1).bit_length())
    return Space("BAR0", size, REGISTERS + EXTENSION, (msixperm, grpcfg, wqcfg, msix, pba, ims))
