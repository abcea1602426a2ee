"""What the stock Linux idxd driver does to a device, access by access, for any transport.

Each sequence is a tuple of steps, in the driver's order and with its access sizes. :func:`replay`
runs one on a :class:`driver.transport.Transport` and reports every read that does not give what
the driver insists on.
"""

from dataclasses import dataclass, field

from driver.transport import Transport
from hw.regs.bar0 import QUEUE_CONFIG
from hw.regs.commands import Command
from hw.regs.configspace import MSIX
from hw.regs.descriptor import OPERATIONS_IMPLEMENTED

from ..targets import Target

VERSION, GENCAP, WQCAP, GRPCAP, ENGCAP, OPCAP, OFFSETS = 0x00, 0x10, 0x20, 0x30, 0x38, 0x40, 0x60
GENCFG, GENCTRL, GENSTS, INTCAUSE, CMD, CMDSTATUS, CMDCAP = (
    0x80, 0x88, 0x90, 0x98, 0xA0, 0xA8, 0xB0,
)  # fmt: skip
SWERROR, EVLCFG, EVLSTATUS = 0xC0, 0xE0, 0xF0
TABLES = {"grpcfg": 0, "wqcfg": 16, "msixperm": 32, "perfmon": 64}
"""Tables, and the lowest bit of their field in OFFSETS."""

ACTIVE = 1 << 31
INTERRUPT = 1 << 31
QUEUE_DWS = 16
GROUP_FLAGS = 0x9
"""Traffic classes of a group; above them the driver allows it all read buffers of GRPCAP."""
MISC_VECTOR, COMMAND_DONE, LOGGED = 0, 2, 0x20
LOG_ENTRIES = 0x40
FRESH_QUEUE = {
    4: 0, 5: 0, 6: 1 << 29, 7: 0,
    **{8 + dw: OPERATIONS_IMPLEMENTED >> 32 * dw & 0xFFFF_FFFF for dw in range(8)},
}  # fmt: skip
"""DWs of WQCFG that the driver finds in a disabled queue, whatever it wrote to the others."""


@dataclass(frozen=True)
class Read:
    """Read BAR0; the bits in ``mask`` have to be ``expect`` (None: anything)."""

    offset: int
    size: int = 4
    expect: int | None = None
    mask: int = (1 << 64) - 1
    table: str | None = None


@dataclass(frozen=True)
class Write:
    """Write BAR0."""

    offset: int
    value: int
    size: int = 4
    table: str | None = None


@dataclass(frozen=True)
class Merge:
    """Read a DW, set and clear bits, write it back."""

    offset: int
    set: int = 0
    clear: int = 0
    table: str | None = None


@dataclass(frozen=True)
class Groups:
    """Write GRPCFG of every group of GRPCAP: this queue and engine 0 in group 0, no others."""

    queue: int


@dataclass(frozen=True)
class Config:
    """Write configuration space."""

    offset: int
    value: int
    size: int = 2


@dataclass(frozen=True)
class Poll:
    """Read CMDSTATUS until it is no longer active, as the driver does without interrupts."""

    expect: int = 0


@dataclass(frozen=True)
class Bell:
    """Wait for MSI-X vector 0, whose cause has to be that a command is done."""


Step = Read | Write | Merge | Groups | Config | Poll | Bell


@dataclass
class Found:
    """What a replay has learned.

    Parameters
    ----------
    tables
        Table offsets, from OFFSETS.
    groups, read_buffers
        From GRPCAP.
    wrong
        Sentences about reads that did not give what the driver insists on.
    """

    tables: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    read_buffers: int = 0
    wrong: list[str] = field(default_factory=list)


def command(code: Command, operand: int = 0, expect: int | None = 0) -> tuple[Step, ...]:
    """A command with an interrupt: GENSTS is looked at before, CMDSTATUS has to be 0 after.

    With ``expect=None`` the driver does not care how it went.
    """
    return (
        Read(GENSTS),
        Write(CMD, INTERRUPT | code << 20 | operand),
        Bell(),
        Read(INTCAUSE, expect=COMMAND_DONE),
        Write(INTCAUSE, COMMAND_DONE),
        Read(CMDSTATUS, expect=expect),
    )


PROBE: tuple[Step, ...] = (
    Config(0x04, 0x107),
    Read(VERSION, expect=0x200),
    Read(GENSTS, expect=0, mask=0x3),
    Write(CMD, Command.RESET_DEVICE << 20),
    Poll(),
    Read(GENCAP, 8, expect=1 << 31 | 1 << 13, mask=1 << 31 | 3 << 13),
    Read(CMDCAP, 8, expect=0x7FFE, mask=0x7FFE),
    Read(GRPCAP, 8),
    Read(ENGCAP, 8),
    Read(WQCAP, 8, expect=1 << 24 | 3 << 48, mask=0xF << 24 | 3 << 48),
    *(Read(OPCAP + 8 * word, 8, expect=0 if word else OPERATIONS_IMPLEMENTED) for word in range(4)),
    Read(OFFSETS, 8),
    Read(OFFSETS + 8, 8),
    Config(MSIX + 2, 0xC000),
    Config(MSIX + 2, 0x8000),
    Read(GENCTRL, expect=0),
    Write(GENCTRL, 3),
    Write(0x10, 1, table="perfmon"),
    Write(0x30, 0, table="perfmon"),
    Write(0x20, 0, table="perfmon"),
    Write(0x10, 2, table="perfmon"),
    Read(0, 8, expect=0, table="perfmon"),
)
"""Loading the driver."""


def configure(queue: int, size: int, mode: int, *, locked: bool = False) -> tuple[Step, ...]:
    """All of WQCFG read and written back, then all of GRPCFG, as before every enable command."""
    base = queue * 4 * QUEUE_DWS
    limits = 21 | 5 << 5
    own = {0: size, 1: size, 2: mode, 3: limits}
    reads = [
        Read(base + 4 * dw, expect=FRESH_QUEUE.get(dw), table="wqcfg") for dw in range(QUEUE_DWS)
    ]
    writes: list[Step] = [
        Write(base + 4 * dw, own[dw], table="wqcfg") if dw in own else
        Merge(base + 4 * dw, table="wqcfg") for dw in range(QUEUE_DWS)
    ]  # fmt: skip
    kept = [Read(base, expect=size, table="wqcfg")] if locked else []
    return (*reads, *writes, Groups(queue), *kept)


def set_up_log(base: int) -> tuple[Step, ...]:
    """The event log, before the device is enabled; the driver does so if GENCAP has one."""
    return (
        Write(EVLCFG, base, 8),
        Write(EVLCFG + 8, LOG_ENTRIES, 8),
        Merge(GENCTRL, set=4),
        Merge(GENCFG, set=0x2000),
    )


def enable_device(
    queue: int = 0, size: int = 16, mode: int = 0x11, *, log: int | None = None
) -> tuple[Step, ...]:
    """``accel-config enable-device``, with an event log at an address."""
    return (
        *configure(queue, size, mode),
        Merge(GENCFG, set=0x1000),
        *([] if log is None else set_up_log(log)),
        Read(GENSTS, expect=0, mask=3),
        *command(Command.ENABLE_DEVICE),
        Read(GENSTS, expect=1, mask=3),
    )


def enable_queue(
    queue: int = 0, size: int = 16, mode: int = 0x11, *, pasid: int | None = None
) -> tuple[Step, ...]:
    """``accel-config enable-wq``: the whole configuration again, although the device is enabled."""
    status = next(item for item in QUEUE_CONFIG if item.name == "status")
    base = queue * 4 * QUEUE_DWS
    vector = queue + 1
    owner = 0 if pasid is None else pasid << 12 | 8
    with_pasid = 0 if pasid is None else 1 << 28 | pasid << 8
    return (
        *([] if pasid is None else [Merge(base + 8, set=with_pasid, table="wqcfg")]),
        *configure(queue, size, mode | with_pasid, locked=True),
        *command(Command.ENABLE_QUEUE, queue),
        Read(base + status.offset, expect=1 << 30, mask=3 << 30, table="wqcfg"),
        *([] if pasid is None else [Write(8 * vector, owner, table="msixperm")]),
        Write(CMD, Command.REQUEST_HANDLE << 20 | vector),
        Poll(expect=vector << 8),
    )


def disable_queue(queue: int = 0) -> tuple[Step, ...]:
    """``accel-config disable-wq``."""
    base = queue * 4 * QUEUE_DWS
    return (
        *command(Command.DRAIN_QUEUE, 1 << queue),
        Write(CMD, Command.RELEASE_HANDLE << 20 | queue + 1),
        Poll(),
        Write(8 * (queue + 1), 0, table="msixperm"),
        *command(Command.RESET_QUEUE, 1 << queue),
        Read(base + 24, expect=0, mask=3 << 30, table="wqcfg"),
        Read(base + 8, expect=0, table="wqcfg"),
        *(Read(base + 4 * dw, expect=FRESH_QUEUE[dw], table="wqcfg") for dw in sorted(FRESH_QUEUE)),
    )


DISABLE_DEVICE: tuple[Step, ...] = (
    *command(Command.DISABLE_DEVICE),
    *command(Command.RESET_DEVICE),
    Read(GENCTRL, expect=0),
    Write(GENCTRL, 3),
)
"""``accel-config disable-device``; Reset Device has cleared GENCTRL."""


DISABLE_DEVICE_WITH_LOG: tuple[Step, ...] = (
    *DISABLE_DEVICE,
    Write(GENCFG, 0),
    Merge(GENCTRL, clear=4),
    Read(GENCTRL, expect=3),
    Write(EVLCFG, 0, 8),
    Write(EVLCFG + 8, 0, 8),
)
"""The same by a driver that has set up an event log; version 6.12 fails without one."""


def event_logged(head: int, tail: int) -> tuple[Step, ...]:
    """The interrupt of the event log: entries from head to tail are new."""
    return (
        Read(INTCAUSE, expect=LOGGED),
        Write(INTCAUSE, LOGGED),
        Write(EVLSTATUS + 4, 1 << 30),
        Read(EVLSTATUS, 8, expect=tail << 32 | head),
        Write(EVLSTATUS, tail),
        Read(EVLSTATUS, 8, expect=tail << 32 | tail),
    )


def after_function_reset(queue: int = 0) -> tuple[Step, ...]:
    """What the driver says to a device that a Function Level Reset has already reset."""
    return (
        Read(GENSTS, expect=0, mask=3),
        Write(GENCTRL, 3),
        *command(Command.DRAIN_QUEUE, 1 << queue, expect=None),
        *command(Command.RESET_QUEUE, 1 << queue),
    )


REMOVE: tuple[Step, ...] = (
    Read(GENSTS, expect=0, mask=3),
    Merge(GENCTRL, clear=3),
    Merge(GENCTRL, clear=3),
    Config(MSIX + 2, 0),
    Config(0x04, 0x107),
    Config(0x04, 0x103),
)
"""Unloading the driver."""

SOFTWARE_ERROR: tuple[Step, ...] = (
    Read(INTCAUSE, expect=1),
    Write(INTCAUSE, 1),
    Read(SWERROR, 8, expect=1, mask=1),
    *(Read(SWERROR + 8 * word, 8) for word in range(1, 4)),
    Write(SWERROR, 3, 8),
    Read(SWERROR, 8, expect=0, mask=3),
)
"""The interrupt of a software error."""


class Replay:
    """Runs sequences on a transport.

    Parameters
    ----------
    transport
        Where the device is.
    """

    def __init__(self, transport: Transport):
        self.found = Found()
        self._transport = transport
        self._bell = transport.event()
        self._target = Target(transport.machine, self._bell.set)

    async def rung(self, timeout_cycles: int = 100_000) -> bool:
        """Whether vector 0 rings in time; the next ring is another."""
        rang = await self._bell.wait(timeout_cycles)
        self._bell.clear()
        return rang

    def close(self) -> None:
        """Give the interrupt target back."""
        self._target.release()

    async def program_vector(self, table: int) -> None:
        """Point MSI-X vector 0 at us and unmask it, as the PCI core does during probe."""
        message = self._target.message
        await self._transport.write(0, table, message.address.to_bytes(8, "little"))
        await self._transport.write(0, table + 8, message.data.to_bytes(8, "little"))

    async def run(self, steps: tuple[Step, ...]) -> None:
        """Replay a sequence; complaints go to :attr:`found`."""
        for number, step in enumerate(steps):
            await self._step(number, step)

    def _offset(self, step: Read | Write | Merge) -> int:
        return step.offset + (self.found.tables[step.table] if step.table else 0)

    async def _read(self, offset: int, size: int) -> int:
        return int.from_bytes(await self._transport.read(0, offset, size), "little")

    async def _write(self, offset: int, value: int, size: int) -> None:
        await self._transport.write(0, offset, value.to_bytes(size, "little"))

    async def _step(self, number: int, step: Step) -> None:
        match step:
            case Read():
                value = await self._read(self._offset(step), step.size)
                self._learn(step, value)
                if step.expect is not None:
                    self._expect(number, step, value & step.mask, step.expect)
            case Write():
                await self._write(self._offset(step), step.value, step.size)
            case Merge():
                value = await self._read(self._offset(step), 4)
                await self._write(self._offset(step), value & ~step.clear | step.set, 4)
            case Groups():
                await self._write_groups(step.queue)
            case Config():
                await self._transport.config_write(step.offset, step.value, step.size)
            case Poll():
                while (value := await self._read(CMDSTATUS, 4)) & ACTIVE:
                    await self._transport.sleep(1)
                self._expect(number, step, value, step.expect)
            case Bell():
                if not await self._bell.wait(1_000_000):
                    self.found.wrong.append(f"step {number}: no interrupt")
                self._bell.clear()

    async def _write_groups(self, queue: int) -> None:
        for group in range(self.found.groups):
            base = self.found.tables["grpcfg"] + 0x40 * group
            members = 0 if group else 1 << queue
            for word in range(4):
                await self._write(base + 8 * word, members if word == 0 else 0, 8)
            await self._write(base + 0x20, 0 if group else 1, 8)
            await self._write(base + 0x28, GROUP_FLAGS | self.found.read_buffers << 20, 8)

    def _learn(self, step: Read, value: int) -> None:
        if step.offset == GRPCAP and step.table is None:
            self.found.groups, self.found.read_buffers = value & 0xFF, value >> 8 & 0xFF
        for name, lsb in TABLES.items():
            if step.offset == OFFSETS + lsb // 64 * 8 and step.table is None:
                self.found.tables[name] = (value >> lsb % 64 & 0xFFFF) * 0x100

    def _expect(self, number: int, step: Step, value: int, expect: int) -> None:
        if value != expect:
            self.found.wrong.append(f"step {number}, {step}: {value:#x} instead of {expect:#x}")
