"""Interrupts without a device's domain: a message that leads to a handler, for who writes it
somewhere himself."""

from collections.abc import Callable, Coroutine
from typing import Any

from driver.irq import boot, free_irq, request_irq
from driver.irq.domain import (
    AllocInfo,
    irq_chip_compose_msi_msg,
    irq_domain_alloc_irqs,
    irq_domain_free_irqs,
)
from driver.machine import Machine
from driver.transport import Message

REQUESTER = 0x0100


class _Clock:
    """Nobody waits for these interrupts."""

    def now(self) -> int:
        return 0


def at_once(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


class Target:
    """An interrupt that any write of :attr:`message` by the requester causes."""

    def __init__(
        self, machine: Machine, handler: Callable[[], None], requester: int = REQUESTER
    ) -> None:
        self.delivered = 0
        self._handler = handler
        self._system = boot(machine)
        info = AllocInfo(requester)
        self._desc = irq_domain_alloc_irqs(self._system.msi_parent, _Clock(), info)  # type: ignore[arg-type]
        at_once(request_irq(self._system, self._desc.irq, self._ring, name="target", dev_id=self))

    @property
    def message(self) -> Message:
        """What to write, and where."""
        return irq_chip_compose_msi_msg(self._desc.irq_data)

    def release(self) -> None:
        """Give the interrupt back."""
        at_once(free_irq(self._system, self._desc.irq, self))
        irq_domain_free_irqs(self._desc)

    def _ring(self) -> None:
        self.delivered += 1
        self._handler()
