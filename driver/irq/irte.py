"""Entries of the remapping table, and messages that name them (VT-d §9.9, §9.10, §5.1)."""

from dataclasses import dataclass, replace

from ..transport import Message

IRTE_BYTES = 16

PRESENT = 1 << 0
REDIRECTION_HINT = 1 << 3
POSTED = 1 << 15
VECTOR_SHIFT = 16
DESTINATION_SHIFT = 32
SID_SHIFT = 64
VERIFY_SID = 1 << 82
PDA_LOW_SHIFT, PDA_LOW_BITS = 38, 26
PDA_HIGH_SHIFT = 96
PDA_UNIT_LOG2 = 6
"""Posted-interrupt descriptors are aligned to 64 bytes."""

FORMAT = 1 << 4
SUBHANDLE_VALID = 1 << 3
HANDLE_SHIFT, HANDLE_HIGH_SHIFT = 5, 2


@dataclass(frozen=True)
class Irte:
    """A present entry, in remapped format or, with a descriptor's address, in posted format.

    Parameters
    ----------
    vector
        Of the processor, or virtual.
    destination
        32-bit APIC identifier; not used in posted format.
    sid
        Requester id that may use the entry, and no other.
    pi_desc_addr
        Physical address of a posted-interrupt descriptor, or None.
    """

    vector: int
    destination: int
    sid: int
    pi_desc_addr: int | None = None

    def posted(self, pi_desc_addr: int, vector: int) -> "Irte":
        """The same, in posted format."""
        return replace(self, pi_desc_addr=pi_desc_addr, vector=vector)

    def encode(self) -> bytes:
        """The 128 bits."""
        value = PRESENT | self.vector << VECTOR_SHIFT | self.sid << SID_SHIFT | VERIFY_SID
        if self.pi_desc_addr is None:
            value |= REDIRECTION_HINT | self.destination << DESTINATION_SHIFT
        else:
            unit = self.pi_desc_addr >> PDA_UNIT_LOG2
            value |= POSTED | (unit & (1 << PDA_LOW_BITS) - 1) << PDA_LOW_SHIFT
            value |= unit >> PDA_LOW_BITS << PDA_HIGH_SHIFT
        return value.to_bytes(IRTE_BYTES, "little")


def remappable_message(base: int, index: int, subhandle: int) -> Message:
    """The message that names an entry: handle and subhandle add up to its index (VT-d §5.1.5)."""
    handle = index - subhandle
    low, high = handle & 0x7FFF, handle >> 15
    address = base | low << HANDLE_SHIFT | high << HANDLE_HIGH_SHIFT
    return Message(address | FORMAT | SUBHANDLE_VALID, subhandle)
