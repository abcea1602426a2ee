"""One virtual device: what its guest's accesses run into, and its life (DSA §7.5)."""

from dataclasses import dataclass

from hw.regs.commands import Command, CommandError, DeviceState, QueueState, SoftwareError
from hw.regs.descriptor import Opcode

from ..device import Device
from ..errors import CommandFailed
from ..queues import Queue
from ..reports import ErrorReport
from ..transport import Task, Waiting
from ..vector import Vector
from .commands import VirtualCommands
from .image import Image
from .layout import Layout
from .msix import Deliver, VirtualMsix
from .pasids import Pasids
from .portals import Portals
from .queue import VirtualQueue
from .vfio import Interrupts

FLR = 1 << 15
WORD = 4
_SIZES = (1, 2, 4, 8)
_SPARED = ("swerror", "cmdstatus")


@dataclass(frozen=True)
class SavedState:
    """A suspended virtual device, as it goes to another host device.

    Parameters
    ----------
    config, bar0
        Its registers.
    state, queue_state
        Whether device and queue were enabled.
    vectors
        MSI-X vectors that were in use, and whether an event was held there.
    handles
        Host indices that the guest knows, by vector.
    """

    config: bytes
    bar0: bytes
    state: DeviceState
    queue_state: QueueState
    vectors: dict[int, bool]
    handles: dict[int, int]


class VirtualDevice:
    """Made by :meth:`driver.vdcm.composer.Composer.create`. A guest's accesses are calls of it.

    Members
    -------
    layout, pasids, msix, queue, portals
        Its parts.
    state
        Disabled or enabled.
    """

    def __init__(
        self,
        transport: Waiting,
        device: Device,
        queue: Queue,
        layout: Layout,
        pasids: Pasids,
        deliver: Deliver,
    ) -> None:
        self.layout = layout
        self.pasids = pasids
        self.state = DeviceState.DISABLED
        self._transport = transport
        self._config: Image = layout.config_image()
        self._bar0: Image = layout.bar0_image()
        self._reset_config, self._reset_bar0 = self._config.save(), self._bar0.save()
        interrupts = Interrupts(device, layout.vectors, self._host_owner)
        self.msix = VirtualMsix(transport, layout, self._bar0, self._config, interrupts, deliver)
        self.portals = Portals(queue, exclusive=layout.exclusive)
        self.queue = VirtualQueue(device, queue, layout, self._bar0, pasids, self.portals)
        self._commands = VirtualCommands(self)
        self._task: Task | None = None
        self._active = False

    # Accesses of the guest

    async def config_read(self, offset: int, size: int) -> int:
        """Read configuration space."""
        return int.from_bytes(self._config.read(offset, size), "little")

    async def config_write(self, offset: int, value: int, size: int) -> None:
        """Write configuration space."""
        self._config.write(offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))
        control = self.layout.pcie + 8
        if offset <= control + 1 < offset + size and value << 8 * (offset - control) & FLR:
            await self.function_level_reset()
        elif offset < 8 or self.layout.msix <= offset < self.layout.msix + WORD:
            await self.msix.sync_all()

    async def read(self, offset: int, size: int) -> bytes:
        """Read BAR0; all ones while memory space is off."""
        if not self._command("memory_space"):
            return b"\xff" * size
        pba = self.layout.bar0.table("pba")
        if offset < pba.end and offset + size > pba.offset:
            bits = await self.msix.pending()
            whole = bits.to_bytes(pba.end - pba.offset, "little")
            low = max(offset - pba.offset, 0)
            return whole[low : low + size].rjust(size, b"\0")
        return self._bar0.read(offset, size)

    async def write(self, offset: int, data: bytes) -> None:
        """Write BAR0; only naturally aligned accesses of up to 8 bytes count (DSA §9.2)."""
        size = len(data)
        if size not in _SIZES or offset % size or not self._command("memory_space"):
            return
        tables = {name: self.layout.bar0.table(name) for name in ("msix", "msixperm", "wqcfg")}
        if offset == self.layout.registers["cmd"].offset and size >= WORD:
            await self._start(int.from_bytes(data[:WORD], "little"))
            return
        for name, table in tables.items():
            if table.offset <= offset < table.end:
                if size < WORD:
                    return
                number, within = divmod(offset - table.offset, table.stride)
                if name == "wqcfg":
                    for low in range(0, size, WORD):
                        word = int.from_bytes(data[low : low + WORD], "little")
                        self.queue.write(within + low, word)
                    return
                self._bar0.write(offset, data)
                await self.msix.sync(number)
                return
        self._bar0.write(offset, data)

    # Commands and errors

    @property
    def bus_master(self) -> bool:
        """Whether the guest lets it send."""
        return bool(self._command("bus_master"))

    async def _start(self, word: int) -> None:
        if self._active:
            self.report(ErrorReport(SoftwareError.COMMAND_WHILE_ACTIVE))
            return
        self._active = True
        self._put("cmdstatus", active=1)
        self._task = self._transport.start(self._run(word))

    async def _run(self, word: int) -> None:
        error, result = CommandError.HARDWARE.value, 0
        try:
            error, result = await self._commands.execute(word)
        finally:
            self._active = False
            self._put("gensts", state=int(self.state))
            self._put("cmdstatus", error=error, result=result)
        if word >> 31:
            self.interrupt(command=1)

    def interrupt(self, **causes: int) -> None:
        """Ring vector 0 for causes that INTCAUSE then shows."""
        self._bar0.set(self.layout.registers["intcause"], **causes)
        self.msix.fire(0)

    def report(self, report: ErrorReport) -> None:
        """An error without a record of the guest's own: its SWERROR, in its own terms."""
        register = self.layout.registers["swerror"]
        if self._bar0.get(register) & 1:
            self._bar0.set(register, overflow=1)
        elif report.code is not None:
            described = report.opcode is not None
            self._put(
                "swerror",
                valid=1,
                code=report.code,
                descriptor_valid=int(described),
                opcode=report.opcode or Opcode.NOP,
                queue_valid=int(report.queue is not None),
                pasid=self.pasids.guest(report.pasid) or 0 if report.pasid is not None else 0,
                info_valid=int(report.info is not None),
                info=report.info or 0,
                address=report.address,
                batch=int(report.batch_index is not None),
                batch_index=report.batch_index or 0,
            )
        control = self.layout.registers["genctrl"]
        if control.unpack(self._bar0.get(control))["error_interrupt"]:
            self.interrupt(error=1)

    # Life

    async def reset_device(self) -> None:
        """Reset Device: abandon everything, and clear all but what DSA Table 9-3 spares."""
        await self._quiet(Command.ABORT_PASID)
        spared = {name: self._bar0.get(self.layout.registers[name]) for name in _SPARED}
        table = self.layout.bar0.table("msix")
        entries = self._bar0.read(table.offset, table.end - table.offset)
        self._bar0.restore(self._reset_bar0)
        for name, value in spared.items():
            self._bar0.put(self.layout.registers[name], value)
        for index in range(table.count):
            entry = table.entry(index)
            for register in table.registers:
                start = entry - table.offset + register.offset
                value = int.from_bytes(entries[start : start + register.size_bytes], "little")
                self._bar0.put(register, value, entry)
        self._commands.forget()
        await self.msix.sync_all()

    async def function_level_reset(self) -> None:
        """Everything as it was composed; BARs are the guest's to assign again."""
        await self.idle()
        await self._quiet(Command.ABORT_PASID)
        self._bar0.restore(self._reset_bar0)
        self._config.restore(self._reset_config)
        self._commands.forget()
        await self.msix.sync_all()
        self.msix.forget()

    async def idle(self) -> None:
        """Wait until no command is under way."""
        if self._task is not None:
            await self._task.join()

    async def suspend(self) -> SavedState:
        """Drain every host PASID of the guest, then give the vectors back.

        Nothing of it writes or interrupts any more; the guest's processors do not run.
        """
        await self.idle()
        states = self.state, self.queue.state
        handles = {n: c.index for n, c in self._backing().items()}
        await self._quiet(Command.DRAIN_PASID)
        vectors = await self.msix.withdraw()
        self.queue.restore(states[1])
        saved = SavedState(self._config.save(), self._bar0.save(), *states, vectors, handles)
        self.queue.restore(QueueState.DISABLED)
        self.state = DeviceState.DISABLED
        return saved

    async def resume(self, saved: SavedState) -> None:
        """Go on as what was suspended, here or elsewhere.

        Handles that the guest knows and that are not the same any more are revoked (DSA §7.5.4).
        """
        self._config.restore(saved.config)
        self._bar0.restore(saved.bar0)
        self.state = saved.state
        await self.msix.resume(saved.vectors)
        self.queue.restore(QueueState.DISABLED)
        if saved.queue_state is QueueState.ENABLED:
            await self.queue.enable()
        now = {n: vector.index for n, vector in self._backing().items()}
        if any(now.get(number) != handle for number, handle in saved.handles.items()):
            self.interrupt(handles_revoked=1)

    async def destroy(self) -> None:
        """Drain, then take the PASIDs out of the entries, then give the vectors back."""
        await self.idle()
        await self._quiet(Command.DRAIN_PASID)
        await self.msix.withdraw()
        await self.queue.release()

    async def _quiet(self, command: Command) -> None:
        """No more submissions; those inside complete, or are abandoned."""
        self.portals.mapped = False
        for pasid in self.pasids.hosts:
            try:
                await self.queue.quiesce(command, [pasid])
            except CommandFailed as error:
                if error.error != CommandError.DISABLE_NOT_ENABLED:
                    raise
        await self.queue.disable()
        self.state = DeviceState.DISABLED

    def _backing(self) -> dict[int, Vector]:
        contexts = ((n, self.msix.interrupts.context(n)) for n in range(1, self.layout.vectors))
        return {n: c.vector for n, c in contexts if c is not None and c.vector is not None}

    def _host_owner(self, number: int) -> int:
        return self.pasids.host(self.msix.owner(number))

    def _command(self, field: str) -> int:
        register = self.layout.config["command"]
        return register.unpack(self._config.get(register))[field]

    def _put(self, name: str, **fields: int) -> None:
        register = self.layout.registers[name]
        self._bar0.put(register, register.pack(**fields))
