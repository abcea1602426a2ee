"""Requesting, freeing, moving and disabling interrupts (Linux kernel/irq/manage.c)."""

import errno
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from ..errors import DriverError
from .chip import (
    chip_bus_lock,
    irq_activate,
    irq_disable,
    irq_enable,
    irq_shutdown,
    irq_startup,
)
from .domain import irq_domain_deactivate_irq
from .errors import IrqError
from .handle import irq_resend
from .irqdesc import Handler, IrqAction, IrqDesc, IrqReturn, VcpuData
from .matrix import CpuMask

if TYPE_CHECKING:
    from .system import IrqSystem

Thread = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def irq_get_desc_buslock(system: "IrqSystem", irq: int) -> AsyncIterator[IrqDesc]:
    """The descriptor of an interrupt that nobody else changes, or frees, meanwhile.

    **Errors** EINVAL where the number is not allocated, or not any more when its turn has come.
    """
    desc = system.irq_to_desc(irq)
    async with chip_bus_lock(desc):
        if system.irq_descs.get(irq) is not desc:
            raise IrqError(errno.EINVAL, f"interrupt {irq} was freed meanwhile")
        yield desc


async def request_irq(
    system: "IrqSystem",
    irq: int,
    handler: Handler,
    *,
    name: str,
    dev_id: object = None,
    shared: bool = False,
) -> None:
    """Have a handler called with each interrupt: activates it, then lets the device go.

    **Errors** EINVAL for a number that is not allocated, and for sharing without a ``dev_id``;
    EBUSY where it is requested and not shared by all; ENOSPC where no vector is left. Nothing
    has changed then.
    """
    await request_threaded_irq(system, irq, handler, None, name=name, dev_id=dev_id, shared=shared)


async def request_threaded_irq(
    system: "IrqSystem",
    irq: int,
    handler: Handler | None,
    thread_fn: Thread | None,
    *,
    name: str,
    dev_id: object = None,
    shared: bool = False,
) -> None:
    """:func:`request_irq` with a coroutine that runs when the handler says WAKE_THREAD, which one
    that is None always does."""
    if shared and dev_id is None:
        raise IrqError(errno.EINVAL, f"who shares interrupt {irq} has to give a dev_id")
    if handler is None and thread_fn is None:
        raise IrqError(errno.EINVAL, f"interrupt {irq} needs a handler or a thread")
    action = IrqAction(handler or _wake, name, dev_id, shared, thread_fn)
    desc = system.irq_to_desc(irq)
    try:
        async with irq_get_desc_buslock(system, irq):
            await _setup_irq(desc, action)
    except BaseException:
        if action in desc.actions:
            desc.actions.remove(action)
            await _undo_setup(desc)
        raise


def _wake() -> IrqReturn:
    return IrqReturn.WAKE_THREAD


async def _setup_irq(desc: IrqDesc, action: IrqAction) -> None:
    if desc.actions:
        if not (action.shared and all(other.shared for other in desc.actions)):
            raise IrqError(
                errno.EBUSY,
                f"interrupt {desc.irq} is {desc.actions[0].name}'s; both would have to share it",
            )
        desc.actions.append(action)
        return
    await irq_activate(desc)
    desc.actions.append(action)
    await irq_startup(desc)


async def _undo_setup(desc: IrqDesc) -> None:
    """The device was not to be had: as it was before, as far as it lets itself be told."""
    if desc.actions:
        return
    with suppress(DriverError):
        async with chip_bus_lock(desc):
            try:
                await irq_shutdown(desc)
            finally:
                desc.started, desc.masked, desc.disabled, desc.depth = False, True, True, 1
                await irq_domain_deactivate_irq(desc)


async def free_irq(system: "IrqSystem", irq: int, dev_id: object = None) -> None:
    """Take a handler away. When this returns it is not called any more, nor is its thread running.

    The last one of an interrupt silences the device before anything is given back. If the device
    does not let itself be silenced, nothing has been freed.

    **Errors** EINVAL where no handler was requested with this ``dev_id``.
    """
    async with irq_get_desc_buslock(system, irq) as desc:
        action = next((each for each in desc.actions if each.dev_id is dev_id), None)
        if action is None:
            raise IrqError(errno.EINVAL, f"interrupt {irq} has no handler of this dev_id to free")
        if len(desc.actions) == 1:
            await irq_shutdown(desc)
    desc.actions.remove(action)
    await _join(action)
    if not desc.actions:
        async with chip_bus_lock(desc):
            await irq_domain_deactivate_irq(desc)


async def synchronize_irq(system: "IrqSystem", irq: int) -> None:
    """Wait until handlers and threads that were called have ended."""
    desc = system.irq_to_desc(irq)
    for action in list(desc.actions):
        await _join(action)


async def _join(action: IrqAction) -> None:
    while action.thread is not None:
        await action.thread.join()


async def disable_irq(system: "IrqSystem", irq: int) -> None:
    """Keep events from the handlers until :func:`enable_irq` was called as often as this."""
    async with irq_get_desc_buslock(system, irq) as desc:
        desc.depth += 1
        if desc.depth == 1:
            await irq_disable(desc)
    await synchronize_irq(system, irq)


async def enable_irq(system: "IrqSystem", irq: int) -> None:
    """Let events through again; one that came meanwhile is handled now.

    **Errors** EINVAL where the interrupt is not disabled.
    """
    async with irq_get_desc_buslock(system, irq) as desc:
        if not desc.depth or not desc.started:
            raise IrqError(errno.EINVAL, f"interrupt {irq} is enabled more often than disabled")
        desc.depth -= 1
        if desc.depth:
            return
        desc.spurious_disabled = False
        # The device may have held another event, which arrives as soon as it is unmasked.
        pending = desc.pending
        await irq_enable(desc)
        if pending:
            irq_resend(system, desc)


async def irq_set_affinity(system: "IrqSystem", irq: int, mask: CpuMask) -> None:
    """Have one of these processors take the interrupt. Not before it is requested, if it is not.

    **Errors** EINVAL where none of them is online; EBUSY while it still moves; ENOSPC where none
    has a vector left. It stays where it is then.
    """
    async with irq_get_desc_buslock(system, irq) as desc:
        await irq_set_affinity_locked(system, desc, mask)


async def irq_set_affinity_locked(system: "IrqSystem", desc: IrqDesc, mask: CpuMask) -> None:
    """:func:`irq_set_affinity` by one who has the lock."""
    online = mask & system.online
    if not online:
        raise IrqError(
            errno.EINVAL,
            f"of processors {sorted(mask)} none is online; {sorted(system.online)} are",
        )
    if desc.activated:
        set_affinity = desc.chip.irq_set_affinity
        if set_affinity is None:
            raise IrqError(errno.EINVAL, f"the chip of interrupt {desc.irq} cannot move it")
        await set_affinity(desc.irq_data, online)
    if not desc.managed:
        desc.affinity = mask


async def irq_set_vcpu_affinity(system: "IrqSystem", irq: int, vcpu: VcpuData | None) -> None:
    """Post the interrupt to a virtual processor's descriptor, or None: take it as before.

    **Errors** ENOSYS where no level of the interrupt can post.
    """
    async with irq_get_desc_buslock(system, irq) as desc:
        level = desc.irq_data
        while level.chip.irq_set_vcpu_affinity is None:
            if level.parent is None:
                raise IrqError(errno.ENOSYS, f"interrupt {irq} cannot be posted without remapping")
            level = level.parent
        level.chip.irq_set_vcpu_affinity(level, vcpu)
