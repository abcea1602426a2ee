"""Processors that come and go (Linux kernel/irq/cpuhotplug.c, kernel/cpu.c)."""

import errno
from typing import TYPE_CHECKING

from .chip import chip_bus_lock, irq_activate, irq_shutdown_and_deactivate, irq_startup
from .errors import IrqError
from .irqdesc import IrqDesc
from .manage import irq_set_affinity_locked

if TYPE_CHECKING:
    from .system import IrqSystem


async def cpu_down(system: "IrqSystem", cpu: int) -> None:
    """Take a processor offline; its interrupts move to others, and managed ones end with it.

    **Errors** EBUSY for the last one; ENOSPC where the others have no room for its interrupts.
    """
    matrix = system.vector_domain.matrix
    if cpu not in system.online:
        raise IrqError(errno.EINVAL, f"processor {cpu} is not online")
    if system.online == {cpu}:
        raise IrqError(errno.EBUSY, f"processor {cpu} is the last one online")
    left = matrix.global_available - matrix.maps[cpu].available
    if left < matrix.maps[cpu].allocated:
        raise IrqError(
            errno.ENOSPC,
            f"processor {cpu} has {matrix.maps[cpu].allocated} vectors, the others have {left} "
            f"left; free interrupts first",
        )
    system.online -= {cpu}
    for desc in list(system.vector_domain.vector_irq[cpu].values()):
        await _migrate_one_irq(system, desc, cpu)
    matrix.offline(cpu)


async def cpu_up(system: "IrqSystem", cpu: int) -> None:
    """Bring a processor online; managed interrupts that ended with it start again."""
    if cpu in system.online:
        raise IrqError(errno.EINVAL, f"processor {cpu} is online")
    system.online |= {cpu}
    system.vector_domain.matrix.online(cpu)
    for desc in list(system.irq_descs.values()):
        if desc.managed_shutdown and cpu in desc.affinity:
            async with chip_bus_lock(desc):
                desc.managed_shutdown = False
                try:
                    await irq_activate(desc)
                    await irq_startup(desc)
                except BaseException:
                    desc.managed_shutdown = True
                    raise


async def _migrate_one_irq(system: "IrqSystem", desc: IrqDesc, cpu: int) -> None:
    async with chip_bus_lock(desc):
        data = desc.irq_data
        data.domain.force_complete_move(data)
        if desc.effective_affinity != {cpu}:
            return
        allowed = desc.affinity & system.online
        if desc.managed and not allowed:
            await irq_shutdown_and_deactivate(desc)
            desc.managed_shutdown = True
            return
        wanted = desc.affinity
        await irq_set_affinity_locked(system, desc, allowed or system.online)
        desc.affinity = wanted
