"""Starting, masking and taking interrupts (Linux kernel/irq/chip.c)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .domain import irq_domain_activate_irq, irq_domain_deactivate_irq
from .irqdesc import IrqDesc


@asynccontextmanager
async def chip_bus_lock(desc: IrqDesc) -> AsyncIterator[None]:
    """Everything that changes an interrupt: by one at a time, and effective when this ends.

    What a change has replaced is given back at the very end, when the device does not use it any
    more. If the device cannot be made to see the change, that waits for the next time.
    """
    data, chip = desc.irq_data, desc.chip
    if chip.irq_bus_lock is not None:
        await chip.irq_bus_lock(data)
    try:
        async with desc.lock:
            yield
    finally:
        replaced, desc.after_sync = desc.after_sync, []
        try:
            if chip.irq_bus_sync_unlock is not None:
                await chip.irq_bus_sync_unlock(data)
        except BaseException:
            desc.after_sync = replaced + desc.after_sync
            raise
        for give_back in replaced:
            give_back()


async def mask_irq(desc: IrqDesc) -> None:
    """Have the device hold events back, if its chip can."""
    if not desc.masked and desc.chip.irq_mask is not None:
        await desc.chip.irq_mask(desc.irq_data)
        desc.masked = True


async def unmask_irq(desc: IrqDesc) -> None:
    """Have the device let events through."""
    if desc.masked and desc.chip.irq_unmask is not None:
        desc.masked = False
        await desc.chip.irq_unmask(desc.irq_data)


async def irq_enable(desc: IrqDesc) -> None:
    """Let events through to the handlers."""
    desc.disabled = False
    await unmask_irq(desc)


async def irq_disable(desc: IrqDesc) -> None:
    """Keep events from the handlers; the device itself is masked now or at its next event."""
    desc.disabled = True
    if desc.chip.unlazy:
        await mask_irq(desc)


async def irq_activate(desc: IrqDesc) -> None:
    """Give the interrupt its vector and the device its message."""
    await irq_domain_activate_irq(desc, reserve=False)


async def irq_startup(desc: IrqDesc) -> None:
    """Let the first event through. What came before belongs to nobody."""
    desc.depth = 0
    desc.pending = False
    desc.managed_shutdown = False
    desc.started = True
    await irq_enable(desc)


async def irq_shutdown(desc: IrqDesc) -> None:
    """Silence the device for good. If that fails, the interrupt is still there."""
    if not desc.started:
        return
    desc.disabled = True
    if desc.chip.irq_shutdown is not None:
        await desc.chip.irq_shutdown(desc.irq_data)
    else:
        await mask_irq(desc)
    desc.depth = 1
    desc.masked = True
    desc.started = False


async def irq_shutdown_and_deactivate(desc: IrqDesc) -> None:
    """Silence the device, and give the vector back."""
    await irq_shutdown(desc)
    await irq_domain_deactivate_irq(desc)
