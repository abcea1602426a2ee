"""Commands as data: what each asks for and what it does (DSA §3.15, §5.1, §5.2, §9.2.12)."""

import enum
from dataclasses import dataclass

from amaranth import Mux

from ..regs import Config
from ..regs.commands import Command, CommandError
from ..regs.descriptor import OPERATIONS_IMPLEMENTED


class Kind(enum.Enum):
    """Which way through the command runner a command takes."""

    ENABLE_DEVICE = enum.auto()
    ENABLE_QUEUE = enum.auto()
    HANDLE = enum.auto()
    QUIESCE = enum.auto()
    """Wait until what is affected can neither write nor interrupt any more."""


@dataclass(frozen=True)
class Recipe:
    """What a command does.

    Parameters
    ----------
    kind, reserved
        Which way it takes; reserved bits of its operand.
    needs
        Names of conditions in order, each with the error if it does not hold.
    queues
        ``"operand"``: the queues of the bitmap are affected; else all.
    by_pasid
        Only descriptors with the PASID of the operand are affected.
    close, discard, shut
        Stop accepting; drop descriptors rather than execute them; leave the queues disabled.
    clear
        ``"queues"`` or ``"device"``: configuration that becomes that after reset.
    device
        The device as a whole is disabled by it.
    in_halt
        Works while the device is halted.
    """

    kind: Kind
    reserved: int = 0
    needs: tuple[tuple[str, CommandError], ...] = ()
    queues: str = "all"
    by_pasid: bool = False
    close: bool = False
    discard: bool = False
    shut: bool = False
    clear: str = ""
    device: bool = False
    in_halt: bool = False


_NO_OPERAND = 0xFFFFF
_EXISTS = ("queues_exist", CommandError.INVALID_QUEUE)
_ENABLED = ("queues_enabled", CommandError.QUEUE_NOT_ENABLED)
_INDEX = ("index_valid", CommandError.HANDLE_INDEX)

RECIPES = {
    Command.ENABLE_DEVICE: Recipe(
        Kind.ENABLE_DEVICE,
        _NO_OPERAND,
        needs=(
            ("device_disabled", CommandError.DEVICE_NOT_DISABLED),
            ("bus_master", CommandError.BUS_MASTER_DISABLED),
        ),
    ),
    Command.DISABLE_DEVICE: Recipe(
        Kind.QUIESCE,
        _NO_OPERAND,
        needs=(("device_enabled", CommandError.DISABLE_NOT_ENABLED),),
        close=True,
        shut=True,
        device=True,
    ),
    Command.DRAIN_ALL: Recipe(Kind.QUIESCE, _NO_OPERAND),
    Command.ABORT_ALL: Recipe(Kind.QUIESCE, _NO_OPERAND, discard=True),
    Command.RESET_DEVICE: Recipe(
        Kind.QUIESCE,
        _NO_OPERAND,
        close=True,
        discard=True,
        shut=True,
        clear="device",
        device=True,
        in_halt=True,
    ),
    Command.ENABLE_QUEUE: Recipe(
        Kind.ENABLE_QUEUE,
        0xFFF00,
        needs=(
            ("device_enabled", CommandError.DEVICE_NOT_ENABLED),
            ("queue_exists", CommandError.INVALID_QUEUE),
            ("queue_disabled", CommandError.QUEUE_NOT_DISABLED),
        ),
    ),
    Command.DISABLE_QUEUE: Recipe(
        Kind.QUIESCE, needs=(_EXISTS, _ENABLED), queues="operand", close=True, shut=True
    ),
    Command.DRAIN_QUEUE: Recipe(Kind.QUIESCE, needs=(_EXISTS, _ENABLED), queues="operand"),
    Command.ABORT_QUEUE: Recipe(
        Kind.QUIESCE, needs=(_EXISTS, _ENABLED), queues="operand", discard=True
    ),
    Command.RESET_QUEUE: Recipe(
        Kind.QUIESCE,
        needs=(_EXISTS,),
        queues="operand",
        close=True,
        discard=True,
        shut=True,
        clear="queues",
    ),
    Command.DRAIN_PASID: Recipe(Kind.QUIESCE, by_pasid=True),
    Command.ABORT_PASID: Recipe(Kind.QUIESCE, by_pasid=True, discard=True),
    Command.REQUEST_HANDLE: Recipe(Kind.HANDLE, 0xE0000, needs=(_INDEX,)),
    Command.RELEASE_HANDLE: Recipe(Kind.HANDLE, 0xE0000, needs=(_INDEX,)),
}


def queue_faults(config: Config, entry, settings):
    """What keeps a queue from being enabled: pairs of a condition and the error (DSA §5.2)."""
    vectors = Mux(entry.ims, config.ims_vectors, config.msix_vectors)
    shared_without = ~entry.dedicated & ~entry.pasid_enable
    privileged = entry.dedicated & entry.pasid_enable & entry.privileged
    beyond = ((1 << len(entry.mask)) - 1) & ~OPERATIONS_IMPLEMENTED
    return (
        (entry.size == 0, CommandError.QUEUE_SIZE_ZERO),
        (entry.priority == 0, CommandError.QUEUE_PRIORITY_ZERO),
        (entry.block_on_fault, CommandError.QUEUE_BLOCK_ON_FAULT),
        (
            shared_without | (entry.pasid_enable & ~settings.pasid_enable),
            CommandError.QUEUE_PASID,
        ),
        (
            (entry.max_batch_log2 == 0) | (entry.max_batch_log2 > config.max_batch_log2),
            CommandError.QUEUE_BATCH,
        ),
        (entry.max_transfer_log2 > config.max_transfer_log2, CommandError.QUEUE_TRANSFER),
        (privileged & ~settings.pasid_privileged, CommandError.QUEUE_PRIVILEGED),
        (entry.handle >= vectors, CommandError.QUEUE_OCCUPANCY_HANDLE),
        (entry.ats_disable, CommandError.QUEUE_ATS),
        ((entry.mask & beyond).any(), CommandError.QUEUE_OPERATIONS),
        (entry.prs_disable, CommandError.QUEUE_PRS),
    )
