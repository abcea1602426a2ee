"""Entries of the event log in host memory (DSA §5.9.1)."""

from .schema import Register, bits

EVENT_BYTES = 64

EVENT = Register(
    "event",
    0,
    (
        bits("2", "descriptor_valid"),
        bits("3", "queue_valid"),
        bits("4", "batch", doc="The descriptor came in a batch."),
        bits("5", "write"),
        bits("6", "privileged"),
        bits("7", "info_valid"),
        bits("15:8", "code"),
        bits("23:16", "queue"),
        bits("31:24", "batch_identifier"),
        bits("39:32", "opcode"),
        bits("59:40", "pasid"),
        bits("79:64", "batch_index"),
        bits("127:96", "info", doc="Invalid flags, or handle and what was asked for with it."),
        bits("191:128", "address"),
        bits("511:256", "completion"),
    ),
    width=512,
    doc="64 bytes that the device appends to the event log.",
    source="DSA §5.9.1",
)
