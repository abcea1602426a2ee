"""Our own page of BAR0: what DSA does not have, off at reset."""

from dataclasses import replace

from .config import Config
from .schema import Access, Register, bits

RW, WO = Access.RW, Access.WO

EXTENSION_PAGE = 0x1000
"""Where these registers lie: the page that our DVSEC points at."""

EXTENSION_TYPE = 0x7C05
EXTENSION_VERSION = 1

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
        (
            bits("0", "staged_submission", RW, "Portals take descriptors in pieces of 8 bytes."),
            bits("1", "host_memory_ims", RW, "Interrupt message storage is in the host's memory."),
        ),
        doc="Turns on extensions that the device has; takes effect at once.",
    ),
    Register(
        "ext_host_ims",
        EXTENSION_PAGE + 0x30,
        (bits("63:12", "page", RW),),
        width=64,
        doc="Address of the entries in the host's memory; locked while they are used.",
    ),
    Register(
        "ext_host_count",
        EXTENSION_PAGE + 0x38,
        (bits("16:0", "vectors", RW), bits("48:32", "most")),
        width=64,
        doc="How many entries lie there, and how many the device can use; locked as well.",
    ),
    Register(
        "ext_sync",
        EXTENSION_PAGE + 0x40,
        (
            bits("15:0", "index", WO),
            bits("16", "every", WO, doc="All entries instead of one."),
            bits("30", "held", doc="The entry held an event that waits for what was synced."),
            bits("31", "active", doc="The sync is under way; writes are ignored meanwhile."),
        ),
        doc="A write makes changes of an entry in the host's memory take effect.",
    ),
)

_HOST_MEMORY = ("ext_host_ims", "ext_host_count", "ext_sync")


def extension(config: Config) -> tuple[Register, ...]:
    """The registers of :data:`EXTENSION` that a device has; in place of others it reads 0."""
    if config.host_vectors:
        return EXTENSION
    return tuple(
        replace(item, fields=tuple(f for f in item.fields if f.name != "host_memory_ims"))
        if item.name == "ext_control"
        else item
        for item in EXTENSION
        if item.name not in _HOST_MEMORY
    )
