"""What the device is: its capability registers, decoded, and refused where they make no sense."""

from dataclasses import dataclass

from hw.regs.bar0 import (
    EXTENSION,
    EXTENSION_TYPE,
    EXTENSION_VERSION,
    GROUP_CONFIG_BYTES,
    REGISTERS,
    TABLE_UNIT,
)
from hw.regs.bar2 import PAGE_BYTES, PORTALS_PER_QUEUE
from hw.regs.commands import Command, DeviceState
from hw.regs.config import IMS_UNIT

from .config_space import SIOV_NAME, FunctionMap, MsixPlace
from .errors import DeviceGone, ProbeError
from .registers import BAR, Registers
from .transport import Transport

VERSION_MAJOR = 2
"""The programming model that this driver speaks."""

SMALLEST_BAR = 0x1_0000
EVENT_LOG_64_BYTES = 1
"""GENCAP: the event log has entries of 64 bytes."""

WINDOW_BYTES = 1 << 20
"""Interrupt messages may go to this many bytes from the start of the window."""

NEEDED_COMMANDS = (
    Command.ENABLE_DEVICE,
    Command.DISABLE_DEVICE,
    Command.RESET_DEVICE,
    Command.ENABLE_QUEUE,
    Command.DISABLE_QUEUE,
    Command.DRAIN_PASID,
    Command.ABORT_PASID,
)


@dataclass(frozen=True)
class Capabilities:
    """The device's sizes, limits and tables. Offsets are bytes in BAR0.

    Parameters
    ----------
    version
        Major and minor number of the programming model.
    ims_vectors, msix_vectors
        Entries of the two tables; a virtual device has none of the first.
    ims_offset, msix_offset, pba_offset, permission_offset
        Where the tables, the pending bits and the MSI-X permissions are.
    window
        Interrupt messages may go to the 1 MiB that starts here.
    queues, queue_slots
        Work queues, and the descriptors that all of them together can hold.
    queue_offset, queue_stride, group_offset
        Where the queue and group tables are.
    groups, engines
        How many there are.
    shared, dedicated
        Which modes queues can have.
    max_transfer_log2, max_batch_log2
        Largest limits that a queue can be given, as powers of two.
    single_entry_batch
        Whether a batch may have one member.
    operations
        Bit n: opcode n is implemented.
    operation_config
        Whether queues take a mask of allowed opcodes.
    commands
        Bit n: command n is implemented.
    pasid_width
        Bits of the largest PASID.
    read_buffers
        Reads in flight that all groups share; 0 if groups cannot be limited to some of them.
    occupancy_interrupt
        Whether queues can interrupt when they run empty.
    event_log
        Whether there is an event log, of 64-byte entries.
    staged_submission
        Whether dedicated queues can take descriptors in pieces of 8 bytes.
    configurable
        Whether queues and groups take configuration. Those of a virtual device are given to it
        by its host (DSA §7.5.1).
    """

    version: tuple[int, int]
    ims_vectors: int
    msix_vectors: int
    ims_offset: int
    msix_offset: int
    pba_offset: int
    permission_offset: int
    window: int
    queues: int
    queue_slots: int
    queue_offset: int
    queue_stride: int
    group_offset: int
    groups: int
    engines: int
    shared: bool
    dedicated: bool
    max_transfer_log2: int
    max_batch_log2: int
    single_entry_batch: bool
    operations: int
    operation_config: bool
    commands: int
    pasid_width: int
    read_buffers: int
    occupancy_interrupt: bool
    event_log: bool
    staged_submission: bool
    configurable: bool

    @property
    def requests_handles(self) -> bool:
        """Whether the interrupt handle of a vector has to be asked for (DSA §7.5.4): there is
        another table behind the one that is seen. Otherwise it is the vector's index."""
        return not self.ims_vectors and bool(self.commands >> Command.REQUEST_HANDLE & 1)


async def discover(transport: Transport, where: FunctionMap) -> Capabilities:
    """Read and check every capability register. Memory space must be enabled; changes nothing."""
    size = transport.bar_bytes(BAR)
    if size < SMALLEST_BAR:
        raise ProbeError(f"BAR0 has {size:#x} bytes; the registers need {SMALLEST_BAR:#x}")
    registers = Registers(transport)
    try:
        return await _discover(transport, registers, where)
    except DeviceGone as error:
        raise ProbeError(str(error)) from error


async def _discover(transport: Transport, registers: Registers, where: FunctionMap) -> Capabilities:
    version = await registers.fields("version")
    if version["major"] != VERSION_MAJOR:
        raise ProbeError(
            f"the device speaks version {version['major']}.{version['minor']} of the programming "
            f"model; this driver knows version {VERSION_MAJOR}"
        )
    page = await _extension_page(transport, where)
    ims = page["ext_ims"]["vectors"]
    general = await registers.fields("gencap")
    if where.siov and not general["ims_size"]:
        raise ProbeError("the device has no interrupt message storage, says GENCAP")
    if ims != general["ims_size"] * IMS_UNIT:
        raise ProbeError(
            f"the device contradicts itself: GENCAP says {general['ims_size'] * IMS_UNIT} entries "
            f"of interrupt message storage, the Tocsin page {ims}"
        )
    if general["ims_size"] and not where.siov:
        raise ProbeError(f"the function has no {SIOV_NAME} capability")
    if where.siov and not general["configurable"]:
        raise ProbeError("the device's queues cannot be configured, says GENCAP")
    if (await registers.fields("gensts"))["state"] == DeviceState.HALTED:
        raise ProbeError("the device has halted after an error; reset the function first")
    queues = await registers.fields("wqcap")
    group_limits = await registers.fields("grpcap")
    groups = group_limits["groups"]
    engines = (await registers.fields("engcap"))["engines"]
    if not (queues["queues"] and queues["total_size"] and groups and engines):
        raise ProbeError(
            f"the device has {queues['queues']} queues of {queues['total_size']} descriptors, "
            f"{groups} groups and {engines} engines; each must be 1 or more"
        )
    if queues["operation_config"] and not queues["config_size_log2"]:
        raise ProbeError("the device says that queues take an opcode mask, but not where")
    offsets = await registers.fields("offsets")
    found = Capabilities(
        version=(version["major"], version["minor"]),
        ims_vectors=ims,
        msix_vectors=where.msix.vectors,
        ims_offset=offsets["ims"] * TABLE_UNIT,
        msix_offset=where.msix.table_offset,
        pba_offset=where.msix.pba_offset,
        permission_offset=offsets["msixperm"] * TABLE_UNIT,
        window=page["ext_window"]["base"],
        queues=queues["queues"],
        queue_slots=queues["total_size"],
        queue_offset=offsets["wqcfg"] * TABLE_UNIT,
        queue_stride=32 << queues["config_size_log2"],
        group_offset=offsets["grpcfg"] * TABLE_UNIT,
        groups=groups,
        engines=engines,
        shared=bool(queues["shared"]),
        dedicated=bool(queues["dedicated"]),
        max_transfer_log2=general["max_transfer_log2"],
        max_batch_log2=general["max_batch_log2"],
        single_entry_batch=bool(general["single_entry_batch"]),
        operations=await registers.read("opcap"),
        operation_config=bool(queues["operation_config"]),
        commands=await _commands(registers, general),
        pasid_width=where.pasid_width,
        read_buffers=group_limits["read_buffers"] if group_limits["read_buffer_control"] else 0,
        occupancy_interrupt=bool(queues["occupancy_interrupt"]),
        event_log=general["event_log"] == EVENT_LOG_64_BYTES,
        staged_submission=bool(page["ext_features"]["staged_submission"]),
        configurable=bool(general["configurable"]),
    )
    _check_tables(found, where.msix, transport.bar_bytes(BAR))
    _check_portals(found.queues, transport.bar_bytes(2))
    return found


async def _commands(registers: Registers, general: dict[str, int]) -> int:
    """The commands that the device implements; without CMDCAP, 1 to 12 (DSA §9.2.14)."""
    commands = 0x1FFE
    if general["command_capabilities"]:
        commands = (await registers.fields("cmdcap"))["commands"]
    for command in NEEDED_COMMANDS:
        if not commands >> command & 1:
            raise ProbeError(f"the device has no {command.name} command, which the driver needs")
    return commands


async def _extension_page(transport: Transport, where: FunctionMap) -> dict[str, dict[str, int]]:
    """The registers of our own page."""
    last = max(register.offset + register.size_bytes for register in EXTENSION)
    first = min(register.offset for register in EXTENSION)
    if where.page_bar != BAR:
        raise ProbeError(f"the Tocsin page is in BAR{where.page_bar}; it must be in BAR{BAR}")
    if where.page_offset + last - first > transport.bar_bytes(BAR):
        raise ProbeError(f"the Tocsin page at {where.page_offset:#x} lies outside BAR0")
    registers = Registers(transport)
    base = where.page_offset - first
    values = {item.name: item.unpack(await registers.load(item, base)) for item in EXTENSION}
    kind = values["ext_id"]
    if kind["type"] != EXTENSION_TYPE or kind["version"] != EXTENSION_VERSION:
        raise ProbeError(
            f"the register page at {where.page_offset:#x} is of type {kind['type']:#06x}, version "
            f"{kind['version']}; this driver knows type {EXTENSION_TYPE:#06x}, version "
            f"{EXTENSION_VERSION}"
        )
    if values["ext_msix"]["vectors"] != where.msix.vectors:
        raise ProbeError(
            f"the device contradicts itself: its MSI-X capability says {where.msix.vectors} "
            f"vectors, the Tocsin page {values['ext_msix']['vectors']}"
        )
    return values


def _check_tables(found: Capabilities, msix: MsixPlace, bar_bytes: int) -> None:
    """Every table lies inside BAR0, behind the registers, and on no other."""
    for name, bar in (("MSI-X table", msix.table_bar), ("MSI-X pending bits", msix.pba_bar)):
        if bar != BAR:
            raise ProbeError(f"the {name} are in BAR{bar}; this driver knows them in BAR{BAR}")
    tables = sorted(
        (
            (0, max(item.offset + item.size_bytes for item in REGISTERS), "registers"),
            (found.permission_offset, 8 * found.msix_vectors, "MSI-X permission table"),
            (found.group_offset, GROUP_CONFIG_BYTES * found.groups, "group table"),
            (found.queue_offset, found.queue_stride * found.queues, "queue table"),
            (found.msix_offset, 16 * found.msix_vectors, "MSI-X table"),
            (found.pba_offset, 8 * -(-found.msix_vectors // 64), "MSI-X pending bits"),
            (found.ims_offset, 16 * found.ims_vectors, "interrupt message storage"),
        )
    )
    end, before = 0, ""
    for start, size, name in tables:
        if start < end:
            raise ProbeError(f"the {name} at {start:#x} overlaps the {before} in BAR0")
        end, before = start + size, name
        if end > bar_bytes:
            raise ProbeError(
                f"the {name} at {start:#x} ends at {end:#x}, outside BAR0 of {bar_bytes:#x} bytes"
            )


def _check_portals(queues: int, bar_bytes: int) -> None:
    needed = queues * PORTALS_PER_QUEUE * PAGE_BYTES
    if bar_bytes < needed:
        raise ProbeError(
            f"BAR2 has {bar_bytes:#x} bytes; the portals of {queues} queues need {needed:#x}"
        )
