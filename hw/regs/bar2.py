"""BAR2: the portals through which descriptors are submitted (DSA §9.3)."""

import enum

from .config import Config

PAGE_BYTES = 0x1000
PORTALS_PER_QUEUE = 4
SUBMISSION_BYTES = 64


class Portal(enum.IntFlag):
    """The kind of a portal, as its page number modulo four spells it.

    ``LIMITED`` accepts only while the queue holds fewer descriptors than its threshold; ``IMS``
    makes interrupt handles index interrupt message storage rather than the MSI-X table.
    """

    UNLIMITED = 0
    LIMITED = 1
    IMS = 2


def portal(queue: int, kind: Portal, slot: int = 0) -> int:
    """Offset in BAR2 of one of the 64 equivalent 64-byte slots of a portal page."""
    return (queue * PORTALS_PER_QUEUE + kind) * PAGE_BYTES + slot * SUBMISSION_BYTES


def bar2_bytes(config: Config) -> int:
    """Size of BAR2: four pages for each queue, rounded up to a power of two."""
    return 1 << (config.queues * PORTALS_PER_QUEUE * PAGE_BYTES - 1).bit_length()
