"""What a queue takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a queue takes.

    Parameters
    ----------
    max_transfer_bytes
        Largest transfer.
    min_batch, max_batch
        Fewest and most descriptors of a batch.
    operations
        Bit n: opcode n is allowed.
    """

    max_transfer_bytes: int
    min_batch: int
    max_batch: int
    operations: int
