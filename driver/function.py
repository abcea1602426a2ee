"""The PCI Express function around the device: what enables it, quiets it and resets it."""

from .config_space import FunctionMap
from .errors import DeviceGone
from .timeouts import Timeouts
from .transport import Transport

COMMAND = 0x04
MEMORY_SPACE, BUS_MASTER = 1 << 1, 1 << 2
MSIX_ENABLE = 1 << 15
PASID_ENABLE = 1
FLR = 1 << 15
TRANSACTIONS_PENDING = 1 << 5

HEADER_RESTORED = (0x0C, *range(0x10, 0x28, 4), 0x3C)
"""Cache line size, BARs and interrupt line: what enumeration writes in the header."""

CAPABILITY_RESTORED = (0x08, 0x10, 0x28)
"""Device control, link control and device control 2, of the PCI Express capability."""

FIRST_POLL_CYCLES, LAST_POLL_CYCLES = 64, 4096


class Function:
    """Switches of configuration space that the driver turns on, and back as they were found.

    Parameters
    ----------
    where
        Where the capabilities are.
    """

    def __init__(self, transport: Transport, where: FunctionMap, timeouts: Timeouts) -> None:
        self.where = where
        self._transport = transport
        self._timeouts = timeouts
        self._command_found = 0

    async def open(self) -> None:
        """Let the function answer memory requests."""
        self._command_found = await self._transport.config_read(COMMAND, 2)
        await self._transport.config_write(COMMAND, self._command_found | MEMORY_SPACE, 2)

    async def enable(self) -> None:
        """PASIDs, then Bus Master: the device must be disabled while either changes."""
        await self._transport.config_write(self.where.pasid + 6, PASID_ENABLE, 2)
        await self.set_bus_master(True)

    async def set_bus_master(self, on: bool) -> None:
        """Whether the function may send requests and messages at all."""
        command = await self._transport.config_read(COMMAND, 2)
        command = command | BUS_MASTER if on else command & ~BUS_MASTER
        await self._transport.config_write(COMMAND, command, 2)

    async def enable_msix(self) -> None:
        """Let vectors ring that are not masked themselves."""
        await self._transport.config_write(self.where.msix.offset + 2, MSIX_ENABLE, 2)

    async def shut(self) -> None:
        """No messages, no requests, no PASIDs; memory space as it was found."""
        await self.set_bus_master(False)
        await self._transport.config_write(self.where.msix.offset + 2, 0, 2)
        await self._transport.config_write(self.where.pasid + 6, 0, 2)
        await self._transport.config_write(COMMAND, self._command_found & ~BUS_MASTER, 2)

    async def reset(self) -> None:
        """Function Level Reset (PCIe Base 6.x §6.6.2), then what enumeration had written.

        Requests of the function are stopped and given time to complete first. The function is
        left without Bus Master and memory space as it was found.

        **Errors** :class:`~driver.errors.DeviceGone` if it does not answer within the reset
        timeout.
        """
        pcie = self.where.pcie
        places = dict.fromkeys(HEADER_RESTORED, 4)
        places |= {pcie + offset: 2 for offset in CAPABILITY_RESTORED}
        saved = {
            offset: await self._transport.config_read(offset, size)
            for offset, size in places.items()
        }
        await self._transport.config_write(COMMAND, 0, 2)
        await self._until_idle()
        control = await self._transport.config_read(pcie + 0x08, 2)
        await self._transport.config_write(pcie + 0x08, control | FLR, 2)
        await self._until_answering()
        for offset, value in saved.items():
            await self._transport.config_write(offset, value, places[offset])
        await self._transport.config_write(COMMAND, self._command_found & ~BUS_MASTER, 2)

    async def _until_idle(self) -> None:
        """Until no request waits for its completion, or half the reset timeout is over."""
        deadline = self._transport.now() + self._timeouts.reset // 2
        pause = FIRST_POLL_CYCLES
        while await self._transport.config_read(self.where.pcie + 0x0A, 2) & TRANSACTIONS_PENDING:
            if self._transport.now() >= deadline:
                return
            await self._transport.sleep(pause)
            pause = min(2 * pause, LAST_POLL_CYCLES)

    async def _until_answering(self) -> None:
        deadline = self._transport.now() + self._timeouts.reset
        pause = FIRST_POLL_CYCLES
        while True:
            await self._transport.sleep(pause)
            if await self._transport.config_read(0x00, 2) == self.where.vendor:
                return
            if self._transport.now() >= deadline:
                raise DeviceGone("the function does not answer after its reset")
            pause = min(2 * pause, LAST_POLL_CYCLES)
