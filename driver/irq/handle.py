"""What happens when an interrupt occurs (Linux kernel/irq/handle.c, chip.c, spurious.c)."""

from typing import TYPE_CHECKING

from .chip import chip_bus_lock, mask_irq
from .irqdesc import IrqAction, IrqData, IrqDesc, IrqReturn

if TYPE_CHECKING:
    from .system import IrqSystem

SPURIOUS_CHECK = 100_000
"""Interrupts after which the unhandled ones among them are judged."""

SPURIOUS_UNHANDLED = 99_900
"""More than so many of them, and the interrupt is disabled."""

UNHANDLED_WINDOW = 12_500_000
"""Clocks after which an unhandled interrupt is not counted together with the last: 100 ms."""


def handle_edge_irq(system: "IrqSystem", desc: IrqDesc, cpu: int, vector: int) -> None:
    """An edge: an event that comes while another is handled, or while disabled, is not lost."""
    if not desc.actions:
        system.strays += 1
        return
    if desc.in_progress or desc.disabled:
        desc.pending = True
        _ack(desc, cpu, vector)
        if desc.disabled and not desc.masked:
            desc.transport.start(_mask_late(desc))
        return
    desc.kstat_irqs[cpu] += 1
    _ack(desc, cpu, vector)
    handle_irq_event(system, desc)


def handle_irq_event(system: "IrqSystem", desc: IrqDesc) -> None:
    """Call the handlers, and again for events that come meanwhile."""
    desc.in_progress = True
    try:
        while True:
            desc.pending = False
            note_interrupt(system, desc, _call(desc))
            if not desc.pending or desc.disabled:
                return
    finally:
        desc.in_progress = False


def _call(desc: IrqDesc) -> bool:
    handled = False
    for action in list(desc.actions):
        result = action.handler()
        if result is IrqReturn.WAKE_THREAD:
            action.woken = True
            if action.thread is None:
                action.thread = desc.transport.start(_irq_thread(action))
        handled = handled or result is not IrqReturn.NONE
    return handled


async def _irq_thread(action: IrqAction) -> None:
    """Run the thread as long as it is woken; wake-ups before it has begun are one."""
    try:
        while action.woken and action.thread_fn is not None:
            action.woken = False
            await action.thread_fn()
    finally:
        action.thread = None


def note_interrupt(system: "IrqSystem", desc: IrqDesc, handled: bool) -> None:
    """Disable an interrupt that hardly ever is anybody's."""
    if not handled:
        now = desc.transport.now()
        near = now - desc.last_unhandled < UNHANDLED_WINDOW
        desc.irqs_unhandled = desc.irqs_unhandled + 1 if near else 1
        desc.last_unhandled = now
    desc.irq_count += 1
    if desc.irq_count < SPURIOUS_CHECK:
        return
    desc.irq_count = 0
    if desc.irqs_unhandled > SPURIOUS_UNHANDLED:
        system.complaints.append(f"irq {desc.irq}: nobody cared; disabling it")
        desc.spurious_disabled = True
        desc.depth += 1
        desc.disabled = True
    desc.irqs_unhandled = 0


def irq_resend(system: "IrqSystem", desc: IrqDesc) -> None:
    """Handle the event that came while the interrupt was disabled."""
    (cpu,) = desc.effective_affinity
    desc.kstat_irqs[cpu] += 1
    handle_irq_event(system, desc)


async def _mask_late(desc: IrqDesc) -> None:
    """Mask the device of an interrupt that was only marked as disabled, unless it is back."""
    async with chip_bus_lock(desc):
        if desc.disabled and desc.started:
            await mask_irq(desc)


def _ack(desc: IrqDesc, cpu: int, vector: int) -> None:
    data: IrqData | None = desc.irq_data
    while data is not None and data.chip.irq_ack is None:
        data = data.parent
    if data is not None and data.chip.irq_ack is not None:
        data.chip.irq_ack(data, cpu, vector)
